"""Sections of runs whose scores were recorded, worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from judge import Judge
from judge.datasets import Dataset
from judge.runs import Options, Run
from judge.sections import SectionSummary
from judge.summary import Summary, summarise
from rubrics import Rubric

if TYPE_CHECKING:
    from judge.store.store import Store

pytestmark = pytest.mark.anyio

RUBRIC = """
name: tree
criteria:
  - {id: short, scale: binary, question: Is it short?}
sections:
  - id: facts
    description: What is said.
    criteria:
      - {id: right, scale: binary, question: Is it right?}
      - {id: full, scale: ordinal, question: Is it whole?, levels: [1, 2, 3]}
    sections:
      - id: sources
        criteria:
          - {id: cites, scale: binary, question: Does it cite?, not_applicable: true}
  - id: faults
    criteria:
      - {id: helps, scale: points, question: It helps., points: 4}
      - {id: harms, scale: points, question: It harms., points: -2}
  - id: manner
    criteria:
      - {id: tone, scale: categorical, question: What is its tone?, levels: [warm, cold]}
"""
SCORES: dict[str, dict[str, object]] = {
    "a": {"short": "yes", "right": "yes", "full": 3, "cites": "yes", "helps": "yes", "harms": "no", "tone": "warm"},
    "b": {"short": "no", "right": "no", "full": 2, "cites": "not_applicable", "helps": "no", "harms": "yes"},
    "c": {"short": "no", "full": 1, "cites": "no", "harms": "no", "tone": "cold"},
}


async def summary(store: Store, folder: Path, execute: bool = True) -> Summary:
    recorded, items = folder / "scores.jsonl", folder / "items.jsonl"
    rows = [
        {"item": item, "criterion": criterion, "score": score}
        for item, scores in SCORES.items()
        for criterion, score in scores.items()
    ]
    recorded.write_text("".join(json.dumps(row) + "\n" for row in rows))
    items.write_text("".join(json.dumps({"id": item, "output": item}) + "\n" for item in SCORES))
    judge = Judge(name="people", provider="recorded", options={"file": str(recorded)})
    opened = await Run.open(store, Dataset(str(items)), Rubric.loads(RUBRIC), judge, Options())
    if execute:
        await opened.execute()
    await opened.close()
    return summarise(store, opened.id)


def by_id(found: Summary) -> dict[str, SectionSummary]:
    return {one.section: one for one in found.sections}


async def test_a_section_has_a_score_where_all_that_counts_in_it_is_known(store: Store, tmp_path: Path) -> None:
    found = by_id(await summary(store, tmp_path))
    facts = found["facts"]
    # a: (1 + 1 + 1) / 3; b: (0 + 0.5) / 2, for its sources do not apply; c: right is missing, so 0 to 1/3.
    assert (facts.n, facts.scored, facts.not_applicable) == (3, 2, 0)
    assert (facts.mean, facts.low, facts.high) == pytest.approx((1.25 / 2, 1.25 / 3, (1.25 + 1 / 3) / 3))
    assert facts.scored_share == pytest.approx(2 / 3)
    # a: 1; b does not apply and is left out of n; c: 0.
    sources = found["sources"]
    assert (sources.n, sources.scored, sources.not_applicable, sources.mean) == (2, 2, 1, 0.5)
    assert (sources.low, sources.high) == (0.5, 0.5)


async def test_a_section_of_points_can_be_below_nought(store: Store, tmp_path: Path) -> None:
    faults = by_id(await summary(store, tmp_path))["faults"]
    # a: 4 of 4 points; b: -2 of 4; c: nothing lost, and the 4 points are not known.
    assert (faults.n, faults.scored, faults.mean, faults.minimum) == (3, 2, pytest.approx(0.25), -0.5)
    assert (faults.low, faults.high) == pytest.approx((0.5 / 3, 1.5 / 3))


async def test_a_section_of_labels_alone_has_no_mean(store: Store, tmp_path: Path) -> None:
    for execute in (False, True):
        manner = by_id(await summary(store, tmp_path, execute))["manner"]
        assert (manner.n, manner.scored, manner.mean, manner.low, manner.scored_share) == (0, 0, None, None, None)


async def test_sections_come_in_the_order_of_writing_with_their_depth(store: Store, tmp_path: Path) -> None:
    found = (await summary(store, tmp_path)).sections
    assert [(one.section, one.depth, one.criteria) for one in found] == [
        ("facts", 0, ("right", "full")),
        ("sources", 1, ("cites",)),
        ("faults", 0, ("helps", "harms")),
        ("manner", 0, ("tone",)),
    ]


async def test_what_is_not_graded_yet_is_missing_in_sections_too(store: Store, tmp_path: Path) -> None:
    found = by_id(await summary(store, tmp_path, execute=False))
    for name, low in (("facts", 0.0), ("sources", 0.0), ("faults", -0.5)):
        assert (found[name].n, found[name].scored, found[name].mean) == (3, 0, None)
        assert (found[name].low, found[name].high) == (low, 1.0)


async def test_sections_have_their_scored_share_in_json(store: Store, tmp_path: Path) -> None:
    data = json.loads(json.dumps((await summary(store, tmp_path)).as_dict()))
    assert data["sections"][0]["scored_share"] == pytest.approx(2 / 3)
    assert data["sections"][0]["description"] == "What is said."
    assert data["criteria"][0]["scored_share"] == 1
