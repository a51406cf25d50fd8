"""All that stands in the report of a calibration, from what is stored of it, of its run, and of its labels."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from judge.calibration.calibration import Calibration, labels_hash
from judge.calibration.findings import Verdict
from judge.calibration.report.criterion import Section, section
from judge.calibration.report.disagreements import Sources

if TYPE_CHECKING:
    from judge.store.calibrations import CalibrationInfo
    from judge.store.results import RunInfo
    from judge.store.store import Store


@dataclass(frozen=True, slots=True)
class Report:
    """A calibration as people read of it.

    Attributes
    ----------
    run
        The run that was calibrated; None where it was a recorded judge without one, or the run is deleted.
    same_labels
        Whether the label set is still as it was.
    counts
        How many criteria each finding was made of, those of none left out.
    """

    info: CalibrationInfo
    made: Calibration
    run: RunInfo | None
    same_labels: bool
    sections: tuple[Section, ...]
    counts: tuple[tuple[Verdict, int], ...]
    made_at: datetime


def gather(store: Store, info: CalibrationInfo, made: Calibration) -> Report:
    """What is known of a calibration."""
    run = _run(store, made.binding.run)
    stored = store.ask(store.labels.of_set, made.binding.label_set)
    rubric = None if run is None else store.ask(store.verdicts.stored_rubric, run.rubric.hash)
    sources = Sources.of(store, made, run, stored)
    count = Counter(one.finding.verdict for one in made.measurements.values())
    return Report(
        info=info,
        made=made,
        run=run,
        same_labels=labels_hash(stored) == made.binding.labels_hash,
        sections=tuple(
            section(made, place, found, rubric, sources)
            for place, found in enumerate(made.measurements.values(), start=1)
        ),
        counts=tuple((verdict, count[verdict]) for verdict in Verdict if count[verdict]),
        made_at=datetime.now(UTC),
    )


def _run(store: Store, id_: str | None) -> RunInfo | None:
    found = [] if id_ is None else store.ask(store.results.runs, id_)
    return next((one for one in found if one.id == id_), None)
