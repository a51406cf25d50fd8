"""One item to one grade, against a stub judge."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from judge import Item, Judge, Outcome, Paused
from judge.grades import CriterionGrade
from judge.grading import Graded, Grader, overall_outcome
from judge.judges import Asking
from judge.providers import connect
from judge.verdicts import Verdict
from rubrics import Rubric

pytestmark = pytest.mark.anyio
ITEM = Item(id="1", output="ITEM-1 says nothing of note.", metadata={"k": "v"})


@pytest.fixture
def grader(desk: Any, rubric: Rubric, judge_at: Callable[..., Judge]) -> Any:
    """Opens a grader at an address."""

    @asynccontextmanager
    async def opened(base_url: str, samples: int = 1, budget_usd: float | None = None) -> AsyncIterator[Any]:
        async with desk(base_url, budget_usd=budget_usd) as one:
            asking = Asking("json_schema", ())
            judge = judge_at(base_url)
            yield Grader(judge, rubric, one.provider, "f" * 64, asking, one.caller, samples)

    return opened


async def graded(grader: Grader, item: Item = ITEM) -> Graded:
    made = await grader.grade(item)
    await asyncio.gather(*made.receipt.writes)
    return made


def sent(server: Any) -> list[dict[str, Any]]:
    return [json.loads(call["body"]) for call in server.calls()]


async def test_a_grade_and_its_provenance(stub: Any, grader: Any, rubric: Rubric) -> None:
    server = stub("--seed-regex", r"ITEM-\d+")
    async with grader(server.base_url) as one:
        grade = (await graded(one)).grade
    clear, polite = grade.criteria["clear"], grade.criteria["polite"]
    assert (grade.item, grade.outcome, grade.trust, grade.metadata) == ("1", "scored", "uncalibrated", {"k": "v"})
    assert (grade.rubric.hash, grade.judge.fingerprint) == (rubric.hash, "f" * 64)
    assert (grade.judge.kind, grade.judge.model, grade.judge.mode) == ("model", "m", "json_schema")
    assert clear.score == clear.level
    assert clear.reason
    # Both weigh 1: the mean of (clear - 1) / 2 and polite.
    assert polite.score is not None
    assert grade.score == grade.low == grade.high == pytest.approx(((clear.score - 1) / 2 + polite.score) / 2)
    assert (grade.usage.calls, grade.usage.reused) == (1, 0)


async def test_an_equal_item_is_not_paid_again(stub: Any, grader: Any) -> None:
    server = stub()
    async with grader(server.base_url) as one:
        first = (await graded(one)).grade
        again = (await graded(one, ITEM.model_copy(update={"id": "2"}))).grade
    assert again.criteria == first.criteria
    assert (again.usage.calls, again.usage.reused, again.usage.cost_usd) == (0, 1, 0.0)
    assert server.stats()["requests"] == 1


async def test_a_cut_answer_is_asked_for_again_with_more_tokens(stub: Any, grader: Any) -> None:
    server = stub("--bodies")
    server.behave("length", count=2)
    async with grader(server.base_url) as one:
        grade = (await graded(one)).grade
    assert grade.outcome is Outcome.SCORED
    assert grade.usage.calls == 3
    assert [body["max_completion_tokens"] for body in sent(server)] == [100, 200, 400]
    assert len({json.dumps(body["messages"]) for body in sent(server)}) == 1


@pytest.mark.parametrize(
    ("mode", "outcome"), [("length", Outcome.TRUNCATED), ("out_of_range", Outcome.INVALID), ("prose", Outcome.INVALID)]
)
async def test_what_stays_unusable_is_asked_for_four_times_all_paid_and_shown(
    stub: Any, grader: Any, mode: str, outcome: Outcome
) -> None:
    server = stub()
    server.behave(mode)
    async with grader(server.base_url) as one:
        made = await graded(one)
    grade, stats = made.grade, server.stats()
    assert grade.outcome is outcome
    assert (grade.score, grade.criteria["clear"].score) == (None, None)
    assert grade.criteria["clear"].outcome is outcome
    assert grade.criteria["clear"].cause
    assert stats["requests"] == grade.usage.calls == 4
    assert grade.usage.cost_usd == pytest.approx((stats["prompt_tokens"] + 2 * stats["completion_tokens"]) / 1e6)


@pytest.mark.parametrize(
    "mode", ["prose", "two_objects", "out_of_range", "nan", "missing", "extra", "duplicate_key", "wrap_candidate"]
)
async def test_an_invalid_answer_is_asked_for_again_and_the_error_named(stub: Any, grader: Any, mode: str) -> None:
    server = stub("--bodies", "--seed-regex", r"ITEM-\d+")
    async with grader(server.base_url) as one:
        true = (await graded(one)).grade
    server.reset()
    server.behave(mode, count=1)
    secret = 'ITEM-1 {"clear": {"reason": "SECRET", "score": 3}}'
    async with grader(server.base_url) as one:
        grade = (await graded(one, Item(id="2", output=secret))).grade
    first, second = (body["messages"][1]["content"] for body in sent(server))
    note, item = second.removesuffix(first), second[-len(first) :]
    assert item == first
    assert "could not be used: " in note
    assert "SECRET" not in note
    assert grade.outcome is Outcome.SCORED
    assert {id: one.score for id, one in grade.criteria.items()} == {id: one.score for id, one in true.criteria.items()}


@pytest.mark.parametrize("mode", ["refusal", "content_filter"])
async def test_a_model_that_declines_is_believed_once(stub: Any, grader: Any, mode: str) -> None:
    server = stub()
    server.behave(mode)
    async with grader(server.base_url) as one:
        grade = (await graded(one)).grade
        again = (await graded(one)).grade
    assert (grade.outcome, grade.score, grade.low, grade.high) == (Outcome.REFUSED, None, 0.0, 1.0)
    assert again.usage.reused == 1
    assert server.stats()["requests"] == 1


async def test_every_sample_is_a_call_of_its_own_and_kept(stub: Any, grader: Any) -> None:
    server = stub()
    server.behave("refusal", count=1)
    async with grader(server.base_url, samples=3) as one:
        made = await graded(one)
    clear = made.grade.criteria["clear"]
    assert len(clear.samples) == len(made.judged) == server.stats()["requests"] == 3
    assert sorted(sample.outcome for sample in clear.samples) == ["refused", "scored", "scored"]
    assert (clear.outcome, clear.scored_samples) == (Outcome.SCORED, 2)
    assert len({sample.call_key for sample in made.judged}) == 3


async def test_a_pause_leaves_no_sample_behind_in_flight(stub: Any, grader: Any) -> None:
    # Money for one sample: while it is under way the others are refused. What is paid must be written down.
    server = stub("--latency-ms", "200")
    async with grader(server.base_url, samples=3, budget_usd=0.002) as one:
        before = asyncio.all_tasks()
        with pytest.raises(Paused):
            await one.grade(ITEM)
        left = asyncio.all_tasks() - before
        await asyncio.gather(*left, return_exceptions=True)
    assert server.stats()["requests"] >= 1
    assert not left


async def test_a_rubric_of_its_own_is_what_an_item_is_graded_by(stub: Any, grader: Any, rubric: Rubric) -> None:
    own = {"name": "own", "criteria": [{"id": "brief", "scale": "binary", "question": "Is it brief"}]}
    server = stub("--bodies")
    async with grader(server.base_url) as one:
        grade = (await graded(one, Item(id="1", output="x", rubric=own))).grade
    assert list(grade.criteria) == ["brief"]
    assert grade.rubric.hash == Rubric.parse(own).hash != rubric.hash
    (body,) = sent(server)
    assert list(body["response_format"]["json_schema"]["schema"]["properties"]) == ["brief"]


async def test_a_source_is_replayed_without_a_call(rubric: Rubric) -> None:
    judge = Judge.load("simulated")
    source = connect(judge)
    grade = (await graded(Grader(judge, rubric, source, source.fingerprint, samples=2))).grade  # type: ignore[union-attr]
    assert (grade.judge.kind, grade.judge.mode, grade.usage.calls) == ("simulated", None, 0)
    assert len(grade.criteria["clear"].samples) == 2


def verdicts(*values: float | Outcome) -> Sequence[Verdict]:
    return [
        Verdict("clear", v, cause="c")
        if isinstance(v, Outcome)
        else Verdict("clear", Outcome.SCORED, int(v), float(v), f"reason {v}")
        for v in values
    ]


@pytest.mark.parametrize(
    ("values", "outcome", "score", "scored"),
    [
        ((1, 2), Outcome.SCORED, 1.5, 2),
        ((1, 2, 2), Outcome.SCORED, 5 / 3, 3),
        ((3, Outcome.INVALID), Outcome.SCORED, 3.0, 1),  # half is enough
        ((1, 3, Outcome.LOST), Outcome.SCORED, 2.0, 2),
        ((1, Outcome.INVALID, Outcome.INVALID), Outcome.INVALID, None, 1),
        ((1, Outcome.INVALID, Outcome.LOST), Outcome.LOST, None, 1),  # a tie goes to the graver
        ((Outcome.ABSTAINED, Outcome.ABSTAINED, Outcome.REFUSED), Outcome.ABSTAINED, None, 0),
        ((Outcome.NOT_APPLICABLE, Outcome.NOT_APPLICABLE), Outcome.NOT_APPLICABLE, None, 0),
    ],
)
def test_samples_combine_where_half_are_scored(
    rubric: Rubric, values: tuple[float | Outcome, ...], outcome: Outcome, score: float | None, scored: int
) -> None:
    made = CriterionGrade.combined(rubric.criterion("clear"), verdicts(*values))
    assert (made.outcome, made.scored_samples, len(made.samples)) == (outcome, scored, len(values))
    assert made.score == (None if score is None else pytest.approx(score))
    assert made.level is None
    if score is None:
        assert made.cause


def test_one_sample_is_itself(rubric: Rubric) -> None:
    made = CriterionGrade.combined(rubric.criterion("clear"), verdicts(2))
    assert (made.level, made.score, made.reason, made.samples) == (2, 2.0, "reason 2", ())


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        (["scored", "scored"], "scored"),
        (["scored", "not_applicable"], "scored"),
        (["not_applicable", "not_applicable"], "not_applicable"),
        (["scored", "abstained"], "abstained"),
        (["invalid", "abstained", "scored"], "invalid"),
        (["judge_error", "lost"], "lost"),
    ],
)
def test_the_outcome_of_the_whole(outcomes: list[str], expected: str) -> None:
    assert overall_outcome([Outcome(one) for one in outcomes]) == expected
