"""Labels and calibrations, as the command line makes them. What does the sums is loaded with the first of them.

It would make the service begin seconds later, for those who never calibrate.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from judge.calibration.labelling.importing import Imported
    from judge.calibration.labelling.label_files import LabelFile
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
