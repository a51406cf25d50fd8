"""A run's grades outside the store: one by one, as flat rows, as a data frame, in files."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import IO, TYPE_CHECKING

from judge.errors import InputError, SetupError
from judge.grades import Grade
from judge.pages import pages
from judge.store import open_store
from judge.trust import applier

if TYPE_CHECKING:
    from polars import DataFrame

    from judge.store.results import RunInfo
    from judge.store.store import Store

ROWS_A_GROUP = 5_000
LATEST = "latest"
NO_RUNS = "no runs yet; make one with: judge grade FILE --rubric RUBRIC --judge JUDGE"

#: Columns of a flat row that hold numbers, by the end of their names; and those that stand last.
NUMBERS = frozenset(
    {"score", "low", "high", "cost_usd", "calibrated_score", "calibrated", "interval_low", "interval_high"}
)
FLAGS = frozenset({"passed", "stands"})
LAST = ("cost_usd", "judge", "kind")


def find_run(store: Store, ref: str) -> RunInfo:
    """The run whose id begins with `ref`, or the newest for `latest`. Raises InputError."""
    found: list[RunInfo]
    found = store.ask(store.results.runs, limit=1) if ref == LATEST else store.ask(store.results.runs, ref)
    if not found:
        raise InputError(NO_RUNS if ref == LATEST else f"there is no run {ref!r}; list the runs with: judge runs list")
    exact = [one for one in found if one.id == ref]
    if len(found) > 1 and not exact:
        raise InputError(f"{len(found)} runs begin with {ref!r}; write more of the id")
    return (exact or found)[0]


def grades_of(store: Store, info: RunInfo, calibration: str | None = None) -> Iterator[Grade]:
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


def flat(grade: Grade) -> dict[str, object]:
    """One grade as a row: the overall first, then five columns a criterion, or ten by a calibration."""
    row: dict[str, object] = {
        "item": grade.item,
        "outcome": grade.outcome.value,
        "score": grade.score,
        "low": grade.low,
        "high": grade.high,
        "passed": grade.passed,
        "trust": grade.trust,
    }
    if grade.calibration is not None:
        row |= {"calibration": grade.calibration.name, "calibrated_score": grade.calibrated_score}
    for id, one in grade.criteria.items():
        row |= {f"{id}.score": one.score, f"{id}.level": None if one.level is None else str(one.level)}
        row |= {f"{id}.outcome": one.outcome.value, f"{id}.reason": one.reason, f"{id}.cause": one.cause}
        if one.calibrated is not None:
            corrected = one.calibrated
            row |= {f"{id}.calibrated": corrected.score, f"{id}.stands": corrected.stands}
            row |= {f"{id}.interval_low": corrected.low, f"{id}.interval_high": corrected.high}
            row |= {f"{id}.finding": corrected.finding}
    return row | {"cost_usd": grade.usage.cost_usd, "judge": grade.judge.name, "kind": grade.judge.kind}


def write_csv(file: IO[str], store: Store, info: RunInfo, calibration: str | None = None) -> None:
    """A run as CSV, a row an item. Text that a spreadsheet would take for a formula gets an apostrophe before it."""
    writer = csv.DictWriter(file, _columns(store, info, calibration))
    writer.writeheader()
    for grade in grades_of(store, info, calibration):
        writer.writerow({name: inert(value) for name, value in flat(grade).items()})


def write_parquet(file: IO[bytes], store: Store, info: RunInfo, calibration: str | None = None) -> None:
    """A run as Parquet, a row an item. Raises SetupError where pyarrow is not installed."""
    try:
        import pyarrow.parquet  # noqa: PLC0415 - an extra, and heavy
    except ImportError:
        raise SetupError("Parquet needs pyarrow; install this project with its extra: parquet") from None
    kinds = {float: pyarrow.float64(), bool: pyarrow.bool_(), str: pyarrow.string()}
    schema = pyarrow.schema([(name, kinds[_kind(name)]) for name in _columns(store, info, calibration)])
    rows = map(flat, grades_of(store, info, calibration))
    with pyarrow.parquet.ParquetWriter(file, schema) as writer:
        while group := list(islice(rows, ROWS_A_GROUP)):
            writer.write_table(pyarrow.Table.from_pylist(group, schema=schema))


def _columns(store: Store, info: RunInfo, calibration: str | None) -> list[str]:
    # Items with a rubric of their own bring columns of their own, so the columns are known only after a first look.
    found = dict.fromkeys(name for grade in grades_of(store, info, calibration) for name in flat(grade))
    return [name for name in found if name not in LAST] + list(LAST)


def _kind(column: str) -> type:
    """What a column of `flat` holds."""
    last = column.rpartition(".")[2]
    return float if last in NUMBERS else bool if last in FLAGS else str


def inert(value: object) -> object:
    """A cell that no spreadsheet takes for a formula."""
    formula = isinstance(value, str) and value[:1] in tuple("=+-@\t\r\n＝＋－＠")
    return f"'{value}" if formula else value


def to_frame(grades: Iterable[Grade]) -> DataFrame:
    """Grades as a polars data frame, a row an item, with the columns of `flat`; its `to_pandas` makes the other kind.

    Raises SetupError where polars is not installed.
    """
    try:
        import polars  # noqa: PLC0415 - an extra, and heavy
    except ImportError:
        raise SetupError("a data frame needs polars; install this project with its extra: frame") from None
    return polars.DataFrame([flat(grade) for grade in grades], infer_schema_length=None)
