"""Calibrations that are kept: found by name, version or id, and held against what is graded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ValidationError

from judge.calibration.calibration import Calibration
from judge.errors import InputError, SetupError
from judge.grades import JudgeRef, RubricRef

if TYPE_CHECKING:
    from judge.store.calibrations import CalibrationInfo
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
        raise InputError(f"there is no calibration {ref!r}; list them with: judge calibrations list")
    newest = found[0]
    try:
        return newest, Calibration.model_validate_json(newest.body)
    except ValidationError:
        raise InputError(
            f"the calibration {newest.name} v{newest.version} was made by another version of this program; make it "
            "anew with: judge calibrate"
        ) from None


def refuse_other(info: CalibrationInfo, made: Calibration, rubric: RubricRef, judge: JudgeRef) -> None:
    """Raises SetupError, saying what differs, where a calibration belongs to another rubric or judge."""
    binding = made.binding
    differs = []
    if binding.rubric.hash != rubric.hash:
        differs.append(f"the rubric ({binding.rubric.name} {binding.rubric.hash[:8]}, here {rubric.hash[:8]})")
    if binding.judge.fingerprint != judge.fingerprint:
        asked = f"{binding.judge.name} {binding.judge.fingerprint[:8]}, here {judge.name} {judge.fingerprint[:8]}"
        differs.append(f"the judge, or how it is asked ({asked})")
    if differs:
        raise SetupError(
            f"the calibration {info.name} v{info.version} was made for another one: {' and '.join(differs)} differ; "
            "calibrate anew, or grade as it was made"
        )


def check(store: Store, ref: str, rubric: RubricRef, judge: JudgeRef) -> str:
    """The id of a calibration that belongs to a rubric and a judge. Raises InputError, SetupError."""
    info, made = find(store, ref)
    refuse_other(info, made, rubric, judge)
    return info.id
