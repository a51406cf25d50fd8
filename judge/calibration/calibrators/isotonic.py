"""Isotonic regression: any map that never falls."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
from pydantic import Field
from scipy import optimize

from judge.calibration.calibrators.fitted import Fitted, labelled
from judge.calibration.statistics.bootstrap import Floats
from judge.calibration.statistics.figures import Undefined


class Isotonic(Fitted):
    """The non-decreasing map of least squares, linear between the scores that were seen and flat beyond them.

    Attributes
    ----------
    scores, values
        Knots, ascending in both. A level run of scores is kept by its two ends.

    References
    ----------
    Zadrozny and Elkan (2002), Transforming classifier scores into accurate multiclass probability estimates. KDD,
    section 3.2; de Leeuw, Hornik and Mair (2009), Isotone optimization in R. J. Stat. Software 32, section 2 (PAVA).
    """

    kind: Literal["isotonic"] = "isotonic"
    scores: tuple[float, ...] = Field(min_length=1)
    values: tuple[float, ...] = Field(min_length=1)

    @classmethod
    def fit(cls, X: Floats, y: Floats, w: Floats | None, levels: Floats) -> Self:
        """Pool adjacent violators over the weighted means of equal scores.

        Parameters
        ----------
        X : (n, p)
            The first column is the judge's score; the more distinct values it has, the better.
        y, w : (n,)
            People's score, and inverse sampling probabilities (None: all 1).
        levels : (K,)

        Raises
        ------
        Undefined
            For a constant judge.
        """
        X, y, w, scale = labelled(X, y, w, levels)
        seen, at = np.unique(X[:, 0], return_inverse=True)
        if len(seen) < 2:
            raise Undefined("the judge gave all labelled items one score, which leaves a shift at most")
        weight = np.bincount(at, weights=w)
        pooled = optimize.isotonic_regression(np.bincount(at, weights=w * y) / weight, weights=weight).x
        inner = np.r_[False, (pooled[1:-1] == pooled[:-2]) & (pooled[1:-1] == pooled[2:]), False]
        return cls(levels=scale, scores=tuple(seen[~inner].tolist()), values=tuple(pooled[~inner].tolist()))

    def _map(self, X: Floats) -> Floats:
        return np.interp(X[:, 0], self.scores, self.values)
