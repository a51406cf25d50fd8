"""Whether labels and run look alike, error rates, and what is corrected by them: by hand and beside scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from judge.calibration.populations.transport import (
    ErrorRates,
    difference,
    error_rates,
    plug_in_interval,
    rogan_gladen,
)
from judge.calibration.scale import Scale
from judge.calibration.statistics.agreement import metrics
from judge.calibration.statistics.bootstrap import Codes, Floats
from judge.calibration.statistics.figures import Undefined
from judge.calibration.statistics.shares import SumOfShares, effective_size
from tests.sets import rows


def apart(f: Floats, run: Floats, w: Floats | None = None, cluster: Codes | None = None) -> float:
    """p for labelled items that are no part of the run."""
    w = np.ones(len(f)) if w is None else w
    codes = np.arange(len(f) + len(run)) if cluster is None else cluster
    weights = np.concatenate([w, np.zeros(len(run))])
    return difference(np.concatenate([f, run]), weights, np.repeat([False, True], [len(f), len(run)]), codes).p


def counted(tp: int, fp: int, fn: int, tn: int) -> ErrorRates:
    return ErrorRates(tp / (tp + fn), tn / (tn + fp), tp + fn, tn + fp, tp + fn, tn + fp)


def test_the_difference_of_separate_items_is_the_test_of_welch() -> None:
    rng = np.random.default_rng(1)
    f, run = rng.normal(0.2, 1.5, 40), rng.normal(0, 1, 300)
    oracle = stats.ttest_ind(f, run, equal_var=False)
    assert apart(f, run) == pytest.approx(oracle.pvalue, abs=1e-12)


def test_groups_count_once_for_the_difference() -> None:
    rng = np.random.default_rng(2)
    f, run = rng.normal(0.4, 1, 30), rng.normal(0, 1, 60)
    twice = apart(np.repeat(f, 2), np.repeat(run, 2), cluster=np.repeat(np.arange(90), 2))
    assert twice == pytest.approx(apart(f, run), abs=1e-9)
    assert apart(np.repeat(f, 2), np.repeat(run, 2)) < twice


def test_labelled_items_with_one_score_are_no_proof_of_a_difference() -> None:
    # The run passes 0.9, and 20 labelled items all pass: that happens with probability 0.9^20 = 0.12.
    run = np.repeat([1.0, 0.0], [900, 100])
    assert apart(np.ones(20), run) > 0.1
    assert apart(np.ones(200), run) < 0.01


def test_a_sample_of_the_run_is_rarely_flagged_and_another_population_mostly() -> None:
    rng = np.random.default_rng(3)
    everything = np.ones(400, dtype=bool)
    samples, others = [], []
    for _ in range(600):
        f = (rng.random(400) < 0.75).astype(np.float64)
        samples.append(difference(f, (np.arange(400) < 100).astype(np.float64), everything, np.arange(400)).flagged)
        others.append(apart((rng.random(200) < 0.5).astype(np.float64), f) < 0.01)
    # 1% by design: 600 draws leave a standard error of 0.4%.
    assert np.mean(samples) < 0.025
    assert np.mean(others) > 0.9


def test_labels_weighted_by_their_probabilities_look_like_the_run_again() -> None:
    rng = np.random.default_rng(4)
    f = (rng.random(2000) < 0.8).astype(np.float64)
    pi = np.where(f == 1, 0.05, 0.2)
    drawn = rng.random(2000) < pi
    everything = np.ones(2000, dtype=bool)
    assert difference(f, drawn / pi, everything, np.arange(2000)).p > 0.05
    assert difference(f, drawn.astype(np.float64), everything, np.arange(2000)).flagged


def test_scores_that_are_all_equal_do_not_differ() -> None:
    assert apart(np.full(7, 0.1), np.full(31, 0.1)) == 1
    assert apart(np.full(7, 0.2), np.full(31, 0.1)) == 0


def test_unscored_items_are_left_out_and_too_few_are_undefined() -> None:
    f = np.array([1.0, np.nan, 0.0, 1.0, 0.0, 1.0])
    found = difference(f, np.array([1.0, 1, 1, 0, 0, 0]), np.ones(6, dtype=bool), np.arange(6))
    assert (found.n_labelled, found.n_run) == (2, 5)
    with pytest.raises(Undefined, match="fewer than two groups"):
        difference(f, np.array([1.0, 1, 0, 0, 0, 0]), np.ones(6, dtype=bool), np.arange(6))


def test_effective_size_by_hand() -> None:
    x, alone = np.array([1.0, 1, 0, 1]), np.arange(4)
    assert effective_size(x, np.ones(4), alone) == pytest.approx(4)
    # Kish: (1 + 1 + 1 + 3)^2 / (1 + 1 + 1 + 9) = 3.
    assert effective_size(np.ones(4), np.array([1.0, 1, 1, 3]), alone) == pytest.approx(3)
    # All alike in two groups of two: as two items.
    assert effective_size(np.ones(4), np.ones(4), np.array([0, 0, 1, 1])) == pytest.approx(2)
    # Items that repeat each other in four groups: a design effect of 2, times (4 / 3) / (8 / 7) for few groups.
    assert effective_size(np.repeat(x, 2), np.ones(8), np.repeat(alone, 2)) == pytest.approx(8 / (2 * 7 / 6))


@given(st.integers(0, 10**6))
def test_effective_size_does_not_depend_on_the_names_of_groups(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, w, cluster = rng.integers(0, 2, 30).astype(np.float64), rng.uniform(0.5, 3, 30), rng.integers(0, 8, 30)
    size = effective_size(x, w, cluster)
    assert 1 <= size <= 30
    assert effective_size(x, w, rng.permutation(20)[cluster]) == pytest.approx(size, rel=1e-9)


def test_error_rates_by_hand() -> None:
    y, f = np.array([1.0, 1, 1, 1, 0, 0]), np.array([1.0, 1, 1, 0, 0, 1])
    found = error_rates(y, f, np.ones(6), np.arange(6))
    assert found == ErrorRates(0.75, 0.5, 4, 2, 4, 2, (4, 4), (2, 2))
    # Of one group there is one item's worth.
    assert error_rates(y, f, np.ones(6), np.zeros(6, dtype=np.int64)).m1 == 1
    with pytest.raises(Undefined, match="failed none of the 4"):
        error_rates(y[:4], f[:4], np.ones(4), np.arange(4))


def test_error_rates_and_agreement_have_one_interval() -> None:
    """Weighted, in groups: TPR + TNR - 1 is the figure that the report shows."""
    rng = np.random.default_rng(5)
    y, f = rng.integers(0, 2, (2, 120)).astype(np.float64)
    w, cluster = rng.uniform(0.2, 3, 120), np.arange(120) // 3
    rates = error_rates(y, f, w, cluster)
    found, shown = rates.youden(), metrics(Scale("binary", 0, 1, np.array([0.0, 1.0]), ("no", "yes")))["youden"]
    assert isinstance(shown, SumOfShares)
    assert found == shown.figure(y, f, cluster, w)
    assert rates.m1 < rates.n1
    assert rates.m0 < rates.n0


def test_youden_joins_the_intervals_of_wilson() -> None:
    found = counted(40, 8, 10, 32).youden()
    # TPR 40/50, TNR 32/40.
    ends1, ends0 = proportion_confint(40, 50, method="wilson"), proportion_confint(32, 40, method="wilson")
    assert found.value == pytest.approx(0.6)
    assert found.low == pytest.approx(0.6 - math.hypot(0.8 - ends1[0], 0.8 - ends0[0]), abs=1e-9)
    assert found.high == pytest.approx(0.6 + math.hypot(ends1[1] - 0.8, ends0[1] - 0.8), abs=1e-9)


def test_youden_of_healthbench() -> None:
    """Three criteria of gpt-4o-mini have TPR + TNR <= 1; the lower end refuses these and a fourth, at 0.05."""
    found = {
        (row["judge"], row["criterion"][:4]): counted(*(row[cell] for cell in ("tp", "fp", "fn", "tn"))).youden()
        for row in rows("healthbench_counts/counts")
    }
    assert sum(judge == "gpt-4o-mini" for judge, _ in found) == 34
    worst = [name for name, figure in found.items() if figure.value is not None and figure.value <= 0]
    refused = [name for name, figure in found.items() if figure.low is not None and figure.low <= 0]
    assert worst == [("gpt-4o-mini", name) for name in ("hb09", "hb18", "hb29")]
    assert sorted(refused) == sorted([*worst, ("gpt-4o-mini", "hb26")])


def test_rogan_gladen_by_hand() -> None:
    # (0.7 + 0.8 - 1) / (0.9 + 0.8 - 1) = 0.5 / 0.7.
    assert rogan_gladen(0.7, 0.9, 0.8) == pytest.approx(5 / 7)
    assert rogan_gladen(0.95, 0.9, 0.8) == 1
    assert rogan_gladen(0.1, 0.9, 0.8) == 0
    with pytest.raises(Undefined, match="no better than chance"):
        rogan_gladen(0.5, 0.6, 0.4)


def test_the_plug_in_interval_by_hand() -> None:
    # m1 = m0 = 98 with 89.2 and 84 right: smoothed to 100 with q1 = .902, q0 = .85. z = 2: n = 96 + 4 = 100 and
    # p = (96 * .75 + 2) / 100 = .74. theta = .59 / .752; v1 = .902 * .098 / 100, v0 = .85 * .15 / 100.
    confidence = 2 * stats.norm.cdf(2) - 1
    low, high = plug_in_interval(0.75, 96, ErrorRates(89.2 / 98, 84 / 98, 98, 98, 98, 98), confidence)
    theta, v1, v0 = 0.59 / 0.752, 0.902 * 0.098 / 100, 0.85 * 0.15 / 100
    half = 2 * math.sqrt(0.74 * 0.26 / 100 + (1 - theta) ** 2 * v0 + theta**2 * v1) / 0.752
    assert high - low == pytest.approx(2 * half, abs=1e-9)
    assert (low + high) / 2 == pytest.approx(theta + 8 * (theta * v1 - (1 - theta) * v0), abs=1e-9)


@given(st.integers(0, 10**6))
def test_the_plug_in_interval_lies_on_the_scale(seed: int) -> None:
    rng = np.random.default_rng(seed)
    m1, m0 = (int(m) for m in rng.integers(1, 60, 2))
    rates = ErrorRates(rng.integers(0, m1 + 1) / m1, rng.integers(0, m0 + 1) / m0, m1, m0, m1, m0)
    try:
        low, high = plug_in_interval(float(rng.random()), float(rng.integers(1, 500)), rates)
    except Undefined:
        return
    assert 0 <= low <= high <= 1
