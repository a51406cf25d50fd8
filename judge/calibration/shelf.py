"""Calibrations that are kept: found by name, version or id, and held against what is graded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ValidationError

from judge.calibration.calibration import Calibration
from judge.errors import InputError, OtherCalibration
from judge.grades import JudgeRef, RubricRef
from rubrics import Rubric

if TYPE_CHECKING:
    from judge.store.calibrations import CalibrationInfo
    from judge.store.results import RunInfo
    from judge.store.store import Store

LATEST = "latest"


def keep(store: Store, name: str, made: Calibration) -> CalibrationInfo:
    """Writes a calibration down as the next version of its name."""
    binding = made.binding
    kept: CalibrationInfo = store.change(
        store.calibrations.add,
        name,
        made.model_dump_json(),
        rubric_hash=binding.rubric.hash,
        judge_fingerprint=binding.judge.fingerprint,
        label_set=binding.label_set,
        labels_hash=binding.labels_hash,
        seed=binding.seed,
        run=binding.run,
    )
    return kept


def find(store: Store, ref: str) -> tuple[CalibrationInfo, Calibration]:
    """The newest calibration of a name, one of its versions (NAME@2), one by its id, or the newest of all.

    Raises InputError where there is none.
    """
    name, _, version = ref.rpartition("@")
    wanted = name if name and version.isdigit() else ref
    found = store.ask(store.calibrations.find, None if wanted == LATEST else wanted)
    if wanted != ref:
        found = [one for one in found if one.version == int(version)]
    if not found:
        raise InputError(
            f"there is no calibration {ref!r}; name one that `judge calibrations list` or GET /v1/calibrations lists"
        )
    newest = found[0]
    try:
        return newest, Calibration.model_validate_json(newest.body)
    except ValidationError:
        raise InputError(
            f"the calibration {newest.name} v{newest.version} was made by another version of this program; "
            "calibrate anew"
        ) from None


def refuse_other(
    info: CalibrationInfo,
    made: Calibration,
    rubric: RubricRef,
    judge: JudgeRef,
    in_rubric: str = "",
    in_asking: str = "",
) -> None:
    """Raises OtherCalibration, saying what differs, where a calibration belongs to another rubric or judge.

    `in_rubric` and `in_asking` say more of it, where that is known.
    """
    binding = made.binding
    differs = []
    if binding.rubric.hash != rubric.hash:
        told = f"{binding.rubric.name} {binding.rubric.hash[:8]}, here {rubric.hash[:8]}"
        differs.append(f"the rubric ({told}{in_rubric and f': {in_rubric}'})")
    if binding.judge.fingerprint != judge.fingerprint:
        asked = f"{binding.judge.name} {binding.judge.fingerprint[:8]}, here {judge.name} {judge.fingerprint[:8]}"
        differs.append(f"the judge, or how it is asked ({asked}{in_asking and f': {in_asking}'})")
    if differs:
        raise OtherCalibration(
            f"the calibration {info.name} v{info.version} was made for another one: {' and '.join(differs)} differ; "
            "calibrate anew, or grade as it was made"
        )


def check(store: Store, ref: str, rubric: Rubric, judge: JudgeRef, samples: int) -> str:
    """The id of a calibration that belongs to a rubric and a judge. Raises InputError, OtherCalibration."""
    info, made = find(store, ref)
    ours = RubricRef(name=rubric.name, hash=rubric.hash)
    before = store.ask(store.verdicts.stored_rubric, made.binding.rubric.hash)
    refuse_other(info, made, ours, judge, _changed(before, rubric), _resampled(store, made, samples))
    return info.id


def _changed(before: Rubric, now: Rubric) -> str:
    """What another version of a rubric asks otherwise."""
    old, new = ({one.id: one for one in rubric.leaves} for rubric in (before, now))
    ways = {
        "added": new.keys() - old.keys(),
        "gone": old.keys() - new.keys(),
        "changed": {id_ for id_ in old.keys() & new.keys() if old[id_] != new[id_]},
    }
    told = [f"{', '.join(sorted(ids))} {way}" for way, ids in ways.items() if ids]
    return "; ".join(told) or "the same criteria, and other instructions, examples or sums"


def _resampled(store: Store, made: Calibration, samples: int) -> str:
    """How often the judge was asked then and now, where that differs."""
    run: RunInfo | None = None if made.binding.run is None else store.ask(store.results.run_info, made.binding.run)
    return "" if run is None or run.samples == samples else f"--samples {run.samples} then, {samples} now"
