"""What ends a call, or holds it back, where no server is at fault: docs/outcomes.md, a row a test.

Every cause that the code names stands in that document.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import judge as package
from judge import Judge, SetupError
from judge.attempts import Again, Deadline
from judge.providers import CallError
from judge.store.store import Store
from rubrics import Rubric
from tests.outcomes import DOCUMENT, PROVIDERS, ROUTED, counted, graded, table, worst_of

pytestmark = pytest.mark.anyio

RUBRIC = Rubric.loads("name: one\ncriteria: [{id: clear, scale: ordinal, question: Is it, levels: [1, 2, 3]}]")
OPENAI, OVER_OPENAI, OVER_ANTHROPIC, RECORDED = "openai", *ROUTED, "recorded"
OVER_BEDROCK, MODEL_OF_BEDROCK = "litellm, `bedrock/`", "bedrock/anthropic.claude-3-haiku-20240307-v1:0"
CODE = Path(package.__file__).parent


@dataclass(frozen=True, slots=True)
class Desk:
    """Where a fault is brought about."""

    stub: Any
    store: Store
    patch: pytest.MonkeyPatch
    folder: Path
    judge: Callable[..., Judge]

    async def comes_to(self, **how: Any) -> str:
        """What an item comes to, without its calls; `judge` is openai's unless it is given."""
        given = {"judge": self.at(OPENAI), "rubric": RUBRIC, "text": "x", **how}
        return worst_of(await graded(self.store, **given))

    def at(self, provider: str, **fields: Any) -> Judge:
        """A judge at the stub."""
        where = {"base_url": self.stub.url + PROVIDERS[provider], "model": ROUTED.get(provider, "m")}
        return self.judge(**where, provider=provider.partition(",")[0], **fields)

    def recorded(self, *scores: object) -> Judge:
        """A recording of so many judgements of the item."""
        path = self.folder / "said.jsonl"
        rows = [{"item": "1", "criterion": "clear", "score": score} for score in scores]
        other = {"item": "2", "criterion": "clear", "score": 1}
        path.write_text("".join(json.dumps(row) + "\n" for row in (other, *rows)))
        return Judge(name="r", provider="recorded", options={"file": str(path)})


async def in_mid_answer(desk: Desk) -> str:
    desk.stub.behave("hang")
    return await desk.comes_to(deadline=Deadline(0.3))


async def before_the_next_attempt(desk: Desk) -> str:
    desk.stub.behave("status", status=503)
    return await desk.comes_to(deadline=Deadline(0.3))  # the first wait is longer


async def passed(desk: Desk) -> str:
    deadline = Deadline(0.0)
    deadline.start()
    return await desk.comes_to(deadline=deadline)


async def lost_once(desk: Desk) -> str:
    desk.stub.behave("reset")
    await desk.comes_to()
    desk.stub.reset()
    return await desk.comes_to()


async def by_address(desk: Desk) -> str:
    return await desk.comes_to(judge=desk.at(OVER_OPENAI, images=True), images=["http://127.0.0.1:9/a.png"])


async def not_taken(desk: Desk) -> str:
    return await desk.comes_to(judge=desk.at(OVER_ANTHROPIC, logprobs=True))


async def through(desk: Desk, call: Callable[..., Awaitable[Any]]) -> str:
    """What an item comes to, where litellm makes its calls so."""
    desk.patch.setattr("litellm.acompletion", call)
    return await desk.comes_to(judge=desk.at(OVER_OPENAI))


async def package_missing(desk: Desk) -> str:
    desk.patch.setitem(sys.modules, "boto3", None)  # an import of it fails; without a key litellm signs by it
    return await desk.comes_to(judge=desk.judge(base_url=None, provider="litellm", model=MODEL_OF_BEDROCK))


async def unseen(desk: Desk) -> str:
    async def call(**_: Any) -> None:
        raise RuntimeError("it went another way")

    return await through(desk, call)


async def twice(desk: Desk) -> str:
    import litellm

    once = litellm.acompletion

    async def call(**given: Any) -> Any:
        with suppress(litellm.APIError):
            await once(**given)
        return await once(**given)

    return await through(desk, call)


async def not_recorded(desk: Desk) -> str:
    return await desk.comes_to(judge=desk.recorded())


async def recorded_as_null(desk: Desk) -> str:
    return await desk.comes_to(judge=desk.recorded(None))


async def recorded_off_the_scale(desk: Desk) -> str:
    return await desk.comes_to(judge=desk.recorded(2.5))


async def recorded_twice(desk: Desk) -> str:
    with pytest.raises(SetupError) as refused:
        await desk.comes_to(judge=desk.recorded(1, 2))
    return f"not started: {str(refused.value).partition(': ')[2].partition(';')[0]}"


#: The rows: of whom, and how it is brought about.
FAULTS: dict[str, tuple[str, Callable[[Desk], Awaitable[str]]]] = {
    "the deadline passes in mid-answer": (OPENAI, in_mid_answer),
    "the deadline passes before the next attempt": (OPENAI, before_the_next_attempt),
    "the deadline has passed": (OPENAI, passed),
    "lost once, and not to be sent again": (OPENAI, lost_once),
    "an image by its address": (OVER_OPENAI, by_address),
    "a field that the route does not take": (OVER_ANTHROPIC, not_taken),
    "a package of the route is missing": (OVER_BEDROCK, package_missing),
    "litellm sends what cannot be watched": (OVER_OPENAI, unseen),
    "litellm would send a call twice": (OVER_OPENAI, twice),
    "not recorded": (RECORDED, not_recorded),
    "recorded as `null`": (RECORDED, recorded_as_null),
    "recorded off the scale": (RECORDED, recorded_off_the_scale),
    "recorded twice": (RECORDED, recorded_twice),
}
ROWS = table("fault | judge")[1:]


def test_the_table_has_every_fault_and_no_other() -> None:
    assert [(fault, whose) for fault, whose, _ in ROWS] == [(fault, whose) for fault, (whose, _) in FAULTS.items()]


@pytest.mark.parametrize(("fault", "whose", "cell"), ROWS, ids=[row[0] for row in ROWS])
async def test_what_becomes_of_it(
    shared_stub: Any,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    judge_at: Callable[..., Judge],
    fault: str,
    whose: str,
    cell: str,
) -> None:
    if whose.startswith("litellm") and find_spec("litellm") is None:
        pytest.skip("litellm is not installed here; make test-litellm has it")
    shared_stub.reset()
    found = await FAULTS[fault][1](Desk(shared_stub, store, monkeypatch, tmp_path, judge_at))
    assert counted(found, shared_stub.stats()["requests"]) == cell


def causes(path: Path) -> Iterator[str]:
    """The causes that a module names: what its errors begin with, and what is given as `cause`."""
    tree = ast.parse(path.read_text("utf-8"))
    errors = {kind.__name__ for kind in (CallError, *CallError.__subclasses__())}
    constants = {ast.unparse(line.targets[0]): line.value for line in tree.body if isinstance(line, ast.Assign)}
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call):
            continue
        given = [constants.get(ast.unparse(one.value), one.value) for one in call.keywords if one.arg == "cause"]
        if ast.unparse(call.func) in errors:
            given += call.args[:1]
        given = [one for each in given for one in (each.values if isinstance(each, ast.BoolOp) else [each])]
        yield from (one.value for one in given if isinstance(one, ast.Constant) and isinstance(one.value, str))


def test_every_cause_that_the_code_names_is_in_the_document() -> None:
    assert Again in CallError.__subclasses__()
    found = {cause for path in (CODE / "calling.py", *(CODE / "providers").glob("*.py")) for cause in causes(path)}
    assert {"deadline", "not recorded", "empty_message", "context_length_exceeded", "failed"} <= found
    text = DOCUMENT.read_text("utf-8")
    told = set(re.findall(r"`: (.+?) \(\d+ calls?\)", text)) | set(re.findall(r"`([^`]+)`", text))
    assert found - told == set()
