"""Parquet files, and folders that the package `datasets` saved: read a few rows at a time."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

from judge.errors import InputError, SetupError
from judge.formats import Row, Rows
from judge.images import data_url

ROWS_AT_ONCE = 64
BUFFER_BYTES = 1 << 16
#: What `save_to_disk` of the package `datasets` writes beside the data of one split, and beside several splits.
STATE, SPLITS = "state.json", "dataset_dict.json"

#: The columns to read, of a file with this schema.
Columns = Callable[[Path, Any], list[str]]


def rows(path: Path, fields: Collection[str], longest: int, left_out: Callable[[str], object]) -> Rows:
    """The rows of a Parquet file or of a saved folder, by their numbers.

    Columns of bytes are read only where they are among `fields`; `left_out` is called with the name of each other.
    No row is held of more than `longest` bytes. Raises InputError, and SetupError without pyarrow.
    """
    files = _data_files(path) if path.is_dir() else []
    try:
        import pyarrow.ipc  # noqa: PLC0415 - an extra, and heavy
        import pyarrow.parquet  # noqa: PLC0415 - an extra, and heavy
    except ImportError:
        raise SetupError(f"{path}: needs pyarrow; install this project with its extra: parquet") from None

    def columns(file: Path, schema: Any) -> list[str]:
        unread = _unread(file, schema, fields)
        for name in unread:
            left_out(name)
        return [name for name in schema.names if name not in unread]

    batches = _saved(pyarrow, files, columns) if path.is_dir() else _parquet(pyarrow, path, columns)
    few = (batch.slice(start, ROWS_AT_ONCE) for batch in batches for start in range(0, batch.num_rows, ROWS_AT_ONCE))
    try:
        yield from enumerate((row for batch in few for row in _rows(batch, longest)), 1)
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{path}: cannot be read ({_line(error)}); write it again") from None


def _parquet(pyarrow: Any, path: Path, columns: Columns) -> Iterator[Any]:
    # Without a buffer of a fixed size a whole row group would be held.
    with pyarrow.parquet.ParquetFile(path, buffer_size=BUFFER_BYTES, pre_buffer=False) as file:
        yield from file.iter_batches(ROWS_AT_ONCE, columns=columns(path, file.schema_arrow))


def _saved(pyarrow: Any, files: Sequence[Path], columns: Columns) -> Iterator[Any]:
    for path in files:
        with pyarrow.memory_map(str(path)) as mapped, pyarrow.ipc.open_stream(mapped) as stream:
            names = columns(path, stream.schema)
            yield from (batch.select(names) for batch in stream)


def splits(path: Path) -> list[str]:
    """The splits in a folder that `datasets` saved; none where it is no such folder."""
    try:
        return list(json.loads((path / SPLITS).read_text("utf-8"))["splits"])
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"{path / SPLITS}: names no splits; save the dataset again") from None


def _data_files(path: Path) -> list[Path]:
    if not (path / STATE).is_file():
        found = splits(path)
        if found:
            raise InputError(f"{path}: holds several splits; name one: {', '.join(str(path / name) for name in found)}")
        raise InputError(f"{path}: is a folder; name a JSONL, CSV or Parquet file in it")
    try:
        state = json.loads((path / STATE).read_text("utf-8"))
        return [path / one["filename"] for one in state["_data_files"]]
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"{path / STATE}: names no data; save the dataset again") from None


def _unread(path: Path, schema: Any, fields: Collection[str]) -> list[str]:
    """Columns of bytes that are no field."""
    names: list[str] = schema.names
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{path}: has two columns {twice!r}; rename one")
    return [name for name in names if name not in fields and _holds_bytes(schema.field(name).type)]


def _holds_bytes(kind: Any) -> bool:
    if not kind.num_fields:
        return "binary" in str(kind)
    return any(_holds_bytes(kind.field(place).type) for place in range(kind.num_fields))


def _rows(batch: Any, longest: int) -> list[Row | str]:
    """The rows as JSON values; one by one where something is wrong with one of them."""
    fault = f"the row has more than {longest:,} bytes; raise JUDGE_MAX_OUTPUT_BYTES to read it"
    if batch.nbytes <= longest:
        try:
            return [_row(row) for row in batch.to_pylist(maps_as_pydicts="strict")]
        except UnicodeDecodeError:
            fault = "not UTF-8; save the texts as UTF-8"
        except (KeyError, ValueError) as error:
            fault = f"cannot be read: {_line(error)}"
    if batch.num_rows == 1:
        return [fault]
    return [row for place in range(batch.num_rows) for row in _rows(batch.slice(place, 1), longest)]


def _row(values: Row) -> Row:
    row = {}
    for name, value in values.items():
        try:
            row[name] = _plain(value)
        except ValueError as error:
            raise ValueError(f"`{name}` {error}") from None
    return row


def _plain(value: Any) -> Any:
    """The nearest JSON value. What has none is left to be complained of."""
    match value:
        case {"bytes": bytes(raw), "path": _}:  # an image, as `datasets` has it
            return data_url(raw)
        case {"bytes": None, "path": str(path)}:
            return path
        case bytes():
            return data_url(value)
        case dict():  # rows share the fields of a struct, so that a null is mostly one that was never there
            return {name: _plain(one) for name, one in value.items() if one is not None}
        case list():
            return [_plain(one) for one in value]
        case datetime() | date() | time():
            return value.isoformat()
        case Decimal():
            return str(value)
    return value


def _line(error: Exception) -> str:
    return str(error).partition("\n")[0]
