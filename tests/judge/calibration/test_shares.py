"""Intervals of shares: by hand, under weights, in groups, and as sheets draw."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from judge.calibration.labelling.sheets import draw
from judge.calibration.statistics.proportions import wilson
from judge.calibration.statistics.shares import Share, SumOfShares

RIGHT = Share(lambda y, f: (y == f, np.ones(len(y), dtype=bool)))
FOUND = Share(lambda y, f: (f == 1, y == 1), "nothing to find")
PASSED = Share(lambda y, f: (f == 0, y == 0), "nothing to pass")


def narrowed(items: float, groups: int) -> float:
    return float(items * (stats.norm.ppf(0.975) / stats.t.ppf(0.975, groups - 1)) ** 2)


def test_items_of_their_own_have_the_interval_of_wilson() -> None:
    f = np.repeat([1.0, 0.0], [16, 4])
    found = RIGHT.figure(np.ones(20), f, np.arange(20))
    assert (found.value, found.n) == (0.8, 20)
    assert (found.low, found.high) == pytest.approx(wilson(16, 20))


def test_items_that_go_with_their_group_count_as_one() -> None:
    """20 groups of five copies: an effect of 5, times (20 / 19) / (100 / 99) for few groups."""
    f = np.repeat(np.repeat([1.0, 0.0], [16, 4]), 5)
    copied = RIGHT.figure(np.ones(100), f, np.arange(100) // 5)
    assert copied.n == 100
    effective = narrowed(19 * 100 / 99, 20)
    assert (copied.low, copied.high) == pytest.approx(wilson(0.8 * effective, effective))


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


def test_weights_count_as_in_the_variance_of_the_end() -> None:
    """One hit of weight 3 and three misses of weight 1: a share of .5.

    Of the lower end q the size is 6 / ((1 - q) 3 + q b) with one miss of weight 3 more, b = (3 + 9) / (3 + 3) = 2; of
    the upper one 6 / ((1 - q) 3 + q), the hits weighing 3 anyway. Of at most 4 items.
    """
    w = np.array([3.0, 1, 1, 1])
    found = RIGHT.figure(np.ones(4), np.array([1.0, 0, 0, 0]), np.arange(4), w)
    assert found.value == 0.5
    assert found.low is not None
    assert found.high is not None
    size = 6 / ((1 - found.low) * 3 + found.low * 2)
    assert found.low == pytest.approx(wilson(size / 2, size)[0])
    size = min(6 / ((1 - found.high) * 3 + found.high), 4)
    assert found.high == pytest.approx(wilson(size / 2, size)[1])


def test_a_heavy_miss_that_did_not_come_is_thought_of() -> None:
    """20 hits of weight 1, beside heavy items that do not count: of weight 10, of which a miss could have been."""
    y, f = np.repeat([1.0, 0.0], [20, 5]), np.ones(25)
    w = np.repeat([1.0, 10.0], [20, 5])
    found = Share(lambda y, f: (f == 1, y == 1)).figure(y, f, np.arange(25), w)
    assert (found.value, found.high) == (1, 1)
    assert found.low is not None
    # (1 - q) / q = z^2 ((1 - q) + 10 q) / 20
    z = stats.norm.ppf(0.975)
    assert (1 - found.low) / found.low == pytest.approx(z**2 * (1 + 9 * found.low) / 20)
    assert wilson(20, 20)[0] - 0.3 > found.low
    # Where the judge's answer makes a hit, and each heavy item has that answer, a miss is as light as the others.
    known = Share(lambda y, f: (f == 1, y == 1), by_judge=True)
    assert known.figure(np.append(y, 0), np.append(f, 0), np.arange(26), np.append(w, 1)).low == pytest.approx(
        wilson(20, 20)[0]
    )


def test_shares_of_a_sheet_drawn_by_the_judges_answer_are_covered() -> None:
    """As many of what the judge failed as of what it passed, which is far more: TNR rests on light items, but for few.

    400 sheets of 200 from a run of 1000, half of each held out. People pass .9, TPR .95, TNR .6: the standard error of
    95% is 1.1%.
    """
    held = []
    for seed in range(400):
        rng = np.random.default_rng(seed)
        y = (rng.random(1000) < 0.9).astype(np.float64)
        f = (rng.random(1000) < np.where(y == 1, 0.95, 0.4)).astype(np.float64)
        drawn = draw(f.astype(np.int64), 200, seed)
        at = drawn.places[rng.random(200) < 0.5]
        each = np.arange(len(at))
        passed = Share(lambda y, f: (f == 0, y == 0), by_judge=True)
        found = Share(lambda y, f: (f == 1, y == 1), by_judge=True)
        for figure, truth in (
            (passed.figure(y[at], f[at], each, 1 / drawn.probability[at]), 0.6),
            (SumOfShares(found, passed, plus=-1.0).figure(y[at], f[at], each, 1 / drawn.probability[at]), 0.55),
        ):
            assert figure.low is not None
            assert figure.high is not None
            held.append(figure.low <= truth <= figure.high)
    assert np.mean(held[::2]) > 0.93
    assert np.mean(held[1::2]) > 0.93


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
