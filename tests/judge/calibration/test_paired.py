"""Differences of two judges on the same items."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from judge.calibration.comparing import _agreements
from judge.calibration.labelling.sheets import draw
from judge.calibration.paired import difference
from judge.calibration.scale import Scale
from judge.calibration.statistics.agreement import agreement, metrics
from judge.calibration.statistics.bootstrap import Codes, Floats
from judge.calibration.statistics.figures import Figure
from judge.calibration.statistics.paired_shares import paired_shares, tango

BINARY = Scale("binary", 0, 1, np.array([0.0, 1.0]), ("no", "yes"))
ORDINAL = Scale("ordinal", 1, 4, np.arange(1.0, 5.0), ("1", "2", "3", "4"))
METRICS = metrics(BINARY)


def found(name: str, y: Floats, other: Floats, first: Floats, cluster: Codes, w: Floats) -> Figure:
    one = difference(METRICS[name], y, other, first, cluster, w)
    assert one is not None
    return one


def test_two_judges_that_never_err_are_not_known_to_be_alike() -> None:
    y, cluster, w = np.tile([0.0, 1.0], 50), np.arange(100), np.ones(100)
    for name in ("accuracy", "tpr", "tnr", "balanced_accuracy", "youden", "kappa", "ac1"):
        one = found(name, y, y, y, cluster, w)
        assert one.value == 0
        assert one.low is not None
        assert one.high is not None
        assert one.low < -0.02
        assert one.high > 0.02


def test_the_comparison_has_these_intervals_and_those_of_the_calibration() -> None:
    y = np.tile([0.0, 1.0], 50)
    wrong, each, w = np.where(np.arange(100) < 10, 1 - y, y), np.arange(100), np.repeat([1.0, 3.0], 50)
    for other in (y, wrong):
        of_judge = agreement(BINARY, y, other, each, w, draws=100)
        for one in _agreements(BINARY, y, [y, other], each, w, 100, 0):
            assert one.differences == (found(one.name, y, other, y, each, w),)
            assert one.judges[1] == of_judge[one.name]


def test_a_bootstrap_without_spread_is_no_interval() -> None:
    y = np.tile([1.0, 2.0, 3.0, 4.0], 25)
    for one in _agreements(ORDINAL, y, [y, y], np.arange(100), np.ones(100), 100, 0):
        (apart,) = one.differences
        assert apart.value == 0
        if one.name == "exact":
            assert apart.low is not None
        else:
            assert (apart.low, apart.high) == (None, None)
            assert "no resample shows a spread" in str(apart.why)


def test_of_single_items_it_is_tangos_interval() -> None:
    y, cluster = np.ones(100), np.arange(100)
    first, other = np.ones(100), np.ones(100)
    first[:8], other[8:11] = 0.0, 0.0
    for w in (np.ones(100), np.full(100, 3.7)):
        one = found("accuracy", y, other, first, cluster, w)
        assert one.value == pytest.approx(0.05)
        assert (one.low, one.high) == pytest.approx(paired_shares(8, 3, 100, 0.95))


def test_weights_count_as_in_the_variance_of_the_end() -> None:
    """Of 20 items of weight 1 two are gained, and of 10 of weight 4 none is lost: at the lower end some are, and weigh
    4; at the upper one more is gained, and one of weight 4 is.

    Two pairs gained of 60 are .0333. Tango's statistic at an end is 1.96 for so many pairs as, of its supposed shares,
    have the variance of these.
    """
    y, w = np.ones(30), np.repeat([1.0, 4.0], [20, 10])
    first, other = np.ones(30), np.ones(30)
    first[:2] = 0.0
    one = found("accuracy", y, other, first, np.arange(30), w)
    assert one.value == pytest.approx(2 / 60)
    assert one.low is not None
    assert one.high is not None
    alike = (18 + 10 * 16) / (18 + 10 * 4)
    # At the lower end d: 2 / 60 - d more lost, as much less of the others, whose shares were 1/30 gained, 29/30 alike.
    lost = (1 / 30 - one.low) / (1 + 1 / 30)
    shares = np.array([lost, (1 - lost) * 29 / 30, (1 - lost) / 30])
    spread = shares * np.array([(1 + one.low) ** 2, one.low**2, (1 - one.low) ** 2])
    size = min(60 * spread.sum() / (spread @ [4, alike, 1]), 30)
    assert tango(size / 30, 0, size, one.low) == pytest.approx(stats.norm.ppf(0.975))
    # At the upper end no loss is supposed, and so what is gained is d.
    shares = np.array([0, 1 - one.high, one.high])
    spread = shares * np.array([(1 + one.high) ** 2, one.high**2, (1 - one.high) ** 2])
    size = min(60 * spread.sum() / (spread @ [0, alike, (2 + 16) / (2 + 4)]), 30)
    assert tango(size / 30, 0, size, one.high) == pytest.approx(-stats.norm.ppf(0.975))


def test_kappa_of_items_in_balance_goes_as_accuracy_does() -> None:
    """Half of the items are positive by people and both judges: chance is .5, a step of accuracy is two of kappa."""
    y = np.tile([0.0, 1.0], 100)
    first, other = y.copy(), y.copy()
    first[:20], other[20:24] = 1 - first[:20], 1 - other[20:24]
    shares, beyond = (found(name, y, other, first, np.arange(200), np.ones(200)) for name in ("accuracy", "kappa"))
    ends = [2 * (end or 0.0) for end in (shares.value, shares.low, shares.high)]
    assert (beyond.value, beyond.low, beyond.high) == pytest.approx(ends, abs=1e-4)


def test_differences_on_a_sheet_drawn_by_the_first_judges_answer_are_covered() -> None:
    """300 sheets of 200 from a run of 1000, as many of what the first judge failed as of what it passed, which is far
    more; half of each held out. People pass .9; TPR .95 and .9, TNR .6 and .7. The standard error of 95% is 1.3%.
    """
    truth = {"accuracy": -0.035, "tpr": -0.05, "tnr": 0.1, "balanced_accuracy": 0.025}
    cells = np.array([0.9 * 0.05, 0.9 * 0.95, 0.1 * 0.6, 0.1 * 0.4]), np.array([0.9 * 0.1, 0.9 * 0.9, 0.07, 0.03])
    corners = np.array([1.0, 1, 0, 0]), np.array([0.0, 1, 0, 1])
    first_kappa, other_kappa = (float(METRICS["kappa"](*corners, cell[None, :])[0]) for cell in cells)
    truth["kappa"] = other_kappa - first_kappa
    held = dict.fromkeys(truth, 0)
    for seed in range(300):
        rng = np.random.default_rng(seed)
        y = (rng.random(1000) < 0.9).astype(np.float64)
        u, v = rng.random((2, 1000))
        first = np.where(u < np.where(y == 1, 0.95, 0.6), y, 1 - y)
        other = np.where(np.where(v < 0.5, u, rng.random(1000)) < np.where(y == 1, 0.9, 0.7), y, 1 - y)
        drawn = draw(first.astype(np.int64), 200, seed)
        at = drawn.places[rng.random(200) < 0.5]
        for name, value in truth.items():
            one = found(name, y[at], other[at], first[at], np.arange(len(at)), 1 / drawn.probability[at])
            assert one.low is not None
            assert one.high is not None
            held[name] += one.low <= value <= one.high
    assert min(held.values()) / 300 >= 0.93


def test_items_of_a_group_are_one() -> None:
    rng = np.random.default_rng(1)
    y = np.ones(200)
    other, first = (np.repeat((rng.random(20) < share).astype(np.float64), 10) for share in (0.8, 0.6))
    alone = found("accuracy", y, other, first, np.arange(200), np.ones(200))
    grouped = found("accuracy", y, other, first, np.repeat(np.arange(20), 10), np.ones(200))
    assert alone.value == grouped.value
    widths = [(one.high or 0) - (one.low or 0) for one in (alone, grouped)]
    assert widths[1] > 2 * widths[0]
    one_group = found("accuracy", y, other, first, np.zeros(200, dtype=np.int64), np.ones(200))
    assert (one_group.low, one_group.why) == (None, "one group has no interval")


def test_what_is_no_share_or_does_not_exist() -> None:
    y, w = np.ones(10), np.ones(10)
    assert difference(metrics(ORDINAL)["mae"], y, y, y, np.arange(10), w) is None
    assert found("kappa", y, y, y, np.arange(10), w).why == "people gave every item the same score"
    assert found("balanced_accuracy", y, y, y, np.arange(10), w).why == "people called no item negative"


@given(st.integers(0, 10**6), st.sampled_from(("accuracy", "tpr", "balanced_accuracy", "youden", "kappa")))
def test_turned_around_it_is_the_negative(seed: int, name: str) -> None:
    rng = np.random.default_rng(seed)
    y = np.concatenate([[0.0, 1.0, 0.0, 1.0], rng.integers(0, 2, 30)])
    other, first = rng.integers(0, 2, (2, 34)).astype(np.float64)
    cluster, w = np.concatenate([[0, 0, 1, 1], rng.integers(0, 9, 30)]), rng.uniform(1, 3, 34)
    one, turned = found(name, y, other, first, cluster, w), found(name, y, first, other, cluster, w)
    assert one.value == pytest.approx(-(turned.value or 0.0))
    assert one.low is not None
    assert turned.high is not None
    assert one.low == pytest.approx(-turned.high, abs=1e-6)
    assert one.low <= (one.value or 0.0) + 1e-12
    plain = METRICS[name](y, other, w[None, :]) - METRICS[name](y, first, w[None, :])
    assert one.value == pytest.approx(float(plain[0]))
