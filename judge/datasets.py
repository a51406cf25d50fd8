"""A file of items: read line by line, checked as a whole before anything is spent."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import ValidationError

from judge.errors import InputError
from judge.items import FIELDS, Item, plain
from judge.settings import MAX_OUTPUT_BYTES
from rubrics import RubricError

#: A line may hold an output, its input, reference and context, and their JSON escapes.
LINE_BYTES_PER_OUTPUT_BYTE = 4


@dataclass(frozen=True, slots=True)
class Scan:
    """What one reading of a whole dataset found."""

    hash: str
    count: int
    text_bytes: int  #: of all texts that a judge will see
    longest_bytes: int
    bad: tuple[str, ...]  #: one line for every line that is no item
    kept: tuple[str, ...]  #: columns that are not fields, kept as metadata


class _Seen:
    """The ids met so far, on disk, so that memory does not grow with the file."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("")
        self._db.execute("CREATE TABLE seen (id TEXT PRIMARY KEY, line INTEGER) WITHOUT ROWID")

    def first(self, item_id: str, line: int) -> int | None:
        """The line that had the id before, or None."""
        if self._db.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (item_id, line)).rowcount:
            return None
        found = self._db.execute("SELECT line FROM seen WHERE id = ?", (item_id,)).fetchone()
        return int(found[0])

    def close(self) -> None:
        self._db.close()


@dataclass
class Dataset:
    """A JSONL or CSV file of items, read line by line as often as needed.

    `columns` maps a field of an item to the column that holds it. `path` "-" is standard input, which is kept
    in a temporary file. With `skip_bad`, lines that are no item are left out instead of refused.
    """

    path: str
    columns: Mapping[str, str] = field(default_factory=dict)
    limit: int | None = None
    skip_bad: bool = False
    csv: bool | None = None
    max_output_bytes: int = MAX_OUTPUT_BYTES

    def __post_init__(self) -> None:
        self.name = "standard input" if self.path == "-" else self.path
        if self.csv is None:
            self.csv = self.path.lower().endswith((".csv", ".tsv"))
        self._kept: dict[str, None] = {}

    def scan(self) -> Scan:
        """Reads and checks everything once. Raises InputError for the first bad line, unless bad ones are skipped."""
        digest = hashlib.sha256()
        count = total = longest = 0
        bad: list[str] = []
        for line, item in self._checked():
            if isinstance(item, str):
                if not self.skip_bad:
                    raise InputError(f"{self.name}:{line}: {item}")
                bad.append(f"{self.name}:{line}: {item}")
                continue
            digest.update(_digested(item))
            size = sum(len(t.encode()) for t in (item.input, item.output, item.reference, item.context) if t)
            count, total, longest = count + 1, total + size, max(longest, size)
        if not count:
            raise InputError(f"{self.name}: no items to grade; write one JSON object a line, with id and output")
        return Scan(digest.hexdigest(), count, total, longest, tuple(bad), tuple(self._kept))

    def __iter__(self) -> Iterator[Item]:
        """The items that a scan accepted, in order."""
        for _, item in self._checked():
            if isinstance(item, Item):
                yield item

    def unchanged_since(self, scan: Scan) -> Iterator[Item]:
        """The items once more. Raises InputError in the end where they are not those of the scan."""
        digest = hashlib.sha256()
        for item in self:
            digest.update(_digested(item))
            yield item
        if digest.hexdigest() != scan.hash:
            raise InputError(f"{self.name}: changed while it was read; start again when nobody writes to it")

    def _checked(self) -> Iterator[tuple[int, Item | str]]:
        """(line, item or what is wrong with the line), up to the limit."""
        seen, count = _Seen(), 0
        try:
            for line, row in self._rows():
                if self.limit is not None and count >= self.limit:
                    return
                item = self._item(row) if isinstance(row, dict) else row
                if isinstance(item, Item):
                    earlier = seen.first(item.id, line)
                    if earlier is not None:
                        item = f"the id {item.id!r} was used in line {earlier}; ids must differ"
                    else:
                        count += 1
                yield line, item
        finally:
            seen.close()

    def _item(self, row: dict[str, Any]) -> Item | str:
        mapped: dict[str, Any] = {name: row[column] for name, column in self.columns.items() if column in row}
        taken = set(self.columns.values())
        extra = {}
        for key, value in row.items():
            if key in FIELDS and key not in mapped:
                mapped[key] = value
            elif key not in taken:
                extra[key] = value
                self._kept.setdefault(key)
        if extra:
            own = mapped.get("metadata")
            if own is None or isinstance(own, dict):
                mapped["metadata"] = {**extra, **(own or {})}
        try:
            item = Item.model_validate({k: v for k, v in mapped.items() if v is not None or k in ("id", "output")})
        except ValidationError as error:
            return plain(error)
        except RecursionError:
            return "nested too deeply"
        try:
            item.own_rubric  # noqa: B018 - it is parsed here, so that it cannot fail later
        except RubricError as error:
            return str(error)
        size = len(item.output.encode())
        if size > self.max_output_bytes:
            return (
                f"`output` has {size:,} bytes, more than the limit of {self.max_output_bytes:,}; "
                "raise JUDGE_MAX_OUTPUT_BYTES to grade it"
            )
        return item

    def _rows(self) -> Iterator[tuple[int, dict[str, Any] | str]]:
        with self._open() as file:
            yield from self._csv_rows(file) if self.csv else self._json_rows(file)

    def _json_rows(self, file: BinaryIO) -> Iterator[tuple[int, dict[str, Any] | str]]:
        longest = LINE_BYTES_PER_OUTPUT_BYTE * self.max_output_bytes
        number = 0
        while raw := file.readline(longest + 1):
            number += 1
            if len(raw) > longest:
                yield number, f"the line is longer than {longest:,} bytes; raise JUDGE_MAX_OUTPUT_BYTES to read it"
                while raw and not raw.endswith(b"\n"):
                    raw = file.readline(longest + 1)
                continue
            if number == 1:
                raw = raw.removeprefix(b"\xef\xbb\xbf")
            if raw.strip():
                yield number, _json_row(raw)

    def _csv_rows(self, file: BinaryIO) -> Iterator[tuple[int, dict[str, Any] | str]]:
        csv.field_size_limit(LINE_BYTES_PER_OUTPUT_BYTE * self.max_output_bytes)
        lines = (raw.decode("utf-8-sig" if n == 0 else "utf-8", "surrogateescape") for n, raw in enumerate(file))
        reader = csv.DictReader(lines, delimiter="\t" if self.path.lower().endswith(".tsv") else ",", strict=True)
        try:
            for row in reader:
                if any(isinstance(value, str) and not _is_utf8(value) for value in row.values()):
                    yield reader.line_num, "not UTF-8; save the file as UTF-8"
                elif None in row or None in row.values():
                    yield reader.line_num, f"has not the {len(reader.fieldnames or ())} columns of the header"
                else:
                    # An empty cell is an absent value, except that an empty output is an output.
                    yield reader.line_num, {k: v if v or self._is_output(k) else None for k, v in row.items()}
        except csv.Error as error:
            raise InputError(f"{self.name}:{reader.line_num + 1}: not CSV ({error}); repair the quotes") from None

    def _is_output(self, column: str) -> bool:
        return column == self.columns.get("output", "output")

    def _open(self) -> BinaryIO:
        if self.path == "-":
            spool = self._standard_input
            spool.seek(0)
            return open(spool.fileno(), "rb", closefd=False)
        path = Path(self.path)
        if not path.exists():
            raise InputError(f"{self.path}: there is no such file")
        if path.is_dir():
            raise InputError(f"{self.path}: is a folder; name a JSONL or CSV file in it")
        try:
            return path.open("rb")
        except OSError as error:
            raise InputError(f"{self.path}: cannot be read ({error.strerror})") from None

    @cached_property
    def _standard_input(self) -> BinaryIO:
        spool = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the dataset
        shutil.copyfileobj(sys.stdin.buffer, spool)
        return spool


def _digested(item: Item) -> bytes:
    """What makes an item of a dataset another one: metadata too, since it is exported with the grades."""
    return json.dumps([item.id, item.hash, item.metadata]).encode()


def _json_row(raw: bytes) -> dict[str, Any] | str:
    try:
        row = json.loads(raw.decode(), parse_constant=_not_a_number, object_pairs_hook=_without_duplicates)
    except UnicodeDecodeError as error:
        return f"not UTF-8 ({error.reason} at byte {error.start}); save the file as UTF-8"
    except json.JSONDecodeError as error:
        return f"not JSON ({error.msg} at column {error.colno}); write one JSON object a line"
    except (ValueError, RecursionError) as error:
        return f"not JSON ({error}); write one JSON object a line"
    return row if isinstance(row, dict) else "not a JSON object; write one JSON object a line"


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key of an object occurs twice")
    return found


def _is_utf8(text: str) -> bool:
    """Whether text that was read with surrogate escapes has none."""
    return not any("\udc80" <= character <= "\udcff" for character in text)


def _not_a_number(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")
