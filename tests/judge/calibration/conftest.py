"""A rubric, a run of a simulated judge, and people who are simulated too."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from judge import Item, Judge
from judge.calibration.labelling.labels import Label
from judge.datasets import Dataset
from judge.exports import find_run, grades_of
from judge.grades import Grade
from judge.runs import Options, Run
from judge.store import open_store
from judge.store.results import RunInfo
from judge.store.store import Store
from judge.verdicts import Outcome
from rubrics import Rubric

REPLY = """
name: reply
criteria:
  - {id: polite, scale: binary, question: Is it polite?}
  - {id: clear, scale: ordinal, question: How clear is it?, levels: [1, 2, 3, 4, 5]}
  - {id: tone, scale: categorical, question: Which tone has it?, levels: [warm, plain, cold]}
  - {id: share, scale: numeric, question: How much of it is new?, minimum: 0, maximum: 1}
"""
Grading = Callable[..., RunInfo]


@pytest.fixture
def reply() -> Rubric:
    return Rubric.loads(REPLY)


@pytest.fixture
def sqlite_store(tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path}/judge.db") as opened:
        yield opened


@pytest.fixture
def graded(tmp_path: Path, reply: Rubric) -> Grading:
    """Grades so many items, four of each document, with a simulated judge: `graded(store, 200, samples=5)`."""

    def run(store: Store, count: int, samples: int = 5, **options: Any) -> RunInfo:
        file = tmp_path / f"items-{count}.jsonl"
        rows = [
            Item(
                id=f"i{n}", input=f"Question {n // 4}?", output=f"Answer {n}. " * (1 + n % 7), metadata={"doc": n // 4}
            )
            for n in range(count)
        ]
        file.write_text("".join(row.model_dump_json(exclude_defaults=True) + "\n" for row in rows), encoding="utf-8")
        judge = Judge.model_validate({"name": "sim", "provider": "simulated", "options": {"noise": 0.3, **options}})

        async def execute() -> str:
            one = await Run.open(store, Dataset(str(file)), reply, judge, Options(samples=samples))
            try:
                await one.execute()
            finally:
                await one.close()
            return one.id

        return find_run(store, asyncio.run(execute()))

    return run


def people(
    store: Store, info: RunInfo, rubric: Rubric, noise: float, annotators: int = 3, seed: int = 0
) -> list[Label]:
    """Labels of simulated people, who see what the judge sees, with an error of their own."""
    rng = np.random.default_rng(seed)
    return [
        Label(grade.item, criterion.id, f"person-{who}", Outcome.SCORED, *said(criterion, grade, noise, rng))
        for grade in grades_of(store, info)
        for criterion in rubric.leaves
        for who in range(annotators)
    ]


def said(criterion: Any, grade: Grade, noise: float, rng: np.random.Generator) -> tuple[Any, float | None]:
    """Level and value of one simulated label."""
    judged = grade.criteria[criterion.id]
    if not criterion.valued:
        level = judged.level if rng.random() > noise and judged.level else rng.choice(list(criterion.listed))
        return str(level), None
    judged_at = judged.expected if judged.expected is not None else judged.score
    value = (judged_at or criterion.lowest) + rng.normal(0, noise) * (criterion.highest - criterion.lowest)
    value = min(max(value, criterion.lowest), criterion.highest)
    if not criterion.listed:
        return None, float(value)
    marks = [criterion.read(level) for level in criterion.listed]
    nearest = min(marks, key=lambda mark: abs(mark.value - value))
    return nearest.level, nearest.value


def written(path: Path, labels: list[Label]) -> Path:
    """Labels as a file of JSON lines."""
    rows = [
        {
            "item": one.item,
            "criterion": one.criterion,
            "annotator": one.annotator,
            "score": one.value if one.level is None else one.level,
        }
        for one in labels
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path
