"""How a judge's scores run along with people's: correlations of all items at once.

Levels are named where figures are made: `item` (here), `document` and `system` (`documents.py`).
"""

from __future__ import annotations

import numpy as np

from judge.calibration.statistics.bootstrap import Floats
from judge.calibration.statistics.moments import Flags, must_vary, pooled, ratio, sums, varies


def spearman(y: Floats, f: Floats, W: Floats) -> Floats:
    """Spearman's rank correlation: Pearson's of the weighted midranks.

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

    References
    ----------
    Spearman (1904), The proof and measurement of association between two things. American Journal of Psychology 15.
    Kendall (1945), The treatment of ties in ranking problems. Biometrika 33, section 2 (midranks).
    """
    must_vary(y, f)
    y, f, W = pooled(y, f, W)
    defined = varies(y, W) & varies(f, W)
    return _correlation(midranks(y, W), midranks(f, W), W, defined)


def pearson(y: Floats, f: Floats, W: Floats) -> Floats:
    """Pearson's correlation; shapes and edge cases as of `spearman`.

    References
    ----------
    Pearson (1895), Note on regression and inheritance in the case of two parents. Proceedings of the Royal Society 58.
    """
    must_vary(y, f)
    y, f, W = pooled(y, f, W)
    defined = varies(y, W) & varies(f, W)
    return _correlation(y[None, :], f[None, :], W, defined)


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
