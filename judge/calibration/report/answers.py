"""What values of a criterion's scale are called."""

from __future__ import annotations

from dataclasses import dataclass

from judge.calibration.correction import Correction
from judge.calibration.measuring import Measurement
from judge.calibration.report.forests import Axis, of_scale
from judge.calibration.scale import Scale
from judge.notation import plain
from rubrics import Rubric


@dataclass(frozen=True, slots=True)
class Answers:
    """The values of a scale, ascending, and their names; of a range of numbers its two ends, without names."""

    values: tuple[float, ...]
    names: tuple[str, ...]
    nominal: bool

    @property
    def axis(self) -> Axis:
        """The scale as an axis."""
        return of_scale(self.values)

    def called(self, value: float) -> str:
        """A value, by its name where it has one."""
        name = next((name for at, name in zip(self.values, self.names, strict=False) if at == value), None)
        if name is None:
            return plain(value)
        return name if self.nominal or name == plain(value) else f"{plain(value)} ({name})"


def answers(measurement: Measurement, correction: Correction | None, rubric: Rubric | None) -> Answers | None:
    """Of a criterion: from its rubric where that is kept, else from what was fitted; None where neither is."""
    names, nominal = measurement.levels, measurement.kind == "nominal"
    if nominal:
        return Answers(tuple(map(float, range(len(names)))), names, nominal=True)
    if rubric is not None:
        scale = Scale.of(rubric.criterion(measurement.criterion))
        levels = (scale.minimum, scale.maximum) if scale.levels is None else tuple(scale.levels.tolist())
        return Answers(levels, names, nominal=False)
    if correction is None or correction.selection is None:
        return None
    return Answers(tuple(correction.selection.chosen.levels), names, nominal=False)
