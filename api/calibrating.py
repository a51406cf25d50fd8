"""Labels and calibrations, as the command line makes them. What does the sums is loaded with the first of them.

It would make the service begin seconds later, for those who never calibrate.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from judge.calibration.labelling.importing import Imported
    from judge.calibration.labelling.label_files import LabelFile
    from judge.store.calibrations import CalibrationInfo
    from judge.store.results import RunInfo
    from judge.store.store import Store
    from rubrics import Rubric


def add_labels(
    store: Store,
    found: LabelFile,
    rubric: Rubric,
    label_set: str,
    source: str,
    run: RunInfo | None,
    sampled_from: str | None,
) -> Imported:
    """Adds labels that were checked to a set. Raises InputError where they do not fit the set or the run."""
    importing = importlib.import_module("judge.calibration.labelling.importing")
    added: Imported = importing.add_labels(store, found, rubric, label_set, source, run, sampled_from)
    return added


def calibrate(
    store: Store,
    run: RunInfo,
    label_set: str,
    *,
    alpha: float,
    delta: float,
    coverage: float,
    **how: str | int | bool | None,
) -> CalibrationInfo:
    """Calibrates the judge of a run on a label set, and keeps it. Raises InputError where they do not fit."""
    promise = importlib.import_module("judge.calibration.correction").Promise(
        alpha=alpha, delta=delta, coverage=coverage
    )
    making = importlib.import_module("judge.calibration.making")
    made: CalibrationInfo = making.of_run(store, run, label_set, promise=promise, **how)
    return made
