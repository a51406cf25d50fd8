"""The alternative annotator test: can a judge stand in for one of the people, and is that worth anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from judge.calibration.statistics import bootstrap, confusion
from judge.calibration.statistics.bootstrap import DRAWS, Codes, Floats
from judge.calibration.statistics.correlation import spearman
from judge.calibration.statistics.figures import Figure, Undefined
from judge.calibration.statistics.moments import Flags, must_vary, ratio
from judge.calibration.statistics.raters import majority

#: What answers (n,) are worth against the labels of the others (n, R), NaN where one did not label: (n,), higher is
#: better. Every item has at least one other label.
Score = Callable[[Floats, Floats], Floats]

People = Literal["experts", "skilled", "crowd"]
#: What a judge may lose and still win, being cheaper, by who the people are (Calderon et al. 2025).
EPSILON: dict[People, float] = {"experts": 0.2, "skilled": 0.15, "crowd": 0.1}
#: False discovery rate among the annotators.
Q = 0.05
#: Share of the annotators that a judge must win.
WINNING = 0.5
#: Fewer items than this, all of one weight, take Wilcoxon's test in the place of Student's.
ENOUGH = 30
#: With fewer items the smallest p-value of Wilcoxon's test, 1 / 2^n, is above what three annotators ask for: no judge
#: could win.
FEWEST = 6
#: Two annotators have no consensus to be compared with, only each other.
ANNOTATORS = 3
#: Constants that are tried where people gave more different labels than this are quantiles of them.
_MOST_CONSTANTS = 25
#: Scores this close are equal: sums in other orders differ by less.
_SAME = 1e-9


@dataclass(frozen=True, slots=True)
class AltTestRow:
    """The test of one annotator, left out and compared with the judge on n items.

    Attributes
    ----------
    score_judge, score_human
        Mean score of the judge and of the annotator against the others, by the weights of the items.
    rho_judge, rho_human
        Share of the items on which the one is as good as the other or better, by their weights; ties count for both.
    p
        Of the one-sided test of rho_judge <= rho_human - epsilon. None where the annotator was not tested; then `why`
        says so.
    test
        Student's t, or Wilcoxon's for fewer than 30 items that all weigh the same.
    rejected
        The judge wins, after Benjamini-Yekutieli.
    """

    annotator: str
    n: int
    score_judge: float | None
    score_human: float | None
    rho_judge: float | None
    rho_human: float | None
    p: float | None
    test: str | None
    rejected: bool
    why: str | None = None


@dataclass(frozen=True, slots=True)
class AltTest:
    """The alternative annotator test of one criterion, with its two guards.

    Attributes
    ----------
    n
        Items with a score of the judge and labels of two people.
    tested
        Annotators with enough items.
    omega
        Winning rate, the share of tested annotators that the judge wins against.
    rho
        Average advantage probability: the mean of `rho_judge` over the tested annotators.
    constant, rho_constant
        The best constant answer, and its average advantage probability.
    over_constant
        rho - rho_constant. Guard: above 0.
    beyond_chance
        Rank correlation with the mean of the people; for labels without order kappa with their majority. Guard: the
        lower end of its interval above 0.
    passed
        omega >= 0.5 and both guards. None, undefined, for fewer than three tested annotators.
    why
        What failed, or why it is undefined; empty where it passed.
    """

    rows: tuple[AltTestRow, ...]
    n: int
    epsilon: float
    tested: int
    omega: float
    rho: Figure
    constant: float
    rho_constant: Figure
    over_constant: Figure
    beyond_chance: Figure
    passed: bool | None
    why: tuple[str, ...]


def alt_test(
    ratings: Floats,
    judge: Floats,
    score: Score,
    epsilon: float = EPSILON["experts"],
    *,
    ordered: bool,
    names: Sequence[str] | None = None,
    cluster: Codes | None = None,
    w: Floats | None = None,
    q: float = Q,
    fewest: int = FEWEST,
    beyond_chance: Figure | None = None,
    draws: int = DRAWS,
    confidence: float = 0.95,
    seed: int = 0,
) -> AltTest:
    """Whether the judge may stand in for one of the people.

    Each annotator in turn is left out, and the judge and the annotator are scored against the others, item by item. The
    tests are the paper's where an annotator's items all weigh the same, else of means by their weights
    (`weighted_test`). They take the items as independent, as in the paper, whatever `cluster` says: the intervals of
    `rho`, the constant and the guards take it.

    Parameters
    ----------
    ratings : (n, R)
        People's labels, NaN where one did not label; of labels without order their codes.
    judge : (n,)
        On the same scale; NaN where it has no score.
    score
        `accuracy`, `negative_rmse`, or any other.
    epsilon
        What the judge may lose and still win: `EPSILON`.
    ordered
        Whether labels have an order: it decides what `beyond_chance` is.
    names : (R,)
        Of the annotators; their column numbers where there are none.
    cluster : (n,)
        Codes 0..C-1 of the group of each item, for the intervals; None: each is its own.
    w : (n,)
        Inverse sampling probabilities; None where every item was as likely.
    fewest
        An annotator with fewer items is not tested. The authors' program takes 30, and so never Wilcoxon's test, which
        they ask for below 30.
    beyond_chance
        This figure where it is known already; None: it is measured here.

    Raises
    ------
    Undefined
        For one annotator, where no item that the judge scored has labels from two people, and where no annotator has
        `fewest` items.

    References
    ----------
    Calderon, Reichart and Dror (2025), The alternative annotator test for LLM-as-a-judge. ACL, section 3. The guards
    are ours: on skewed labels a constant answer passes the test.
    """
    kept = _comparable(ratings, judge)
    cluster = np.arange(len(judge)) if cluster is None else cluster
    cluster = np.unique(cluster[kept], return_inverse=True)[1].astype(np.int64)
    ratings, judge = ratings[kept], judge[kept]
    w = np.ones(len(judge)) if w is None else w[kept]
    names = [str(column) for column in range(ratings.shape[1])] if names is None else names
    ours, theirs = _against_others(ratings, judge, score), _against_others(ratings, ratings, score)
    rows = _rows(ours, theirs, w, names, epsilon, q, max(fewest, 1))
    tested = np.array([row.p is not None for row in rows])
    if not tested.any():
        most = max(row.n for row in rows)
        raise Undefined(f"no annotator has {fewest} items with labels of others; the most is {most}")
    among = (~np.isnan(theirs) & tested).astype(np.float64)
    constant, constant_wins = _best_constant(ratings, theirs, score, among, w)
    rho, rho_constant = _rho(_as_good(ours, theirs), among), _rho(constant_wins, among)
    people, chance = _chance(ratings, ordered)
    metrics: dict[str, bootstrap.Metric] = {"rho": rho, "constant": rho_constant}
    metrics["over"] = lambda y, f, W: rho(y, f, W) - rho_constant(y, f, W)
    if beyond_chance is None:
        metrics["chance"] = chance
    drawn = bootstrap.figures(metrics, people, judge, cluster, w, draws=draws, confidence=confidence, seed=seed)
    return _concluded(rows, len(judge), epsilon, constant, drawn, beyond_chance or drawn["chance"])


def _comparable(ratings: Floats, judge: Floats) -> NDArray[np.bool_]:
    """The items that the judge scored and two people labelled."""
    labelled = ~np.isnan(ratings)
    if labelled.any(axis=0).sum() < 2:
        raise Undefined("one annotator")
    kept = (labelled.sum(axis=1) >= 2) & ~np.isnan(judge)
    if not kept.any():
        raise Undefined("no item that the judge scored has labels from two people")
    return np.asarray(kept)


def accuracy(answers: Floats, others: Floats) -> Floats:
    """The share of the other labels that an answer equals."""
    labelled = ~np.isnan(others)
    return np.asarray((others == answers[:, None]).sum(axis=1) / labelled.sum(axis=1))


def negative_rmse(answers: Floats, others: Floats) -> Floats:
    """Less the root of the mean squared distance to the other labels, in points of the scale."""
    labelled = ~np.isnan(others)
    squares = np.where(labelled, np.square(others - answers[:, None]), 0.0)
    return np.asarray(-np.sqrt(squares.sum(axis=1) / labelled.sum(axis=1)))


def mean_similarity(similarity: Callable[[float, float], float]) -> Score:
    """The mean similarity of an answer to the other labels, for free texts by their codes."""

    def score(answers: Floats, others: Floats) -> Floats:
        means = [
            np.mean([similarity(answer, other) for other in row[~np.isnan(row)]])
            for answer, row in zip(answers.tolist(), others, strict=True)
        ]
        return np.array(means, dtype=np.float64)

    return score


def benjamini_yekutieli(p: Sequence[float] | Floats, q: float = Q) -> Flags:
    """Which of m hypotheses are rejected at false discovery rate q, however their p-values depend on each other: (m,).

    References
    ----------
    Benjamini and Yekutieli (2001), The control of the false discovery rate in multiple testing under dependency. Annals
    of Statistics 29, theorem 1.3.
    """
    values = np.asarray(p, dtype=np.float64)
    if not len(values):
        return np.zeros(0, dtype=np.bool_)
    order = np.argsort(values, kind="stable")
    places = np.arange(1, len(values) + 1)
    within = np.flatnonzero(values[order] <= places / len(values) * q / (1 / places).sum())
    rejected = np.zeros(len(values), dtype=np.bool_)
    if len(within):
        rejected[order[: within[-1] + 1]] = True
    return rejected


def wilcoxon(differences: Floats) -> float:
    """The exact p-value of Wilcoxon's signed-rank test that differences (n,) are not below 0; zeros have no part.

    Ranks of ties are their mean, and the chance of every sum of ranks is counted over all 2^n signs, so that ties need
    no approximation. 1 where nothing differs from 0.

    References
    ----------
    Wilcoxon (1945), Individual comparisons by ranking methods. Biometrics Bulletin 1.
    """
    differences = differences[differences != 0]
    # Twice the ranks are whole numbers; rounded, since equal differences may differ in their last bit.
    ranks = np.rint(2 * stats.rankdata(np.round(np.abs(differences), 9))).astype(np.int64)
    chances = np.ones(1)
    for rank in ranks:
        longer = np.zeros(len(chances) + rank)
        longer[: len(chances)] += chances / 2
        longer[rank:] += chances / 2
        chances = longer
    return min(float(chances[: ranks[differences > 0].sum() + 1].sum()), 1.0)


def weighted_test(differences: Floats, w: Floats, epsilon: float) -> float:
    """One-sided p-value of items of unequal weights that losses less wins are epsilon on average, or more.

    Student's test of the weighted mean, its variance that of a ratio of sums to first order, with Kish's effective
    number of items less one degrees of freedom. One item more of the largest weight is supposed, and lost: a handful of
    heavy items that by chance shows no loss would say that there is none, and light ones that the mean is sure.

    Parameters
    ----------
    differences : (n,)
        1 where the judge lost, -1 where it won, 0 at a tie.
    w : (n,)
        Inverse sampling probabilities.

    References
    ----------
    Hajek (1971), in Godambe and Sprott, Foundations of Statistical Inference (the ratio). Sarndal, Swensson and Wretman
    (1992), Model Assisted Survey Sampling, section 5.7 (its variance). Kish (1965), Survey Sampling, section 11.7. Fay
    and Feuer (1997), Confidence intervals for directly standardized rates: a method based on the gamma distribution.
    Statistics in Medicine 16, section 3 (one event more of the largest weight).
    """
    d, w = np.append(differences, 1.0), np.append(w, w.max())
    n, w = len(d), w / w.sum()
    mean = float(w @ d)
    scored = w * (d - mean)
    error = float(np.sqrt(n / (n - 1) * (scored @ scored)))
    if error < _SAME:  # all of them losses, as the supposed one
        return 1.0
    return float(stats.t.cdf((mean - epsilon) / error, 1 / (w @ w) - 1))


def _against_others(ratings: Floats, answers: Floats, score: Score) -> Floats:
    """Scores (n, R) against the labels of the others, each annotator left out in turn; NaN where one did not label.

    The answers are those of one judge (n,), or of each annotator (n, R).
    """
    found = np.full(ratings.shape, np.nan)
    for column in range(ratings.shape[1]):
        on = ~np.isnan(ratings[:, column])
        if on.any():
            own = answers[on] if answers.ndim == 1 else answers[on, column]
            found[on, column] = score(own, np.delete(ratings[on], column, axis=1))
    return found


def _rows(
    ours: Floats, theirs: Floats, w: Floats, names: Sequence[str], epsilon: float, q: float, fewest: int
) -> tuple[AltTestRow, ...]:
    """Every annotator's test, from the scores of the judge and of the annotators (n, R), and the weights (n,)."""
    rows: list[AltTestRow] = []
    for name, judge, human in zip(names, ours.T, theirs.T, strict=True):
        on = ~np.isnan(human)
        n = int(on.sum())
        if n < fewest:
            why = f"{n} {'item' if n == 1 else 'items'} with labels of others, and it takes {fewest}"
            rows.append(AltTestRow(name, n, None, None, None, None, None, None, False, why))
            continue
        judge, human, weights = judge[on], human[on], w[on] / w[on].max()
        wins, losses = _as_good(judge, human).astype(np.float64), _as_good(human, judge).astype(np.float64)
        if np.ptp(weights) < _SAME:
            p, test = _p(losses - wins, epsilon)
        else:
            p, test = weighted_test(losses - wins, weights, epsilon), "t"
        scores, rhos = (
            [float(np.average(side, weights=weights)) for side in both] for both in ((judge, human), (wins, losses))
        )
        rows.append(AltTestRow(name, n, scores[0], scores[1], rhos[0], rhos[1], p, test, False))
    tested = [row.p for row in rows if row.p is not None]
    rejected = iter(benjamini_yekutieli(tested, q).tolist())
    return tuple(row if row.p is None else replace(row, rejected=next(rejected)) for row in rows)


def _as_good(one: Floats, other: Floats) -> Flags:
    return np.asarray(one >= other - _SAME)


def _p(difference: Floats, epsilon: float) -> tuple[float, str]:
    """One-sided p-value of a mean or middle of at least epsilon, and the test that gave it, as in the paper."""
    n = len(difference)
    if n >= ENOUGH:
        mean, sd = float(difference.mean()), float(difference.std(ddof=1))
        if sd == 0:
            return (0.0 if mean < epsilon else 1.0), "t"
        return float(stats.t.cdf((mean - epsilon) / (sd / np.sqrt(n)), n - 1)), "t"
    return wilcoxon(difference - epsilon), "wilcoxon"


def _rho(wins: Flags, among: Floats) -> bootstrap.Metric:
    """Average advantage probability: the mean over annotators (n, m) of the share of their items that is won."""

    def metric(y: Floats, f: Floats, W: Floats) -> Floats:
        shares = ratio(W @ (wins * among), W @ among)
        there = ~np.isnan(shares)  # a resample may hold no item of an annotator
        return ratio(np.where(there, shares, 0.0).sum(axis=1), there.sum(axis=1))

    return metric


def _best_constant(ratings: Floats, theirs: Floats, score: Score, among: Floats, w: Floats) -> tuple[float, Flags]:
    """The label that, given to every item, has the largest rho, of equal ones the lowest; and where it wins (n, R)."""
    given = ratings[~np.isnan(ratings)]
    labels = np.unique(given)
    if len(labels) > _MOST_CONSTANTS:
        labels = np.unique(np.quantile(given, np.linspace(0, 1, _MOST_CONSTANTS), method="nearest"))
    best: tuple[float, float, Flags] | None = None
    for label in labels.tolist():
        wins = _as_good(_against_others(ratings, np.full(len(ratings), label), score), theirs)
        rho = float(_rho(wins, among)(given, given, w[None, :])[0])
        if best is None or rho > best[0] + _SAME:
            best = rho, label, wins
    assert best is not None
    return best[1], best[2]


def _chance(ratings: Floats, ordered: bool) -> tuple[Floats, bootstrap.Metric]:
    """What people say of each item, and what tells whether a judge is better than chance beside it."""
    if ordered:
        return np.asarray(np.nanmean(ratings, axis=1)), spearman
    return majority(ratings), _kappa


def _kappa(y: Floats, f: Floats, W: Floats) -> Floats:
    sure = ~np.isnan(y)  # NaN where people have no majority
    y, f, W = y[sure], f[sure], W[:, sure]
    must_vary(y, f)
    labels, codes = np.unique(np.concatenate([y, f]), return_inverse=True)
    return confusion.kappa(confusion.tables(codes[: len(y)], codes[len(y) :], W, len(labels)))


def _concluded(
    rows: tuple[AltTestRow, ...],
    n: int,
    epsilon: float,
    constant: float,
    drawn: Mapping[str, Figure],
    beyond_chance: Figure,
) -> AltTest:
    tested = sum(row.p is not None for row in rows)
    omega = sum(row.rejected for row in rows) / tested
    over, why = drawn["over"], []
    if omega < WINNING:
        why.append(f"it wins against {omega:.0%} of the annotators, and it takes {WINNING:.0%}")
    if over.value is None or over.value <= _SAME:
        why.append("a constant answer does as well")
    if beyond_chance.value is None or beyond_chance.low is None:
        why.append(f"whether it is better than chance is not known: {beyond_chance.why}")
    elif beyond_chance.low <= 0:
        why.append(f"it may be no better than chance: the interval begins at {beyond_chance.low:.2f}")
    passed: bool | None = not why
    if tested < ANNOTATORS:
        passed, why = None, [f"only {tested} of the annotators could be tested, and it takes {ANNOTATORS}"]
    return AltTest(
        rows=rows,
        n=n,
        epsilon=epsilon,
        tested=tested,
        omega=omega,
        rho=drawn["rho"],
        constant=constant,
        rho_constant=drawn["constant"],
        over_constant=over,
        beyond_chance=beyond_chance,
        passed=passed,
        why=tuple(why),
    )
