"""A run's grades outside the store: one by one, as flat rows, as a data frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from judge.errors import InputError, SetupError
from judge.grades import Grade
from judge.store import open_store

if TYPE_CHECKING:
    from polars import DataFrame

    from judge.store.results import RunInfo
    from judge.store.store import Store

PAGE = 500
LATEST = "latest"


def find_run(store: Store, ref: str) -> RunInfo:
    """The run whose id begins with `ref`, or the newest for `latest`. Raises InputError."""
    found: list[RunInfo]
    found = store.ask(store.results.runs, limit=1) if ref == LATEST else store.ask(store.results.runs, ref)
    if not found:
        raise InputError(f"there is no run {ref!r}; list the runs with: judge runs list")
    exact = [one for one in found if one.id == ref]
    if len(found) > 1 and not exact:
        raise InputError(f"{len(found)} runs begin with {ref!r}; write more of the id")
    return (exact or found)[0]


def grades_of(store: Store, info: RunInfo) -> Iterator[Grade]:
    """All graded items of a run in the order of the input, a page in memory at a time."""
    after = -1
    while page := store.ask(store.results.grades, info, after, PAGE):
        for seq, grade in page:
            yield grade
            after = seq


def run_grades(run: str = LATEST, *, store: Store | None = None) -> Iterator[Grade]:
    """The grades of a stored run, by its id, the beginning of it, or `latest`."""
    own = store or open_store()
    try:
        yield from grades_of(own, find_run(own, run))
    finally:
        if store is None:
            own.close()


def flat(grade: Grade) -> dict[str, object]:
    """One grade as a row: the overall first, then four columns a criterion. A score that is missing is None."""
    row: dict[str, object] = {
        "item": grade.item,
        "outcome": grade.outcome.value,
        "score": grade.score,
        "low": grade.low,
        "high": grade.high,
        "passed": grade.passed,
        "trust": grade.trust,
    }
    for id, one in grade.criteria.items():
        row |= {f"{id}.score": one.score, f"{id}.outcome": one.outcome.value}
        row |= {f"{id}.reason": one.reason, f"{id}.cause": one.cause}
    return row | {"cost_usd": grade.usage.cost_usd, "judge": grade.judge.name, "kind": grade.judge.kind}


def to_frame(grades: Iterable[Grade]) -> DataFrame:
    """Grades as a polars data frame, a row an item, with the columns of `flat`; its `to_pandas` makes the other kind.

    Raises SetupError where polars is not installed.
    """
    try:
        import polars  # noqa: PLC0415 - an extra, and heavy
    except ImportError:
        raise SetupError("a data frame needs polars; install this project with its extra: frame") from None
    return polars.DataFrame([flat(grade) for grade in grades], infer_schema_length=None)
