"""One item to one grade, against a stub judge."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from judge import InputError, Item, Judge, Outcome, Paused, SetupError
from judge.grades import CriterionGrade
from judge.grading import Graded, Grader, overall_outcome, weighed
from judge.images import data_url
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
    async def opened(
        base_url: str,
        samples: int = 1,
        budget_usd: float | None = None,
        by: Rubric = rubric,
        parameters: tuple[tuple[str, Any], ...] = (),
        **fields: Any,
    ) -> AsyncIterator[Any]:
        async with desk(base_url, budget_usd=budget_usd) as one:
            judge = judge_at(base_url, **fields)
            asking = Asking("json_schema", parameters)
            yield Grader(judge, by, one.provider, "f" * 64, asking, one.caller, samples)

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


@pytest.mark.parametrize("then", ["prose", "refusal", "empty_object"])
async def test_what_was_right_is_not_given_up_for_a_worse_answer(stub: Any, grader: Any, then: str) -> None:
    server = stub()
    server.behave("out_of_range", count=1, then={"mode": then})
    async with grader(server.base_url) as one:
        made = await graded(one)
    outcomes = {id: criterion.outcome for id, criterion in made.grade.criteria.items()}
    assert outcomes == {"clear": Outcome.INVALID, "polite": Outcome.SCORED}
    assert len(made.judged) == 1
    assert made.judged[0].call_key == made.receipt.keys[0]


async def test_a_later_answer_that_settles_more_counts(stub: Any, grader: Any) -> None:
    server = stub()
    server.behave("prose", count=1, then={"mode": "out_of_range", "count": 1, "then": {"mode": "prose"}})
    async with grader(server.base_url) as one:
        made = await graded(one)
    assert made.grade.criteria["polite"].outcome is Outcome.SCORED
    assert made.judged[0].call_key == made.receipt.keys[1]


async def test_an_answer_that_is_lost_is_never_hidden_by_an_earlier_one(stub: Any, grader: Any) -> None:
    server = stub()
    server.behave("out_of_range", count=1, then={"mode": "reset"})
    async with grader(server.base_url) as one:
        grade = (await graded(one)).grade
    assert {criterion.outcome for criterion in grade.criteria.values()} == {Outcome.LOST}


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


WIDE = Rubric.loads("""
name: wide
criteria:
  - {id: clear, scale: ordinal, question: Clear?, levels: [1, 2, 3]}
  - {id: kind, scale: categorical, question: Which?, levels: [note, letter, list]}
  - {id: far, scale: numeric, question: How far?, minimum: 0, maximum: 10, step: 1}
sections:
  - id: facts
    weight: 3
    criteria:
      - {id: names, scale: points, question: It names the place., points: 5}
      - {id: lies, scale: points, question: It states what is wrong., points: -3}
""")


async def test_a_rubric_is_asked_in_parts_and_comes_to_the_same_grade(stub: Any, grader: Any) -> None:
    server = stub("--seed-regex", r"ITEM-\d+", "--bodies")
    grades = []
    for most in (25, 2, 1):
        async with grader(server.base_url, by=WIDE, criteria_per_call=most) as one:
            grades.append((await graded(one)).grade)
    # The last part of twos is one of ones, too: the same bytes are not paid again.
    assert [(grade.usage.calls, grade.usage.reused) for grade in grades] == [(1, 0), (3, 0), (4, 1)]
    assert grades[0].criteria == grades[1].criteria == grades[2].criteria
    assert grades[0].score == grades[1].score == grades[2].score
    schemas = [body["response_format"]["json_schema"]["schema"]["required"] for body in sent(server)]
    assert schemas[0] == ["clear", "kind", "far", "names", "lies"]
    assert sorted(schemas[1:4]) == [["clear", "kind"], ["far", "names"], ["lies"]]
    systems = [body["messages"][0]["content"] for body in sent(server)]
    assert all(
        ("Section facts" in text) == bool({"names", "lies"} & set(ids))
        for text, ids in zip(systems, schemas, strict=True)
    )


async def test_a_part_that_fails_leaves_the_others_their_scores(stub: Any, grader: Any) -> None:
    server = stub("--seed-regex", r"ITEM-\d+")
    server.behave("out_of_range", after=1, count=4)  # the second part, and all that is asked again for it
    async with grader(server.base_url, by=WIDE, criteria_per_call=3, concurrency=1) as one:
        made = (await graded(one)).grade
    assert {id_: str(one.outcome) for id_, one in made.criteria.items()} == {
        "clear": "scored", "kind": "scored", "far": "scored", "names": "invalid", "lies": "scored",
    }  # fmt: skip
    assert (made.outcome, made.score) == ("invalid", None)
    clear, far, lies = (made.criteria[id_].score for id_ in ("clear", "far", "lies"))
    assert clear is not None
    assert far is not None
    assert lies is not None
    # By hand: clear and far weigh 1, the section 3; names may be 0 or 5 of the 5 points to be had.
    rest = (clear - 1) / 2 + far / 10
    assert made.low == pytest.approx((rest + 3 * (0 + lies) / 5) / 5)
    assert made.high == pytest.approx((rest + 3 * (5 + lies) / 5) / 5)


async def test_a_label_has_no_number_and_the_samples_vote(rubric: Rubric) -> None:
    kind = WIDE.criterion("kind")

    def said(*labels: str) -> CriterionGrade:
        return CriterionGrade.combined(kind, [Verdict("kind", Outcome.SCORED, label, None, label) for label in labels])

    made = said("note", "list", "note")
    assert (made.outcome, made.score, made.level, made.reason) == ("scored", None, "note", "note")
    assert made.distribution is not None
    assert made.distribution.shares == {"note": pytest.approx(2 / 3), "letter": 0.0, "list": pytest.approx(1 / 3)}
    assert made.expected is None
    tied = said("note", "list")
    assert (tied.outcome, tied.level, tied.cause) == ("abstained", None, "the samples tie between note and list")


async def test_labels_alone_have_no_overall() -> None:
    labels = Rubric.parse({"name": "l", "criteria": [WIDE.criterion("kind").model_dump()]})
    made = weighed(labels, [Verdict("kind", Outcome.SCORED, "note")])
    assert (made["outcome"], made["score"], made["criteria"]["kind"].level) == ("not_applicable", None, "note")
    made = weighed(labels, [Verdict("kind", Outcome.INVALID, cause="off")])
    assert (made["outcome"], made["score"]) == ("invalid", None)


async def test_pairs_are_not_graded_one_by_one(desk: Any, judge_at: Callable[..., Judge]) -> None:
    pairs = Rubric.loads("{name: p, criteria: [{id: better, scale: preference, question: Which is better?}]}")
    async with desk("http://127.0.0.1:9/v1") as one:
        with pytest.raises(SetupError, match="pairs come with judge compare"):
            Grader(
                judge_at("http://127.0.0.1:9/v1"), pairs, one.provider, "f" * 64, Asking("json_schema", ()), one.caller
            )


async def test_an_image_is_refused_by_a_judge_that_takes_none(stub: Any, grader: Any) -> None:
    server = stub()
    async with grader(server.base_url) as one:
        with pytest.raises(InputError, match="item 1 has an image, and the judge takes none; write `images: true`"):
            await graded(one, Item(id="1", output="x", images=["https://a.example/1"]))
    assert server.stats()["requests"] == 0


async def test_an_image_goes_along_and_its_bytes_are_not_reserved_as_tokens(stub: Any, grader: Any) -> None:
    server = stub("--bodies")
    url = data_url(b"\x89PNG\r\n\x1a\n" + bytes(600_000))  # as tokens: 0.8 dollars
    async with grader(server.base_url, images=True, budget_usd=0.1) as one:
        grade = (await graded(one, Item(id="1", output="x", images=[url]))).grade
    assert grade.outcome is Outcome.SCORED
    [body] = sent(server)
    assert body["messages"][-1]["content"][1]["image_url"]["url"] == url
