"""How far a judge's scores lie from people's, in points of the scale."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from judge.calibration.scale import Scale
from judge.calibration.statistics.bootstrap import Codes, Floats
from judge.calibration.statistics.figures import Figure, Undefined
from judge.calibration.statistics.moments import mean


@dataclass(frozen=True, slots=True)
class Deviation:
    """The mean absolute error (power 1), or the root of the mean squared one (power 2), as a metric.

    `most` is how far two scores can be apart.
    """

    power: int
    most: float = math.inf

    def __call__(self, y: Floats, f: Floats, W: Floats) -> Floats:
        """The error under each reweighting, (B, n) -> (B,); NaN where nothing has weight."""
        powered: Floats = mean(np.abs(f - y) ** self.power, W) ** (1 / self.power)
        return powered

    def figure(self, y: Floats, f: Floats, cluster: Codes, w: Floats | None = None, confidence: float = 0.95) -> Figure:
        """The error with its interval: Student's of its logarithm, by the clusters.

        Errors are skewed, squared ones most, and percentiles of a bootstrap then end too low. Without an interval where
        no item has an error.

        References
        ----------
        Cox and Hinkley (1974), Theoretical Statistics, section 9.3 (an interval on the scale of a function of the
        figure). Cameron and Miller (2015), A practitioner's guide to cluster-robust inference. Journal of Human
        Resources 50, sections II and VI (the variance by clusters, and Student's with C - 1 degrees of freedom).
        """
        weights = np.ones(len(y)) if w is None else w
        try:
            value = float(self(y, f, weights[None, :])[0])
        except Undefined as undefined:
            return Figure.undefined(str(undefined), len(y))
        count = len(np.unique(cluster))
        if count < 2 or value == 0:
            why = "one group has no interval" if count < 2 else "no item has an error, so there is no interval"
            return Figure(value=value, n=len(y), why=why)
        powered = value**self.power
        scored = np.bincount(cluster, weights * (np.abs(f - y) ** self.power - powered)) / weights.sum()
        error = math.sqrt(count / (count - 1) * float(scored @ scored)) / powered / self.power
        half = float(stats.t.ppf((1 + confidence) / 2, count - 1)) * error
        return Figure(value=value, n=len(y), low=value * math.exp(-half), high=min(value * math.exp(half), self.most))


def mae(scale: Scale) -> Deviation:
    """The mean absolute error on a scale."""
    return Deviation(1, scale.width)


def rmse(scale: Scale) -> Deviation:
    """The root of the mean squared error on a scale."""
    return Deviation(2, scale.width)
