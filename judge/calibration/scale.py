"""A criterion's scale, as numbers that can be computed with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from judge.calibration.headline import Kind
from judge.calibration.statistics.bootstrap import Codes, Floats
from rubrics import Binary, Criterion, Points


@dataclass(frozen=True, slots=True)
class Scale:
    """What figures need to know of a scale.

    Attributes
    ----------
    kind
        `binary` has two levels of which the upper one is positive, `ordinal` levels with values, `numeric` any number
        in its range, `nominal` labels in no order, whose numbers are codes.
    levels : (K,) or None
        The values of the levels, ascending; 0..K-1 for labels; None where any number may be given.
    names
        What people call the levels, as many as there are levels.
    """

    kind: Kind
    minimum: float
    maximum: float
    levels: Floats | None
    names: tuple[str, ...] = ()

    @classmethod
    def of(cls, criterion: Criterion) -> Scale:
        """The scale of a criterion."""
        if not criterion.valued:
            names = tuple(str(level) for level in criterion.listed)
            return cls("nominal", 0.0, len(names) - 1.0, np.arange(float(len(names))), names)
        named: dict[float, list[str]] = {}
        for level in criterion.listed:
            mark = criterion.read(level)
            if mark is not None and mark.value is not None:
                named.setdefault(mark.value, []).append(str(level))
        kind: Kind = "ordinal" if named else "numeric"
        if isinstance(criterion, Binary | Points):
            kind = "binary"
        values = sorted(named)
        names = tuple(", ".join(named[value]) for value in values)
        return cls(kind, criterion.lowest, criterion.highest, np.array(values) if values else None, names)

    @property
    def width(self) -> float:
        """From the lowest value to the highest."""
        return self.maximum - self.minimum

    def nearest(self, values: Floats) -> Codes:
        """Codes 0..K-1 of the nearest levels, of two that are equally near the lower one. NaN has none: raises."""
        assert self.levels is not None
        if np.isnan(values).any():
            raise ValueError("a missing value has no nearest level")
        between = (self.levels[1:] + self.levels[:-1]) / 2
        # A hair of slack, so that a mean like (0 + 1) / 2 of sums in any order counts as half way.
        return np.searchsorted(between, values - 1e-9 * self.width, side="left").astype(np.int64)
