"""Differences of two judges on the same items."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from judge.calibration.comparing import _agreements
from judge.calibration.paired import difference
from judge.calibration.scale import Scale
from judge.calibration.statistics.agreement import metrics
from judge.calibration.statistics.bootstrap import Codes, Floats
from judge.calibration.statistics.figures import Figure
from judge.calibration.statistics.paired_shares import paired_shares

BINARY = Scale("binary", 0, 1, np.array([0.0, 1.0]), ("no", "yes"))
METRICS = metrics(BINARY)


def found(name: str, y: Floats, other: Floats, first: Floats, cluster: Codes, w: Floats) -> Figure:
    one = difference(METRICS[name], y, other, first, cluster, w)
    assert one is not None
    return one


def test_two_judges_that_never_err_are_not_known_to_be_alike() -> None:
    y, cluster, w = np.tile([0.0, 1.0], 50), np.arange(100), np.ones(100)
    for name in ("accuracy", "tpr", "tnr", "balanced_accuracy", "youden"):
        one = found(name, y, y, y, cluster, w)
        assert one.value == 0
        assert one.low is not None
        assert one.high is not None
        assert one.low < -0.02
        assert one.high > 0.02


def test_the_comparison_has_these_intervals_and_none_of_a_bootstrap_without_spread() -> None:
    y = np.tile([0.0, 1.0], 50)
    wrong = np.where(np.arange(100) < 10, 1 - y, y)
    for other in (y, wrong):
        for one in _agreements(BINARY, y, [y, other], np.arange(100), np.ones(100), 100, 0):
            (apart,) = one.differences
            if one.name != "kappa":
                assert apart == found(one.name, y, other, y, np.arange(100), np.ones(100))
            elif other is y:
                assert (apart.value, apart.low, apart.high) == (0, None, None)
                assert "no resample shows a spread" in str(apart.why)
            else:
                assert apart.high is not None
                assert apart.high < 0


def test_of_single_items_it_is_tangos_interval_with_students_quantile() -> None:
    # Of 100 items 8 gained and 3 lost; mean 0.05, and so many pairs as give the same variance: n (C - 1) / C.
    y, cluster, w = np.ones(100), np.arange(100), np.ones(100)
    first, other = np.ones(100), np.ones(100)
    first[:8], other[8:11] = 0.0, 0.0
    one = found("accuracy", y, other, first, cluster, w)
    assert one.value == pytest.approx(0.05)
    size = 99 * (1.959963985 / 1.984216952) ** 2
    assert (one.low, one.high) == pytest.approx(paired_shares(0.08 * size, 0.03 * size, size, 0.95))


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
    assert difference(METRICS["kappa"], y, y, y, np.arange(10), w) is None
    assert found("balanced_accuracy", y, y, y, np.arange(10), w).why == "people called no item negative"


@given(st.integers(0, 10**6), st.sampled_from(("accuracy", "tpr", "balanced_accuracy", "youden")))
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
