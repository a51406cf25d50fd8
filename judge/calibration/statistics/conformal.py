"""Intervals for one grade: how far from it the people's score may lie."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, model_validator

from judge.calibration.calibrators.fitted import Levels
from judge.calibration.statistics.bootstrap import Codes, Floats

Flags = NDArray[np.bool_]

#: Bins of predicted scores at most.
BINS = 5
#: An interval of this share of the scale, or wider, tells nothing.
UNINFORMATIVE = 0.6
#: Share of the scale within which numbers count as equal, so that 2.9999999999999996 is the level 3.
_HAIR = 1e-9


class Intervals(BaseModel):
    """Split conformal intervals, of a width of its own for each bin of predicted scores.

    Attributes
    ----------
    levels
        The scale, ascending; of a scale without levels its two ends.
    snapped
        Whether the ends of an interval lie on levels.
    coverage
        The share of intervals that hold the people's score, at least.
    edges : (B - 1,)
        Ascending. A prediction on an edge belongs to the bin above.
    quantiles : (B,)
        Half the width of an interval, before it is clipped and snapped. None: too few groups to bound it, so that the
        interval is the whole scale.
    n, groups : (B,)
        Labelled items in each bin, and the groups that they come in.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    levels: Levels
    snapped: bool
    coverage: float
    edges: tuple[float, ...]
    quantiles: tuple[float | None, ...]
    n: tuple[int, ...]
    groups: tuple[int, ...]

    @model_validator(mode="after")
    def _fits(self) -> Intervals:
        if not len(self.edges) + 1 == len(self.quantiles) == len(self.n) == len(self.groups):
            raise ValueError("as many quantiles, n and groups as bins, and one edge fewer")
        return self

    def predict(self, g: Floats) -> tuple[Floats, Floats, Flags]:
        """The interval of each calibrated score.

        Parameters
        ----------
        g : (n,)
            Without NaN: a grade without a score has no interval.

        Returns
        -------
        low, high : (n,)
            Ends, both included; clipped to the scale and, where `snapped`, moved outward to its levels.
        informative : (n,)
            False where the interval takes in 60% of the scale or more.
        """
        if np.isnan(g).any():
            raise ValueError("a missing score has no interval")
        levels = np.array(self.levels)
        width = levels[-1] - levels[0]
        # A hair more, as g + |y - g| may miss y by rounding.
        half = np.array([np.inf if q is None else q for q in self.quantiles])[_bin(g, self.edges)] + _HAIR * width
        low, high = np.clip(g - half, levels[0], levels[-1]), np.clip(g + half, levels[0], levels[-1])
        if self.snapped:
            low = levels[np.searchsorted(levels, low + 2 * _HAIR * width, side="right") - 1]
            high = levels[np.searchsorted(levels, high - 2 * _HAIR * width, side="left")]
        return low, high, np.asarray(high - low < (UNINFORMATIVE - 4 * _HAIR) * width)


def fit(
    g: Floats,
    y: Floats,
    cluster: Codes,
    levels: Levels,
    *,
    coverage: float = 0.9,
    snapped: bool = True,
    bins: int = BINS,
    w: Floats | None = None,
) -> Intervals:
    """Intervals that hold the people's score in a share `coverage` of the grades, in each bin of predicted scores.

    Of groups of one item the half width is the ceil((n + 1) coverage)-th smallest |y - g| in the bin. Items of one
    group are dependent: each group counts as one, shared out among its items, beside the group that is still to come.
    So the promise is of an item of a group that was not labelled, in each bin, over the draw of the labels. It is
    marginal: nothing is promised of one item, and nothing of another model or another kind of prompt.

    Bins are settled by the predictions alone. From the lowest on, each takes in predictions until it has twice the
    groups that a bounded interval needs (ceil(2 / (1 - coverage)): 20 for 90%); what is left over joins the last. While
    there are more than `bins`, those two neighbours merge that together span the least of the scale. So low scores
    keep a bin of their own where most are high.

    Parameters
    ----------
    g : (n,)
        Calibrated scores of items that the calibrator was not fitted on.
    y : (n,)
        Mean of the people.
    cluster : (n,)
        Codes of the groups.
    levels : (K,)
        Ascending; the two ends of a scale without levels, with `snapped` False.
    bins
        At most this many; 1 for intervals of one width.
    w : (n,)
        Inverse sampling probabilities. The grade to come is given the largest, which is on the safe side.

    Raises
    ------
    ValueError
        For arrays of different lengths, or `coverage` outside of (0, 1).

    References
    ----------
    Vovk, Gammerman and Shafer (2005), Algorithmic learning in a random world, section 4.5 (Mondrian). Lee, Barber and
    Willett (2023), Distribution-free inference with hierarchical data. arXiv:2306.06342, section 2 (the weights of
    groups); Dunn, Wasserman and Ramdas (2022), Distribution-free prediction sets for two-layer hierarchical models.
    JASA. Tibshirani, Barber, Candès and Ramdas (2019), Conformal prediction under covariate shift. NeurIPS (`w`).
    Sheng et al. (2025), Analyzing uncertainty of LLM-as-a-judge. EMNLP (snapping outward).
    """
    if not 0 < coverage < 1:
        raise ValueError(f"coverage lies between 0 and 1; given {coverage}")
    weights = np.ones(len(g)) if w is None else w
    if not len(g) == len(y) == len(cluster) == len(weights):
        raise ValueError("g, y, cluster and w have different lengths")
    edges = _edges(g, cluster, math.ceil(2 / (1 - coverage) - _HAIR), bins)
    within = _bin(g, edges)
    residual = np.abs(y - g)
    quantiles: list[float | None] = []
    for one in range(len(edges) + 1):
        mine = within == one
        q = _quantile(residual[mine], cluster[mine], weights[mine], coverage)
        quantiles.append(None if math.isinf(q) else q)
    return Intervals(
        levels=tuple(levels),
        snapped=snapped,
        coverage=coverage,
        edges=edges,
        quantiles=tuple(quantiles),
        n=tuple(np.bincount(within, minlength=len(quantiles)).tolist()),
        groups=tuple(len(np.unique(cluster[within == one])) for one in range(len(quantiles))),
    )


def _bin(g: Floats, edges: tuple[float, ...]) -> Codes:
    return np.searchsorted(np.array(edges), g, side="right").astype(np.int64)


def _quantile(residual: Floats, cluster: Codes, w: Floats, coverage: float) -> float:
    """The smallest residual up to which a share `coverage` of the mass lies; that of a group to come is infinite."""
    if not len(residual):
        return math.inf
    _, members, size = np.unique(cluster, return_inverse=True, return_counts=True)
    order = np.argsort(residual, kind="stable")
    reached = np.cumsum((w / size[members])[order])
    wanted = coverage * (reached[-1] + w.max())
    at = int(np.searchsorted(reached, wanted * (1 - _HAIR)))
    return float(residual[order][at]) if at < len(residual) else math.inf


def _edges(g: Floats, cluster: Codes, least: int, bins: int) -> tuple[float, ...]:
    """The edges between bins of `least` groups each, at most `bins` of them. Knows nothing of the people's scores."""
    order = np.argsort(g, kind="stable")
    spans: list[tuple[float, float]] = []
    seen: set[int] = set()
    first: float | None = None
    for at, (value, group) in enumerate(zip(g[order].tolist(), cluster[order].tolist(), strict=True)):
        first = value if first is None else first
        seen.add(group)
        ends = at + 1 == len(g) or g[order[at + 1]] > value
        if ends and len(seen) >= least:
            spans.append((first, value))
            seen, first = set(), None
    if spans and first is not None:
        spans[-1] = (spans[-1][0], float(g[order[-1]]))
    while len(spans) > bins:
        narrowest = min(range(len(spans) - 1), key=lambda one: spans[one + 1][1] - spans[one][0])
        spans[narrowest : narrowest + 2] = [(spans[narrowest][0], spans[narrowest + 1][1])]
    return tuple((below[1] + above[0]) / 2 for below, above in pairwise(spans))
