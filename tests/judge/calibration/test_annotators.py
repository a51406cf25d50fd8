"""Each person by themselves."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from judge.calibration.statistics.annotators import annotators
from judge.calibration.statistics.correlation import pearson, spearman

NAN = math.nan
RATINGS = np.array([[1.0, 2.0, NAN, NAN], [4.0, 4.0, NAN, NAN], [3.0, 3.0, 5.0, NAN], [1.0, NAN, NAN, NAN]])


def test_what_each_annotator_looks_like() -> None:
    x, y, z = annotators(RATINGS, spearman, np.arange(4), np.ones(4), names=["x", "y", "z", "nobody"])
    assert (x.annotator, x.n, x.mean) == ("x", 4, 2.25)
    # Deviations -1.25, 1.75, 0.75, -1.25: squares 6.75 over 3.
    assert x.sd == pytest.approx(math.sqrt(6.75 / 3))
    # Against 2, 4, (3 + 5) / 2 its 1, 4, 3: ranks 1, 2.5, 2.5 beside 1, 3, 2.
    assert x.agreement.value == pytest.approx(stats.spearmanr([2, 4, 4], [1, 4, 3]).statistic)
    assert x.agreement.n == 3
    assert (y.n, y.agreement.n) == (3, 3)
    assert (z.n, z.sd, z.mean) == (1, None, 5.0)
    assert (z.agreement.value, z.agreement.n, z.agreement.why) == (None, 1, "there is one item alone")


def test_items_that_were_drawn_rarely_count_for_those_that_were_not_drawn() -> None:
    w = np.array([1.0, 3.0, 1.0, 1.0])
    weighed, _, _ = annotators(RATINGS, pearson, np.arange(4), w)
    again = np.repeat(np.arange(4), [1, 3, 1, 1])
    repeated, _, _ = annotators(RATINGS[again], pearson, np.arange(6), np.ones(6))
    assert weighed.mean == pytest.approx(repeated.mean)
    assert weighed.agreement.value == pytest.approx(repeated.agreement.value)
    assert weighed.n == 4


def test_agreement_has_an_interval_by_groups() -> None:
    rng = np.random.default_rng(0)
    truth = np.repeat(rng.normal(size=40), 5)
    ratings = truth[:, None] + rng.normal(size=(200, 3))
    (by_groups, *_) = annotators(ratings, pearson, np.repeat(np.arange(40), 5), np.ones(200))
    (by_items, *_) = annotators(ratings, pearson, np.arange(200), np.ones(200))
    figures = [by_groups.agreement, by_items.agreement]
    widths = [one.high - one.low for one in figures if one.low is not None and one.high is not None]
    assert widths[0] > 1.2 * widths[1]
    assert all(one.value is not None and one.low is not None and one.low < one.value for one in figures)


def test_one_annotator_has_figures_and_no_agreement() -> None:
    (alone,) = annotators(np.array([[1.0], [2.0]]), spearman, np.arange(2), np.ones(2))
    assert (alone.n, alone.mean, alone.agreement.value, alone.agreement.why) == (2, 1.5, None, "one annotator")
