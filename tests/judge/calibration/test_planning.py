"""How many labels, where, and which: by hand, beside searches, and probabilities by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import cohens_kappa
from statsmodels.stats.proportion import proportion_confint

from judge.calibration.labelling import planning
from judge.calibration.statistics.figures import Undefined

SEEDS = st.integers(0, 10**6)


def wilson_half(share: float, n: int) -> float:
    low, high = proportion_confint(share * n, n, method="wilson")
    return float(high - low) / 2


@pytest.mark.parametrize(("share", "target"), [(0.8, 0.11), (0.8, 0.055), (0.5, 0.1), (1.0, 0.05), (0.97, 0.02)])
def test_a_rate_gets_the_fewest_labels_of_wilson(share: float, target: float) -> None:
    n = planning.for_rate(share, target)
    assert wilson_half(share, n) <= target < wilson_half(share, n - 1)


def test_groups_cost_labels_and_a_judge_saves_some() -> None:
    plain = planning.for_rate(0.8, 0.05)
    assert planning.for_rate(0.8, 0.05, effect=2) == pytest.approx(2 * plain, abs=2)
    assert planning.for_rate(0.8, 0.05, effect=1 / 1.6) == pytest.approx(plain / 1.6, abs=2)


def test_tpr_and_tnr_need_labels_each() -> None:
    n1, n0, n = planning.for_error_rates(0.9, 0.7, 0.9, 0.1)
    assert (n1, n0) == (planning.for_rate(0.9, 0.1), planning.for_rate(0.7, 0.1))
    assert n == math.ceil(n0 / (1 - 0.9))
    with pytest.raises(Undefined, match="no TPR or no TNR"):
        planning.for_error_rates(0.9, 0.7, 1.0, 0.1)


def test_a_mean_by_hand() -> None:
    # z^2 sd^2 / h^2 = 3.8415 / 0.01 = 384.1 with z; Student's quantile of 386 degrees is 1.9661: 386.6.
    assert planning.for_mean(1.0, 0.1) == 387
    # r = .6 leaves .64 of the variance: 247.4 with the quantile 1.9696.
    assert planning.for_mean(1.0, 0.1, r=0.6) == pytest.approx(0.64 * 387, abs=2)
    assert planning.for_mean(1.0, 0.1, r=-0.6) == 387


def test_a_run_of_few_items_bounds_what_labels_can_do() -> None:
    # 1.9683^2 (.64 / n + .36 / 1000) = .01, Student's quantile at n = 288: .64 / n = .002581 - .00036.
    assert planning.for_mean(1.0, 0.1, r=0.6, items=1000) == 289
    with pytest.raises(Undefined, match="300 items are too few"):
        planning.for_mean(1.0, 0.1, items=300)


def test_spearman_has_the_half_widths_of_the_bootstrap() -> None:
    # research, measured: rho .5 at n = 50 [.25, .69], 100 [.33, .64], 200 [.38, .60].
    for n, half in ((50, 0.22), (100, 0.155), (200, 0.11)):
        assert planning.for_spearman(0.5, half) == pytest.approx(n, rel=0.12)
    assert planning.for_spearman(-0.5, 0.1) == planning.for_spearman(0.5, 0.1)


@pytest.mark.parametrize("quadratic", [False, True])
def test_kappa_beside_statsmodels(quadratic: bool) -> None:
    table = np.array([[30.0, 8, 2], [6, 25, 9], [1, 5, 34]])
    oracle = cohens_kappa(table, wt="quadratic" if quadratic else None)
    sd = (oracle.var_kappa * table.sum()) ** 0.5
    expected = (stats.norm.ppf(0.975) * sd / 0.07) ** 2
    assert planning.for_kappa(table, 0.07, quadratic=quadratic) == math.ceil(expected)
    pairs = np.repeat([(a, b) for a in range(3) for b in range(3)], table.astype(int).ravel(), axis=0)
    weights = "quadratic" if quadratic else None
    assert oracle.kappa == pytest.approx(cohen_kappa_score(pairs[:, 0], pairs[:, 1], weights=weights))
    with pytest.raises(Undefined, match="one level"):
        planning.for_kappa(np.array([[9.0, 0], [0, 0]]), 0.1)


def test_targets_out_of_reach() -> None:
    with pytest.raises(Undefined, match="without end"):
        planning.for_rate(0.5, 0.0)
    with pytest.raises(Undefined, match="more than 10000000"):
        planning.for_rate(0.5, 1e-6)


def test_more() -> None:
    assert (planning.more(120, 50), planning.more(40, 50)) == (70, 0)


def test_neyman_by_hand() -> None:
    # 100 * .4 : 300 * .2 = 40 : 60.
    assert planning.neyman(np.array([100, 300]), np.array([0.4, 0.2]), 50).tolist() == [20, 30]
    # A stratum of four items gets no more; one without spread gets its two.
    assert planning.neyman(np.array([4, 100, 50]), np.array([9.0, 0.1, 0.0]), 30).tolist() == [4, 24, 2]
    assert planning.neyman(np.array([10, 30]), np.zeros(2), 20).tolist() == [5, 15]
    with pytest.raises(ValueError, match="3 labels for strata"):
        planning.neyman(np.array([10, 30]), np.ones(2), 3)


@given(SEEDS)
def test_neyman_spends_all_and_no_more_than_there_is(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 80, int(rng.integers(1, 8)))
    n = int(rng.integers(np.minimum(sizes, 2).sum(), sizes.sum() + 1))
    given_ = planning.neyman(sizes, rng.choice([0.0, 0.1, 1.0], len(sizes)), n)
    assert given_.sum() == n
    assert (given_ >= np.minimum(sizes, 2)).all()
    assert (given_ <= sizes).all()


def test_uncertainty_by_hand() -> None:
    samples = np.array([[1.0, 1, 1], [1, 3, np.nan], [2, np.nan, np.nan]])
    # 0, 1 and unknown, which is as unsure as the most unsure; divided by the mean of the known, 1/2.
    assert planning.uncertainty(samples).tolist() == [0, 2, 2]
    assert planning.uncertainty(confidence=np.array([1.0, 0.8, 0.6])).tolist() == pytest.approx([0, 1, 2])
    both = planning.uncertainty(samples, confidence=np.array([1.0, 0.8, 0.6]))
    assert both.tolist() == pytest.approx([0, 1.5, 2])
    assert planning.uncertainty(panel=np.ones((3, 2))).tolist() == [1, 1, 1]
    with pytest.raises(Undefined):
        planning.uncertainty()


def test_inclusion_by_hand() -> None:
    # n = 2 of 4, floor one half: 2 (u / 8 + 1 / 8) = 1/4, 1/4, 1/2, 1.
    assert planning.inclusion(np.array([0.0, 0, 1, 3]), 2, 0.5).tolist() == pytest.approx([0.25, 0.25, 0.5, 1])
    assert planning.inclusion(np.zeros(5), 2).tolist() == pytest.approx([0.4] * 5)
    with pytest.raises(ValueError, match="floor in"):
        planning.inclusion(np.ones(5), 2, 0)


@given(SEEDS, st.floats(0.05, 1))
def test_inclusion_adds_up_and_leaves_no_item_out(seed: int, floor: float) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 200))
    n = int(rng.integers(1, count + 1))
    pi = planning.inclusion(rng.exponential(size=count) ** 4, n, floor)
    assert pi.sum() == pytest.approx(n, abs=1e-8)
    assert ((pi >= floor * n / count * (1 - 1e-9)) & (pi <= 1)).all()
    picked = planning.draw(pi, seed)
    assert len(picked) == n == len(set(picked.tolist()))
    assert picked.tolist() == planning.draw(pi, seed).tolist()
    assert set(np.flatnonzero(pi == 1)) <= set(picked.tolist())


def test_items_are_drawn_as_often_as_recorded_and_weighted_sums_are_unbiased() -> None:
    rng = np.random.default_rng(11)
    unsure = rng.exponential(size=40) ** 2
    y = 3 + unsure + rng.normal(0, 1, 40)
    pi = planning.inclusion(unsure, 12)
    draws = 8000
    drawn = np.zeros((draws, 40))
    for seed in range(draws):
        drawn[seed, planning.draw(pi, seed)] = 1
    spread = np.sqrt(pi * (1 - pi) / draws)
    assert (np.abs(drawn.mean(0) - pi) <= 4.5 * spread + 1e-12).all()
    totals = drawn @ (y / pi)
    assert totals.mean() / 40 == pytest.approx(y.mean(), abs=4 * totals.std() / 40 / draws**0.5)
    # Without the weights the sum is far off, so the check above can fail.
    assert abs((drawn @ y).mean() / 12 - y.mean()) > 0.1


def test_two_rounds_count_together() -> None:
    first, second = planning.inclusion(np.arange(20.0), 5), planning.inclusion(np.arange(20.0)[::-1], 6)
    hits = np.zeros(20)
    for seed in range(4000):
        hits[np.union1d(planning.draw(first, seed), planning.draw(second, seed + 10**6))] += 1
    pi = planning.either(first, second)
    assert (np.abs(hits / 4000 - pi) <= 4.5 * np.sqrt(pi * (1 - pi) / 4000) + 1e-12).all()


def test_what_cannot_be_drawn() -> None:
    with pytest.raises(ValueError, match=r"add up to 1\.5"):
        planning.draw(np.array([0.5, 1.0]), 1)
    assert planning.draw(np.zeros(3), 1).tolist() == []
