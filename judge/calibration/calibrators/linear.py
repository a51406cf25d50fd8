"""The maps that a few labels are enough for: none at all, a shift, a line."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np

from judge.calibration.calibrators.fitted import Fitted, labelled
from judge.calibration.statistics.bootstrap import Floats
from judge.calibration.statistics.figures import Undefined


class Identity(Fitted):
    """The judge's score as it is, clipped to the scale."""

    kind: Literal["identity"] = "identity"

    @classmethod
    def fit(cls, X: Floats, y: Floats, w: Floats | None, levels: Floats) -> Self:
        """Nothing is fitted; the labels are only checked."""
        return cls(levels=labelled(X, y, w, levels)[3])

    def _map(self, X: Floats) -> Floats:
        return X[:, 0]


class Shift(Fitted):
    """f + offset: as strict on the mean as people are.

    Attributes
    ----------
    offset
        People's mean less the judge's, in units of the scale.
    """

    kind: Literal["shift"] = "shift"
    offset: float

    @classmethod
    def fit(cls, X: Floats, y: Floats, w: Floats | None, levels: Floats) -> Self:
        """The shift of least squares, for one label or more and for a constant judge too.

        Parameters
        ----------
        X : (n, p)
            The first column is the judge's score.
        y, w : (n,)
            People's score, and inverse sampling probabilities (None: all 1).
        levels : (K,)
        """
        X, y, w, scale = labelled(X, y, w, levels)
        return cls(levels=scale, offset=float(np.average(y - X[:, 0], weights=w)))

    def _map(self, X: Floats) -> Floats:
        return X[:, 0] + self.offset


class Linear(Fitted):
    """intercept + slope * f, with a slope that is not negative.

    A judge whose scores go down where people's go up is not turned round: its best line is flat, at people's mean.
    """

    kind: Literal["linear"] = "linear"
    intercept: float
    slope: float

    @classmethod
    def fit(cls, X: Floats, y: Floats, w: Floats | None, levels: Floats) -> Self:
        """Weighted least squares over the lines that do not fall; shapes as in `Shift.fit`.

        Raises
        ------
        Undefined
            For fewer than two labels and a constant judge.
        """
        X, y, w, scale = labelled(X, y, w, levels)
        f = X[:, 0]
        if len(y) < 2:
            raise Undefined("one label fits no line")
        if (f == f[0]).all():
            raise Undefined("the judge gave all labelled items one score, which fits no line")
        mean_f, mean_y = np.average(f, weights=w), np.average(y, weights=w)
        away = f - mean_f
        slope = max(float((w * away * (y - mean_y)).sum() / (w * away * away).sum()), 0.0)
        return cls(levels=scale, intercept=float(mean_y - slope * mean_f), slope=slope)

    def _map(self, X: Floats) -> Floats:
        return self.intercept + self.slope * X[:, 0]
