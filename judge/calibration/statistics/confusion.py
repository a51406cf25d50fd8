"""Which answers of people met which answers of the judge, and what such a table says of their agreement."""

from __future__ import annotations

from typing import cast

import numpy as np

from judge.calibration.scale import Scale
from judge.calibration.statistics.bootstrap import Codes, Floats
from judge.calibration.statistics.moments import ratio


def confusion(scale: Scale, y: Floats, f: Floats, w: Floats | None = None) -> Floats:
    """The table of answers: (K, K) sums of weights, a row for each level of the people, a column for the judge's.

    Parameters
    ----------
    scale
        Of K listed levels or labels.
    y, f : (n,)
        People's mean and the judge's score, each counted at its nearest level.
    w : (n,)
        Weights of the items; None counts them.
    """
    count = levels(scale)
    weights = np.ones(len(y)) if w is None else w
    return cast(Floats, tables(scale.nearest(y), scale.nearest(f), weights[None, :], count)[0])


def levels(scale: Scale) -> int:
    """How many levels or labels the scale lists.

    Raises
    ------
    ValueError
        For a scale that lists fewer than two.
    """
    if scale.levels is None or len(scale.levels) < 2:
        raise ValueError(f"a table of answers needs a scale that lists two levels, and this {scale.kind} one does not")
    return len(scale.levels)


def tables(people: Codes, judge: Codes, W: Floats, K: int) -> Floats:
    """The table of answers under each reweighting.

    Parameters
    ----------
    people, judge : (n,)
        Codes in 0..K-1.
    W : (B, n)

    Returns
    -------
    (B, K, K)
    """
    cells = people * K + judge
    counted = [np.bincount(cells, row, K * K) for row in W]
    return np.array(counted, dtype=np.float64).reshape(len(W), K, K)


def accuracy(T: Floats) -> Floats:
    """Share on the diagonal of each table (B, K, K) -> (B,)."""
    return ratio(np.trace(T, axis1=1, axis2=2), T.sum(axis=(1, 2)))


def kappa(T: Floats, disagreement: Floats | None = None) -> Floats:
    """Cohen's kappa: agreement beyond what two such distributions of answers reach by chance.

    Parameters
    ----------
    T : (B, K, K)
    disagreement : (K, K)
        How much each cell disagrees, 0 on the diagonal; None: 1 beside it.

    Returns
    -------
    (B,)
        1 - observed / expected disagreement. NaN for a table of which people gave a single answer: whatever the judge
        says is then as likely by chance.

    References
    ----------
    Cohen (1960), A coefficient of agreement for nominal scales. Educational and Psychological Measurement 20. Cohen
    (1968), Weighted kappa. Psychological Bulletin 70.
    """
    K = T.shape[1]
    apart = 1 - np.eye(K) if disagreement is None else disagreement
    people, judge, total = T.sum(axis=2), T.sum(axis=1), T.sum(axis=(1, 2))
    expected = ratio(np.einsum("bi,ij,bj->b", people, apart, judge), total)
    expected[(people > 0).sum(axis=1) < 2] = 0
    return 1 - ratio(np.einsum("bij,ij->b", T, apart), expected)


def quadratic_kappa(T: Floats) -> Floats:
    """Cohen's kappa with disagreement growing as the square of the levels in between, (B, K, K) -> (B,).

    References
    ----------
    Fleiss and Cohen (1973), The equivalence of weighted kappa and the intraclass correlation coefficient. Educational
    and Psychological Measurement 33.
    """
    step = np.arange(T.shape[1])
    return kappa(T, np.square(step[:, None] - step[None, :]).astype(np.float64))


def chance_of_kappa(T: Floats) -> Floats:
    """How often answers of these two distributions would be equal by chance, (B, K, K) -> (B,)."""
    people, judge, total = T.sum(axis=2), T.sum(axis=1), T.sum(axis=(1, 2))
    return ratio(np.einsum("bi,bi->b", people, judge), np.square(total))


def chance_of_ac1(T: Floats) -> Floats:
    """How often answers are equal by chance as Gwet has it, (B, K, K) -> (B,): rarely where one answer is rare."""
    each = ratio(T.sum(axis=2) + T.sum(axis=1), 2 * T.sum(axis=(1, 2))[:, None])
    expected: Floats = (each * (1 - each)).sum(axis=1) / (T.shape[1] - 1)
    return expected


def ac1(T: Floats) -> Floats:
    """Gwet's AC1, (B, K, K) -> (B,): to be shown beside kappa, and to decide nothing.

    Where one answer is rare it stays high for a judge that never finds it.

    References
    ----------
    Gwet (2008), Computing inter-rater reliability and its variance in the presence of high agreement. British Journal
    of Mathematical and Statistical Psychology 61, section 3.
    """
    by_chance = chance_of_ac1(T)
    return (accuracy(T) - by_chance) / (1 - by_chance)
