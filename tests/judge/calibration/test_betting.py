"""Wealth that can hardly grow while nothing changed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from judge.calibration.drift.betting import CASH, SETTLING, STAKES, Betting, needed, paths


def test_two_items_by_hand() -> None:
    # At first the stakes cancel: K = 1. After z = 1 the bettor with stake s holds (.5 / 12) (1 + s), of which
    # 500 / 501 stay with him. So the next stake is (500 / 501) (.5 / 12) 2 (.03^2 + .06^2 + .12^2 + .24^2 + .48^2 +
    # .95^2) = (500 / 501) (1.2094 / 12) = .100582, and z = 1 makes K = 1.100582.
    first = Betting.begin(0.05).after(np.array([[1.0]]))
    assert first.log_wealth == pytest.approx(0.0, abs=1e-15)
    assert math.exp(first.after(np.array([[1.0]])).log_wealth) == pytest.approx(1.100582, abs=1e-6)
    assert math.exp(first.after(np.array([[-1.0]])).log_wealth) == pytest.approx(2 - 1.100582, abs=1e-6)
    assert (CASH, SETTLING, sum(s * s for s in STAKES)) == (0.5, 500, pytest.approx(1.2094))


@settings(deadline=None)
@given(st.lists(st.lists(st.sampled_from([-1.0, -0.3, 0.0, 0.5, 1.0]), min_size=2, max_size=2), max_size=12))
def test_the_next_bet_is_fair_whatever_came_before(z: list[list[float]]) -> None:
    now = Betting.begin(0.05, 2).after(np.array(z).reshape(-1, 2))
    assert sum(now.weights) == pytest.approx(1.0, abs=1e-12)
    for outcome in ([0.7, 0.2], [-0.4, 1.0]):
        up, down = (math.exp(now.after(s * np.array([outcome])).log_wealth - now.log_wealth) for s in (1, -1))
        assert (up + down) / 2 == pytest.approx(1.0, abs=1e-12)
        assert min(up, down) > 0


@settings(deadline=None)
@given(st.integers(0, 60), st.integers(0, 5))
def test_a_stream_in_two_pieces_comes_to_the_same(cut: int, seed: int) -> None:
    z = np.clip(np.random.default_rng(seed).normal(0.2, 0.5, (60, 2)), -1, 1)
    whole = Betting.begin(0.05, 2).after(z)
    first = Betting.begin(0.05, 2).after(z[:cut])
    assert Betting.model_validate_json(first.model_dump_json()).after(z[cut:]) == whole


def test_paths_are_what_the_state_goes_through() -> None:
    z = np.clip(np.random.default_rng(4).normal(0.3, 0.4, (3, 40, 1)), -1, 1)
    found = paths(z)
    for stream, path in zip(z, found, strict=True):
        now = Betting.begin(0.05).after(stream)
        assert now.log_wealth == path[-1]
        assert now.highest == max(0.0, path.max())
        assert now.alarm == int(np.argmax(path >= math.log(20))) + 1


def test_an_alarm_stays() -> None:
    up = Betting.begin(0.05).after(np.ones((30, 1)))
    assert up.alarm is not None
    assert up.alarm < 30
    after = up.after(np.tile([[1.0], [-1.0]], (200, 1)))
    assert after.alarm == up.alarm
    assert after.p <= up.p <= 0.05
    assert Betting.begin(0.05).p == 1.0


@pytest.mark.parametrize("kind", ["signs", "skewed", "rare"])
def test_false_alarms_over_2000_items(kind: str) -> None:
    # Ville: at most alpha of the streams ever alarm, whatever the distribution. The bound is its 99.9% binomial limit.
    rng = np.random.default_rng(11)
    streams, items, alpha = 500, 2000, 0.05
    draws = rng.random((streams, items, 1))
    z = {
        "signs": np.where(draws < 0.5, 1.0, -1.0),
        "skewed": np.where(draws < 0.1, 0.9, -0.1),
        "rare": np.where(draws < 0.01, 0.99, -0.01),
    }[kind]
    alarmed = int((paths(z) >= -math.log(alpha)).any(axis=1).sum())
    assert alarmed <= stats.binom.ppf(0.999, streams, alpha)
    # The same count does see it where 15% of the items are set to 1.
    moved = np.where(rng.random((100, items, 1)) < 0.15, 1.0, z[:100])
    assert (paths(moved) >= -math.log(alpha)).any(axis=1).mean() > 0.9


def test_a_late_change_is_found() -> None:
    rng = np.random.default_rng(3)
    z = np.where(rng.random((200, 2000, 1)) < 0.5, 0.5, -0.5)
    z[:, 1500:] += 0.2
    path = paths(z)
    alarmed = path >= math.log(20)
    late = ~alarmed[:, :1500].any(axis=1)
    delay = alarmed[late, 1500:].argmax(axis=1)[alarmed[late, 1500:].any(axis=1)]
    assert alarmed[late, 1500:].any(axis=1).mean() > 0.98
    assert np.median(delay) < 250


@pytest.mark.parametrize(("mean", "spread"), [(0.4, 0.3), (0.1, 0.4), (0.2, 0.9)])
def test_so_many_items_are_needed(mean: float, spread: float) -> None:
    rng = np.random.default_rng(6)
    z = np.clip(rng.normal(mean, spread, (400, 3000, 1)), -1, 1)
    count = math.ceil(needed(z.mean(), float((z**2).mean()), 0.05))
    assert 10 < count < 3000
    alarmed = (paths(z[:, :count]) >= math.log(20)).any(axis=1).mean()
    assert alarmed >= 0.9
    assert (paths(z[:, : count // 4]) >= math.log(20)).any(axis=1).mean() < 0.6


def test_nothing_to_see_is_never_enough() -> None:
    assert needed(0.0, 0.5, 0.05) == math.inf


def test_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        Betting.begin(0.05, 2).after(np.zeros((3, 1)))
    with pytest.raises(ValueError, match="outside"):
        Betting.begin(0.05).after(np.array([[1.2]]))
    with pytest.raises(ValueError, match="outside"):
        Betting.begin(0.05).after(np.array([[np.nan]]))
    with pytest.raises(ValueError, match="alpha"):
        Betting.begin(1.0)
