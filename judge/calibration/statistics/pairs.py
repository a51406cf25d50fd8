"""Pairs of items: which of two is better, by people and by the judge, with ties as answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from judge.calibration.statistics.bootstrap import Codes, Floats, Metric
from judge.calibration.statistics.figures import Undefined
from judge.calibration.statistics.moments import must_vary, pooled, ratio, sums, varies

#: Of the range of the judge's scores: a difference that passes the tie by less does so by rounding.
_ROUNDING = 1e-9
#: The most candidates for the difference that is a tie, and the most items of one group that are paired for it.
_CANDIDATES, _PAIRED = 1000, 2000


@dataclass(frozen=True, slots=True)
class Pairs:
    """Weights of the pairs of different items, by how they are ordered; each (B,), a value for each reweighting."""

    concordant: Floats
    discordant: Floats
    tied_by_people: Floats
    tied_by_judge: Floats
    tied_by_both: Floats
    total: Floats


def pairs(y: Floats, f: Floats, W: Floats, tie: float = 0.0) -> Pairs:
    """The pairs of different items, each with the product of its two weights.

    Exact, in O(n log K) for each reweighting, K being how many different scores the judge gave.

    Parameters
    ----------
    y, f : (n,)
        People's score and the judge's.
    W : (B, n)
    tie
        The largest difference of the judge's scores that still is a tie.
    """
    own = np.einsum("bn,bn->b", W, W)
    y, f, W = pooled(y, f, W)
    people, judge = np.unique(y, return_inverse=True)[1], np.unique(f, return_inverse=True)[1]
    scores, below = np.unique(f), f - (tie + _ROUNDING * np.ptp(f) if tie else 0.0)
    reach = np.searchsorted(scores, below, side="left")  # how many of the judge's different scores are surely lower
    whole = W.sum(axis=1)
    total = (np.square(whole) - own) / 2
    tied = (np.square(sums(people, W)).sum(axis=1) - own) / 2
    apart = _lower(np.zeros_like(people), judge, reach, W)
    apart_though_tied = _lower(people, judge, reach, W)
    concordant = _concordant(people, judge, reach, W)
    return Pairs(
        concordant=concordant,
        discordant=apart - apart_though_tied - concordant,
        tied_by_people=tied,
        tied_by_judge=total - apart,
        tied_by_both=tied - apart_though_tied,
        total=total,
    )


def _lower(among: Codes, judge: Codes, reach: Codes, W: Floats) -> Floats:
    """The weight of pairs (i, j) of the same `among` where the judge's code of i is below the reach of j."""
    base = int(max(judge.max(), reach.max())) + 1
    order = np.argsort(among * base + judge, kind="stable")
    keys = (among * base + judge)[order]
    running = _running(W[:, order])
    first, last = np.searchsorted(keys, among * base), np.searchsorted(keys, among * base + reach)
    return _weighed(W, running, first, last)


def _concordant(people: Codes, judge: Codes, reach: Codes, W: Floats) -> Floats:
    """The weight of pairs (i, j) that people put in this order, where the judge's code of i is below the reach of j.

    A code is below a reach if at the highest bit in which they differ it has 0: the pairs are summed bit by bit, among
    those whose higher bits are alike.
    """
    found = np.zeros(len(W))
    scores = int(people.max()) + 1
    for bit in range(int(reach.max()).bit_length()):
        lower, upper = np.flatnonzero(judge >> bit & 1 == 0), np.flatnonzero(reach >> bit & 1 == 1)
        keys = (judge[lower] >> bit + 1) * scores + people[lower]
        order = np.argsort(keys, kind="stable")
        group = (reach[upper] >> bit + 1) * scores
        first = np.searchsorted(keys[order], group)
        last = np.searchsorted(keys[order], group + people[upper])
        found += _weighed(W[:, upper], _running(W[:, lower[order]]), first, last)
    return found


def _running(W: Floats) -> Floats:
    """Sums of the weights before each place, (B, n) -> (B, n + 1)."""
    running = np.zeros((len(W), W.shape[1] + 1))
    np.cumsum(W, axis=1, out=running[:, 1:])
    return running


def _weighed(W: Floats, running: Floats, first: Codes, last: Codes) -> Floats:
    between = running[:, last]
    between -= running[:, first]
    found: Floats = np.einsum("bn,bn->b", W, between)
    return found


def kendall(y: Floats, f: Floats, W: Floats) -> Floats:
    """Kendall's tau-b, (B, n) -> (B,); NaN where a reweighting leaves one score of either side.

    (C - D) / sqrt((C + D + ties of people alone) (C + D + ties of the judge alone)), over pairs with the product of
    their weights.

    References
    ----------
    Kendall (1945), The treatment of ties in ranking problems. Biometrika 33, section 4.
    """
    must_vary(y, f)
    found = pairs(y, f, W)
    untied = (found.total - found.tied_by_people) * (found.total - found.tied_by_judge)
    defined = varies(y, W) & varies(f, W)
    tau = ratio(found.concordant - found.discordant, np.sqrt(np.where(defined, untied, 0.0)))
    return np.clip(tau, -1, 1)


def pairwise_accuracy(tie: float = 0.0) -> Metric:
    """The metric acc_eq: the share of pairs of items that the judge orders, or ties, as people do.

    A number to be read beside that of `always_tie`, and with a `tie` tuned on other items (`tuned_tie`).

    Parameters
    ----------
    tie
        The largest difference of the judge's scores that counts as a tie.

    References
    ----------
    Deutsch, Foster and Freitag (2023), Ties matter: meta-evaluating modern metrics with pairwise accuracy and tie
    calibration. EMNLP, sections 4 and 5.
    """
    if tie < 0:
        raise ValueError(f"the difference that is a tie cannot be below 0, and {tie} is")

    def metric(y: Floats, f: Floats, W: Floats) -> Floats:
        _must_pair(y)
        found = pairs(y, f, W, tie)
        return _share(found.concordant + found.tied_by_both, found.total, W)

    return metric


def always_tie(y: Floats, f: Floats, W: Floats) -> Floats:
    """The share of pairs that people tie: what a judge of one constant answer reaches as acc_eq, (B, n) -> (B,)."""
    return pairwise_accuracy()(y, np.zeros(len(y)), W)


def tuned_tie(y: Floats, f: Floats, group: Codes | None = None, w: Floats | None = None, seed: int = 0) -> float:
    """The difference of the judge's scores up to which a tie agrees best with people, to be used on other items.

    Tie calibration: the one of all differences for which acc_eq on these items is highest; of equally good ones the
    smallest. On the items that it was tuned on acc_eq is too high.

    Parameters
    ----------
    y, f : (n,)
        People's score and the judge's.
    group : (n,)
        Codes of groups, such as documents: pairs are taken within them, and acc_eq is averaged over them. None: all
        pairs.
    w : (n,)
        Inverse sampling probabilities, of which a pair has the product; None where every item was as likely.
    seed
        Of the sample of the items where a group has more than 2000.

    Returns
    -------
    float
        One of the differences between the judge's scores, or 0. Where they are more than 1000, one of as many
        quantiles of them.

    Raises
    ------
    Undefined
        Where no group has two items.

    References
    ----------
    Deutsch, Foster and Freitag (2023), section 5.
    """
    rng = np.random.default_rng(seed)
    ties = _candidates(f, rng)
    slack = _ROUNDING * (np.ptp(f) if len(f) else 0.0)
    groups = np.zeros(len(y), dtype=np.int64) if group is None else group
    w = np.ones(len(y)) if w is None else w
    order = np.argsort(groups, kind="stable")
    gain, paired = np.zeros(len(ties) + 1), 0
    for members in np.split(order, np.flatnonzero(np.diff(groups[order])) + 1):
        if len(members) < 2:
            continue
        chosen = rng.choice(members, _PAIRED, replace=False) if len(members) > _PAIRED else members
        gain += _gained(y[chosen], f[chosen], w[chosen], ties + slack)
        paired += 1
    if not paired:
        raise Undefined("no two items can be compared")
    reached = np.cumsum(gain)[:-1] / paired
    return float(ties[np.flatnonzero(reached >= reached.max() - 1e-12)[0]])


def _candidates(f: Floats, rng: np.random.Generator) -> Floats:
    """Differences of the judge's scores, ascending from 0, that could be the largest tie."""
    scores = np.unique(f)
    if len(scores) > _PAIRED // 2:
        scores = np.sort(rng.choice(scores, _PAIRED // 2, replace=False))
    between = (scores[:, None] - scores)[np.tril_indices(len(scores), -1)]
    between = np.unique(np.round(between, 12)) if len(between) else between
    if len(between) > _CANDIDATES:
        between = np.quantile(between, np.linspace(0, 1, _CANDIDATES))
    return np.concatenate([[0.0], between])


def _gained(y: Floats, f: Floats, w: Floats, ties: Floats) -> Floats:
    """What acc_eq of one group gains at each candidate over the one before, from no pair tied: (ties + 1,)."""
    gain = np.zeros(len(ties) + 1)
    for at in range(1, len(y)):
        people, judge, weight = np.sign(y[:at] - y[at]), f[:at] - f[at], w[:at] * w[at]
        as_tie, as_order = people == 0, people == np.sign(judge)
        from_tie = np.searchsorted(ties, np.abs(judge), side="left")  # the first candidate that makes it a tie
        change = as_tie.astype(np.float64) - (as_order & (judge != 0))
        gain += np.bincount(from_tie, weight * change, len(gain))
        gain[0] += float(weight @ (as_order & (judge != 0)))
    return gain / (float(w.sum()) ** 2 - float(w @ w)) * 2


def _must_pair(y: Floats) -> None:
    if len(y) < 2:
        raise Undefined("there are no items" if not len(y) else "there is one item alone")


def _share(part: Floats, total: Floats, W: Floats) -> Floats:
    return np.clip(ratio(part, np.where((W > 0).sum(axis=1) > 1, total, 0.0)), 0, 1)
