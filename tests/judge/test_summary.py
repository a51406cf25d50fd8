"""The summary of runs whose scores were recorded, so that all of it can be worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from judge import Judge, Outcome
from judge.datasets import Dataset
from judge.exports import find_run, grades_of
from judge.runs import Options, Run
from judge.store.store import Store
from judge.summary import Summary, summarise
from rubrics import Rubric

pytestmark = pytest.mark.anyio
SCORES: dict[str, tuple[object, object]] = {
    "a": (1, "yes"),
    "b": (3, "no"),
    "c": (None, "yes"),
    "d": (2.5, "not_applicable"),
    "e": (3, "cannot_tell"),
}


async def run(store: Store, folder: Path, rubric: Rubric, execute: bool = True, samples: int = 1) -> Summary:
    recorded, items = folder / "scores.jsonl", folder / "items.jsonl"
    rows = [
        {"item": item, "criterion": criterion, "score": score}
        for item, scores in SCORES.items()
        for criterion, score in zip(("clear", "polite"), scores, strict=True)
    ]
    recorded.write_text("".join(json.dumps(row) + "\n" for row in rows))
    items.write_text("".join(json.dumps({"id": item, "output": item}) + "\n" for item in SCORES))
    judge = Judge(name="people", provider="recorded", options={"file": str(recorded)})
    opened = await Run.open(store, Dataset(str(items)), rubric, judge, Options(samples=samples))
    if execute:
        await opened.execute()
    await opened.close()
    return summarise(store, opened.id)


async def test_means_shares_and_bounds_by_hand(store: Store, tmp_path: Path, rubric: Rubric) -> None:
    made = await run(store, tmp_path, rubric)
    clear, polite = made.criteria
    # 1, 3, 3 are scored; c was not recorded and d is between the levels: 1 at worst, 3 at best.
    assert (clear.n, clear.scored, clear.not_applicable) == (5, 3, 0)
    assert (clear.mean, clear.low, clear.high) == pytest.approx((7 / 3, (7 + 2 * 1) / 5, (7 + 2 * 3) / 5))
    assert clear.distribution == ((1.0, 1), (3.0, 2))
    assert {name: count for name, count in clear.outcomes.items() if count} == {
        "scored": 3,
        "invalid": 1,
        "judge_error": 1,
    }
    assert clear.scored_share == pytest.approx(3 / 5)
    # yes, no, yes are scored; d is left out of n; e is 0 at worst, 1 at best.
    assert (polite.n, polite.scored, polite.not_applicable) == (4, 3, 1)
    assert (polite.mean, polite.low, polite.high) == pytest.approx((2 / 3, 2 / 4, 3 / 4))
    # a: (0 + 1) / 2, b: (1 + 0) / 2; c: clear is missing, polite is 1: 0.5 to 1; d: all that applies is missing,
    # 0 to 1; e: clear is 1, polite is missing: 0.5 to 1.
    overall = made.overall
    assert (overall.n, overall.scored, overall.mean) == (5, 2, pytest.approx(0.5))
    assert (overall.low, overall.high) == pytest.approx(
        ((0.5 + 0.5 + 0.5 + 0.0 + 0.5) / 5, (0.5 + 0.5 + 1 + 1 + 1) / 5)
    )
    assert {name: count for name, count in overall.outcomes.items() if count} == {
        "scored": 2,
        "judge_error": 1,
        "invalid": 1,
        "abstained": 1,
    }
    assert not made.clean
    assert (made.open, made.totals.calls, made.totals.cost_usd) == (0, 0, 0.0)
    assert (Outcome.JUDGE_ERROR, "not recorded", 1) in made.causes


async def test_what_is_not_graded_yet_is_missing_and_no_number(store: Store, tmp_path: Path, rubric: Rubric) -> None:
    made = await run(store, tmp_path, rubric, execute=False)
    assert made.open == 5
    assert (made.run.state, made.clean) == ("open", False)
    for one, low, high in ((made.criteria[0], 1.0, 3.0), (made.criteria[1], 0.0, 1.0), (made.overall, 0.0, 1.0)):
        assert (one.n, one.scored, one.mean, one.scored_share) == (5, 0, None, 0.0)
        assert (one.low, one.high) == (low, high)
        assert one.distribution == ()


async def test_the_same_run_is_finished_once_and_another_number_of_samples_is_another(
    store: Store, tmp_path: Path, rubric: Rubric
) -> None:
    first = await run(store, tmp_path, rubric, execute=False)
    second = await run(store, tmp_path, rubric)
    third = await run(store, tmp_path, rubric)
    assert first.run.id == second.run.id == third.run.id
    assert (second.run.state, third.criteria) == ("done", second.criteria)
    assert (await run(store, tmp_path, rubric, samples=2)).run.id != first.run.id


async def test_as_data_it_says_how_far_it_can_be_trusted(store: Store, tmp_path: Path, rubric: Rubric) -> None:
    data = json.loads(json.dumps((await run(store, tmp_path, rubric)).as_dict()))
    assert data["trust"] == "uncalibrated"
    assert data["overall"]["scored_share"] == pytest.approx(2 / 5)
    assert data["run"]["judge"]["kind"] == "recorded"
    assert data["criteria"][0]["n"] == 5


async def test_the_mean_of_points_is_clipped_and_no_item_before_it(store: Store, tmp_path: Path) -> None:
    points = [
        {"id": "says", "scale": "points", "question": "It says so.", "points": 2},
        {"id": "lies", "scale": "points", "question": "It states what is wrong.", "points": -5},
    ]
    said = {"a": ("yes", "yes"), "b": ("no", "yes"), "c": ("yes", "no")}
    (tmp_path / "items.jsonl").write_text("".join(json.dumps({"id": id_, "output": id_}) + "\n" for id_ in said))
    rows = [
        {"item": id_, "criterion": criterion, "score": score}
        for id_, both in said.items()
        for criterion, score in zip(("says", "lies"), both, strict=True)
    ]
    (tmp_path / "said.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    judge = Judge(name="r", provider="recorded", options={"file": str(tmp_path / "said.jsonl")})
    rubric = Rubric.parse({"name": "points", "criteria": points})
    run = await Run.open(store, Dataset(str(tmp_path / "items.jsonl")), rubric, judge)
    await run.execute()
    await run.close()
    scores = [grade.score for grade in grades_of(store, find_run(store, run.id))]
    assert scores == [-1.5, -2.5, 1.0]  # (2 - 5) / 2, -5 / 2, 2 / 2
    overall = summarise(store, run.id).overall
    assert (overall.mean, overall.low, overall.high, overall.minimum) == (0.0, 0.0, 0.0, -2.5)  # of -3 / 3
