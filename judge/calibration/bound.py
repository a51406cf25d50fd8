"""What a calibration was made from, taken out of the store again: the judge's answers, and the labels as they were."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from judge.calibration.calibration import Calibration, labels_hash
from judge.calibration.judgements import Judgements, of_recording, of_run
from judge.calibration.labelled import Joined, join
from judge.calibration.labelling.groups import named_by
from judge.calibration.labelling.sampling import Sampling
from judge.calibration.splits import Part, split_items
from judge.errors import InputError, SetupError
from judge.judges import Judge
from judge.runs import keep_rubric

if TYPE_CHECKING:
    from judge.store.calibrations import CalibrationInfo
    from judge.store.labels import Stored
    from judge.store.results import RunInfo
    from judge.store.store import Store


@dataclass(frozen=True, slots=True)
class Bound:
    """A calibration with what it rests on.

    Attributes
    ----------
    run
        That the judge's answers are from; None for a recording.
    joined
        Labels beside judgements, by criterion.
    parts
        Of every labelled item, where the split puts it.
    named
        Whether the groups are those that the labels name.
    """

    info: CalibrationInfo
    made: Calibration
    run: RunInfo | None
    judgements: Judgements
    sampling: Sampling
    joined: Joined
    parts: dict[str, Part]
    named: bool

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.info.name} v{self.info.version}"


def take(store: Store, info: CalibrationInfo, made: Calibration) -> Bound:
    """The calibration with its judgements and labels.

    Raises
    ------
    InputError
        Where its run or its recording is gone, or its labels cannot be had as they were.
    """
    stored = _labels(store, info, made)
    labels = [one.label for one in stored]
    named = named_by(labels)
    run = _run(store, info, made)
    if run is None:
        judgements = _of_recording(store, info, made)
    else:
        judgements = of_run(store, run, None if named else made.binding.group)
    judgements = judgements.regrouped(named)
    sampling = Sampling.kept(store, judgements, stored)
    joined = join(judgements, labels, sampling.weights, sampling.strata)
    parts = split_items(joined.groups, made.binding.seed, made.binding.dev)
    return Bound(info, made, run, judgements, sampling, joined, parts, bool(named))


def _labels(store: Store, info: CalibrationInfo, made: Calibration) -> list[Stored]:
    """The labels that a calibration was made from: those of today, or of its day."""
    for until in (None, info.created_at):
        stored: list[Stored] = store.ask(store.labels.of_set, info.label_set, until)
        if labels_hash(stored) == made.binding.labels_hash:
            return stored
    raise InputError(
        f"the labels {info.label_set} cannot be had as they were when {info.name} v{info.version} was made; "
        "calibrate anew with: judge calibrate"
    )


def _run(store: Store, info: CalibrationInfo, made: Calibration) -> RunInfo | None:
    """The run that a calibration was made from; None for a recording. Raises InputError where it is gone."""
    if made.binding.run is None:
        return None
    runs: list[RunInfo] = store.ask(store.results.runs, made.binding.run)
    if not runs:
        raise InputError(
            f"the run {made.binding.run} that {info.name} v{info.version} was made from is deleted; grade its items "
            "anew, and calibrate that run"
        )
    return runs[0]


def _of_recording(store: Store, info: CalibrationInfo, made: Calibration) -> Judgements:
    whose = f"the recording that {info.name} v{info.version} was made from"
    judge = stored_judge(store, made.binding.judge.fingerprint)
    if judge is None:
        raise InputError(f"{whose} is not known here; calibrate anew with: judge calibrate --recorded FILE")
    rubric = store.ask(store.verdicts.stored_rubric, made.binding.rubric.hash)
    try:
        found = of_recording(judge, rubric)
    except SetupError as error:
        raise InputError(f"{whose} is not at hand: {error}") from None
    if found.judge.fingerprint != made.binding.judge.fingerprint:
        raise InputError(f"{whose} has changed since: {judge.options['file']}; calibrate anew with: judge calibrate")
    return found


def stored_judge(store: Store, fingerprint: str) -> Judge | None:
    """A judge as it is described in the store, without its headers; None where it is not there."""
    if all(known != fingerprint for *_, known in store.ask(store.results.judges_used)):
        return None
    return Judge.model_validate(store.ask(store.results.judge_body, fingerprint)["description"])


def keep_recorded(store: Store, judge: Judge, found: Judgements) -> None:
    """Keeps where a recording lies, so that its calibrations can be held against others."""
    keep_rubric(store, found.rubric)
    options = judge.options | {"file": str(Path(judge.options["file"]).resolve())}
    described = judge.model_copy(update={"options": options}).model_dump(mode="json", exclude={"headers"})
    body = json.dumps({"description": described, "ref": found.judge.model_dump(mode="json")})
    store.keep(store.tables.judge, fingerprint=found.judge.fingerprint, name=judge.name, body=body)
