"""Runs counted anew by other weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from judge import InputError, Judge
from judge.datasets import Dataset
from judge.exports import find_run, grades_of
from judge.rescoring import rescore
from judge.runs import Options, Run
from judge.store.store import Store
from judge.summary import summarise
from rubrics import Rubric

pytestmark = pytest.mark.anyio

OWN: dict[str, Any] = {"name": "own", "criteria": [{"id": "brief", "scale": "binary", "question": "Brief?"}]}


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Thirty items, the last with a rubric of its own."""
    rows: list[dict[str, Any]] = [{"id": n, "output": f"ITEM-{n}"} for n in range(30)]
    rows[-1]["rubric"] = OWN
    path = tmp_path / "items.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Dataset(str(path))


@pytest.fixture
def heavier(rubric: Rubric) -> Rubric:
    """The rubric, with `polite` worth three times `clear`, and required."""
    content = rubric.model_dump(mode="json")
    content["criteria"][1] |= {"weight": 3.0, "required": "yes"}
    return Rubric.parse(content)


async def graded(store: Store, dataset: Dataset, rubric: Rubric, judge: Judge, **options: Any) -> str:
    run = await Run.open(store, dataset, rubric, judge, Options(**options))
    await run.execute()
    await run.close()
    return run.id


async def test_other_weights_make_another_run_that_asked_nobody(
    stub: Any, store: Store, dataset: Dataset, rubric: Rubric, heavier: Rubric, judge_at: Callable[..., Judge]
) -> None:
    server = stub()
    judge = judge_at(server.base_url)
    first = await graded(store, dataset, rubric, judge)
    asked = server.stats()["requests"]
    made = rescore(store, find_run(store, first), heavier)
    assert made != first
    for before, after in zip(
        grades_of(store, find_run(store, first)), grades_of(store, find_run(store, made)), strict=True
    ):
        assert after.criteria == before.criteria
        assert (after.usage.calls, after.usage.cost_usd) == (0, 0.0)
        if before.rubric.name == "own":
            assert (after.score, after.rubric) == (before.score, before.rubric)
        elif after.outcome == "scored" and after.criteria["polite"].outcome == "scored":
            clear, polite = after.criteria["clear"].score, after.criteria["polite"].score
            assert clear is not None
            assert polite is not None
            assert after.score == pytest.approx(((clear - 1) / 2 + 3 * polite) / 4)  # by hand
            assert after.passed == (polite == 1.0)
    found = summarise(store, made)
    assert (found.run.state, found.run.rescored_from, found.totals.calls, found.totals.cost_usd) == (
        "done",
        first,
        0,
        0,
    )
    # Grading the same items by the same rubric is that very run, and asks nobody either.
    assert await graded(store, dataset, heavier, judge) == made == rescore(store, find_run(store, first), heavier)
    assert server.stats()["requests"] == asked


async def test_what_was_lost_or_open_stays_so_and_can_be_graded(
    stub: Any, store: Store, dataset: Dataset, rubric: Rubric, heavier: Rubric, judge_at: Callable[..., Judge]
) -> None:
    server = stub()
    judge = judge_at(server.base_url, concurrency=1)
    server.behave("reset", after=4, count=2)
    first = await graded(store, dataset, rubric, judge)
    assert summarise(store, first).run.held == 2
    made = rescore(store, find_run(store, first), heavier)
    found = summarise(store, made)
    assert (found.run.held, found.run.finished) == (2, 28)
    assert await graded(store, dataset, heavier, judge, resend_lost=True) == made
    assert summarise(store, made).run.finished == 30


async def test_samples_are_combined_anew_and_levels_take_their_new_values(store: Store, tmp_path: Path) -> None:
    words = {"name": "w", "criteria": [{"id": "a", "scale": "ordinal", "question": "How?", "levels": ["low", "high"]}]}
    worth = json.loads(json.dumps(words))
    worth["criteria"][0]["levels"] = [{"level": "low", "value": 2}, {"level": "high", "value": 10}]
    (tmp_path / "items.jsonl").write_text('{"id": "x", "output": "o"}\n')
    rows = {"item": "x", "criterion": "a", "samples": ["low", "high", "high", "off"]}
    (tmp_path / "said.jsonl").write_text(json.dumps(rows) + "\n")
    judge = Judge(name="r", provider="recorded", options={"file": str(tmp_path / "said.jsonl")})
    first = await graded(store, Dataset(str(tmp_path / "items.jsonl")), Rubric.parse(words), judge, samples=4)
    made = rescore(store, find_run(store, first), Rubric.parse(worth))
    (before,), (after,) = (list(grades_of(store, find_run(store, id_))) for id_ in (first, made))
    assert before.criteria["a"].score == pytest.approx(2 / 3)
    assert after.criteria["a"].score == pytest.approx((2 + 10 + 10) / 3)
    assert after.score == before.score
    assert after.criteria["a"].scored_samples == 3


def _asks(content: dict[str, Any]) -> None:
    content["criteria"][0]["question"] = "How clear is it really?"


def _describes_levels(content: dict[str, Any]) -> None:
    content["criteria"][0] |= {"weight": 7.0}
    content["criteria"][1]["levels"][1]["description"] = "It is polite."


def _scales(content: dict[str, Any]) -> None:
    content["criteria"][0] = {"id": "clear", "scale": "numeric", "question": "Q", "minimum": 0, "maximum": 1}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_asks, "clear: the question differs"),
        (_describes_levels, "polite: the levels differ"),
        (_scales, "clear: the scale differs"),
        (lambda content: content["criteria"].pop(), "polite is left out"),
        (lambda content: content["criteria"].append(OWN["criteria"][0]), "brief is new"),
        (lambda content: content["criteria"].reverse(), "the sections or the order of the criteria differ"),
        (lambda content: content.update(instructions="Be strict."), "the instructions differ"),
    ],
)
async def test_a_rubric_that_asks_something_else_is_refused_and_what_differs_is_named(
    store: Store, dataset: Dataset, rubric: Rubric, change: Callable[[dict[str, Any]], object], told: str
) -> None:
    first = await graded(store, dataset, rubric, Judge.load("simulated"))
    content = rubric.model_dump(mode="json")
    change(content)
    with pytest.raises(InputError, match=rf"asks something else .* \({told}\): .* it with: judge grade"):
        rescore(store, find_run(store, first), Rubric.parse(content))
    assert len(store.ask(store.results.runs)) == 1
