"""Histograms, agreement with itself, and what came to nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from judge.calibration.drift import stability
from judge.calibration.statistics.figures import Undefined


def test_index_by_hand() -> None:
    # 30 and 10 against 20 and 20 in two bins, half an item added to each: p = 30.5/41, 10.5/41; q = 20.5/41 each.
    # (q - p) ln(q / p) = -10/41 ln(20.5/30.5) + 10/41 ln(20.5/10.5) = .243902 (.397268 + .669050).
    old, new = np.repeat([0.2, 0.8], [30, 10]), np.repeat([0.2, 0.8], [20, 20])
    found = stability.population_stability(old, new, np.array([0, 0.5, 1]))
    assert found.index == pytest.approx(10 / 41 * (math.log(30.5 / 20.5) + math.log(20.5 / 10.5)), abs=1e-12)
    # Chi squared with one degree of freedom at 95%, 3.8415, times 1/40 + 1/40.
    assert found.by_chance == pytest.approx(3.8415 / 20, abs=1e-4)
    assert found.moved
    assert stability.population_stability(old, old, np.array([0, 0.5, 1])).index == 0


def test_bins() -> None:
    edges = np.array([1.0, 2, 3, 4])
    assert stability.bins(np.array([0.0, 1, 1.9, 2, 3.5, 4, 9]), edges).tolist() == [0, 0, 0, 1, 2, 2, 2]


def test_what_chance_makes_of_it() -> None:
    rng = np.random.default_rng(9)
    edges = np.linspace(0, 1, 11)
    runs = 800
    moved = sum(stability.population_stability(rng.random(300), rng.random(200), edges).moved for _ in range(runs))
    # The chi squared of the index is an approximation: near 5%, where "above 0.1" would be far off.
    assert stats.binom.ppf(0.001, runs, 0.03) <= moved <= stats.binom.ppf(0.999, runs, 0.07)


def test_no_index() -> None:
    edges = np.array([0, 0.5, 1])
    with pytest.raises(Undefined, match="no scores"):
        stability.population_stability(np.zeros(0), np.ones(3), edges)
    with pytest.raises(Undefined, match="one bin"):
        stability.population_stability(np.ones(4), np.ones(3), edges)


def test_self_agreement_by_hand() -> None:
    # Three alike: 1. Two of three: 1 of 3 pairs. Two that differ: 0. One alone is left out.
    repeats = np.array([[4, 4, 4], [4, 4, 2], [1, np.nan, 3], [5, np.nan, np.nan]])
    found = stability.self_agreement(repeats, np.arange(4))
    assert found.value == pytest.approx((1 + 1 / 3 + 0) / 3)
    assert found.n == 3
    assert found.low is not None
    assert stability.self_agreement(repeats[3:], np.zeros(1, dtype=np.int64)).value is None
