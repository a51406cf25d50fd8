"""A run's grades in files."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from judge import Judge, exports, to_frame
from judge.datasets import Dataset
from judge.exports import find_run, flat, grades_of, write_csv, write_parquet
from judge.runs import Run
from judge.store.store import Store
from rubrics import Rubric

pytestmark = pytest.mark.anyio

KINDS = {"item": "string", "score": "double", "low": "double", "high": "double", "passed": "bool", "trust": "string"}
OWN = {"name": "own", "criteria": [{"id": "kind", "scale": "categorical", "question": "Which?", "levels": ["a", "b"]}]}
#: One item has no judgement, one has a rubric of its own.
ITEMS: list[dict[str, Any]] = [{"id": f"i{n}", "output": "x"} for n in range(5)] + [
    {"id": "own", "output": "x", "rubric": OWN}
]
SAID = [
    {"item": f"i{n}", "criterion": c, "score": s, "reason": r}
    for n in range(4)
    for c, s, r in (("clear", n % 3 + 1, "=1+1"), ("polite", "yes", None))
]


@pytest.fixture
async def run(tmp_path: Path, store: Store, rubric: Rubric) -> str:
    """A run of recorded judgements."""
    items, said = tmp_path / "items.jsonl", tmp_path / "said.jsonl"
    items.write_text("".join(json.dumps(one) + "\n" for one in ITEMS))
    said.write_text(
        "".join(json.dumps(one) + "\n" for one in [*SAID, {"item": "own", "criterion": "kind", "score": "b"}])
    )
    judge = Judge(name="recorded", provider="recorded", options={"file": str(said)})
    made = await Run.open(store, Dataset(str(items)), rubric, judge)
    await made.execute()
    assert await made.close() == "done"
    return made.id


async def test_parquet_holds_the_flat_rows_typed(
    tmp_path: Path, store: Store, run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="Parquet needs the extra `parquet`")
    monkeypatch.setattr(exports, "ROWS_A_GROUP", 4)
    info = find_run(store, run)
    with (tmp_path / "grades.parquet").open("wb") as file:
        write_parquet(file, store, info)
    with parquet.ParquetFile(tmp_path / "grades.parquet") as written:
        assert written.num_row_groups == 2
        table = written.read()
    rows = [flat(grade) for grade in grades_of(store, info)]
    assert table.to_pylist() == [dict.fromkeys(table.column_names) | row for row in rows]
    assert {name: str(table.schema.field(name).type) for name in KINDS} == KINDS
    assert str(table.schema.field("clear.score").type) == "double"
    assert str(table.schema.field("polite.cause").type) == "string"
    assert (table["clear.score"].to_pylist(), table["kind.level"].to_pylist()) == (
        [1.0, 2.0, 3.0, 1.0, None, None],
        [None] * 5 + ["b"],
    )
    assert table.column_names[-3:] == ["cost_usd", "judge", "kind"]


async def test_csv_holds_the_same_with_formulas_made_inert(store: Store, run: str) -> None:
    file, info = io.StringIO(newline=""), find_run(store, run)
    write_csv(file, store, info)
    file.seek(0)
    rows = list(csv.DictReader(file))
    assert [row["item"] for row in rows] == [item["id"] for item in ITEMS]
    assert rows[0]["clear.reason"] == "'=1+1"
    assert (rows[4]["clear.score"], rows[4]["clear.outcome"], rows[5]["kind.level"]) == ("", "judge_error", "b")


async def test_a_data_frame_has_the_same_rows(store: Store, run: str) -> None:
    pytest.importorskip("polars", reason="a data frame needs the extra `frame`")
    grades = list(grades_of(store, find_run(store, run)))
    frame = to_frame(grades)
    assert frame.height == 6
    assert frame["clear.score"].to_list() == [1.0, 2.0, 3.0, 1.0, None, None]
