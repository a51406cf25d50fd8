"""How a judge's scores run along with people's: correlations of all items at once.

Levels are named where figures are made: `item` (here), `document` and `system` (`documents.py`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from judge.calibration.statistics.bootstrap import Floats, Metric
from judge.calibration.statistics.moments import Flags, must_vary, pooled, ratio, sums, varies


@dataclass(frozen=True, slots=True)
class Correlation:
    """Pearson's correlation of the scores, or of their weighted midranks, as a metric.

    Attributes
    ----------
    ranked
        Whether of the ranks.
    """

    ranked: bool

    def __call__(self, y: Floats, f: Floats, W: Floats) -> Floats:
        """The correlation under each reweighting.

        Parameters
        ----------
        y, f : (n,)
            People's score and the judge's.
        W : (B, n)
            Reweightings; a weight of 2 is the item twice.

        Returns
        -------
        (B,)
            NaN where a reweighting leaves one score of either side.

        Raises
        ------
        Undefined
            For fewer than two items, and where all scores of one side are equal.
        """
        must_vary(y, f)
        y, f, W = pooled(y, f, W)
        defined = varies(y, W) & varies(f, W)
        if self.ranked:
            return _correlation(midranks(y, W), midranks(f, W), W, defined)
        return _correlation(y[None, :], f[None, :], W, defined)

    def losses(self, y: Floats, f: Floats, w: Floats) -> tuple[Floats, float]:
        """What each item takes from 1, (n,), and what the nearest miss on the heaviest item would take.

        A correlation is 1 - sum w (u - v)^2 / (2 sum w), u and v being the standardised scores of the two.
        """
        whole = float(w.sum())
        scores = [midranks(one, w[None, :])[0] if self.ranked else one for one in (y, f)]
        apart = [one - w @ one / whole for one in scores]
        u, v = (one / math.sqrt(w @ one**2 / whole) for one in apart)
        losses: Floats = w * np.square(u - v) / (2 * whole)
        return losses, float(w.max()) / (2 * whole) * nearest_step(u, w)


#: Spearman's rank correlation: of the weighted midranks. Spearman (1904), The proof and measurement of association
#: between two things. American Journal of Psychology 15. Kendall (1945), The treatment of ties in ranking problems.
#: Biometrika 33, section 2 (midranks).
spearman: Metric = Correlation(ranked=True)
#: Pearson's. Pearson (1895), Note on regression and inheritance in the case of two parents. Proceedings of the Royal
#: Society 58.
pearson: Metric = Correlation(ranked=False)


def nearest_step(scores: Floats, w: Floats) -> float:
    """The square of a miss by one of people's scores (n,), upwards or downwards, on average over the weighted items."""
    steps, at = np.unique(scores, return_inverse=True)
    between = np.square(np.diff(steps))
    nearest = (np.append(between, between[-1]) + np.insert(between, 0, between[0])) / 2
    return float(w @ nearest[at] / w.sum())


def midranks(scores: Floats, W: Floats) -> Floats:
    """Where each score stands among the weighted ones, tied scores in the middle of their places.

    Parameters
    ----------
    scores : (n,)
    W : (B, n)

    Returns
    -------
    (B, n)
        The weight below a score and half the weight at it: the usual rank less one half, for weights of 1.
    """
    place = np.unique(scores, return_inverse=True)[1]
    tied = sums(place, W)
    ranks = np.cumsum(tied, axis=1)
    ranks -= tied / 2
    return ranks[:, place]


def _correlation(left: Floats, right: Floats, W: Floats, defined: Flags) -> Floats:
    whole = W.sum(axis=1)
    left = left - ratio(np.einsum("bn,bn->b", W, np.broadcast_to(left, W.shape)), whole)[:, None]
    right = right - ratio(np.einsum("bn,bn->b", W, np.broadcast_to(right, W.shape)), whole)[:, None]
    together = np.einsum("bn,bn,bn->b", W, left, right)
    spread = np.einsum("bn,bn,bn->b", W, left, left), np.einsum("bn,bn,bn->b", W, right, right)
    # The square roots apart: of their product a small one would vanish.
    found = ratio(together, np.where(defined, np.sqrt(spread[0]) * np.sqrt(spread[1]), 0.0))
    return np.clip(found, -1, 1)
