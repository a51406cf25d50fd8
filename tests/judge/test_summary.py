"""The summary of runs whose scores were recorded, so that all of it can be worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from judge import Judge, Outcome
from judge.cli.draw.summary import summary as drawn
from judge.datasets import Dataset
from judge.exports import find_run, grades_of
from judge.report import gather, page
from judge.runs import Options, Run
from judge.store.results import RunInfo
from judge.store.store import Store
from judge.summary import Summary, summarise
from rubrics import Rubric
from tests.pages import Parsed

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


async def pointed(store: Store, tmp_path: Path, said: dict[str, tuple[str, str]], sectioned: bool = False) -> RunInfo:
    """A run by points, 2 for the first answer and -5 for the second."""
    points: list[dict[str, object]] = [
        {"id": "says", "scale": "points", "question": "It says so.", "points": 2},
        {"id": "lies", "scale": "points", "question": "It states what is wrong.", "points": -5},
    ]
    content = {"sections": [{"id": "whole", "criteria": points}]} if sectioned else {"criteria": points}
    (tmp_path / "items.jsonl").write_text("".join(json.dumps({"id": id_, "output": id_}) + "\n" for id_ in said))
    rows = [
        {"item": id_, "criterion": criterion, "score": score}
        for id_, both in said.items()
        for criterion, score in zip(("says", "lies"), both, strict=True)
    ]
    (tmp_path / "said.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    judge = Judge(name="r", provider="recorded", options={"file": str(tmp_path / "said.jsonl")})
    rubric = Rubric.parse({"name": "points", **content})
    run = await Run.open(store, Dataset(str(tmp_path / "items.jsonl")), rubric, judge)
    await run.execute()
    await run.close()
    return find_run(store, run.id)


async def test_the_mean_of_points_is_clipped_and_no_item_before_it(store: Store, tmp_path: Path) -> None:
    info = await pointed(store, tmp_path, {"a": ("yes", "yes"), "b": ("no", "yes"), "c": ("yes", "no")})
    scores = [grade.score for grade in grades_of(store, info)]
    assert scores == [-1.5, -2.5, 1.0]  # (2 - 5) / 2, -5 / 2, 2 / 2
    overall = summarise(store, info.id).overall
    assert (overall.mean, overall.low, overall.high, overall.minimum) == (0.0, 0.0, 0.0, -2.5)  # of -3 / 3


async def test_a_mean_that_was_cut_off_is_told_beside_what_it_was(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    info = await pointed(store, tmp_path, {"a": ("yes", "yes"), "b": ("no", "yes")}, sectioned=True)
    found = summarise(store, info.id)
    (section,) = found.sections
    assert (found.overall.mean, found.overall.unclipped, section.mean) == (0.0, -2.0, -2.0)
    plain = json.loads(json.dumps(found.as_dict()))
    assert plain["overall"]["unclipped"] == -2.0
    assert [one["unclipped"] for one in plain["criteria"]] == [None, None]
    drawn(found)
    told = " ".join(capsys.readouterr().out.split())
    assert "the mean overall, -2, is cut off at 0, and so are its bounds; items and sections are not" in told
    written = " ".join(Parsed(page(gather(store, info, 1))).words)
    assert "-2 before it was cut off at 0" in written
    assert "lies below 0 and is cut off there, and so are its bounds; no item is, and no section" in written


async def test_a_mean_of_points_above_0_is_not_said_to_be_cut_off(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    info = await pointed(store, tmp_path, {"a": ("yes", "no"), "b": ("yes", "no")})
    found = summarise(store, info.id)
    assert (found.overall.mean, found.overall.unclipped) == (1.0, None)
    drawn(found)
    assert "cut off" not in capsys.readouterr().out
    assert "cut" not in " ".join(Parsed(page(gather(store, info, 1))).words).split()
