"""Ordinal logistic regression: proportional odds over the levels, from one score or several."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
from pydantic import Field
from scipy.special import expit

from judge.calibration.calibrators.fitted import Fitted, added, labelled, neighbours, some_vary
from judge.calibration.calibrators.newton import Loss, minimise
from judge.calibration.statistics.bootstrap import Codes, Floats
from judge.calibration.statistics.figures import Undefined

#: Beside a mean log loss of standardised scores: too little to matter, enough that the slopes stay finite where the
#: judge tells the levels apart without fault.
PENALTY = 1e-3


class Ordinal(Fitted):
    """P(level <= k | x) = sigmoid(thresholds[k] - slopes . x), and the mean of that distribution.

    Attributes
    ----------
    seen
        The levels that labels reached; the others have no probability.
    thresholds
        One fewer than levels were seen, ascending.
    slopes
        One for each column of X, on the scores as they come.

    References
    ----------
    McCullagh (1980), Regression models for ordinal data. JRSS B 42, section 2.
    """

    kind: Literal["ordinal"] = "ordinal"
    seen: tuple[float, ...] = Field(min_length=2)
    thresholds: tuple[float, ...] = Field(min_length=1)
    slopes: tuple[float, ...] = Field(min_length=1)

    @classmethod
    def fit(cls, X: Floats, y: Floats, w: Floats | None, levels: Floats, *, penalty: float = PENALTY) -> Self:
        """Least mean log loss + penalty / 2 |b|^2, b being the slopes of the standardised columns.

        Parameters
        ----------
        X : (n, p)
        y, w : (n,)
            People's score, and inverse sampling probabilities (None: all 1). A score between two levels counts to both
            in parts.
        levels : (K,)

        Raises
        ------
        Undefined
            Where every column is constant, and where labels reach one level only.
        """
        X, y, w, scale = labelled(X, y, w, levels)
        some_vary(X)
        below, part = neighbours(y, scale)
        item = np.r_[np.flatnonzero(part < 1), np.flatnonzero(part > 0)]
        code = np.r_[below[part < 1], below[part > 0] + 1]
        weight = np.r_[(w * (1 - part))[part < 1], (w * part)[part > 0]] / w.sum()
        reached, code = np.unique(code, return_inverse=True)
        if len(reached) < 2:
            raise Undefined(f"all labels are {scale[reached[0]]:g}, which leaves nothing to tell apart")
        centre = np.average(X, axis=0, weights=w)
        spread = np.sqrt(np.average((X - centre) ** 2, axis=0, weights=w))
        flat = spread <= 1e-12 * np.maximum(np.abs(centre), 1)
        spread[flat] = 1.0
        Z = np.where(flat, 0.0, (X - centre) / spread)
        inner = len(reached) - 1
        share = np.cumsum(np.bincount(code, weights=weight))[:-1]
        start = np.r_[np.log(share / (1 - share)), np.zeros(Z.shape[1])]
        found = minimise(_loss(Z, item, code, weight, penalty), start)
        slopes = found[inner:] / spread
        return cls(
            levels=scale,
            seen=tuple(scale[at] for at in reached),
            thresholds=tuple((found[:inner] + slopes @ centre).tolist()),
            slopes=tuple(slopes.tolist()),
        )

    def distribution(self, X: Floats) -> Floats:
        """The probability of every level, (n, K)."""
        X = np.asarray(X, dtype=np.float64)
        if X.ndim != 2 or X.shape[1] != len(self.slopes):
            raise ValueError(f"fitted on {len(self.slopes)} columns of scores, given the shape {X.shape}")
        eta = X @ np.asarray(self.slopes)
        found = np.zeros((len(X), len(self.levels)))
        upto = expit(np.asarray(self.thresholds) - eta[:, None])
        found[:, np.isin(self.levels, self.seen)] = np.diff(upto, axis=1, prepend=0.0, append=1.0)
        return found

    def _map(self, X: Floats) -> Floats:
        found: Floats = self.distribution(X) @ np.asarray(self.levels)
        return found


def _loss(Z: Floats, item: Codes, code: Codes, weight: Floats, penalty: float) -> Loss:
    """The log loss at (thresholds, slopes).

    An item counts once or twice, as rows of `item`, `code` and `weight` (m,): once to each level it has a part in. With
    the ends u = threshold above - eta and v = threshold below - eta, a level's probability is sigmoid(u) - sigmoid(v)
    = sigmoid(u) sigmoid(-v) (1 - exp(v - u)), whose logarithm loses no digits.
    """
    K, p = int(code.max()) + 1, Z.shape[1]

    def summed(values: Floats, at: Codes) -> Floats:
        return added(values, at, K + 1)

    def crossed(values: Floats, at: Codes) -> Floats:
        # (K + 1, p): the rows' scores, added up by threshold.
        return np.array([added(values[at == k], item[at == k], len(Z)) @ Z for k in range(K + 1)])

    def by_item(values: Floats) -> Floats:
        return added(values, item, len(Z))

    def loss(x: Floats) -> tuple[float, Floats, Floats]:
        thresholds, slopes = np.r_[-np.inf, x[: K - 1], np.inf], x[K - 1 :]
        if (np.diff(thresholds) <= 0).any():
            return np.inf, x, np.eye(len(x))
        eta = (Z @ slopes)[item]
        u, v = thresholds[code + 1] - eta, thresholds[code] - eta
        gap = np.minimum(u - v, 700.0)  # exp of more is beyond a float
        value = weight @ (np.logaddexp(0, -u) + np.logaddexp(0, v) - np.log(-np.expm1(-gap)))
        pull = 1 / np.expm1(gap)
        by_u, by_v = -weight * (expit(-u) + pull), weight * (expit(v) + pull)
        gradient = np.r_[(summed(by_u, code + 1) + summed(by_v, code))[1:K], -Z.T @ by_item(by_u + by_v)]
        both = weight / (4 * np.sinh(gap / 2) ** 2)
        own_u, own_v = weight * expit(u) * expit(-u), weight * expit(v) * expit(-v)
        hessian = np.zeros((K - 1 + p, K - 1 + p))
        between = summed(both, code)[1 : K - 1]
        hessian[: K - 1, : K - 1] = np.diag((summed(own_u + both, code + 1) + summed(own_v + both, code))[1:K])
        hessian[: K - 1, : K - 1] -= np.diag(between, 1) + np.diag(between, -1)
        hessian[: K - 1, K - 1 :] = -(crossed(own_u, code + 1) + crossed(own_v, code))[1:K]
        hessian[K - 1 :, : K - 1] = hessian[: K - 1, K - 1 :].T
        hessian[K - 1 :, K - 1 :] = (Z.T * by_item(own_u + own_v)) @ Z + penalty * np.eye(p)
        gradient[K - 1 :] += penalty * slopes
        return float(value + penalty / 2 * slopes @ slopes), gradient, hessian

    return loss
