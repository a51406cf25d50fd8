"""Two runs beside each other, with figures worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from judge import Judge
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
Scores = dict[str, tuple[object, object]]


async def recorded(store: Store, folder: Path, name: str, scores: Scores, **texts: str) -> str:
    """A run of recorded verdicts: (tone, done) of every item."""
    items = [{"id": id_, "output": texts.get(id_, id_)} for id_ in scores]
    said = [
        {"item": id_, "criterion": criterion, "score": score}
        for id_, both in scores.items()
        for criterion, score in zip(("tone", "done"), both, strict=True)
        if score is not None
    ]
    for file, rows in ((f"{name}.items.jsonl", items), (f"{name}.said.jsonl", said)):
        (folder / file).write_text("".join(json.dumps(row) + "\n" for row in rows))
    judge = Judge(name=name, provider="recorded", options={"file": str(folder / f"{name}.said.jsonl")})
    run = await Run.open(store, Dataset(str(folder / f"{name}.items.jsonl")), RUBRIC, judge)
    await run.execute()
    await run.close()
    return run.id


def between(store: Store, before: str, after: str, most: int = 10) -> Diff:
    return diff(store, find_run(store, before), find_run(store, after), most)


def figures(found: Diff) -> dict[str, Any]:
    return {one["criterion"]: tuple(one.values())[1:] for one in found.as_dict()["criteria"]}


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


async def test_runs_without_a_common_item(store: Store, tmp_path: Path) -> None:
    one, other = [await recorded(store, tmp_path, id_, {id_: (1, "no")}) for id_ in ("a", "b")]
    found = between(store, one, other)
    assert (found.overlap.shared, found.overlap.only_before, found.overlap.only_after) == (0, 1, 1)
    assert all(one.mean_before is None for one in found.criteria)
