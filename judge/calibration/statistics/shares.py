"""Shares of items, with an interval that holds for few items, for shares near 0 and 1, and for items in groups."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from scipy import stats

from judge.calibration.statistics.bootstrap import Codes, Floats
from judge.calibration.statistics.figures import Figure, Undefined
from judge.calibration.statistics.moments import Flags, ratio
from judge.calibration.statistics.proportions import wilson


@runtime_checkable
class Interval(Protocol):
    """A metric that brings an interval of its own, where the bootstrap's does not cover."""

    def __call__(self, y: Floats, f: Floats, W: Floats) -> Floats: ...

    def figure(
        self, y: Floats, f: Floats, cluster: Codes, w: Floats | None = None, confidence: float = 0.95
    ) -> Figure: ...


@dataclass(frozen=True, slots=True)
class Share:
    """A share of items as a metric: how many of those that count were hit.

    Attributes
    ----------
    read
        What it makes of y and f: which items were hit (n,), and which count (n,).
    nothing
        Why it is undefined where no item counts.
    """

    read: Callable[[Floats, Floats], tuple[Flags, Flags]]
    nothing: str = "there are no items"

    def __call__(self, y: Floats, f: Floats, W: Floats) -> Floats:
        """The share under each reweighting, (B, n) -> (B,); NaN where nothing that counts has weight."""
        hit, among = self._read(y, f)
        return ratio(W @ (hit & among).astype(np.float64), W @ among.astype(np.float64))

    def figure(self, y: Floats, f: Floats, cluster: Codes, w: Floats | None = None, confidence: float = 0.95) -> Figure:
        """The share with its interval. `n` is how many items count.

        Wilson's interval for the effective number of items. A bootstrap of a share near 0 or 1 collapses: where no
        item was missed, none is in any resample.
        """
        try:
            hit, among = self._read(y, f)
        except Undefined as undefined:
            return Figure.undefined(str(undefined), 0)
        weights = np.where(among, 1.0 if w is None else w, 0.0)
        value = float(weights @ hit / weights.sum())
        n = int(among.sum())
        if len(np.unique(cluster[among])) < 2:
            return Figure(value=value, n=n, why="one group has no interval")
        scored = self.scores(y, f, cluster, weights)
        effective = effective_items(value, scored, np.bincount(cluster, weights).astype(np.float64), n, confidence)
        low, high = wilson(value * effective, effective, confidence)
        return Figure(value=value, n=n, low=low, high=high)

    def _read(self, y: Floats, f: Floats) -> tuple[Flags, Flags]:
        hit, among = self.read(y, f)
        if not among.any():
            raise Undefined(self.nothing)
        return hit, among

    def scores(self, y: Floats, f: Floats, cluster: Codes, w: Floats) -> Floats:
        """What each cluster adds to the error of the share, (C,), to first order."""
        hit, among = self._read(y, f)
        weights = w * among
        value = weights @ hit / weights.sum()
        scored: Floats = np.bincount(cluster, weights * (hit - value)) / weights.sum()
        return scored


@dataclass(frozen=True, slots=True)
class SumOfShares:
    """`times` (first + second) + `plus` as a metric, such as balanced accuracy of TPR and TNR."""

    first: Share
    second: Share
    times: float = 1.0
    plus: float = 0.0

    def __call__(self, y: Floats, f: Floats, W: Floats) -> Floats:
        """The sum under each reweighting, (B, n) -> (B,); NaN where one of the shares is."""
        return self.times * (self.first(y, f, W) + self.second(y, f, W)) + self.plus

    def figure(self, y: Floats, f: Floats, cluster: Codes, w: Floats | None = None, confidence: float = 0.95) -> Figure:
        """The sum with the interval that those of the two shares make.

        Its ends lie as far from the sum as the ends of the two lie from the shares, the distances added like standard
        errors of two figures that the clusters correlate.

        References
        ----------
        Zou and Donner (2008), Construction of confidence limits about effect measures: a general approach. Statistics
        in Medicine 27, section 2 (the method of variance estimates recovery). Newcombe (1998), Improved confidence
        intervals for the difference between binomial proportions based on paired data. Statistics in Medicine 17 (with
        the correlation).
        """
        weights = np.ones(len(y)) if w is None else w
        both = [share.figure(y, f, cluster, weights, confidence) for share in (self.first, self.second)]
        for one in both:
            if one.value is None:
                return Figure.undefined(one.why or "", len(y))
        value = self.times * sum(one.value or 0.0 for one in both) + self.plus
        for one in both:
            if one.low is None:
                return Figure(value=value, n=len(y), why=one.why)
        scored = [share.scores(y, f, cluster, weights) for share in (self.first, self.second)]
        spread = float(np.sqrt(scored[0] @ scored[0]) * np.sqrt(scored[1] @ scored[1]))
        along = float(scored[0] @ scored[1]) / spread if spread > 0 else 0.0
        down = [(one.value or 0.0) - (one.low or 0.0) for one in both]
        up = [(one.high or 0.0) - (one.value or 0.0) for one in both]
        low, high = (self.times * math.sqrt(a * a + b * b + 2 * along * a * b) for a, b in (down, up))
        return Figure(value=value, n=len(y), low=value - low, high=value + high)


def effective_items(value: float, scored: Floats, of_clusters: Floats, n: int, confidence: float = 0.95) -> float:
    """How many independent items of equal weight would tell a share as well as these.

    Parameters
    ----------
    value
        The share p.
    scored : (C,)
        What each cluster adds to the error of the share, to first order.
    of_clusters : (C,)
        The weight of the items that count in each cluster, above 0 in two at least.
    n
        How many items count.

    Returns
    -------
    float
        n / deff, of at most n, where deff is the variance of the share by its clusters over p (1 - p) / n. Where all
        items were hit, or none, the clusters say nothing of deff, and it is that of items that go wholly with
        their cluster. It is then lowered by the square of the normal quantile over Student's with C - 1 degrees of
        freedom, since deff was estimated from the C clusters with items that count.

    References
    ----------
    Korn and Graubard (1998), Confidence intervals for proportions with small expected number of positive counts
    estimated from survey data. Survey Methodology 24, section 2. Parker et al. (2017), National Center for Health
    Statistics data presentation standards for proportions. Vital and Health Statistics 2(175) (no more than n). Dean
    and Pagano (2015), Evaluating confidence interval methods for binomial proportions in clustered surveys. Journal of
    Survey Statistics and Methodology 3 (Wilson's interval with it).
    """
    count = int((of_clusters > 0).sum())
    if 0 < value < 1:
        variance = count / (count - 1) * float(scored @ scored)
        effective = min(value * (1 - value) / variance, n) if variance > 0 else n
    else:
        effective = of_clusters.sum() ** 2 / float(of_clusters @ of_clusters)
    wider = stats.norm.ppf((1 + confidence) / 2) / stats.t.ppf((1 + confidence) / 2, count - 1)
    return float(effective * wider**2)
