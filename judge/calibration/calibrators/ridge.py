"""Ridge regression over several scores: the judge's other criteria, other judges."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
from pydantic import Field

from judge.calibration.calibrators.fitted import Fitted, labelled, some_vary
from judge.calibration.statistics.bootstrap import Codes, Floats
from judge.calibration.statistics.figures import Undefined

#: Penalties to choose from, beside a mean squared error of standardised scores.
PENALTIES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
#: Most folds of groups that the penalty is chosen by.
FOLDS = 10


class Ridge(Fitted):
    """intercept + slopes . x, shrunk towards people's mean.

    Attributes
    ----------
    slopes
        One for each column of X, on the scores as they come; 0 for a column that was constant.
    penalty
        The one that was chosen.

    References
    ----------
    Hoerl and Kennard (1970), Ridge regression. Technometrics 12, section 2; Breiman (1996), Stacked regressions.
    Machine Learning 24, section 2 (over predictors).
    """

    kind: Literal["ridge"] = "ridge"
    intercept: float
    slopes: tuple[float, ...] = Field(min_length=1)
    penalty: float

    @classmethod
    def fit(
        cls,
        X: Floats,
        y: Floats,
        w: Floats | None,
        levels: Floats,
        cluster: Codes | None = None,
        *,
        penalties: tuple[float, ...] = PENALTIES,
    ) -> Self:
        """Least sum(w (y - a - b . z)^2) / sum(w) + penalty |b|^2, z being the columns standardised by weight.

        Parameters
        ----------
        X : (n, p)
        y, w : (n,)
            People's score, and inverse sampling probabilities (None: all 1).
        levels : (K,)
        cluster : (n,)
            Codes of groups. The penalty is the one with the least squared error on groups left out, of up to ten parts;
            of equals the largest. None: each item is a group.

        Raises
        ------
        Undefined
            Where every column is constant, and for one group, where there are penalties to choose from.
        """
        X, y, w, scale = labelled(X, y, w, levels)
        some_vary(X)
        penalty = penalties[0]
        if len(penalties) > 1:
            penalty = _best(X, y, w, np.arange(len(y)) if cluster is None else cluster, penalties)
        intercepts, slopes = _solve(X, y, w, np.array([penalty]))
        intercept = float(intercepts[0])
        return cls(levels=scale, intercept=intercept, slopes=tuple(slopes[0].tolist()), penalty=penalty)

    def _map(self, X: Floats) -> Floats:
        if X.shape[1] != len(self.slopes):
            raise ValueError(f"fitted on {len(self.slopes)} columns of scores, given {X.shape[1]}")
        found: Floats = self.intercept + X @ np.asarray(self.slopes)
        return found


def _solve(X: Floats, y: Floats, w: Floats, penalties: Floats) -> tuple[Floats, Floats]:
    """Intercepts (L,) and slopes (L, p) for each penalty, from one decomposition."""
    w = w / w.sum()
    centre, middle = w @ X, float(w @ y)
    away = X - centre
    spread = np.sqrt(w @ (away * away))
    # A column of one value has a spread of rounding errors: it gets no slope.
    flat = spread <= 1e-12 * np.maximum(np.abs(centre), 1)
    spread[flat] = 1.0
    away[:, flat] = 0.0
    away /= spread
    values, vectors = np.linalg.eigh((away.T * w) @ away)
    along = vectors.T @ (away.T @ (w * (y - middle)))
    slopes = (along / (np.maximum(values, 0) + penalties[:, None])) @ vectors.T / spread
    intercepts: Floats = middle - slopes @ centre
    return intercepts, slopes


def _best(X: Floats, y: Floats, w: Floats, cluster: Codes, penalties: tuple[float, ...]) -> float:
    groups, at = np.unique(cluster, return_inverse=True)
    parts = min(FOLDS, len(groups))
    if parts < 2:
        raise Undefined("one group is too few to choose a penalty by")
    # The shuffle is the same for equal groups: a fit of the same labels is the same.
    part = (np.random.default_rng(0).permutation(len(groups)) % parts)[at]
    grid = np.array(sorted(penalties, reverse=True))
    error = np.zeros(len(grid))
    for one in range(parts):
        out = part == one
        intercepts, slopes = _solve(X[~out], y[~out], w[~out], grid)
        missed = y[out, None] - (intercepts + X[out] @ slopes.T)
        error += w[out] @ (missed * missed)
    return float(grid[np.argmin(error)])
