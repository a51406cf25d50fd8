"""Files of labels: CSV or JSON lines, a row for each label or a row for each item and person."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from io import BufferedReader
from pathlib import Path
from typing import Literal

from judge.calibration.labelling.labels import Answer, Label, OffScale, answered
from judge.errors import InputError
from judge.formats import Row, Rows, delimited, jsonl
from judge.settings import MAX_OUTPUT_BYTES
from rubrics import Rubric

ITEM = ("item", "id", "item_id")
CRITERION, ANNOTATOR, REASON = "criterion", "annotator", "reason"
SCORE = ("score", "verdict", "label", "level")
#: Of a sheet that was written to be filled in.
SHEET, TEXTS = "sheet", ("input", "context", "reference", "output")
#: Who labelled, where a file does not say.
SOMEBODY = "people"
_TOLD, _ALIKE = 5, 0.8

Form = Literal["long", "wide"]


@dataclass(frozen=True, slots=True)
class LabelFile:
    """The labels of a file, checked as a whole.

    `repeated` rows say again what another one said. `skipped` columns are neither a criterion nor anything else that is
    known. `sheet` is the one that it was written as. `groups` are those of the items, each with the row that names it
    first; none where no row has the column.
    """

    form: Form
    labels: tuple[Label, ...]
    repeated: int
    skipped: tuple[str, ...]
    sheet: str | None
    groups: dict[str, tuple[int, str]]


def read(path: Path, rubric: Rubric, group: str | None = None) -> LabelFile:
    """The labels in a file, by the scales of a rubric; `group` is the column of the group, if there is one.

    A row a label has `item`, `criterion`, `annotator` and `score` (or `verdict`, `label`), with a `reason` if there is
    one. A row for each item and person has a column for each criterion, `CRITERION.reason` beside it if there is one.

    Raises
    ------
    InputError
        Names the rows that are no labels. Nothing is taken of a file that has one.
    """
    reading = _Reading(path, rubric, group)
    for number, row in _rows(path):
        reading.add(number, row)
    return reading.done()


def _rows(path: Path) -> Rows:
    """The rows with the numbers of their lines."""
    try:
        with path.open("rb") as file:
            if path.suffix.lower() in {".csv", ".tsv"}:
                delimiter = "\t" if path.suffix.lower() == ".tsv" else _delimiter(file)
                yield from delimited.rows(file, delimiter, MAX_OUTPUT_BYTES, str(path), "")
            else:
                yield from jsonl.rows(file, MAX_OUTPUT_BYTES)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); name a CSV or JSONL file") from None


def _delimiter(file: BufferedReader) -> str:
    """Spreadsheets write semicolons where a comma stands in numbers. The header tells: its names hold neither."""
    header = file.peek(1).split(b"\n", 1)[0]
    return ";" if b";" in header and b"," not in header else ","


def listed(rows: Sequence[str]) -> str:
    """What is wrong with rows, the first few of them and how many more there are."""
    more = len(rows) - _TOLD
    return "; ".join(rows[:_TOLD]) + (f"; and {more:,} row{'s' * (more > 1)} more" if more > 0 else "")


@dataclass(slots=True)
class _Reading:
    """A file, row by row: its labels so far, and what is wrong with it."""

    path: Path
    rubric: Rubric
    group: str | None
    form: Form | None = None
    repeated: int = 0
    faults: list[tuple[int, str]] = field(default_factory=list)
    ungrouped: list[int] = field(default_factory=list)
    columns: dict[str, None] = field(default_factory=dict)
    sheets: dict[str, None] = field(default_factory=dict)
    labels: dict[tuple[str, str, str], tuple[int, Label]] = field(default_factory=dict)
    groups: dict[str, tuple[int, str]] = field(default_factory=dict)

    def add(self, number: int, row: Row | str) -> None:
        """A row, or what is wrong with it."""
        if isinstance(row, str):
            self.faults.append((number, row))
            return
        self.columns.update(dict.fromkeys(row))
        if row.get(SHEET) is not None:
            self.sheets.setdefault(str(row[SHEET]))
        self.form = self.form or self._form(row)
        try:
            item, who, group = self._whose(row)
        except ValueError as fault:
            self.faults.append((number, str(fault)))
            return
        if group is None:
            self.ungrouped.append(number)
        for id_, given, reason in self._cells(row):
            try:
                said = self._answered(id_, given)
            except OffScale as fault:
                self.faults.append((number, str(fault)))
                continue
            if said is not None:
                told = None if reason is None else str(reason)
                self._take(number, Label(item, id_, who, *said, told, group))

    def _form(self, row: Row) -> Form:
        """How the file is written, by its columns. Raises InputError."""
        if not any(name in row for name in ITEM):
            raise InputError(f"{self.path}: no column `item`; name the items by the ids that were graded")
        if any(name in row for name in SCORE) and (CRITERION in row or len(self.rubric.leaves) == 1):
            return "long"
        if any(id_ in row for id_ in self.rubric.ids):
            return "wide"
        wanted = f"write `criterion` and `score`, or a column each: {', '.join(self.rubric.ids)}"
        raise InputError(f"{self.path}: no labels of {self.rubric.name}; {wanted}")

    def _whose(self, row: Row) -> tuple[str, str, str | None]:
        """Item, annotator and group of a row. Raises ValueError."""
        item = next((row[name] for name in ITEM if row.get(name) is not None), None)
        if item is None or isinstance(item, bool | dict | list):
            raise ValueError("no item is named")
        group = None if self.group is None else row.get(self.group)
        who = row.get(ANNOTATOR)
        return str(item), SOMEBODY if who is None else str(who), None if group is None else str(group)

    def _cells(self, row: Row) -> Iterator[tuple[str, object, object]]:
        """(criterion, answer, reason) of a row."""
        if self.form == "wide":
            yield from ((id_, row[id_], row.get(f"{id_}.reason")) for id_ in self.rubric.ids if id_ in row)
            return
        only = next(iter(self.rubric.ids)) if len(self.rubric.leaves) == 1 else ""
        given = next((row[name] for name in SCORE if row.get(name) is not None), None)
        yield str(row.get(CRITERION) or only), given, row.get(REASON)

    def _answered(self, id_: str, given: object) -> Answer | None:
        if id_ not in self.rubric.ids:
            raise OffScale(f"{self.rubric.name} has no criterion {id_[:40]!r}")
        return answered(self.rubric.criterion(id_), given)

    def _take(self, number: int, label: Label) -> None:
        first, known = self.labels.setdefault(label.cell, (number, label))
        if known.said != label.said:
            named = f"item {label.item!r} on {label.criterion} by {label.annotator!r}"
            self.faults.append((number, f"{named} is labelled otherwise in row {first}"))
        self.repeated += first != number
        if label.group is not None:
            first, group = self.groups.setdefault(label.item, (number, label.group))
            if group != label.group:
                self.faults.append((number, f"item {label.item!r} is in group {group!r} in row {first}"))

    def _refuse_likenesses(self) -> None:
        """Raises InputError for a column of a wide file that is nearly the name of a criterion without one."""
        missing = {id_.lower(): id_ for id_ in self.rubric.ids if id_ not in self.columns}
        for name in self.columns if self.form == "wide" else ():
            if name not in self.rubric.ids and (like := get_close_matches(name.lower(), missing, 1, _ALIKE)):
                raise InputError(
                    f"{self.path}: column {name!r} is no criterion of {self.rubric.name}; is it {missing[like[0]]!r}? "
                    "Rename it, or take it out; nothing was taken"
                )

    def done(self) -> LabelFile:
        """The whole file. Raises InputError."""
        if self.group in self.columns:
            self.faults += [(number, f"no group in column {self.group!r}") for number in self.ungrouped]
        if self.faults:
            told = listed([f"row {number}: {fault}" for number, fault in sorted(self.faults)])
            raise InputError(f"{self.path}: {told}; mend them, nothing was taken")
        if not self.labels or self.form is None:
            raise InputError(f"{self.path}: holds no label; fill it in, a row a label or a column a criterion")
        if len(self.sheets) > 1:
            raise InputError(f"{self.path}: rows of {len(self.sheets)} sheets; keep each in a file of its own")
        self._refuse_likenesses()
        known = {SHEET, *TEXTS, *ITEM, *SCORE, CRITERION, ANNOTATOR, REASON, self.group}
        known |= {name for id_ in self.rubric.ids for name in (id_, f"{id_}.reason")}
        return LabelFile(
            form=self.form,
            labels=tuple(label for _, label in self.labels.values()),
            repeated=self.repeated,
            skipped=tuple(name for name in self.columns if name not in known),
            sheet=next(iter(self.sheets), None),
            groups=self.groups,
        )
