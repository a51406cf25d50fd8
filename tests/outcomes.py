"""The tables of docs/outcomes.md, and what one item really comes to, in their words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from judge import Grade, Judge
from judge.attempts import Deadline
from judge.calling import Caller
from judge.endpoint import Endpoint
from judge.grading import Grader
from judge.items import Item
from judge.judges import Asking, OutputMode
from judge.ledger import Ledger
from judge.providers import Source, connect
from judge.store.store import Store
from judge.verdicts import Outcome
from rubrics import Rubric

DOCUMENT = Path(__file__).parents[1] / "docs" / "outcomes.md"

#: Where each provider's server is, under the stub's address.
PROVIDERS = {
    "openai": "/v1",
    "openai-responses": "/v1",
    "anthropic": "",
    "litellm, `openai/`": "/v1",
    "litellm, `anthropic/`": "",
}
#: Models of litellm's routes.
ROUTED = {"litellm, `openai/`": "openai/m", "litellm, `anthropic/`": "anthropic/claude-sonnet-4-5"}


def table(head: str) -> list[list[str]]:
    """The cells of the table whose first line begins so, its head first."""
    text = DOCUMENT.read_text("utf-8")
    lines = text[text.index(f"| {head} |") :].partition("\n\n")[0].splitlines()
    first, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [first, *rows]


async def graded(
    store: Store,
    judge: Judge,
    rubric: Rubric,
    text: str,
    mode: OutputMode = "json_schema",
    deadline: Deadline | None = None,
    images: Sequence[str] = (),
) -> Grade:
    """The grade of one item whose output is a text."""
    provider, item = connect(judge), Item(id="1", output=text, images=list(images))
    if isinstance(provider, Source):
        return (await Grader(judge, rubric, provider, "f").grade(item)).grade
    try:
        caller = Caller(provider, judge, Ledger(store), Endpoint(4), judge.price)
        grader = Grader(judge, rubric, provider, "f", Asking(mode, (), logprobs=judge.logprobs), caller)
        return (await grader.grade(item, deadline)).grade
    finally:
        await provider.close()


def worst_of(grade: Grade) -> str:
    """What a grade came to, by its outcome and the first criterion that has it."""
    causes = [one.cause for one in grade.criteria.values() if one.outcome is grade.outcome]
    return told(grade.outcome, causes[0] if causes else None)


def told(outcome: Outcome, cause: str | None) -> str:
    """An outcome and its cause, in the words of a cell."""
    return f"`{outcome}`" + (f": {cause}" if cause else "")


def counted(found: str, calls: int) -> str:
    """A cell, whole."""
    return f"{found} ({calls} call{'s' * (calls != 1)})"
