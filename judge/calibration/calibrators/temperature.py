"""Temperature scaling of the distribution that a judge gives over the levels."""

from __future__ import annotations

import math
from typing import ClassVar, Literal, Self

import numpy as np
from pydantic import Field
from scipy import optimize
from scipy.special import log_softmax, softmax

from judge.calibration.calibrators.fitted import Fitted, Reads, labelled, neighbours, shares
from judge.calibration.statistics.bootstrap import Floats
from judge.calibration.statistics.figures import Undefined

#: A share of 0 has no logarithm: it counts as this.
LEAST = 1e-6
#: Colder than the first the largest share takes all; hotter than the second all levels are alike.
COLDEST, HOTTEST = 0.05, 20.0


class Temperature(Fitted):
    """softmax(log p / T), and its mean: as sure as people's labels bear out.

    Attributes
    ----------
    temperature
        Above 1 where the judge is too sure of itself. From 0.05 to 20.

    References
    ----------
    Guo, Pleiss, Sun and Weinberger (2017), On calibration of modern neural networks. ICML, section 4.2.
    """

    reads: ClassVar[Reads] = "distribution"

    kind: Literal["temperature"] = "temperature"
    temperature: float = Field(ge=COLDEST, le=HOTTEST)

    @classmethod
    def fit(cls, P: Floats, y: Floats, w: Floats | None, levels: Floats) -> Self:
        """The temperature of least log loss.

        Parameters
        ----------
        P : (n, K)
            The judge's distribution over the levels.
        y, w : (n,)
            People's score, and inverse sampling probabilities (None: all 1). A score between two levels counts to both
            in parts.
        levels : (K,)

        Raises
        ------
        Undefined
            Where every distribution is uniform, which no temperature changes.
        """
        P, y, w, scale = labelled(P, y, w, levels)
        logs = _logs(P, len(scale))
        if (np.ptp(logs, axis=1) < 1e-12).all():
            raise Undefined("the judge gave all levels the same probability everywhere, which no temperature changes")
        below, part = neighbours(y, scale)
        rows, weight = np.arange(len(y)), w / w.sum()

        def loss(log_temperature: float) -> float:
            found = log_softmax(logs * math.exp(-log_temperature), axis=1)
            return -float((weight * ((1 - part) * found[rows, below] + part * found[rows, below + 1])).sum())

        ends = (math.log(COLDEST), math.log(HOTTEST))
        best = optimize.minimize_scalar(loss, bounds=ends, method="bounded", options={"xatol": 1e-9}).x
        return cls(levels=scale, temperature=min(max(math.exp(best), COLDEST), HOTTEST))

    def distribution(self, P: Floats) -> Floats:
        """The distributions at this temperature, (n, K)."""
        found: Floats = softmax(_logs(np.asarray(P, dtype=np.float64), len(self.levels)) / self.temperature, axis=1)
        return found

    def _map(self, X: Floats) -> Floats:
        found: Floats = self.distribution(X) @ np.asarray(self.levels)
        return found


def _logs(P: Floats, K: int) -> Floats:
    found: Floats = np.log(np.maximum(shares(P, K), LEAST))
    return found
