"""Intervals of shares: by hand, under weights and in groups."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from judge.calibration.statistics.proportions import wilson
from judge.calibration.statistics.shares import Share, SumOfShares

RIGHT = Share(lambda y, f: (y == f, np.ones(len(y), dtype=bool)))
FOUND = Share(lambda y, f: (f == 1, y == 1), "nothing to find")
PASSED = Share(lambda y, f: (f == 0, y == 0), "nothing to pass")


def narrowed(items: float, groups: int) -> float:
    return float(items * (stats.norm.ppf(0.975) / stats.t.ppf(0.975, groups - 1)) ** 2)


def test_items_of_their_own_are_worth_what_they_are_by_wilson() -> None:
    """16 of 20 hit, each a group of its own: the variance by groups is 20/19 of p q / n, so n / deff is 19."""
    y, f = np.ones(20), np.repeat([1.0, 0.0], [16, 4])
    found = RIGHT.figure(y, f, np.arange(20))
    assert (found.value, found.n) == (0.8, 20)
    effective = narrowed(19, 20)
    assert (found.low, found.high) == pytest.approx(wilson(0.8 * effective, effective))


def test_items_that_go_with_their_group_count_as_one() -> None:
    """The same 20 groups of five copies: 100 items, still worth 19."""
    f = np.repeat(np.repeat([1.0, 0.0], [16, 4]), 5)
    alone = RIGHT.figure(np.ones(20), f[::5], np.arange(20))
    copied = RIGHT.figure(np.ones(100), f, np.arange(100) // 5)
    assert copied.n == 100
    assert (copied.low, copied.high) == pytest.approx((alone.low, alone.high))


def test_items_that_balance_in_their_group_count_no_more_than_they_are() -> None:
    """10 pairs of one hit and one miss: no group differs from another, which is taken for luck, not for certainty."""
    found = RIGHT.figure(np.ones(20), np.tile([0.0, 1.0], 10), np.arange(20) // 2)
    effective = narrowed(20, 10)
    assert (found.low, found.high) == pytest.approx(wilson(effective / 2, effective))


def test_a_share_without_a_miss_counts_the_groups() -> None:
    """Groups of 6, 2, 2 and 2, all hit: 12^2 / (36 + 4 + 4 + 4) = 3 groups' worth."""
    cluster = np.repeat([0, 1, 2, 3], [6, 2, 2, 2])
    found = RIGHT.figure(np.ones(12), np.ones(12), cluster)
    assert found.value == found.high == 1
    effective = narrowed(3, 4)
    assert found.low == pytest.approx(wilson(effective, effective)[0])


def test_weights_count_as_in_the_estimate_of_a_total() -> None:
    """One hit of weight 3, three misses of weight 1: .5, by groups 4/3 (9 + 3) .25 / 36 = 1/9, worth .25 * 9 = 2.25."""
    w = np.array([3.0, 1, 1, 1])
    found = RIGHT.figure(np.ones(4), np.array([1.0, 0, 0, 0]), np.arange(4), w)
    effective = narrowed(2.25, 4)
    assert found.value == 0.5
    assert (found.low, found.high) == pytest.approx(wilson(effective / 2, effective))


def test_items_that_do_not_count_change_nothing() -> None:
    """TPR of the positives among others, in groups that have none too."""
    y, f, cluster = np.tile([1.0, 0.0], 12), np.tile([1.0, 1, 0, 0, 1, 1], 4), np.arange(24) // 2
    among = y == 1
    again = FOUND.figure(y[among], f[among], np.unique(cluster[among], return_inverse=True)[1])
    more = FOUND.figure(np.append(y, [0, 0]), np.append(f, [1, 0]), np.append(cluster, [12, 13]))
    assert more == again
    assert more.n == 12


def test_nothing_that_counts_is_undefined_and_one_group_has_no_interval() -> None:
    nothing = FOUND.figure(np.zeros(3), np.ones(3), np.arange(3))
    assert (nothing.value, nothing.n, nothing.why) == (None, 0, "nothing to find")
    alone = FOUND.figure(np.array([1.0, 1, 0]), np.ones(3), np.array([0, 0, 1]))
    assert (alone.value, alone.low, alone.why) == (1, None, "one group has no interval")
    both = SumOfShares(FOUND, PASSED).figure(np.array([1.0, 1, 0]), np.ones(3), np.array([0, 0, 1]))
    assert (both.value, both.low, both.why) == (1, None, "one group has no interval")


def test_a_sum_lies_as_far_out_as_its_two_shares() -> None:
    """Positives and negatives in groups of their own: distances add as squares. In common groups where both go wrong
    together they add up whole."""
    y = np.repeat([1.0, 0.0], 20)
    f = np.concatenate([np.repeat([1.0, 0.0], [15, 5]), np.repeat([0.0, 1.0], [15, 5])])
    for cluster, whole in ((np.arange(40), False), (np.tile(np.arange(20), 2), True)):
        one = FOUND.figure(y, f, cluster)
        found = SumOfShares(FOUND, PASSED, plus=-1.0).figure(y, f, cluster)
        assert found.value == pytest.approx(0.5)
        assert one.value is not None
        assert one.low is not None
        assert found.value is not None
        assert found.low is not None
        down = one.value - one.low
        assert found.value - found.low == pytest.approx(2 * down if whole else 2**0.5 * down)
