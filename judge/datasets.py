"""A file of items: read row by row, checked as a whole before anything is spent."""

from __future__ import annotations

import hashlib
import json
import shlex
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import ValidationError

from judge.errors import InputError
from judge.fences import NONCE_DIGITS, shown, urls
from judge.formats import Rows, columnar, delimited, jsonl
from judge.images import NOT_SEEN, Folder
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
    text_bytes: int  #: of all items, as a judge is shown them
    images: int
    longest_bytes: int  #: of the longest item
    most_images: int  #: of one item
    own_rubrics: int  #: items that have a rubric of their own
    bad: tuple[str, ...]  #: one line for everything that is left out: rows that are no item, columns of bytes
    kept: tuple[str, ...]  #: columns that are not fields, kept as metadata


class Seen:
    """The ids met so far, on disk, so that memory does not grow with the file."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("")
        self._db.execute("CREATE TABLE seen (id TEXT PRIMARY KEY, row INTEGER) WITHOUT ROWID")

    def first(self, item_id: str, row: int) -> int | None:
        """The row that had the id before, or None."""
        if self._db.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (item_id, row)).rowcount:
            return None
        found = self._db.execute("SELECT row FROM seen WHERE id = ?", (item_id,)).fetchone()
        return int(found[0])

    def close(self) -> None:
        self._db.close()


@dataclass
class Dataset:
    """Items in a JSONL, CSV or Parquet file, or in a folder that `datasets` saved, read as often as needed.

    `columns` maps a field of an item to the column that holds it. `path` "-" is standard input, which is kept
    in a temporary file. With `skip_bad`, rows that are no item are left out instead of refused; without `images`,
    those with an image are none. `csv` says whether a file is CSV or JSONL, where its name does not tell.
    """

    path: str
    columns: Mapping[str, str] = field(default_factory=dict)
    limit: int | None = None
    skip_bad: bool = False
    csv: bool | None = None
    max_output_bytes: int = MAX_OUTPUT_BYTES
    images: bool = True

    def __post_init__(self) -> None:
        self.name = "standard input" if self.path == "-" else self.path
        path = Path(self.path)
        folder = self.path != "-" and path.is_dir()
        self._suffix = path.suffix.lower()
        self._columnar = folder or (self.csv is None and self._suffix == ".parquet")
        self._beside = path if folder else path.parent  # where the paths of images are relative to
        self._kept: dict[str, None] = {}
        self._unread: dict[str, None] = {}

    def scan(self) -> Scan:
        """Reads and checks everything once. Raises InputError for the first bad row, unless bad ones are skipped."""
        digest = hashlib.sha256()
        count = total = images = longest = most = own = 0
        bad: list[str] = []
        for number, item in self._checked():
            if isinstance(item, str):
                if not self.skip_bad:
                    raise InputError(f"{self.name}:{number}: {item}")
                bad.append(f"{self.name}:{number}: {item}")
                continue
            digest.update(_digested(item))
            fences = item.fences
            count += 1
            size, pictures = len(shown(fences, "0" * NONCE_DIGITS).encode()), sum(1 for _ in urls(fences))
            total, longest = total + size, max(longest, size)
            images, most = images + pictures, max(most, pictures)
            own += item.own_rubric is not None
        if not count:
            raise InputError(f"{self.name}: no items to grade; write one JSON object a line, with id and output")
        bad += [f"{self.name}: {_not_read(column)}" for column in self._unread]
        return Scan(digest.hexdigest(), count, total, images, longest, most, own, tuple(bad), tuple(self._kept))

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
        """(number, item or what is wrong with the row), up to the limit."""
        seen, count = Seen(), 0
        try:
            for number, row in self._rows():
                if self.limit is not None and count >= self.limit:
                    return
                item = self._item(row) if isinstance(row, dict) else row
                if isinstance(item, Item):
                    earlier = seen.first(item.id, number)
                    if earlier is not None:
                        unit = "row" if self._columnar else "line"
                        item = f"the id {item.id!r} was used in {unit} {earlier}; ids must differ"
                    else:
                        count += 1
                yield number, item
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
            given = {name: value for name, value in mapped.items() if value is not None or name in ("id", "output")}
            item = Item.model_validate(given, context=Folder(self._beside))
        except ValidationError as error:
            return plain(error)
        except RecursionError:
            return "nested too deeply"
        try:
            item.own_rubric  # noqa: B018 - it is parsed here, so that it cannot fail later
        except RubricError as error:
            return str(error)
        if not self.images and any(urls(item.fences)):
            return NOT_SEEN
        size = item.output_bytes
        if size > self.max_output_bytes:
            return (
                f"`output` has {size:,} bytes, more than the limit of {self.max_output_bytes:,}; "
                "raise JUDGE_MAX_OUTPUT_BYTES to grade it"
            )
        return item

    def _rows(self) -> Rows:
        longest = LINE_BYTES_PER_OUTPUT_BYTE * self.max_output_bytes
        if self._columnar:
            self._exists()
            yield from columnar.rows(Path(self.path), self._fields, longest, self._unread.setdefault)
            return
        with self._open() as file:
            if self.csv or (self.csv is None and self._suffix in (".csv", ".tsv")):
                output = self.columns.get("output", "output")
                delimiter = "\t" if self._suffix == ".tsv" else ","
                yield from delimited.rows(file, delimiter, longest, self.name, output)
            else:
                yield from jsonl.rows(file, longest)

    @property
    def _fields(self) -> set[str]:
        """Columns that are fields of an item."""
        return set(self.columns.values()) | set(FIELDS) - set(self.columns)

    def _open(self) -> BinaryIO:
        if self.path == "-":
            spool = self._standard_input
            spool.seek(0)
            return open(spool.fileno(), "rb", closefd=False)
        self._exists()
        try:
            return Path(self.path).open("rb")
        except OSError as error:
            raise InputError(f"{self.path}: cannot be read ({error.strerror})") from None

    def _exists(self) -> None:
        path = Path(self.path)
        if not path.exists():
            others = columnar.splits(path.parent)
            told = f"; the splits are {', '.join(others)}" if others else ""
            raise InputError(f"{self.path}: there is no such file{told}")

    @cached_property
    def _standard_input(self) -> BinaryIO:
        spool = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the dataset
        shutil.copyfileobj(sys.stdin.buffer, spool)
        return spool


class Given(Dataset):
    """Items that are at hand, under a name for people: they were checked when they were read."""

    #: Whether they may be so many that others should not wait until they are in the store.
    takes_long = False

    def __init__(self, name: str, items: Sequence[Item], images: bool = True) -> None:
        super().__init__(name, images=images)
        self._given = items

    def _checked(self) -> Iterator[tuple[int, Item | str]]:
        for number, item in enumerate(self._given, 1):
            yield number, item if self.images or not any(urls(item.fences)) else NOT_SEEN

    def unchanged_since(self, scan: Scan) -> Iterator[Item]:
        """The items once more: nobody writes to them."""
        yield from self


def _not_read(column: str) -> str:
    return f"column {column!r} holds bytes and is not read; if they are images, add --images {shlex.quote(column)}"


def _digested(item: Item) -> bytes:
    """What makes an item of a dataset another one: metadata too, since it is exported with the grades."""
    return json.dumps([item.id, item.hash, item.metadata]).encode()
