"""Correlations and pairs: hand-worked values, oracles, invariances, and what is undefined."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from judge.calibration.statistics import bootstrap
from judge.calibration.statistics.bootstrap import Floats, Metric
from judge.calibration.statistics.correlation import midranks, pearson, spearman
from judge.calibration.statistics.figures import Undefined
from judge.calibration.statistics.pairs import always_tie, kendall, pairs, pairwise_accuracy, tuned_tie

CORRELATIONS: dict[str, Metric] = {"spearman": spearman, "pearson": pearson, "kendall": kendall}
EVERY = CORRELATIONS | {"exact": pairwise_accuracy(), "near": pairwise_accuracy(1.0), "always": always_tie}


def once(metric: Metric, y: Any, f: Any, w: Any = None) -> float:
    y, f = np.asarray(y, dtype=np.float64), np.asarray(f, dtype=np.float64)
    weights = np.ones(len(y)) if w is None else np.asarray(w, dtype=np.float64)
    return float(metric(y, f, weights[None, :])[0])


def some(rng: np.random.Generator, n: int, levels: int = 0) -> Floats:
    """Scores of a few levels, or all different."""
    return rng.integers(1, levels + 1, n).astype(np.float64) if levels else rng.normal(size=n)


def test_ranks_worked_by_hand() -> None:
    """Ranks 1 2.5 2.5 4 and 2 1 3 4: deviations -1.5 0 0 1.5 and -.5 -1.5 .5 1.5; 3 / sqrt(4.5 * 5)."""
    y, f = [1, 2, 2, 3], [20, 10, 30, 40]
    assert midranks(np.array(y, dtype=np.float64), np.ones((1, 4))).tolist() == [[0.5, 2, 2, 3.5]]
    assert once(spearman, y, f) == pytest.approx(3 / 22.5**0.5, abs=1e-12)


def test_pairs_worked_by_hand() -> None:
    """1 2 2 3 against 5 5 6 6: pairs 12 tied by judge, 13 14 concordant, 23 tied by people, 24 concordant, 34 by judge.

    C 3, D 0: tau-b 3 / sqrt(5 * 4); acc_eq 3 of 6. With a tie of 1 the judge ties all: right about 23 alone.
    """
    y, f = np.array([1.0, 2, 2, 3]), np.array([5.0, 5, 6, 6])
    found = pairs(y, f, np.ones((1, 4)))
    counted = [found.concordant, found.discordant, found.tied_by_people, found.tied_by_judge, found.tied_by_both]
    assert [float(each[0]) for each in counted] == [3, 0, 1, 2, 0]
    assert float(found.total[0]) == 6
    assert once(kendall, y, f) == pytest.approx(3 / 20**0.5, abs=1e-12)
    assert once(pairwise_accuracy(), y, f) == 0.5
    assert once(pairwise_accuracy(1.0), y, f) == pytest.approx(1 / 6)
    assert once(always_tie, y, f) == pytest.approx(1 / 6)


@pytest.mark.parametrize(("left", "right"), [(0, 0), (3, 0), (5, 4), (2, 2)])
def test_scipy_agrees(left: int, right: int) -> None:
    from scipy import stats

    rng = np.random.default_rng(left * 10 + right)
    for n in (3, 20, 150):
        y, f = some(rng, n, left), some(rng, n, right)
        y[:2], f[:2] = (1, 2), (2, 1)
        assert_allclose(once(spearman, y, f), stats.spearmanr(y, f).statistic, 1e-9, 1e-12)
        assert_allclose(once(pearson, y, f), stats.pearsonr(y, f).statistic, 1e-9, 1e-12)
        assert_allclose(once(kendall, y, f), stats.kendalltau(y, f, variant="b").statistic, 1e-9, 1e-12)


def one_by_one(y: Floats, f: Floats, w: Floats, tie: float) -> tuple[float, ...]:
    """The pairs, each looked at by itself."""
    found = dict.fromkeys(("C", "D", "P", "J", "B", "all"), 0.0)
    for i, j in combinations(range(len(y)), 2):
        people, judge = np.sign(y[i] - y[j]), 0.0 if abs(f[i] - f[j]) <= tie else np.sign(f[i] - f[j])
        kinds = {"C": people * judge > 0, "D": people * judge < 0, "P": people == 0, "J": judge == 0}
        for kind, holds in kinds.items() | {"B": people == judge == 0, "all": True}.items():
            found[kind] += holds * w[i] * w[j]
    return tuple(found.values())


@settings(deadline=None, max_examples=80)
@given(st.integers(0, 2**32), st.integers(2, 14), st.sampled_from([0, 2, 5]), st.sampled_from([0.0, 0.5, 1.0, 2.0]))
def test_pairs_are_those_that_one_finds_one_by_one(seed: int, n: int, levels: int, tie: float) -> None:
    rng = np.random.default_rng(seed)
    y, f, W = some(rng, n, levels), some(rng, n, levels), rng.uniform(0, 3, (2, n))
    found = pairs(y, f, W, tie)
    for row, w in enumerate(W):
        counted = (found.concordant, found.discordant, found.tied_by_people, found.tied_by_judge, found.tied_by_both)
        assert_allclose([each[row] for each in (*counted, found.total)], one_by_one(y, f, w, tie), 1e-9, 1e-9)


@settings(deadline=None, max_examples=80)
@given(st.integers(0, 2**32), st.integers(2, 40), st.sampled_from([0, 2, 5]), st.sampled_from([0, 3]))
def test_a_weight_of_two_is_the_item_twice(seed: int, n: int, left: int, right: int) -> None:
    rng = np.random.default_rng(seed)
    y, f = some(rng, n, left), some(rng, n, right)
    W = rng.integers(0, 3, (3, n)).astype(np.float64)
    W[:, 0] += 1
    for name, metric in CORRELATIONS.items():
        try:
            found = metric(y, f, W)
        except Undefined:
            continue
        assert_allclose(found, metric(y, f, 7.5 * W), 1e-9, 1e-12, err_msg=name)
        for value, row in zip(found, W.astype(int), strict=True):
            try:
                again = once(metric, np.repeat(y, row), np.repeat(f, row))
            except Undefined:
                assert np.isnan(value), name
                continue
            assert value == pytest.approx(again, abs=1e-9), name


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32), st.integers(2, 20), st.sampled_from([0, 3]))
def test_a_copy_is_an_item_like_the_others_but_never_paired_with_itself(seed: int, n: int, levels: int) -> None:
    """acc_eq of rows that are repeated has besides all pairs of copies, tied by both."""
    rng = np.random.default_rng(seed)
    y, f, w = some(rng, n, levels), some(rng, n, levels), rng.integers(1, 4, n)
    for tie in (0.0, 1.0):
        repeated = pairs(np.repeat(y, w), np.repeat(f, w), np.ones((1, w.sum())), tie)
        weighted = pairs(y, f, w[None, :].astype(np.float64), tie)
        copies = (w * (w - 1) / 2).sum()
        for kind in ("concordant", "discordant"):
            assert_allclose(getattr(repeated, kind), getattr(weighted, kind), 1e-9, 1e-9)
        for kind in ("tied_by_people", "tied_by_judge", "tied_by_both", "total"):
            assert_allclose(getattr(repeated, kind), getattr(weighted, kind) + copies, 1e-9, 1e-9)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32), st.integers(3, 40), st.sampled_from([0, 3]))
def test_ranks_do_not_see_how_a_scale_is_stretched(seed: int, n: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    y, f, w = some(rng, n, levels), some(rng, n, levels), rng.uniform(0.5, 2, n)
    y[:2], f[:2] = (1, 2), (2, 1)
    for metric in (spearman, kendall, pairwise_accuracy()):
        plain = once(metric, y, f, w)
        assert once(metric, np.exp(y), f**3, w) == pytest.approx(plain, abs=1e-9)
        assert once(metric, f, y, w) == pytest.approx(plain, abs=1e-9)
    for name, metric in CORRELATIONS.items():
        assert once(metric, y, 10 - 3 * f, w) == pytest.approx(-once(metric, y, f, w), abs=1e-9), name
        assert once(metric, y, 2 * y + 1, w) == pytest.approx(1), name
    assert once(pairwise_accuracy(0.5), y, f, w) == pytest.approx(once(pairwise_accuracy(5.0), 3 * y, 10 * f, w))


@pytest.mark.parametrize("metric", CORRELATIONS.values(), ids=CORRELATIONS)
def test_undefined_says_why(metric: Metric) -> None:
    for y, f, why in (
        ([1, 2, 3], [2, 2, 2], "the judge gave every item the same score"),
        ([2, 2, 2], [1, 2, 3], "people gave every item the same score"),
        ([1], [1], "one item alone"),
        ([], [], "no items"),
    ):
        with pytest.raises(Undefined, match=why):
            once(metric, y, f)
    three = np.array([1.0, 2, 3])
    figure = bootstrap.figures({"": metric}, three, np.full(3, 0.1), np.arange(3), draws=10)[""]
    assert (figure.value, figure.low, figure.why) == (None, None, "the judge gave every item the same score")


def test_a_resample_that_leaves_one_score_is_no_number() -> None:
    """Not 0 either where scores like .1 do not sum to round numbers, whether items can be pooled or not."""
    for y in ([0.1, 0.1, 0.1, 0.3, 0.7], [0.1, 0.1, 0.1, 0.3, 0.7] * 20):
        people, judge = np.array(y), np.random.default_rng(0).normal(size=len(y))
        W = np.stack([(people == 0.1) * 0.3, np.arange(len(y)) == 1, np.zeros(len(y))])
        for metric in CORRELATIONS.values():
            assert np.isnan(metric(people, judge, W)).all()
            assert np.isnan(metric(judge, people, W)).all()
        for pairwise in (pairwise_accuracy(), always_tie):
            assert np.isnan(pairwise(people, judge, W)[1:]).all()
            assert not np.isnan(pairwise(people, judge, W)[0])


@pytest.mark.parametrize("metric", [spearman, pearson])
def test_losses_are_what_is_missing_to_1(metric: Metric) -> None:
    assert isinstance(metric, bootstrap.Losing)
    rng = np.random.default_rng(5)
    y, f, w = rng.integers(0, 4, 50).astype(float), rng.normal(size=50), rng.uniform(0.5, 2, 50)
    losses, least = metric.losses(y, f, w)
    assert losses.sum() == pytest.approx(1 - metric(y, f, w[None, :])[0])
    # The nearest miss of one item of many: one of 1000 moved by a level costs about what is said of it.
    y = np.repeat(np.arange(5.0), 200)
    missed = y.copy()
    missed[500] += 1
    least = metric.losses(y, y, np.ones(1000))[1]
    assert 1 - metric(y, missed, np.ones((1, 1000)))[0] == pytest.approx(least, rel=0.02)


def test_pairs_of_a_constant_judge_are_those_that_people_tie() -> None:
    """acc_eq is defined for it, and it is what `always_tie` says."""
    y = np.array([1.0, 1, 2, 3, 3, 3])
    assert once(pairwise_accuracy(), y, np.full(6, 2.5)) == once(always_tie, y, np.arange(6)) == pytest.approx(4 / 15)
    with pytest.raises(Undefined, match="one item alone"):
        once(pairwise_accuracy(), [1], [1])
    with pytest.raises(ValueError, match="below 0"):
        pairwise_accuracy(-1)


def test_a_difference_that_is_the_tie_but_for_rounding_ties() -> None:
    """.3 - .2 is below .1 and .8 - .7 above it, as floats are; both are a difference of .1."""
    assert once(pairwise_accuracy(0.1), [1, 1], [0.2, 0.3]) == 1
    assert once(pairwise_accuracy(0.1), [1, 1], [0.7, 0.8]) == 1
    assert once(pairwise_accuracy(0.1), [1, 1], [0.7, 0.801]) == 0


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32), st.integers(2, 12), st.sampled_from([0, 4]), st.booleans(), st.booleans())
def test_the_tuned_tie_is_the_best_of_all(seed: int, n: int, levels: int, grouped: bool, weighed: bool) -> None:
    rng = np.random.default_rng(seed)
    y, f = some(rng, n, 3), some(rng, n, levels)
    group = rng.integers(0, 3, n) if grouped else np.zeros(n, dtype=np.int64)
    w = rng.uniform(1, 9, n) if weighed else np.ones(n)
    inside = [np.flatnonzero(group == code) for code in range(3)]
    inside = [items for items in inside if len(items) > 1]
    if not inside:
        with pytest.raises(Undefined, match="no two items"):
            tuned_tie(y, f, group)
        return

    def reached(tie: float) -> float:
        metric = pairwise_accuracy(tie)
        return float(np.mean([metric(y[items], f[items], w[None, items])[0] for items in inside]))

    best = tuned_tie(y, f, group, w if weighed else None)
    for candidate in {0.0, *np.abs(f[:, None] - f).ravel()}:
        assert reached(candidate) <= reached(best) + 1e-9
        if candidate < best - 1e-9:
            assert reached(candidate) < reached(best) - 1e-13


def test_a_tie_is_tuned_on_a_sample_of_many_items() -> None:
    """People tie what lies between two whole numbers, so that pairs less than 1 apart are tied more often than not
    up to a difference of about a half: at d apart by 1 - d."""
    rng = np.random.default_rng(0)
    quality = rng.uniform(0, 10, 3000)
    tie = tuned_tie(np.floor(quality), quality)
    assert tie == pytest.approx(0.5, abs=0.1)
    assert tie == tuned_tie(np.floor(quality), quality)
