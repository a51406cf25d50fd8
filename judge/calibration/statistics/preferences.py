"""Pairs: which of two outputs a judge prefers, in both orders, beside what people prefer.

Verdicts name the output, not its place: `a`, `b`, `tie`, or None where the judge's answer could not be read. In the
order `ab` output a is shown first, in the order `ba` output b.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from judge.calibration.statistics import confusion
from judge.calibration.statistics.bootstrap import DRAWS, Codes, Floats, Metric
from judge.calibration.statistics.figures import Figure, Undefined
from judge.calibration.statistics.moments import Flags, must_vary
from judge.calibration.statistics.shares import Share, figures

Verdicts = Sequence[str | None]
#: What becomes of a verdict that could not be read: an answer of its own that is never right, or no answer at all.
Unparsed = Literal["wrong", "left out"]

#: In the order of the scale, which are the codes 0, 1, 2; a verdict that could not be read is 3.
VERDICTS = ("a", "tie", "b")
_A, _TIE, _B, _UNPARSED = range(4)
_UNREAD = "the judge's verdicts could not be read"
_NO_MAJORITY = "no pair has a verdict that most people gave"


@dataclass(frozen=True, slots=True)
class Position:
    """How the place of an output moves a judge: counts of pairs.

    Attributes
    ----------
    consistent, primacy, recency
        The same verdict in both orders; moved towards the output shown first; towards the one shown second. A tie in
        one order alone is moved.
    unparsed
        Pairs with a verdict that could not be read. They have no part in the figures.
    """

    consistent: int
    primacy: int
    recency: int
    unparsed: int

    @property
    def n(self) -> int:
        """Pairs that were read in both orders."""
        return self.consistent + self.primacy + self.recency

    def consistency(self) -> float:
        """PC: the share of consistent pairs.

        Raises
        ------
        Undefined
            Where no pair was read in both orders.

        References
        ----------
        Shi et al. (2024), Judging the judges: a systematic study of position bias. arXiv 2406.07791, section 2.
        """
        if not self.n:
            raise Undefined(_UNREAD)
        return self.consistent / self.n

    def fairness(self) -> float:
        """PF in [-1, 1]: -1 where the output shown first always wins, 0 where no place is favoured, 1 for the second.

        Shi et al. weigh each count by its share of the inconsistent pairs and divide by the number of pairs. Since
        r^2 / (r + p) - p^2 / (r + p) = r - p, that is the share moved to the second place less the share moved to the
        first. They divide by all pairs; here it is those read in both orders, or unread verdicts would look fair.

        Raises
        ------
        Undefined
            Where no pair was read in both orders.

        References
        ----------
        As `consistency`.
        """
        if not self.n:
            raise Undefined(_UNREAD)
        return (self.recency - self.primacy) / self.n

    def p(self) -> float:
        """Of the exact two-sided test that inconsistent pairs move to either place alike. Takes pairs as independent.

        Raises
        ------
        Undefined
            Where no pair is inconsistent.

        References
        ----------
        McNemar (1947), Note on the sampling error of the difference between correlated proportions. Psychometrika 12,
        by the binomial distribution.
        """
        if not self.primacy + self.recency:
            raise Undefined("no pair is inconsistent")
        return float(stats.binomtest(self.primacy, self.primacy + self.recency).pvalue)


def position(ab: Verdicts, ba: Verdicts) -> Position:
    """Pairs by what the order does to them.

    Parameters
    ----------
    ab, ba : (n,)
        The judge's verdicts where a was shown first, and where b was.
    """
    moved = _moved(coded(ab), coded(ba))
    return Position(*(int(one.sum()) for one in moved))


def preferences(
    people: Verdicts,
    ab: Verdicts,
    ba: Verdicts | None = None,
    *,
    cluster: Codes | None = None,
    w: Floats | None = None,
    unparsed: Unparsed = "wrong",
    draws: int = DRAWS,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, Figure]:
    """Every figure of a judge of pairs: shares with Wilson's interval, the rest with the cluster bootstrap's.

    Parameters
    ----------
    people, ab, ba, unparsed
        As of `metrics`.
    cluster : (n,)
        Codes 0..C-1 of the group of each pair; None: each is its own.
    w : (n,)
        Inverse sampling probabilities; None where every pair was as likely.

    Returns
    -------
    dict of Figure
        By the names of `metrics`, and `accuracy`, the mean of both orders, whose ends are the means of theirs: too wide
        rather than too narrow. `position_p` is the p-value of `Position.p`. `n` counts pairs; for `position_p`
        inconsistent ones, for `kappa*` and `fairness` all.
    """
    count = len(people)
    cluster = np.arange(count) if cluster is None else cluster
    every = metrics(people, ab, ba, unparsed)
    gold = coded(people).astype(np.float64)
    found = figures(every, gold, gold, cluster, w, draws=draws, confidence=confidence, seed=seed)
    found = {name: one.model_copy(update={"of": "pairs"}) for name, one in found.items()}
    if ba is None:
        return found
    found["accuracy"] = _mean(found["accuracy_ab"], found["accuracy_ba"])
    moved = position(ab, ba)
    try:
        found["position_p"] = Figure(value=moved.p(), n=moved.primacy + moved.recency, of="inconsistent pairs")
    except Undefined as undefined:
        found["position_p"] = Figure.undefined(str(undefined), 0, "inconsistent pairs")
    return found


def metrics(
    people: Verdicts, ab: Verdicts, ba: Verdicts | None = None, unparsed: Unparsed = "wrong"
) -> dict[str, Metric]:
    """The metrics of these pairs, by name. What they are given as y and f they only count.

    Parameters
    ----------
    people : (n,)
        What most people say, as of `majority`. Pairs with None have a part in position and the agreement of the orders.
    ab, ba : (n,)
        The judge's verdicts where a was shown first, and where b was; `ba` is None where there was one order.
    unparsed : {"wrong", "left out"}
        A verdict that could not be read is wrong, as in LLMBar (Zeng et al. 2024), and for kappa an answer of its own;
        or it is left out of its order, and its pair out of what needs both.

    Returns
    -------
    dict
        Of each order `accuracy_ab`, `kappa_ab` (Cohen's, on a, tie and b) and `unparsed_ab` (share of verdicts);
        `kappa`, the mean of the orders; `both_correct`; `agreement` of the orders (verdicts that could not be read
        agree with none) and `kappa_orders`; `constant`, the accuracy of always giving the verdict that people give most
        often, whose kappa is 0; of the pairs read in both orders the shares `consistency`, `primacy` and `recency`, and
        `fairness` (`Position.fairness`).

    Raises
    ------
    ValueError
        For verdicts of other names, and for different numbers of them.
    """
    gold, orders = coded(people), {"ab": coded(ab)} | ({} if ba is None else {"ba": coded(ba)})
    if any(len(order) != len(gold) for order in orders.values()):
        found = " and ".join(str(len(order)) for order in orders.values())
        raise ValueError(f"people's verdicts are of {len(gold)} pairs, and the judge's of {found}")
    known = gold != _UNPARSED
    asked = {name: order != _UNPARSED if unparsed == "left out" else order >= 0 for name, order in orders.items()}
    why = _UNREAD if known.any() else _NO_MAJORITY
    every: dict[str, Metric] = {}
    for name, order in orders.items():
        every[f"accuracy_{name}"] = _share(order == gold, known & asked[name], why)
        every[f"kappa_{name}"] = _kappa(gold, order, known & asked[name], why)
        every[f"unparsed_{name}"] = _share(order == _UNPARSED, order >= 0, "there are no pairs")
    best = np.bincount(gold[known], minlength=3).argmax() if known.any() else _A
    every["constant"] = _share(gold == best, known, _NO_MAJORITY)
    if len(orders) == 1:
        return every
    first, second = orders.values()
    both = asked["ab"] & asked["ba"]
    every["both_correct"] = _share((first == gold) & (second == gold), known & both, why)
    every["agreement"] = _share((first == second) & (first != _UNPARSED), both, _UNREAD)
    every["kappa_orders"] = _kappa(first, second, both, _UNREAD)
    in_ab, in_ba = every["kappa_ab"], every["kappa_ba"]
    every["kappa"] = lambda y, f, W: (in_ab(y, f, W) + in_ba(y, f, W)) / 2
    *moved, unread = _moved(first, second)
    for name, one in zip(("consistency", "primacy", "recency"), moved, strict=True):
        every[name] = _share(one, ~unread, _UNREAD)
    to_first, to_second = every["primacy"], every["recency"]
    every["fairness"] = lambda y, f, W: to_second(y, f, W) - to_first(y, f, W)
    return every


def best_constant(people: Verdicts) -> tuple[str, float]:
    """The verdict that people give most often, of equal ones the first, and the accuracy of always giving it.

    Raises
    ------
    Undefined
        Where no pair has a verdict that most people gave.
    """
    gold = coded(people)
    counted = np.bincount(gold[gold != _UNPARSED], minlength=3)
    if not counted.any():
        raise Undefined(_NO_MAJORITY)
    return VERDICTS[int(counted.argmax())], float(counted.max() / counted.sum())


def majority(labels: Sequence[Verdicts]) -> list[str | None]:
    """The verdict that more people gave than any other; None where nobody gave one or two lead.

    Parameters
    ----------
    labels : (n, R)
        Of each pair what each person said, None where one did not.
    """
    codes = [coded(one) for one in labels]
    counted = np.array([np.bincount(one[one != _UNPARSED], minlength=3) for one in codes]).reshape(-1, 3)
    most = counted.max(axis=1)
    alone = (counted == most[:, None]).sum(axis=1) == 1
    return [VERDICTS[code] if sure else None for code, sure in zip(counted.argmax(axis=1), alone, strict=True)]


def coded(verdicts: Verdicts) -> Codes:
    """Codes (n,): 0 for a, 1 for a tie, 2 for b, 3 where there is none.

    Raises
    ------
    ValueError
        For any other verdict; names the first.
    """
    places: dict[str | None, int] = {name: code for code, name in enumerate((*VERDICTS, None))}
    for number, verdict in enumerate(verdicts):
        if verdict not in places:
            raise ValueError(f"verdict {number} is {verdict!r}, and must be a, b, tie or None")
    return np.array([places[verdict] for verdict in verdicts], dtype=np.int64)


def verdicts(preference: Floats) -> list[str | None]:
    """The verdicts of preferences (n,): 1 for a, 1/2 for a tie, 0 for b, anything else for none."""
    names = {1.0: "a", 0.5: "tie", 0.0: "b"}
    return [names.get(value) for value in preference.tolist()]


def _moved(first: Codes, second: Codes) -> tuple[Flags, Flags, Flags, Flags]:
    """Which pairs are consistent, moved to the output shown first, to the second, and not read in both orders."""
    unread = (first == _UNPARSED) | (second == _UNPARSED)
    # Codes rise from a to b, so that more of b where b is shown first is a move to the first place.
    return ~unread & (first == second), ~unread & (first < second), ~unread & (first > second), unread


def _share(hit: Flags, among: Flags, nothing: str) -> Share:
    return Share(lambda y, f: (hit, among), nothing)


def _kappa(people: Codes, judge: Codes, among: Flags, nothing: str) -> Metric:
    def metric(y: Floats, f: Floats, W: Floats) -> Floats:
        if not among.any():
            raise Undefined(nothing)
        must_vary(people[among], judge[among])
        return confusion.kappa(confusion.tables(people[among], judge[among], W[:, among], 4))

    return metric


def _mean(one: Figure, other: Figure) -> Figure:
    """The mean of two figures of the same pairs, with the means of their ends."""
    if one.value is None or other.value is None:
        return Figure.undefined(one.why or other.why or _UNREAD, 0, "pairs")
    each = [(one.value, other.value), (one.low, other.low), (one.high, other.high)]
    value, low, high = (None if a is None or b is None else (a + b) / 2 for a, b in each)
    return Figure(value=value, n=min(one.n, other.n), of="pairs", low=low, high=high, why=one.why or other.why)
