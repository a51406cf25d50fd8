"""What becomes of an answer that is off its scale or out of form: docs/outcomes.md, scale by scale.

Each cell is what one item's grade came to, asked of a stub judge that gives exactly this answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from judge import Judge, SetupError
from judge.judges import OutputMode
from judge.store import open_store
from judge.store.store import Store
from rubrics import Rubric
from tests.outcomes import PROVIDERS, counted, graded, table, told

pytestmark = pytest.mark.anyio

#: The columns: a scale, an answer that is on it, and one that is not, as JSON.
SCALES = {
    "binary": ("scale: binary", '"yes"', '"maybe"'),
    "ordinal": ("scale: ordinal, levels: [1, 2, 3]", "3", "4"),
    "categorical": ("scale: categorical, levels: [plain, ornate]", '"plain"', '"rude"'),
    "numeric": ("scale: numeric, minimum: 0, maximum: 10", "3", "11"),
    "numeric, in steps": ("scale: numeric, minimum: 0, maximum: 100, step: 1", "3", "101"),
    "points": ("scale: points, points: 5", '"yes"', '"maybe"'),
}
ANSWER = '{"clear": {"reason": "r", "score": %s}}'

#: The rows: a whole answer. RIGHT and OFF stand for the two of the scale.
SCORES = {
    "off the scale": ANSWER % "OFF",
    "`2.5`": ANSWER % "2.5",
    "`3.0`": ANSWER % "3.0",
    '`"3"`': ANSWER % '"3"',
    "`true`": ANSWER % "true",
    "`null`": ANSWER % "null",
    "the right word in capitals": ANSWER % "CAPITALS",
    "a list of the right one": ANSWER % "[RIGHT]",
    "an object with the right one": ANSWER % '{"score": RIGHT}',
    "`1e400`": ANSWER % "1e400",
    "`not_applicable`, where it is not allowed": ANSWER % '"not_applicable"',
    "`cannot_tell`, where it is not allowed": ANSWER % '"cannot_tell"',
}
#: Rows that are the same on every scale.
FORMS = {
    "on the scale": ANSWER % "RIGHT",
    "`not_applicable`, where it is allowed": ANSWER % '"not_applicable"',
    "`cannot_tell`, where it is allowed": ANSWER % '"cannot_tell"',
    "`NaN`": ANSWER % "NaN",
    "`-Infinity`": ANSWER % "-Infinity",
    "no reason": '{"clear": {"score": RIGHT}}',
    "an empty reason": '{"clear": {"reason": "", "score": RIGHT}}',
    "a reason that is no text": '{"clear": {"reason": 7, "score": RIGHT}}',
    "a reason with NUL and half a character": '{"clear": {"reason": "\\u0000\\ud800", "score": RIGHT}}',
    "no score": '{"clear": {"reason": "r"}}',
    "two scores": '{"clear": {"reason": "r", "score": OFF, "score": RIGHT}}',
    "the score before the reason": '{"clear": {"score": RIGHT, "reason": "r"}}',
    "a third field": '{"clear": {"reason": "r", "score": RIGHT, "sure": true}}',
    "the score alone": '{"clear": RIGHT}',
    "`{}`": "{}",
}
#: Ways that carry an answer differently: as text, as text in a tool's call, and as a part of the reply's own JSON.
WAYS: tuple[tuple[str, OutputMode], ...] = (
    ("openai", "json_schema"),
    ("openai-responses", "tool"),
    ("anthropic", "tool"),
)

(_, *COLUMNS), *ROWS = table("answer | binary")
ALIKE = table("answer | every scale")[1:]
CASES = [
    *((answer, scale, cell) for answer, *cells in ROWS for scale, cell in zip(COLUMNS, cells, strict=True)),
    *((answer, scale, cell) for answer, cell in ALIKE for scale in SCALES),
]


@pytest.fixture(scope="module")
def ledger_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """One store for all cases: the items differ, so that none is answered from another's call."""
    with open_store(f"sqlite:///{tmp_path_factory.mktemp('answers')}/judge.db") as opened:
        yield opened


def rubric_of(scale: str, answer: str = "") -> Rubric:
    """One criterion, with the word that the answer is about where that is allowed."""
    word, allowed, _ = answer.strip("`").partition("`, where it is allowed")
    more = f", {word}: true" if allowed else ""
    return Rubric.loads(f"name: one\ncriteria: [{{id: clear, question: Is it clear, {scale}{more}}}]")


def test_the_table_has_every_answer_and_no_other() -> None:
    assert [answer for answer, *_ in ROWS] == list(SCORES)
    assert [answer for answer, _ in ALIKE] == list(FORMS)


def test_the_table_has_every_scale_that_can_be_graded_and_no_other() -> None:
    assert list(SCALES) == COLUMNS


@pytest.mark.parametrize(("answer", "scale", "cell"), CASES, ids=[f"{case[0]}: {case[1]}" for case in CASES])
async def test_what_becomes_of_an_answer(
    shared_stub: Any, ledger_store: Store, judge_at: Callable[..., Judge], answer: str, scale: str, cell: str
) -> None:
    described, right, off = SCALES[scale]
    text = (SCORES | FORMS)[answer].replace("RIGHT", right).replace("OFF", off).replace("CAPITALS", right.upper())
    if cell == "-":
        assert text == ANSWER % right, "the scale knows this answer: it needs a cell of its own"
        return
    for provider, mode in WAYS:
        shared_stub.reset()
        shared_stub.behave("say", text=text)
        judge = judge_at(shared_stub.url + PROVIDERS[provider], provider=provider)
        grade = await graded(ledger_store, judge, rubric_of(described, answer), f"{answer} {scale}", mode)
        found = told(grade.criteria["clear"].outcome, grade.criteria["clear"].cause)
        assert counted(found, shared_stub.stats()["requests"]) == cell


async def test_a_preference_is_refused_before_anything_is_sent(
    shared_stub: Any, ledger_store: Store, judge_at: Callable[..., Judge]
) -> None:
    shared_stub.reset()
    with pytest.raises(SetupError, match="pair"):
        await graded(ledger_store, judge_at(shared_stub.base_url), rubric_of("scale: preference"), "either")
    assert shared_stub.stats()["requests"] == 0
