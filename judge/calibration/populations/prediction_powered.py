"""PPI++: the mean of a run from the judge's scores of every item and people's labels of a sample of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from judge.calibration.populations.transport import count_groups
from judge.calibration.statistics.bootstrap import Codes, Floats
from judge.calibration.statistics.figures import Undefined
from judge.calibration.statistics.proportions import wilson

#: A stratum with fewer labels shares its lambda with the other small ones.
OWN_LAMBDA = 30
#: Labels that the variance of a rate is smoothed by: a quarter for each pair of pass or fail by people and by judge.
SMOOTHING = 2.0


@dataclass(frozen=True, slots=True)
class Powered:
    """A mean by PPI++, and what its interval is made of.

    Attributes
    ----------
    value
        The estimate.
    lam
        The weight of the judge's scores, 0 to 1; over strata, their mean by size.
    r
        The correlation of people and judge on the labelled items, by their weights; 0 where either is constant.
    n, groups
        Labelled items, and the groups they are of.
    df
        Degrees of freedom: groups, less strata, less 1 where the judge has weight.
    variance
        Of the estimate, item by item, as PPI++ has it.
    unbiased
        The same with n / (n - 1) for each stratum's labels.
    unaided
        The same of the labels alone.
    effect
        The design effect of groups on it, never below 1.
    smoothed
        The variance with the made-up labels of `SMOOTHING` among the others; for rates.
    share
        The labels' own weighted mean, smoothed alike.
    within
        The mean variance of the judge's scores within the strata, by size.
    between
        What the strata's shares of the run add to these variances, but the first: the run is a sample, and so are they.
    strata
        Of each stratum its share of the run, its labels' mean, and their number, or Kish's where weights differ.
    """

    value: float
    lam: float
    r: float
    n: int
    groups: int
    df: int
    variance: float
    unbiased: float
    unaided: float
    effect: float
    smoothed: float
    share: float
    within: float
    between: float
    strata: tuple[tuple[float, float, float], ...]

    def strata_interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """The interval of a rate by labels of strata, without a judge: Jeffreys' of each stratum, put together.

        Its ends lie as far from the value as those of the strata lie from their rates, by their shares of the run, the
        distances added like standard errors. A stratum whose labels by chance all agree has an interval all the same,
        where a variance would be none. With the design effect of groups, and Student's quantile where there are any.

        Raises
        ------
        Undefined
            Where too few groups are labelled to know the spread.

        References
        ----------
        Zou and Donner (2008), Construction of confidence limits about effect measures: a general approach. Statistics
        in Medicine 27, section 2 (the method of variance estimates recovery). Brown, Cai and DasGupta (2001), Interval
        estimation for a binomial proportion. Statistical Science 16, section 3.1.2 (Jeffreys').
        """
        tail = (1 + confidence) / 2
        z, narrower = float(special.ndtri(tail)), 1.0
        if self.groups != self.n:
            if self.df < 1:
                raise Undefined(f"labels of {self.groups} groups show no spread")
            narrower = (z / float(special.stdtrit(self.df, tail))) ** 2
        below = above = z * z * self.between
        for share, rate, count in self.strata:
            size = count * narrower / self.effect
            low, high = _jeffreys(rate * size, size, tail)
            below, above = below + (share * (rate - low)) ** 2, above + (share * (high - rate)) ** 2
        return max(self.value - math.sqrt(below), 0.0), min(self.value + math.sqrt(above), 1.0)

    def mean_interval(self, scale: tuple[float, float], confidence: float = 0.95) -> tuple[float, float]:
        """Wilson's interval on the scale, as if the variance fell towards its ends as a rate's does.

        With Student's quantile. In the middle of the scale it is Student's interval; near an end, where a few labels
        may by chance all be alike, it reaches further towards the middle.

        Raises
        ------
        Undefined
            Where too few groups are labelled to know the spread, or all labels are alike.
        """
        if self.df < 1:
            raise Undefined(f"labels of {self.groups} groups show no spread")
        length = scale[1] - scale[0]
        value = min(max((self.value - scale[0]) / length, 0.0), 1.0)
        variance = self.mean_variance / length**2
        if variance <= 1e-20 or not 0 < value < 1:
            raise Undefined("the labels are all alike, and so show no spread")
        low, high = self._wilson(value, value * (1 - value) / variance, confidence)
        return scale[0] + low * length, scale[0] + high * length

    def _wilson(self, value: float, size: float, confidence: float) -> tuple[float, float]:
        """With Student's quantile: Wilson's interval depends on z and n by n / z^2 alone."""
        tail = (1 + confidence) / 2
        size *= float(special.ndtri(tail) / special.stdtrit(self.df, tail)) ** 2
        return wilson(value * size, size, confidence)

    @property
    def mean_variance(self) -> float:
        """With the design effect, what fitting lambda hides, and `SMOOTHING` labels that the judge knows nothing of."""
        mixed = (self.n * self.unbiased + SMOOTHING * self.unaided) / (self.n + SMOOTHING) if self.lam else self.unaided
        return mixed * self.effect * ((self.df + 1) / self.df if self.lam and self.df > 0 else 1.0)

    @property
    def rate_variance(self) -> float:
        """With the design effect."""
        return self.smoothed * self.effect

    def rate_interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Wilson's interval of a rate, with as many items as would leave the same variance without a judge.

        For labels alone, without groups or strata, it is Wilson's own. With groups, Student's quantile.

        Raises
        ------
        Undefined
            Where all labels are of one group.
        """
        size = self.share * (1 - self.share) / self.rate_variance
        value = min(max(self.value, 0.0), 1.0)
        if self.groups == self.n:
            return wilson(value * size, size, confidence)
        if self.df < 1:
            raise Undefined(f"labels of {self.groups} groups show no spread")
        return self._wilson(value, size, confidence)


def _jeffreys(hits: float, n: float, tail: float) -> tuple[float, float]:
    """Jeffreys' interval of a rate, to 0 where nothing was hit and to 1 where all were; counts need not be whole."""
    low, high = (float(special.betaincinv(hits + 0.5, n - hits + 0.5, share)) for share in (1 - tail, tail))
    return (0.0 if hits <= 1e-9 else low), (1.0 if hits >= n - 1e-9 else high)


def powered(
    y: Floats,
    f: Floats,
    cluster: Codes,
    pi: Floats | None = None,
    stratum: Codes | None = None,
    lam: float | None = None,
) -> Powered:
    """The mean of a run by PPI++, stratified, with the variance of groups.

    theta = sum_k W_k (lam_k mean_k f + mean_k (y - lam_k f)): over the strata k with their shares W_k of the run, the
    judge's mean of all items, labelled or not, put right by what people say of the labelled ones, which are weighted
    by 1 / pi. lam_k = Cov(y, f) / Var f, clipped to 0..1, takes as much of the judge as makes the variance least; 0
    leaves the labels.

    Parameters
    ----------
    y : (N,)
        Means of people; NaN where nobody labelled the item. One label at least in every stratum.
    f : (N,)
        The judge's scores. One that is missing (NaN) counts as the mean of its stratum: it says nothing, and is put
        right as any other.
    cluster : (N,)
        Codes of groups; one may hold labelled items and others, and reach over strata.
    pi : (N,)
        Probabilities of being labelled, above 0 (only those of labelled items are read); None where equal within a
        stratum.
    stratum : (N,)
        Codes of strata. Those with labels of one group only are taken together.
    lam
        A weight for all strata in the place of the tuned ones.

    Raises
    ------
    Undefined
        Without any label.

    Notes
    -----
    The labelled items are part of the run. With n of N labelled, lam here is lam' = lam (1 - n/N) of PPI++ as
    published, whose second sample is the N - n others; estimate and variance are then the same. The variance is that
    of a run which is itself a sample: of the source of the items, not of these N alone.

    A rate's variance is smoothed (`Powered.smoothed`) since a handful of labels on the rare side may by chance agree
    with the judge in full, which would leave no variance.

    References
    ----------
    Angelopoulos, Duchi and Zrnic (2023), PPI++, arXiv 2311.01453, on power tuning of a mean. Fisch et al. (2024),
    Stratified prediction-powered inference, arXiv 2406.04291, on a lambda for each stratum. Zrnic and Candes (2024),
    Active statistical inference, arXiv 2403.03208, on weights 1 / pi.
    """
    labelled = ~np.isnan(y)
    if not labelled.any():
        raise Undefined("no item is labelled")
    strata = np.zeros(len(y), dtype=np.int64) if stratum is None else np.unique(stratum, return_inverse=True)[1]
    w = _weights(labelled, pi, strata)
    strata = _joined(strata, labelled, cluster)
    parts = [_Part.of(y, f, w, strata == k, labelled) for k in range(int(strata.max()) + 1)]
    weights = [lam] * len(parts) if lam is not None else _tuned(parts)
    return _summed(parts, weights, cluster, len(y))


class _Part(NamedTuple):
    """One stratum: positions of its labelled items and others, people's scores, the judge's filled up, 1 / pi."""

    drawn: NDArray[np.int64]
    rest: NDArray[np.int64]
    y: Floats
    f: Floats
    f_rest: Floats
    w: Floats

    @classmethod
    def of(cls, y: Floats, f: Floats, w: Floats, here: NDArray[np.bool_], labelled: NDArray[np.bool_]) -> _Part:
        drawn, rest = np.flatnonzero(here & labelled), np.flatnonzero(here & ~labelled)
        given = f[here & ~np.isnan(f)]
        filled = np.where(np.isnan(f), given.mean() if len(given) else 0.0, f)
        return cls(drawn, rest, y[drawn], filled[drawn], filled[rest], w[drawn] / w[drawn].sum())

    @property
    def size(self) -> int:
        return len(self.drawn) + len(self.rest)

    @property
    def f_mean(self) -> float:
        return float(self.f.sum() + self.f_rest.sum()) / self.size

    @property
    def f_variance(self) -> float:
        return float(np.concatenate([self.f, self.f_rest]).var(ddof=1)) if self.size > 1 else 0.0

    @property
    def covariance(self) -> float:
        return float(self.w @ ((self.y - self.w @ self.y) * (self.f - self.w @ self.f)))


def _weights(labelled: NDArray[np.bool_], pi: Floats | None, strata: Codes) -> Floats:
    if pi is not None:
        return 1 / np.where(labelled, pi, 1.0)
    return (np.bincount(strata) / np.maximum(np.bincount(strata, labelled), 1))[strata]


def _joined(strata: Codes, labelled: NDArray[np.bool_], cluster: Codes) -> Codes:
    """Strata with labels of one group only, which show no spread, as one; with the smallest other if it is alone."""
    count = int(strata.max()) + 1
    groups = np.array([count_groups(cluster[labelled & (strata == k)]) for k in range(count)])
    small = np.flatnonzero(groups < 2)
    if not len(small) or count == 1:
        return strata
    if len(small) == 1:
        others = np.flatnonzero(groups >= 2)
        small = np.append(small, others[np.argmin(groups[others])])
    return np.unique(np.where(np.isin(strata, small), small[0], strata), return_inverse=True)[1].astype(np.int64)


def _tuned(parts: list[_Part]) -> list[float]:
    """Lambda of each stratum; the same in all with few labels, from what they show together."""
    small = [part for part in parts if len(part.drawn) < OWN_LAMBDA]
    shared = _slope(
        sum(part.size * part.covariance for part in small), sum(part.size * part.f_variance for part in small)
    )
    return [shared if len(part.drawn) < OWN_LAMBDA else _slope(part.covariance, part.f_variance) for part in parts]


def _slope(covariance: float, variance: float) -> float:
    return min(max(covariance / variance, 0.0), 1.0) if variance > 0 else 0.0


def _summed(parts: list[_Part], lams: list[float], cluster: Codes, total: int) -> Powered:
    """Value and variance from what every item adds to the estimate."""
    alone, unbiased, grouped = np.zeros((3, total))
    value = smoothed = share = unaided = 0.0
    n = sum(len(part.drawn) for part in parts)
    means: list[float] = []
    for part, lam in zip(parts, lams, strict=True):
        weight, count = part.size / total, len(part.drawn)
        label_mean, f_mean = float(part.w @ part.y), float(part.w @ part.f)
        means.append(label_mean + lam * (part.f_mean - f_mean))
        value += weight * means[-1]
        share += weight * label_mean
        adds = weight * part.w * (part.y - label_mean - lam * (part.f - f_mean)) + lam * (part.f - part.f_mean) / total
        adds -= adds.mean()
        by_labels = weight * part.w * (part.y - label_mean)
        unaided += float(((by_labels - by_labels.mean()) ** 2).sum()) * _bessel(count)
        rest = lam * (part.f_rest - part.f_rest.mean()) / total if len(part.rest) else part.f_rest
        groups = count_groups(cluster[part.drawn])
        for into, size in ((alone, math.inf), (unbiased, count), (grouped, groups)):
            into[part.drawn], into[part.rest] = adds * math.sqrt(_bessel(size)), rest
        made_up = np.array([(y, f) for y in (0.0, 1.0) for f in (0.0, 1.0)]) - (label_mean, f_mean)
        made_up_adds = weight / count * (made_up[:, 0] - lam * (1 - count / part.size) * made_up[:, 1])
        hidden = _bessel(count) / _bessel(n)  # Wilson's interval has none for a single stratum
        smoothed += _smoothed(adds, made_up_adds, SMOOTHING * count / n) * hidden + float(rest @ rest)
    groups = count_groups(np.concatenate([cluster[part.drawn] for part in parts]))
    shares = [part.size / total for part in parts]
    between = sum(share * (mean - value) ** 2 for share, mean in zip(shares, means, strict=True)) / total
    return Powered(
        value=value,
        lam=sum(part.size * lam for part, lam in zip(parts, lams, strict=True)) / total,
        r=_correlation(parts),
        n=n,
        groups=groups,
        df=groups - len(parts) - any(lams),
        variance=float(alone @ alone),
        unbiased=float(unbiased @ unbiased) + between,
        unaided=unaided + between,
        effect=_effect(unbiased, grouped, parts, cluster),
        smoothed=smoothed + between,
        share=(n * share + SMOOTHING / 2) / (n + SMOOTHING),
        within=sum(part.size * part.f_variance for part in parts) / total,
        between=between,
        strata=tuple(
            (share, float(part.w @ part.y), 1 / float(part.w @ part.w))
            for share, part in zip(shares, parts, strict=True)
        ),
    )


def _bessel(count: float) -> float:
    return count / (count - 1) if 1 < count < math.inf else 1.0


def _smoothed(adds: Floats, made_up: Floats, weight: float) -> float:
    """The variance of a sum of as many terms, if `made_up` ones, together of that weight, are counted among them."""
    count = len(adds) + weight
    each = weight / len(made_up)
    first, second = adds.sum() + each * made_up.sum(), adds @ adds + each * (made_up @ made_up)
    return float((second - first**2 / count) * len(adds) / count)


def _effect(unbiased: Floats, grouped: Floats, parts: list[_Part], cluster: Codes) -> float:
    """What groups do to the variance."""
    drawn = np.concatenate([part.drawn for part in parts])
    if count_groups(cluster) == len(cluster):
        return 1.0
    plain, largest = float(unbiased @ unbiased), max(float(np.abs(part.y).max()) for part in parts)
    if plain <= (1e-12 * largest) ** 2:
        # Labels that are all alike: as if the items of a group repeated each other.
        weights = np.concatenate([part.size * part.w for part in parts])
        mass = np.bincount(cluster[drawn], weights)
        return max(float(mass @ mass) / float(weights @ weights), 1.0)
    sums = np.bincount(cluster, grouped)
    return max(float(sums @ sums) / plain, 1.0)


def _correlation(parts: list[_Part]) -> float:
    """Of people and judge over all strata."""
    weights = np.concatenate([part.size * part.w for part in parts])
    weights = weights / weights.sum()
    y, f = (np.concatenate([getattr(part, name) for part in parts]) for name in ("y", "f"))
    y, f = y - weights @ y, f - weights @ f
    spread = math.sqrt(float(weights @ (y * y)) * float(weights @ (f * f)))
    return float(weights @ (y * f)) / spread if spread > 1e-12 else 0.0
