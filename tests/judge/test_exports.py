"""A run's grades in files."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from judge import Grade, Judge, exports, to_frame
from judge.datasets import Dataset
from judge.exports import find_run, flat, grades_of, write_csv, write_parquet
from judge.notation import inert
from judge.runs import Run
from judge.store.store import Store
from rubrics import Rubric

pytestmark = pytest.mark.anyio

KINDS = {"item": "string", "score": "double", "low": "double", "high": "double", "passed": "bool", "trust": "string"}
OWN = {"name": "own", "criteria": [{"id": "kind", "scale": "categorical", "question": "Which?", "levels": ["a", "b"]}]}
META = {"topic": "=SUM(1)", "n": -3, "ok": True, "none": None, "tags": ["ä", 1], "score": 0.5}
#: One item has no judgement, one has a rubric of its own; one has metadata.
ITEMS: list[dict[str, Any]] = [{"id": f"i{n}", "output": "x"} for n in range(5)] + [
    {"id": "own", "output": "x", "rubric": OWN}
]
ITEMS[1]["metadata"] = META
SAID = [
    {"item": f"i{n}", "criterion": c, "score": s, "reason": r}
    for n in range(4)
    for c, s, r in (("clear", n % 3 + 1, "=1+1"), ("polite", "yes", None))
]


async def recorded(
    folder: Path, store: Store, rubric: Rubric, items: list[dict[str, Any]], said: list[dict[str, Any]]
) -> str:
    """A run of recorded judgements."""
    for name, rows in (("items.jsonl", items), ("said.jsonl", said)):
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    judge = Judge(name="recorded", provider="recorded", options={"file": str(folder / "said.jsonl")})
    made = await Run.open(store, Dataset(str(folder / "items.jsonl")), rubric, judge)
    await made.execute()
    assert await made.close() == "done"
    return made.id


@pytest.fixture
async def run(tmp_path: Path, store: Store, rubric: Rubric) -> str:
    """The run of ITEMS."""
    said = [*SAID, {"item": "own", "criterion": "kind", "score": "b"}]
    return await recorded(tmp_path, store, rubric, ITEMS, said)


def written(store: Store, run: str) -> list[dict[str, str]]:
    """The rows of the CSV."""
    file = io.StringIO(newline="")
    write_csv(file, store, find_run(store, run))
    file.seek(0)
    return list(csv.DictReader(file))


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
    rows = written(store, run)
    assert [row["item"] for row in rows] == [item["id"] for item in ITEMS]
    assert rows[0]["clear.reason"] == "'=1+1"
    assert (rows[4]["clear.score"], rows[4]["clear.outcome"], rows[5]["kind.level"]) == ("", "judge_error", "b")


async def test_a_data_frame_has_the_same_rows(store: Store, run: str) -> None:
    pytest.importorskip("polars", reason="a data frame needs the extra `frame`")
    grades = list(grades_of(store, find_run(store, run)))
    frame = to_frame(grades)
    assert frame.height == 6
    assert frame["clear.score"].to_list() == [1.0, 2.0, 3.0, 1.0, None, None]
    assert frame.to_dicts() == [dict.fromkeys(frame.columns) | flat(grade) for grade in grades]


async def test_a_data_frame_is_typed_as_parquet_is(tmp_path: Path, store: Store, rubric: Rubric) -> None:
    polars = pytest.importorskip("polars", reason="a data frame needs the extra `frame`")
    parquet = pytest.importorskip("pyarrow.parquet", reason="Parquet needs the extra `parquet`")
    info = find_run(store, await recorded(tmp_path, store, rubric, ITEMS[:2], SAID))
    with (tmp_path / "grades.parquet").open("wb") as file:
        write_parquet(file, store, info)
    kinds = {"string": polars.String, "double": polars.Float64, "bool": polars.Boolean}
    schema = parquet.read_schema(tmp_path / "grades.parquet")
    frame = to_frame(grades_of(store, info))
    assert frame["polite.cause"].to_list() == frame["passed"].to_list() == [None, None]
    assert list(frame.schema.items()) == [(field.name, kinds[str(field.type)]) for field in schema]
    assert dict(to_frame([]).schema) == {
        **dict.fromkeys(("item", "outcome", "trust", "judge", "kind"), polars.String),
        **dict.fromkeys(("score", "low", "high", "cost_usd"), polars.Float64),
        "passed": polars.Boolean,
    }


async def test_metadata_is_a_column_a_field(store: Store, run: str) -> None:
    rows, held = written(store, run), list(grades_of(store, find_run(store, run)))
    columns = [name for name in rows[0] if name.startswith("meta.")]
    assert columns == [f"meta.{name}" for name in META]
    # A formula is made inert; a number is none, and the text of one neither.
    assert [rows[1][name] for name in columns] == ["'=SUM(1)", "-3", "true", "", '["ä", 1]', "0.5"]
    assert [rows[0][name] for name in columns] == [""] * len(META)
    assert flat(held[1])["meta.topic"] == "=SUM(1)"
    assert list(rows[0])[-3:] == ["cost_usd", "judge", "kind"]
    assert [inert(text) for text in ("-3", "-1.5e3", "-3+1", "-", "+3")] == ["-3", "-1.5e3", "'-3+1", "'-", "'+3"]


async def test_a_criterion_that_is_called_meta_keeps_its_columns(tmp_path: Path, store: Store) -> None:
    pytest.importorskip("polars", reason="a data frame needs the extra `frame`")
    rubric = Rubric.loads("name: m\ncriteria: [{id: meta, scale: binary, question: Is it?}]")
    items = [{"id": "a", "output": "x", "metadata": {"score": "high"}}]
    run = await recorded(tmp_path, store, rubric, items, [{"item": "a", "criterion": "meta", "score": "yes"}])
    (row,) = written(store, run)
    assert (row["meta.score"], row["meta_.score"]) == ("1.0", "high")
    frame = to_frame(grades_of(store, find_run(store, run)))
    assert (frame["meta.score"].to_list(), frame["meta_.score"].to_list()) == ([1.0], ["high"])


def test_the_expected_score_stands_beside_the_level_where_there_is_one() -> None:
    """Grades with a distribution and without, of two criteria."""
    polars = pytest.importorskip("polars", reason="a data frame needs the extra `frame`")
    one = {"outcome": "scored", "score": 2.0, "level": 2}
    made = {"outcome": "scored", "low": 0, "high": 1, "rubric": {"name": "r", "hash": "h"}, "usage": {}}
    made |= {"judge": {"name": "j", "fingerprint": "f"}}
    grades = [
        Grade.model_validate({**made, "item": name, "criteria": {"sure": {**one, **more}, "plain": one}})
        for name, more in (("a", {}), ("b", {"expected": 1.75}))
    ]
    frame = to_frame(grades)
    assert (frame["sure.expected"].to_list(), frame.schema["sure.expected"]) == ([None, 1.75], polars.Float64)
    assert frame.columns[7:11] == ["sure.score", "sure.level", "sure.expected", "sure.outcome"]
    assert "plain.expected" not in frame.columns
    assert "sure.expected" not in flat(grades[0])


async def test_a_file_is_written_while_grades_are_read(
    tmp_path: Path, store: Store, rubric: Rubric, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = [{"id": f"i{n}", "output": "x", "metadata": {"n": n}} for n in range(20)]
    info = find_run(store, await recorded(tmp_path, store, rubric, items, SAID))
    read, most = 0, 0

    def counted(*arguments: Any) -> Iterator[Grade]:
        nonlocal read
        for grade in grades_of(*arguments):
            read += 1
            yield grade

    class Written(io.StringIO):
        rows = 0

        def write(self, text: str) -> int:
            nonlocal most
            self.rows += 1
            # The header, and the first look at all of them.
            most = max(most, read - len(items) - self.rows + 2)
            return super().write(text)

    monkeypatch.setattr(exports, "grades_of", counted)
    write_csv(Written(newline=""), store, info)
    assert (read, most) == (2 * len(items), 1)
