"""A run's grades outside the store: one by one, as flat rows, as a data frame, in files."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import IO, TYPE_CHECKING

from judge.errors import InputError, MissingExtra
from judge.grades import CriterionGrade, Grade
from judge.notation import inert
from judge.pages import pages
from judge.store import open_store
from judge.trust import applier

if TYPE_CHECKING:
    from polars import DataFrame

    from judge.store.results import RunHead, RunInfo
    from judge.store.store import Store

ROWS_A_GROUP = 5_000
LATEST = "latest"
NO_RUNS = "no runs yet; make one with: judge grade FILE --rubric RUBRIC --judge JUDGE"

#: Columns of a flat row with what they hold: those that stand first, those by a calibration, those that stand last.
FIRST: dict[str, type] = {
    "item": str, "outcome": str, "score": float, "low": float, "high": float, "passed": bool, "trust": str,
}  # fmt: skip
CALIBRATED: dict[str, type] = {"calibration": str, "calibrated_score": float, "finding": str}
LAST: dict[str, type] = {"cost_usd": float, "judge": str, "kind": str}
#: Those of a criterion, after its id and a dot; some are there only where a grade has them.
OF_CRITERION: dict[str, type] = {
    "score": float, "level": str, "expected": float, "outcome": str, "reason": str, "cause": str,
    "calibrated": float, "stands": bool, "interval_low": float, "interval_high": float, "finding": str,
}  # fmt: skip
META = "meta"


def find_run(store: Store, ref: str) -> RunInfo:
    """The run whose id begins with `ref`; for `latest` the newest, but for those of checks. Raises InputError."""
    if ref == LATEST:
        newest: RunInfo | None = store.ask(store.results.latest)
        if newest is None:
            raise InputError(NO_RUNS)
        return newest
    found: list[RunInfo] = store.ask(store.results.runs, ref)
    if not found:
        raise InputError(f"there is no run {ref!r}; list the runs with: judge runs list")
    exact = [one for one in found if one.id == ref]
    if len(found) > 1 and not exact:
        raise InputError(f"{len(found)} runs begin with {ref!r}; write more of the id")
    return (exact or found)[0]


def grades_of(store: Store, info: RunHead, calibration: str | None = None) -> Iterator[Grade]:
    """All graded items of a run in the order of the input, a page in memory at a time.

    By the calibration that is named, or that the run was graded with, where there is one.
    """
    by = applier(store, info, calibration)
    for grades in pages(store, info):
        yield from grades if by is None else by.apply(grades)


def run_grades(run: str = LATEST, *, calibration: str | None = None, store: Store | None = None) -> Iterator[Grade]:
    """The grades of a stored run, by its id, the beginning of it, or `latest`.

    By the calibration that is named, or that the run was graded with, where there is one.
    """
    own = store or open_store(must_exist=True)
    try:
        yield from grades_of(own, find_run(own, run), calibration)
    finally:
        if store is None:
            own.close()


def flat(grade: Grade, meta: str = META) -> dict[str, object]:
    """One grade as a row: the overall, the columns of each criterion, and one for each field of the metadata.

    `meta` is what the names of the last begin with. Their values are text: what is none as JSON, null as None.
    """
    row: dict[str, object] = {name: getattr(grade, name) for name in FIRST} | {"outcome": grade.outcome.value}
    if grade.calibration is not None:
        row |= {name: getattr(grade, name) for name in CALIBRATED} | {"calibration": grade.calibration.name}
    for id, one in grade.criteria.items():
        row |= {f"{id}.{name}": value for name, value in _cells(one).items()}
    row |= {f"{meta}.{name}": _text(value) for name, value in grade.metadata.items()}
    return row | {"cost_usd": grade.usage.cost_usd, "judge": grade.judge.name, "kind": grade.judge.kind}


def _cells(one: CriterionGrade) -> dict[str, object]:
    """The columns of one criterion, by the names of OF_CRITERION."""
    cells: dict[str, object] = {"score": one.score, "level": None if one.level is None else str(one.level)}
    if one.expected is not None:
        cells |= {"expected": one.expected}
    cells |= {"outcome": one.outcome.value, "reason": one.reason, "cause": one.cause}
    if one.calibrated is not None:
        corrected = one.calibrated
        cells |= {"calibrated": corrected.score, "stands": corrected.stands, "finding": corrected.finding}
        cells |= {"interval_low": corrected.low, "interval_high": corrected.high}
    return cells


def _text(value: object) -> str | None:
    return value if isinstance(value, str | None) else json.dumps(value, ensure_ascii=False)


class _Table:
    """The columns that grades come to. Holds none of them.

    Items with a rubric or metadata of their own bring columns of their own, so all are known only after a first look.
    """

    def __init__(self, grades: Iterable[Grade]) -> None:
        criteria: dict[str, set[str]] = {}
        metadata: dict[str, None] = {}
        calibrated = False
        for grade in grades:
            calibrated = calibrated or grade.calibration is not None
            for id, one in grade.criteria.items():
                criteria.setdefault(id, set()).update(_cells(one))
            metadata |= dict.fromkeys(grade.metadata)
        self._meta = META
        while self._meta in criteria:  # a criterion may be called so too
            self._meta += "_"
        self.columns: dict[str, type] = FIRST | (CALIBRATED if calibrated else {})
        for id, names in criteria.items():
            self.columns |= {f"{id}.{name}": kind for name, kind in OF_CRITERION.items() if name in names}
        self.columns |= {f"{self._meta}.{name}": str for name in metadata} | LAST

    def rows(self, grades: Iterable[Grade]) -> Iterator[dict[str, object]]:
        """The grades as rows; a column may be missing in one."""
        return (flat(grade, self._meta) for grade in grades)


def write_csv(file: IO[str], store: Store, info: RunHead, calibration: str | None = None) -> None:
    """A run as CSV, a row an item. Text that a spreadsheet would take for a formula gets an apostrophe before it."""
    table = _Table(grades_of(store, info, calibration))
    # A run that is under way may bring columns after the first look.
    writer = csv.DictWriter(file, table.columns, extrasaction="ignore")
    writer.writeheader()
    for row in table.rows(grades_of(store, info, calibration)):
        writer.writerow({name: inert(value) for name, value in row.items()})


def write_parquet(file: IO[bytes], store: Store, info: RunHead, calibration: str | None = None) -> None:
    """A run as Parquet, a row an item. Raises MissingExtra where pyarrow is not installed."""
    try:
        import pyarrow.parquet  # noqa: PLC0415 - an extra, and heavy
    except ImportError:
        raise MissingExtra("Parquet needs pyarrow; install this project with its extra: parquet") from None
    table = _Table(grades_of(store, info, calibration))
    kinds = {float: pyarrow.float64(), bool: pyarrow.bool_(), str: pyarrow.string()}
    schema = pyarrow.schema([(name, kinds[kind]) for name, kind in table.columns.items()])
    rows = table.rows(grades_of(store, info, calibration))
    with pyarrow.parquet.ParquetWriter(file, schema) as writer:
        while group := list(islice(rows, ROWS_A_GROUP)):
            writer.write_table(pyarrow.Table.from_pylist(group, schema=schema))


def to_frame(grades: Iterable[Grade]) -> DataFrame:
    """Grades as a polars data frame, a row an item, typed as in Parquet; its `to_pandas` makes the other kind.

    Raises MissingExtra where polars is not installed.
    """
    try:
        import polars  # noqa: PLC0415 - an extra, and heavy
    except ImportError:
        raise MissingExtra("a data frame needs polars; install this project with its extra: frame") from None
    held = list(grades)
    table = _Table(held)
    kinds = {float: polars.Float64, bool: polars.Boolean, str: polars.String}
    return polars.DataFrame(list(table.rows(held)), {name: kinds[kind] for name, kind in table.columns.items()})
