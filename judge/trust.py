"""The calibration that a run's grades are shown by. What applies it is loaded by name, for those alone who have one."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from judge.calibration.applying import Applier
    from judge.grades import JudgeRef
    from judge.store.results import RunHead
    from judge.store.store import Store
    from rubrics import Rubric


def check(store: Store, calibration: str, rubric: Rubric, judge: JudgeRef, samples: int) -> str:
    """The id of a calibration. Raises InputError where there is none, SetupError for one of another rubric or judge."""
    id_: str = importlib.import_module("judge.calibration.shelf").check(store, calibration, rubric, judge, samples)
    return id_


def applier(store: Store, info: RunHead, calibration: str | None = None) -> Applier | None:
    """What shows grades of a run by a calibration: the named one, or that which it was graded with; None for none.

    Raises InputError where there is no such calibration, and SetupError for one of another rubric or judge.
    """
    wanted = calibration or store.ask(store.calibrations.shown_by, info.id)
    if wanted is None:
        return None
    made: Applier = importlib.import_module("judge.calibration.applying").Applier.named(store, info, wanted)
    return made
