"""Parquet files, and folders as the package `datasets` saves them."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from judge import InputError, prompts
from judge.datasets import Dataset

pyarrow = pytest.importorskip("pyarrow", reason="Parquet needs the extra `parquet`")
parquet = pytest.importorskip("pyarrow.parquet", reason="Parquet needs the extra `parquet`")

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
CALL = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 2}'}}
ROWS: list[dict[str, Any]] = [
    {
        "id": str(number),
        "input": [{"role": "user", "content": "2+2?"}],
        "output": [
            {"role": "assistant", "content": None, "tool_calls": [CALL], "tool_call_id": None},
            {"role": "tool", "content": "4", "tool_calls": None, "tool_call_id": "c1"},
        ],
        "context": ["Sums.", "Signs."],
        "topic": "sums",
    }
    for number in range(5)
]


def table_of(rows: list[dict[str, Any]]) -> Any:
    return pyarrow.Table.from_pylist([dict.fromkeys(rows[-1]) | row for row in rows])


def write(path: Path, rows: list[dict[str, Any]], **options: Any) -> str:
    parquet.write_table(table_of(rows), path, **options)
    return str(path)


def save(folder: Path, rows: list[dict[str, Any]], shards: int = 1) -> str:
    """As `save_to_disk` does: Arrow streams, and a state that names them."""
    folder.mkdir(parents=True)
    table, names = table_of(rows), [f"data-{n:05}-of-{shards:05}.arrow" for n in range(shards)]
    size = -(-len(rows) // shards)
    for place, name in enumerate(names):
        part = table.slice(place * size, size)
        with pyarrow.ipc.new_stream(str(folder / name), part.schema) as stream:
            stream.write_table(part, max_chunksize=2)
    state = {"_data_files": [{"filename": name} for name in names], "_fingerprint": "0", "_split": None}
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "dataset_info.json").write_text("{}")
    return str(folder)


def refusal(path: str, **fields: Any) -> str:
    with pytest.raises(InputError) as raised:
        Dataset(path, **fields).scan()
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_the_form_of_the_file_makes_no_other_items(tmp_path: Path) -> None:
    lines = tmp_path / "items.jsonl"
    lines.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    named = [str(lines), write(tmp_path / "items.parquet", ROWS), save(tmp_path / "saved", ROWS, shards=2)]
    scans = [Dataset(path).scan() for path in named]
    assert scans[0] == scans[1] == scans[2]
    assert (scans[0].count, scans[0].kept) == (5, ("topic",))
    shown = [[prompts.user(item) for item in Dataset(path)] for path in named]
    assert shown[0] == shown[1] == shown[2]
    assert list(Dataset(named[1]).unchanged_since(scans[1])) == list(Dataset(named[0]))


def test_columns_are_mapped_and_the_limit_holds(tmp_path: Path) -> None:
    rows = [{"key": n, "text": f"answer {n}", "docs": ["a"], "score": n} for n in range(9)]
    path = write(tmp_path / "items.parquet", rows)
    items = list(Dataset(path, columns={"id": "key", "output": "text", "context": "docs"}, limit=3))
    assert [(item.id, item.output, item.context) for item in items] == [
        (str(n), f"answer {n}", ["a"]) for n in range(3)
    ]
    assert items[0].metadata == {"score": 0}


def test_what_json_has_not_is_kept_as_text(tmp_path: Path) -> None:
    at = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    row = {"id": "1", "output": "x", "at": at, "price": Decimal("1.20"), "seen": {"a": 1, "b": None}, "raw": b"\x00"}
    (item,) = Dataset(write(tmp_path / "items.parquet", [row]))
    assert item.metadata == {"at": at.isoformat(), "price": "1.20", "seen": {"a": 1}}


@pytest.mark.parametrize("image", [{"bytes": PNG, "path": None}, {"bytes": PNG, "path": "a.png"}, PNG])
def test_bytes_of_images_are_taken_where_they_are_a_field(tmp_path: Path, image: Any) -> None:
    path = write(tmp_path / "items.parquet", [{"id": "1", "output": "x", "image": image}])
    (item,) = Dataset(path, columns={"images": "image"})
    assert item.images == [f"data:image/png;base64,{base64.b64encode(PNG).decode()}"]
    (bare,) = Dataset(path)
    assert (bare.images, bare.metadata) == ([], {})


@pytest.mark.parametrize("image", [{"bytes": PNG, "path": None}, PNG, [PNG]])
def test_a_column_of_bytes_that_no_field_takes_is_told(tmp_path: Path, image: Any) -> None:
    rows = [{"id": str(n), "output": "x", "image": image, "their pictures": PNG} for n in range(3)]
    for path in (write(tmp_path / "items.parquet", rows), save(tmp_path / "saved", rows, shards=2)):
        told = f"{path}: column '{{}}' holds bytes and is not read; if they are images, add --images {{}}"
        bare = Dataset(path).scan()
        assert bare.bad == (told.format("image", "image"), told.format("their pictures", "'their pictures'"))
        assert (bare.count, bare.images, bare.kept) == (3, 0, ())
        named = Dataset(path, columns={"images": "image"}).scan()
        assert (named.images, named.bad) == (3, (told.format("their pictures", "'their pictures'"),))


def test_an_image_that_datasets_keeps_by_its_path_is_read_beside_the_data(tmp_path: Path) -> None:
    path = save(tmp_path / "saved", [{"id": "1", "output": "x", "images": [{"bytes": None, "path": "a.png"}]}])
    (tmp_path / "saved" / "a.png").write_bytes(PNG)
    (item,) = Dataset(path)
    assert len(item.images) == 1


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([{"id": "1", "output": "x"}, {"id": "1", "output": "y"}], ":2: the id '1' was used in row 1; ids must differ"),
        ([{"id": "1", "output": "x"}, {"id": "2", "output": None}], ":2: `output` "),
        ([{"id": 1.5, "output": "x"}], ":1: `id` "),
        ([{"id": "1", "output": "x", "n": float("nan")}], ":1: `metadata` holds nan, which is no JSON number"),
        ([{"id": "1", "output": "x"}, {"id": "2", "output": "x" * 101}], ":2: `output` has 101 bytes"),
        ([{"id": "1", "output": "x"}, {"id": "2", "output": "x", "input": "x" * 500}], ":2: the row has more than 400"),
        ([{"id": "1", "output": "x"}, {"id": "2", "output": "x", "images": [b"text"]}], ":2: cannot be read: `images`"),
        ([{"id": "1", "output": [{"role": "nobody", "content": "x"}]}], ":1: `output.0.role` "),
        ([{"id": "1", "text": "x"}], ":1: no `output`; add it"),
    ],
)
def test_the_first_bad_row_is_told_by_its_number(tmp_path: Path, rows: list[dict[str, Any]], told: str) -> None:
    for path in (write(tmp_path / "items.parquet", rows), save(tmp_path / "saved", rows)):
        assert refusal(path, max_output_bytes=100).startswith(path + told)


def test_skip_bad_leaves_out_rows(tmp_path: Path) -> None:
    path = write(tmp_path / "items.parquet", [{"id": str(n), "output": "x" * (n % 2 * 200)} for n in range(200)])
    scan = Dataset(path, skip_bad=True, max_output_bytes=100).scan()
    assert (scan.count, len(scan.bad)) == (100, 100)
    assert scan.bad[0].startswith(f"{path}:2: ")


def test_text_that_is_not_utf_8_is_told_by_its_row(tmp_path: Path) -> None:
    raw = pyarrow.array([b"fine", b"\xff"]).view(pyarrow.string())
    table = pyarrow.table({"id": ["1", "2"], "output": raw})
    parquet.write_table(table, tmp_path / "items.parquet")
    assert ":2: not UTF-8" in refusal(str(tmp_path / "items.parquet"))


def test_what_is_no_such_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "cut.parquet").write_bytes(Path(write(tmp_path / "a.parquet", ROWS)).read_bytes()[:-20])
    assert "cut.parquet: cannot be read (" in refusal(str(tmp_path / "cut.parquet"))
    (tmp_path / "empty.parquet").write_bytes(b"")
    assert "empty.parquet: cannot be read (" in refusal(str(tmp_path / "empty.parquet"))
    folder = Path(save(tmp_path / "saved", ROWS))
    (folder / "data-00000-of-00001.arrow").write_bytes(b"ARROW?")
    assert "saved: cannot be read (" in refusal(str(folder))
    (folder / "data-00000-of-00001.arrow").unlink()
    assert "saved: cannot be read (" in refusal(str(folder))
    (folder / "state.json").write_text("[]")
    assert "state.json: names no data" in refusal(str(folder))
    assert "is a folder; name a JSONL, CSV or Parquet file in it" in refusal(str(tmp_path))
    table = pyarrow.table([["1"], ["x"], ["y"]], names=["id", "output", "output"])
    parquet.write_table(table, tmp_path / "twice.parquet")
    assert "has two columns 'output'; rename one" in refusal(str(tmp_path / "twice.parquet"))


def test_a_folder_of_splits_needs_one_of_them(tmp_path: Path) -> None:
    for split in ("train", "test"):
        save(tmp_path / "all" / split, ROWS)
    (tmp_path / "all" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    folder = str(tmp_path / "all")
    assert refusal(folder) == f"{folder}: holds several splits; name one: {folder}/train, {folder}/test"
    assert refusal(f"{folder}/dev") == f"{folder}/dev: there is no such file; the splits are train, test"
    assert Dataset(f"{folder}/test").scan().count == 5


def test_a_file_that_changes_between_its_readings_is_refused(tmp_path: Path) -> None:
    dataset = Dataset(write(tmp_path / "items.parquet", ROWS))
    scan = dataset.scan()
    write(tmp_path / "items.parquet", ROWS[:4])
    with pytest.raises(InputError, match="changed while it was read"):
        list(dataset.unchanged_since(scan))


def test_memory_does_not_grow_with_the_number_of_rows(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        """In a process of its own: the most that Arrow held at once."""
        rows = [{"id": str(n), "output": f"{n:010}" * 100} for n in range(count)]
        path = write(
            tmp_path / f"{count}.parquet", rows, row_group_size=count, compression="none", use_dictionary=False
        )
        program = (
            "import sys, pyarrow; from judge.datasets import Dataset; Dataset(sys.argv[1]).scan(); "
            "print(pyarrow.default_memory_pool().max_memory())"
        )
        done = subprocess.run([sys.executable, "-c", program, path], check=True, capture_output=True, text=True)
        return int(done.stdout)

    assert peak(20_000) < peak(2_000) + 4_000_000


def test_without_pyarrow_the_extra_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "items.parquet", ROWS)
    program = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from judge import SetupError\nfrom judge.datasets import Dataset\n"
        "try:\n    Dataset(sys.argv[1]).scan()\nexcept SetupError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program, path], check=True, capture_output=True, text=True)
    assert done.stdout == f"{path}: needs pyarrow; install this project with its extra: parquet\n"
