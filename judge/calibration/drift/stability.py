"""What else is watched between rounds: the histogram of scores, agreement with itself, the share unscored."""

from __future__ import annotations

import numpy as np
from pydantic import BaseModel, ConfigDict
from scipy import stats

from judge.calibration.statistics import bootstrap
from judge.calibration.statistics.bootstrap import Codes, Floats
from judge.calibration.statistics.figures import Figure, Undefined


class Stability(BaseModel):
    """The population stability index of two histograms.

    Attributes
    ----------
    index
        Sum of (new - old) ln(new / old) over the shares of the bins.
    by_chance
        What it stays under with probability 1 - alpha where nothing changed. The usual 0.1 and 0.25 know nothing of
        how many items there are.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    index: float
    by_chance: float
    bins: int
    n_old: int
    n_new: int

    @property
    def moved(self) -> bool:
        return self.index > self.by_chance


def population_stability(old: Floats, new: Floats, edges: Floats, alpha: float = 0.05) -> Stability:
    """How far the scores' histogram moved.

    Half an item is added to every bin, so that an empty one does not make it infinite. Bins empty on both sides are
    left out. Items of one group count as if they were independent; bring one of each.

    Parameters
    ----------
    old, new : (n,), (m,)
        Scores, of the same items or of others.
    edges : (B + 1,)
        Ascending edges of the bins; scores outside go to the outer bins.

    Raises
    ------
    Undefined
        Without scores on either side, or with all of them in one bin.

    References
    ----------
    Yurdakul and Naranjo (2020), Statistical properties of the population stability index, Journal of Risk Model
    Validation 14: the index over (1/n + 1/m) is near to chi squared with B - 1 degrees of freedom.
    """
    if not len(old) or not len(new):
        raise Undefined("there are no scores to compare")
    counts = [np.bincount(bins(side, edges), minlength=len(edges) - 1) for side in (old, new)]
    kept = np.flatnonzero(counts[0] + counts[1])
    if len(kept) < 2:
        raise Undefined("all scores lie in one bin")
    p, q = ((side[kept] + 0.5) / (side[kept] + 0.5).sum() for side in counts)
    index = float(((q - p) * np.log(q / p)).sum())
    by_chance = float(stats.chi2.ppf(1 - alpha, len(kept) - 1)) * (1 / len(old) + 1 / len(new))
    return Stability(index=index, by_chance=by_chance, bins=len(kept), n_old=len(old), n_new=len(new))


def bins(scores: Floats, edges: Floats) -> Codes:
    """The bin of each score, 0..B-1. A score on an edge belongs above it; the top edge belongs to the last bin."""
    found: Codes = np.clip(np.searchsorted(edges, scores, side="right") - 1, 0, len(edges) - 2).astype(np.int64)
    return found


def self_agreement(repeats: Floats, cluster: Codes, *, draws: int = bootstrap.DRAWS, seed: int = 0) -> Figure:
    """How often two gradings of one item by the same judge are equal: the mean over items of the share of equal pairs.

    Parameters
    ----------
    repeats : (n, k)
        k gradings of each item, NaN where one failed. Items with fewer than two are left out.
    cluster : (n,)
        Codes 0..C-1.

    Returns
    -------
    Figure
        Without a value where no item was graded twice.
    """
    there = ~np.isnan(repeats)
    times = there.sum(axis=1)
    kept = times >= 2
    if not kept.any():
        return Figure.undefined("no item was graded twice", 0)
    shares = np.array([_equal(row[seen]) for row, seen in zip(repeats[kept], there[kept], strict=True)])
    codes = np.unique(cluster[kept], return_inverse=True)[1].astype(np.int64)

    def mean(_: Floats, f: Floats, weights: Floats) -> Floats:
        return np.asarray(weights @ f / weights.sum(axis=1))

    return bootstrap.figures({"": mean}, shares, shares, codes, draws=draws, seed=seed)[""]


def _equal(row: Floats) -> float:
    """The share of pairs that are equal."""
    _, times = np.unique(row, return_counts=True)
    return float((times * (times - 1)).sum() / (len(row) * (len(row) - 1)))
