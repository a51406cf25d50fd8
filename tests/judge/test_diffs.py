"""Two runs beside each other, with figures worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from judge import Judge
from judge.cli.draw.comparison import compared
from judge.datasets import Dataset
from judge.diffs import Diff, diff
from judge.exports import find_run
from judge.runs import Run
from judge.store.store import Store
from rubrics import Rubric

pytestmark = pytest.mark.anyio

RUBRIC = Rubric.loads("""
name: r
criteria:
  - {id: tone, scale: ordinal, question: How?, levels: [1, 2, 3]}
  - {id: done, scale: binary, question: Is it?}
""")
Scores = dict[str, tuple[object, ...]]


#: `tone` is on another scale, `done` of another kind, `sure` has other levels; `kept` is as it was.
UNLIKE = """
name: {name}
criteria:
  - {{id: tone, scale: {tone}, question: How?, weight: 3}}
  - {{id: done, scale: {done}, question: Is it?}}
  - {{id: sure, scale: ordinal, question: Sure?, levels: {sure}}}
  - {{id: kept, scale: numeric, question: How much?, minimum: 0, maximum: 10, {kept}}}
  - {{id: {only}, scale: binary, question: And this?}}
"""
BEFORE = Rubric.loads(
    UNLIKE.format(
        name="b", tone="ordinal, levels: [1, 2, 3]", done="binary", sure="[0, 1, 2]", kept="step: 1", only="old"
    )
)
AFTER = Rubric.loads(
    UNLIKE.format(
        name="a",
        tone="ordinal, levels: [0, 50, 100]",
        done="numeric, minimum: 0, maximum: 1",
        sure="[0, 2]",
        kept="weight: 2",
        only="new",
    )
)
#: Either would be met by a whole answer, and takes points for another.
FAULTS = Rubric.loads("""
name: faults
criteria:
  - {id: helps, scale: points, question: It helps., points: 1}
  - {id: lies, scale: points, question: It lies., points: -5}
  - {id: harms, scale: points, question: It harms., points: -5}
""")


async def recorded(store: Store, folder: Path, name: str, scores: Scores, rubric: Rubric = RUBRIC, **texts: str) -> str:
    """A run of recorded verdicts of every item, in the order of the criteria."""
    items = [{"id": id_, "output": texts.get(id_, id_)} for id_ in scores]
    said = [
        {"item": id_, "criterion": criterion, "score": score}
        for id_, both in scores.items()
        for criterion, score in zip(rubric.ids, both, strict=True)
        if score is not None
    ]
    for file, rows in ((f"{name}.items.jsonl", items), (f"{name}.said.jsonl", said)):
        (folder / file).write_text("".join(json.dumps(row) + "\n" for row in rows))
    judge = Judge(name=name, provider="recorded", options={"file": str(folder / f"{name}.said.jsonl")})
    run = await Run.open(store, Dataset(str(folder / f"{name}.items.jsonl")), rubric, judge)
    await run.execute()
    await run.close()
    return run.id


def between(store: Store, before: str, after: str, most: int = 10) -> Diff:
    return diff(store, find_run(store, before), find_run(store, after), most)


def figures(found: Diff) -> dict[str, Any]:
    names = ("both", "mean_before", "mean_after", "up", "down", "gained", "lost")
    return {one["criterion"]: tuple(one[name] for name in names) for one in found.as_dict()["criteria"]}


def plain(found: Diff) -> dict[str, Any]:
    """As data, the criteria by their ids."""
    data = json.loads(json.dumps(found.as_dict()))
    return {**data, "criteria": {one["criterion"]: one for one in data["criteria"]}}


def drawn(found: Diff, capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    """The words of every line in the terminal."""
    compared(found)
    return [line.split() for line in capsys.readouterr().out.splitlines()]


async def test_figures_by_criterion_and_the_items_that_moved_most(store: Store, tmp_path: Path) -> None:
    before = await recorded(
        store,
        tmp_path,
        "before",
        {"a": (1, "no"), "b": (2, "yes"), "c": (3, "yes"), "d": (3, "yes"), "e": (2, None), "old": (1, "no")},
    )
    after = await recorded(
        store,
        tmp_path,
        "after",
        {"new": (3, "yes"), "e": (2, "yes"), "d": (3, None), "c": (3, "yes"), "b": (1, "yes"), "a": (3, "yes")},
        c="other text",
    )
    found = between(store, before, after)
    overlap = found.overlap
    assert (overlap.shared, overlap.other_texts, overlap.only_before, overlap.only_after) == (5, 1, 1, 1)
    # tone: 1 2 3 3 2 against 3 1 3 3 2; done: a b c have both, d lost it, e gained it
    assert figures(found) == {
        "tone": (5, 11 / 5, 12 / 5, 1, 1, 0, 0),
        "done": (3, 2 / 3, 1.0, 1, 0, 1, 1),
        # overall: a 0 -> 1, b (.5+1)/2 -> (0+1)/2, c 1 -> 1
        "overall": (3, pytest.approx((0 + 0.75 + 1) / 3), pytest.approx((1 + 0.5 + 1) / 3), 1, 1, 1, 1),
    }
    assert [changes[0].item for changes in found.moved][-1] == "b"
    assert {changes[0].item for changes in found.moved} == {"a", "d", "e", "b"}
    (moved,) = between(store, before, after, most=1).moved
    assert [(change.criterion, change.by) for change in moved] == [("overall", 1.0), ("done", 1.0), ("tone", 2.0)]


async def test_a_run_does_not_differ_from_itself(store: Store, tmp_path: Path) -> None:
    run = await recorded(store, tmp_path, "one", {str(n): (1 + n % 3, "yes") for n in range(1200)})
    found = between(store, run, run)
    assert found.moved == ()
    assert {one.both for one in found.criteria} == {1200}
    assert {one.up + one.down + one.gained + one.lost for one in found.criteria} == {0}


async def test_criteria_on_other_scales_are_not_compared_and_those_of_one_run_are_named(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = await recorded(store, tmp_path, "x", {"a": (1, "no", 2, 4, "yes"), "b": (3, "yes", 1, 6, "no")}, BEFORE)
    after = await recorded(store, tmp_path, "y", {"a": (0, 0.5, 0, 4, "yes"), "b": (100, 0.5, None, 8, "no")}, AFTER)
    found = between(store, before, after)
    data = plain(found)
    assert (data["criteria_only_before"], data["criteria_only_after"]) == (["old"], ["new"])
    assert {id_: one["unlike"] for id_, one in data["criteria"].items()} == {
        "tone": "ordinal 1..3 before, ordinal 0..100 after",
        "done": "binary 0..1 before, numeric 0..1 after",
        "sure": "ordinal 0..2, of other levels",
        "kept": None,
        "overall": None,
    }
    tone, sure, kept = (data["criteria"][id_] for id_ in ("tone", "sure", "kept"))
    # Each mean is on the scale of its run.
    assert (tone["both"], tone["mean_before"], tone["mean_after"]) == (2, 2.0, 50.0)
    assert [tone[name] for name in ("change", "up", "down")] == [None, None, None]
    assert (sure["both"], sure["lost"]) == (1, 1)
    assert (kept["change"], kept["up"], kept["down"]) == (1.0, 1, 0)
    # A score that is gone is told of any scale, one that is another number is not.
    told = {(one["item"], one["criterion"]) for item in data["moved"] for one in item}
    assert told == {("a", "overall"), ("b", "overall"), ("b", "sure"), ("b", "kept")}
    lines = drawn(found, capsys)
    assert ["tone", "2", "2.000", "50.000", "-", "-", "-", "0", "0"] in lines
    assert ["tone:", "not", "comparable:", "ordinal", "1..3", "before,", "ordinal", "0..100", "after"] in lines
    assert ["criteria", "only", "before:", "old"] in lines
    assert ["criteria", "only", "after:", "new"] in lines


async def test_the_change_of_an_overall_below_0_is_that_before_it_is_cut_off(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    worst, bad, good = ("no", "yes", "yes"), ("no", "yes", "no"), ("yes", "no", "no")
    runs = [
        await recorded(store, tmp_path, name, {str(n): scores for n in range(4)}, FAULTS)
        for name, scores in (("worst", worst), ("bad", bad), ("good", good))
    ]
    found = between(store, *runs[:2])
    overall = plain(found)["criteria"]["overall"]
    assert (overall["mean_before"], overall["mean_after"]) == (0.0, 0.0)
    assert (overall["unclipped_before"], overall["unclipped_after"]) == (-10.0, -5.0)
    assert (overall["change"], overall["up"]) == (5.0, 4)
    lines = drawn(found, capsys)
    assert ["overall", "4", "0.000", "0.000", "+5.000", "4", "0", "0", "0"] in lines
    assert any(line[:1] == ["overall:"] and {"-10", "-5"} <= set(line) for line in lines)
    # Where one mean alone is below 0, the other is as it stands.
    overall = plain(between(store, *runs[1:]))["criteria"]["overall"]
    assert (overall["unclipped_before"], overall["unclipped_after"], overall["change"]) == (-5.0, None, 6.0)


async def test_runs_without_a_common_item(store: Store, tmp_path: Path) -> None:
    one, other = [await recorded(store, tmp_path, id_, {id_: (1, "no")}) for id_ in ("a", "b")]
    found = between(store, one, other)
    assert (found.overlap.shared, found.overlap.only_before, found.overlap.only_after) == (0, 1, 1)
    assert all(one.mean_before is None for one in found.criteria)
