"""A calibration made and kept: from what a judge said, and the labels of a set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from judge.calibration.calibration import Calibration, calibrate
from judge.calibration.correction import Promise
from judge.calibration.judgements import Judgements
from judge.calibration.labelling.groups import grouped, named_groups
from judge.calibration.labelling.importing import refuse_other
from judge.calibration.labelling.sampling import Sampling
from judge.calibration.shelf import keep
from judge.calibration.statistics.alt_test import People
from judge.errors import InputError

if TYPE_CHECKING:
    from judge.store.calibrations import CalibrationInfo
    from judge.store.labels import Stored
    from judge.store.results import RunInfo
    from judge.store.store import Store


def make(
    store: Store,
    judgements: Judgements,
    stored: Sequence[Stored],
    label_set: str,
    *,
    name: str | None = None,
    group: str | None = None,
    promise: Promise | None = None,
    seed: int = 0,
    dev: bool = False,
    network: bool = False,
    people: People = "experts",
    told: Callable[[str], None] = lambda _: None,
) -> tuple[CalibrationInfo, Calibration]:
    """Calibrates a judge on labels, and keeps it as the next version of a name: the judge's without one.

    See `calibrate`. The look at the labels that are held out is written down.
    """

    def record(purpose: str) -> int:
        number: int = store.change(store.calibrations.open_test, label_set, seed, purpose)
        return number

    made = calibrate(
        judgements,
        stored,
        Sampling.kept(store, judgements, stored),
        label_set=label_set,
        group=group,
        record=record,
        promise=promise,
        seed=seed,
        dev=dev,
        network=network,
        people=people,
        told=told,
    )
    return keep(store, name or judgements.judge.name, made), made


def of_run(
    store: Store,
    run: RunInfo,
    label_set: str,
    *,
    name: str | None = None,
    group: str | None = None,
    system: str | None = None,
    promise: Promise | None = None,
    seed: int = 0,
    dev: bool = False,
    people: People = "experts",
) -> CalibrationInfo:
    """Calibrates the judge of a run on a label set that there is.

    `group` and `system` are columns of the items' metadata: what belongs together, and what made them.

    Raises
    ------
    InputError
        Where the labels are of another rubric, or do not fit the run or its columns.
    """
    refuse_other(store, label_set, store.ask(store.verdicts.stored_rubric, run.rubric.hash))
    stored: list[Stored] = store.ask(store.labels.of_set, label_set)
    if not stored:
        raise InputError(f"the label set {label_set} holds no label; add some first")
    judgements = grouped(store, run, label_set, named_groups(label_set, stored), group, system)
    kept, _ = make(
        store, judgements, stored, label_set, name=name, group=group, promise=promise, seed=seed, dev=dev, people=people
    )
    return kept
