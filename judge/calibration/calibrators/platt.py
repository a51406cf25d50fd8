"""Platt scaling, for the probability that a judge gives to the upper of two levels."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
from scipy.special import expit, logit

from judge.calibration.calibrators.fitted import Fitted, labelled
from judge.calibration.calibrators.newton import minimise
from judge.calibration.statistics.bootstrap import Floats
from judge.calibration.statistics.figures import Undefined

#: A share of exactly 0 or 1 has no logit; the last ones that do are these.
LEAST = 1e-3


class Platt(Fitted):
    """sigmoid(intercept + slope * logit f), with a slope that is not negative, on a scale of two levels.

    f is the judge's probability of the upper level, or its share among samples, as a score between the two levels.
    It is clipped to 0.001 and 0.999 before its logit is taken.

    References
    ----------
    Platt (1999), Probabilistic outputs for support vector machines, section 2.2 (the smoothed targets).
    """

    kind: Literal["platt"] = "platt"
    intercept: float
    slope: float

    @classmethod
    def fit(cls, X: Floats, y: Floats, w: Floats | None, levels: Floats) -> Self:
        """Least log loss against smoothed targets.

        Platt counts the labels on either side to smooth by; here they count by weight, scaled so that all are as many
        as their effective number (sum w)^2 / sum w^2. So a weight of k for every label is as good as 1, and not as
        every label k times.

        Parameters
        ----------
        X : (n, p)
            The first column is the judge's score, from the lower level to the upper.
        y, w : (n,)
            People's score, which may lie between the levels, and inverse sampling probabilities (None: all 1).
        levels : (2,)

        Raises
        ------
        ValueError
            For a scale of more levels than two.
        Undefined
            For a constant judge.
        """
        X, y, w, scale = labelled(X, y, w, levels)
        if len(scale) != 2:
            raise ValueError(f"Platt scaling is for two levels, not {len(scale)}")
        z = _logit(X[:, 0], scale)
        if (z == z[0]).all():
            raise Undefined("the judge gave all labelled items one score, which leaves a shift at most")
        met = (y - scale[0]) / (scale[1] - scale[0])
        w = w / w.sum()
        labels = 1 / float((w * w).sum())
        above = labels * float((w * met).sum())
        high, low = (above + 1) / (above + 2), 1 / (labels - above + 2)
        target = met * high + (1 - met) * low
        design = np.column_stack([np.ones(len(z)), z])

        def loss(at: Floats) -> tuple[float, Floats, Floats]:
            eta = design @ at
            p = expit(eta)
            value = float((w * (np.logaddexp(0, eta) - target * eta)).sum())
            return value, design.T @ (w * (p - target)), (design.T * (w * p * (1 - p))) @ design

        intercept, slope = minimise(loss, np.zeros(2)).tolist()
        if slope < 0:
            intercept, slope = float(logit((w * target).sum())), 0.0
        return cls(levels=scale, intercept=intercept, slope=slope)

    def _map(self, X: Floats) -> Floats:
        low, high = self.levels
        p: Floats = expit(self.intercept + self.slope * _logit(X[:, 0], self.levels))
        return low + (high - low) * p


def _logit(f: Floats, levels: tuple[float, ...]) -> Floats:
    low, high = levels
    found: Floats = logit(np.clip((f - low) / (high - low), LEAST, 1 - LEAST))
    return found
