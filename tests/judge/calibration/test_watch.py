"""The two streams that are watched: anchors graded again, and fresh scores."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from judge.calibration.drift.betting import paths
from judge.calibration.drift.watch import Sums, Watch, differences, part, ranks
from judge.calibration.statistics.bootstrap import Floats

LEVELS = np.array([0.0, 0.25, 0.5, 0.75, 1.0])


def grade(quality: Floats, rng: np.random.Generator, shift: float = 0.0, noise: float = 0.1) -> Floats:
    """A simulated judge: quality and noise, in steps of a twentieth."""
    return np.round(20 * np.clip(quality + shift + noise * rng.standard_normal(quality.shape), 0, 1)) / 20


def test_what_is_bet_on_by_hand() -> None:
    # On 1 to 5 a quarter of the range is 1. Up by 0.5, from 1 off to 0.5 off; down by 3 is cut off, 3 farther as well;
    # and up by 2 across what people said, as far off as before.
    old, new, y = np.array([2.0, 5, 2]), np.array([2.5, 2, 4]), np.array([3.0, 5, 3])
    expected = [[0.5, -0.5], [-1, 1], [1, 0]]
    assert differences(old, new, y, 4.0) == pytest.approx(np.array(expected))
    weighted = differences(old, new, y, 4.0, np.array([0.5, 1, 0]))
    assert weighted == pytest.approx(np.array([[0.25, -0.25], [-1, 1], [0, 0]]))


@given(st.lists(st.tuples(*[st.sampled_from(LEVELS.tolist())] * 3), min_size=1, max_size=20))
@settings(deadline=None)
def test_old_and_new_swapped_is_the_reverse(items: list[tuple[float, float, float]]) -> None:
    old, new, y = np.array(items).T
    assert (differences(old, new, y, 1.0) == -differences(new, old, y, 1.0)).all()


def test_ranks_by_hand() -> None:
    # One below and one alike; the draw .5 puts the new one at U = (1 + .5 * 2) / 3: 2 U - 1 = 1/3, and 2/3 - 1 = -1/3.
    # The next is the lowest of four with a draw of .25: U = (0 + .25 * 2) / 4, 2 U - 1 = -.75, and 1.5 - 1 = .5.
    z, counts = ranks(np.array([1, 1]), np.array([1, 0]), np.array([0.5, 0.25]))
    assert z == pytest.approx(np.array([[1 / 3, -1 / 3], [-0.75, 0.5]]))
    assert counts.tolist() == [2, 2]


def test_ranks_are_uniform_and_do_not_know_of_each_other() -> None:
    rng = np.random.default_rng(12)
    found = []
    for _ in range(1500):
        at = rng.choice(3, size=6, p=[0.7, 0.2, 0.1])
        z, _ = ranks(np.bincount(at[:3], minlength=3), at[3:], rng.random(3))
        found.append(z[:, 0])
    each = np.array(found)
    for column in each.T:
        assert stats.kstest(column, stats.uniform(-1, 2).cdf).pvalue > 0.001
    correlations = np.corrcoef(each.T)[np.triu_indices(3, 1)]
    assert np.abs(correlations).max() < 4 / math.sqrt(1500)
    # Ties broken without a draw would not be: the same ranks at their middle.
    middle = [ranks(np.array([3, 0, 0]), np.array([0]), np.array([0.5]))[0][0, 0] for _ in range(3)]
    assert len(set(middle)) == 1


def test_sums() -> None:
    rng = np.random.default_rng(2)
    x, w = rng.normal(3, 1, 50), rng.random(50)
    plain = Sums().after(x)
    assert plain.mean == pytest.approx(x.mean())
    assert plain.error == pytest.approx(x.var(ddof=1) / 50)
    weighted = Sums().after(x, w)
    mean = (w @ x) / w.sum()
    assert weighted.mean == pytest.approx(mean)
    assert weighted.error == pytest.approx(50 / 49 * ((w * (x - mean)) ** 2).sum() / w.sum() ** 2)


def test_parts_add_up_to_alpha() -> None:
    # 1/2 + 1/6 + 1/12 + ... : r passes leave 1 / (r + 1).
    assert sum(part(0.05, r) for r in range(1, 51)) == pytest.approx(0.05 * 50 / 51)


@given(st.integers(0, 40), st.integers(0, 60), st.booleans(), st.integers(0, 3))
@settings(deadline=None, max_examples=40)
def test_in_pieces_it_comes_to_the_same(cut: int, other: int, moved: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    quality = rng.random(40)
    old, new = grade(quality, rng), grade(quality, rng, 0.3 if moved else 0)
    y = np.clip(quality, 0, 1)
    begun = Watch.begin(grade(rng.random(100), rng), 0, 1, seed=seed)
    fresh = grade(rng.random(60), rng, 0.4 if moved else 0)

    def stored(watch: Watch) -> Watch:
        return Watch.model_validate_json(watch.model_dump_json())

    whole = begun.after_production(fresh).after_anchors(old, new, y).again().after_anchors(old, new, y)
    pieces = stored(stored(begun.after_production(fresh[:other])).after_production(fresh[other:]))
    pieces = stored(pieces.after_anchors(old[:cut], new[:cut], y[:cut])).after_anchors(old[cut:], new[cut:], y[cut:])
    pieces = stored(pieces.again()).after_anchors(old, new, y)
    assert pieces == whole
    if moved:
        assert whole.judge_alarm is not None
        assert whole.data_alarm is not None


def alarms_of_passes(runs: int, passes: int, rng: np.random.Generator) -> tuple[float, float]:
    """The share of judges that never changed that raise an alarm over passes that use the same old grades: each pass
    with its part of alpha, and all of them as one stream."""
    spent, reused = 0, 0
    for _ in range(runs):
        quality = 0.2 + 0.6 * rng.random(100)
        y = np.clip(quality + 0.1 * rng.standard_normal(100), 0, 1)
        old = grade(quality, rng, noise=0.15)
        z = np.stack([differences(old, grade(quality, rng, noise=0.15), y, 1.0) for _ in range(passes)])
        levels = np.array([part(0.05, r) for r in range(1, passes + 1)])
        spent += bool((paths(z).max(axis=1) >= -np.log(levels)).any())
        reused += bool(paths(z.reshape(1, -1, 2)).max() >= -math.log(0.05))
    return spent / runs, reused / runs


def test_the_same_old_grades_pass_after_pass() -> None:
    # 2000 gradings of 100 anchors by a judge that never changed.
    runs = 150
    spent, reused = alarms_of_passes(runs, 20, np.random.default_rng(0))
    assert spent * runs <= stats.binom.ppf(0.999, runs, 0.05)
    # What the parts of alpha are for: in one stream the errors of the old grades look like drift.
    assert reused * runs > stats.binom.ppf(0.999, runs, 0.05)


def test_the_watch_is_what_was_simulated() -> None:
    rng = np.random.default_rng(1)
    quality, passes = rng.random(50), 4
    y, old = quality, grade(quality, rng)
    watch = Watch.begin(old, 0, 1)
    least = 1.0
    for r in range(1, passes + 1):
        new = grade(quality, rng, 0.02)
        watch = (watch if r == 1 else watch.again()).after_anchors(old, new, y)
        highest = max(0.0, paths(differences(old, new, y, 1.0)[None]).max())
        least = min(least, math.exp(-highest) * r * (r + 1))
    assert watch.p_judge == pytest.approx(least, rel=1e-12)
    assert watch.round == passes


def test_no_false_alarm_on_2000_anchors_nor_scores() -> None:
    rng = np.random.default_rng(30)
    streams, alpha = 400, 0.05
    quality = rng.random((streams, 2000))
    old, new = grade(quality, rng), grade(quality, rng)
    z = differences(old.ravel(), new.ravel(), quality.ravel(), 1.0).reshape(streams, 2000, 2)
    assert (paths(z) >= -math.log(alpha)).any(axis=1).sum() <= stats.binom.ppf(0.999, streams, alpha)
    ranked = []
    for _ in range(streams):
        at = rng.choice(5, size=2300, p=[0.05, 0.1, 0.2, 0.35, 0.3])
        ranked.append(ranks(np.bincount(at[:300], minlength=5), at[300:], rng.random(2000))[0])
    assert (paths(np.array(ranked)) >= -math.log(alpha)).any(axis=1).sum() <= stats.binom.ppf(0.999, streams, alpha)


def test_a_shift_of_a_tenth_is_found_within_100_anchors() -> None:
    # A judge that is off by .1 from one try to the next, and moved by as much. 95 of 100 within 100 anchors.
    rng = np.random.default_rng(31)
    quality = 0.1 + 0.8 * rng.random((300, 100))
    old, new = grade(quality, rng), grade(quality, rng, -0.1)
    z = differences(old.ravel(), new.ravel(), quality.ravel(), 1.0).reshape(300, 100, 2)
    assert (paths(z) >= -math.log(part(0.05, 1))).any(axis=1).mean() >= 0.95


def test_a_judge_that_got_worse_without_moving_is_found() -> None:
    rng = np.random.default_rng(32)
    quality = rng.random(150)
    old = grade(quality, rng, noise=0.05)
    worse = rng.permutation(old)
    found = Watch.begin(old, 0, 1).after_anchors(old, worse, quality)
    assert found.judge_alarm is not None
    assert abs(found.shift.mean) < 1e-9


def test_anchors_chosen_by_their_old_score_need_their_weights() -> None:
    # Low scores are chosen five times as often. Graded again they come back higher, and nothing changed.
    rng = np.random.default_rng(33)
    plain, weighted = 0, 0
    for _ in range(100):
        quality = 0.2 + 0.6 * rng.random(3000)
        old = grade(quality, rng, noise=0.15)
        chance = np.where(old < 0.5, 0.25, 0.05)
        at = np.flatnonzero(rng.random(3000) < chance)
        rng.shuffle(at)
        new = grade(quality[at], rng, noise=0.15)
        begun = Watch.begin(old, 0, 1)
        plain += begun.after_anchors(old[at], new, quality[at]).judge_alarm is not None
        w = 0.05 / chance[at]
        weighted += begun.after_anchors(old[at], new, quality[at], w).judge_alarm is not None
    assert weighted <= stats.binom.ppf(0.999, 100, 0.05)
    assert plain > stats.binom.ppf(0.999, 100, 0.05)


def test_refused() -> None:
    ones = np.ones(3)
    with pytest.raises(ValueError, match="two at the least"):
        Watch.begin(np.ones(1), 0, 1)
    with pytest.raises(ValueError, match="outside 0 to 1"):
        Watch.begin(ones * 2, 0, 1)
    begun = Watch.begin(ones, 0, 1)
    with pytest.raises(ValueError, match="leave unscored items out"):
        begun.after_production(np.array([0.5, np.nan]))
    with pytest.raises(ValueError, match="same anchors"):
        begun.after_anchors(ones, ones[:2], ones)
    with pytest.raises(ValueError, match="divide by the largest"):
        begun.after_anchors(ones, ones, ones, ones * 3)
    nothing = np.zeros(0)
    assert begun.after_production(nothing).after_anchors(nothing, nothing, nothing) == begun
