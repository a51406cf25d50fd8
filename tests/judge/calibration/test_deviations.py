"""Errors in points of the scale, and their intervals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from judge.calibration.statistics.deviations import Deviation

mae, rmse = Deviation(1), Deviation(2)


def test_intervals_worked_by_hand() -> None:
    """Errors 1, 1, 2, 4 of four groups: mean 2, deviations -1 -1 0 2, variance 4/3 * 6 / 16 = .5, of the log's mean
    sqrt(.5) / 2. Squares 1, 1, 4, 16: mean 5.5, deviations -4.5 -4.5 -1.5 10.5, variance 4/3 * 153 / 16 = 12.75, of
    the log's root sqrt(12.75) / 5.5 / 2."""
    y, f = np.zeros(4), np.array([1.0, -1, 2, -4])
    t = float(stats.t.ppf(0.975, 3))
    for metric, value, error in ((mae, 2, 0.5**0.5 / 2), (rmse, 5.5**0.5, 12.75**0.5 / 11)):
        found = metric.figure(y, f, np.arange(4))
        assert found.value == pytest.approx(value)
        ends = (value * math.exp(-t * error), value * math.exp(t * error))
        assert (found.low, found.high) == pytest.approx(ends)


def test_copies_within_a_group_tell_nothing_more() -> None:
    rng = np.random.default_rng(0)
    y, f, cluster, w = rng.normal(size=12), rng.normal(size=12), np.arange(12) // 2, rng.uniform(1, 2, 12)
    for metric in (mae, rmse):
        once = metric.figure(y, f, cluster, w)
        thrice = metric.figure(np.tile(y, 3), np.tile(f, 3), np.tile(cluster, 3), np.tile(w, 3))
        weighted = metric.figure(y, f, cluster, 3 * w)
        for other in (thrice, weighted):
            assert (other.low, other.value, other.high) == pytest.approx((once.low, once.value, once.high))


def test_what_has_no_interval_says_why() -> None:
    three = np.array([1.0, 2, 3])
    faultless = mae.figure(three, three, np.arange(3))
    assert (faultless.value, faultless.low, faultless.why) == (0, None, "no item has an error, so there is no interval")
    alone = rmse.figure(three, three + 1, np.zeros(3, dtype=np.int64))
    assert (alone.value, alone.low, alone.why) == (1, None, "one group has no interval")
    none = mae.figure(np.array([]), np.array([]), np.array([], dtype=np.int64))
    assert (none.value, none.n, none.why) == (None, 0, "there are no items")


def test_no_error_is_larger_than_the_scale() -> None:
    y, f = np.zeros(4), np.array([0.1, 0.2, 3, 0.1])
    open_ended = rmse.figure(y, f, np.arange(4) // 2)
    assert open_ended.high is not None
    assert open_ended.high > 3
    held = Deviation(2, 3.0).figure(y, f, np.arange(4) // 2)
    assert (held.low, held.value, held.high) == (open_ended.low, open_ended.value, 3)
