"""Thresholds that keep their promise, and what they are made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from judge.calibration.statistics import bootstrap
from judge.calibration.statistics.bootstrap import Codes, Floats
from judge.calibration.statistics.thresholds import (
    Flags,
    Threshold,
    aurc,
    aurc_of_chance,
    aurc_of_oracle,
    errors,
    fit,
    majority,
    risk_bound,
    risk_curve,
)
from tests.generated import ANY

Data = tuple[Floats, Flags, Codes]


@st.composite
def labelled(draw: st.DrawFn) -> Data:
    """Confidences with ties, errors, and groups."""
    n = draw(st.integers(40, 240))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    confidence = rng.integers(0, draw(st.sampled_from([3, 10, 1000])), n) / 1000
    error = rng.random(n) < draw(st.sampled_from([0.0, 0.05, 0.3])) * (2 - confidence / confidence.max(initial=0.001))
    return confidence, error, rng.integers(0, draw(st.sampled_from([15, 60, 10_000])), n)


def alone(n: int) -> Codes:
    return np.arange(n)


def test_stops_at_the_first_failure_by_hand() -> None:
    # Per confidence, items and errors: .9: 100, 0. .8: 100, 4. .7: 100, 30. .6: 700, 0. Clopper-Pearson's bounds at
    # delta .1, accepted together: 0 of 100 1 - .1^(1/100) = .0228; 4 of 200 .0396; 34 of 300 .1404; 34 of 1000 .0428.
    confidence = np.repeat([0.9, 0.8, 0.7, 0.6], [100, 100, 100, 700])
    error = np.zeros(1000, dtype=bool)
    error[100:104] = error[200:230] = True
    # A quarter of the items is 250, so that the search begins at .7 and ends there.
    assert fit(confidence, error, alone(1000), alpha=0.1).never
    # Without the last 600 it begins at .9. That all of it would pass again does not count.
    found = fit(confidence[:400], error[:400], alone(400), alpha=0.1)
    assert (found.threshold, found.accepted, found.risk, found.n, found.groups) == (0.8, 0.5, 0.02, 400, 400)
    assert found.bound == pytest.approx(stats.beta.ppf(0.9, 5, 196), abs=1e-12)
    assert found.bound == pytest.approx(0.0396, abs=5e-5)
    assert "4 errors among 200 items" in found.why
    assert fit(confidence[:400], error[:400], alone(400), alpha=0.15).threshold == 0.6


def test_abstains_always_where_the_most_confident_fail() -> None:
    confidence = np.repeat([0.9, 0.5], 100)
    error = np.arange(200) % 2 == 0
    found = fit(confidence, error, alone(200), alpha=0.3)
    assert (found.threshold, found.never, found.accepted, found.risk) == (None, True, 0.0, 0.5)
    assert found.bound == pytest.approx(stats.beta.ppf(0.9, 51, 50), abs=1e-12)
    assert not found.accepts(np.array([0.5, 1.0, np.inf])).any()
    assert found.why == (
        f"even the most confident grades are wrong too often: 50 errors among 100 items, so up to {found.bound:.3f}"
    )


@pytest.mark.parametrize(
    ("n", "alpha", "never"), [(29, 0.5, True), (30, 0.1, False), (44, 0.05, True), (45, 0.05, False)]
)
def test_few_labels_show_nothing(n: int, alpha: float, never: bool) -> None:
    # Fewer than 30 are never enough; no error among n leaves a risk of 1 - .1^(1/n): .051 at 44 and .0499 at 45.
    found = fit(np.full(n, 0.9), np.zeros(n, dtype=bool), alone(n), alpha=alpha)
    assert found.never == never
    assert ("too few" in found.why) == never


def test_few_groups_and_no_confidence_show_nothing() -> None:
    right = np.zeros(900, dtype=bool)
    assert "in 9 groups" in fit(np.full(900, 0.9), right, alone(900) % 9, alpha=0.5).why
    assert not fit(np.full(900, 0.9), right, alone(900) % 10, alpha=0.5).never
    assert fit(np.full(900, np.nan), right, alone(900), alpha=0.5).why.startswith("the judge's confidence is known for")
    assert fit(np.zeros(0), right[:0], alone(0), alpha=0.5).never


def test_a_confidence_that_is_not_known_is_not_accepted() -> None:
    confidence = np.where(np.arange(200) < 150, 0.8, np.nan)
    found = fit(confidence, np.zeros(200, dtype=bool), alone(200), alpha=0.1)
    assert (found.threshold, found.accepted) == (0.8, 0.75)
    assert found.accepts(np.array([0.9, np.nan, 0.8, 0.79])).tolist() == [True, False, True, False]


@pytest.mark.parametrize("wrong", [{"alpha": 0.0}, {"alpha": 1.0}, {"delta": 0.5}, {"delta": 0.0}, {"w": np.ones(2)}])
def test_refuses_what_makes_no_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"between|different lengths"):
        fit(np.ones(50), np.zeros(50, dtype=bool), alone(50), **{"alpha": 0.1, **wrong})


@ANY
@given(labelled(), st.floats(0.01, 0.6))
def test_survives_json_and_order(data: Data, alpha: float) -> None:
    confidence, error, cluster = data
    found = fit(confidence, error, cluster, alpha=alpha)
    assert Threshold.model_validate_json(found.model_dump_json()) == found
    order = np.random.default_rng(0).permutation(len(error))
    other = fit(confidence[order], error[order], 10_000 - cluster[order], alpha=alpha)
    assert (other.threshold, other.accepted) == (found.threshold, pytest.approx(found.accepted, abs=1e-12))
    assert found.accepts(confidence).mean() == pytest.approx(found.accepted, abs=1e-12)
    if not found.never:
        assert found.bound is not None
        assert found.bound <= alpha


@ANY
@given(labelled(), st.floats(0.15, 0.9), st.floats(0.15, 0.9))
def test_a_higher_alpha_accepts_no_less(data: Data, one: float, two: float) -> None:
    # From 160 items on a quarter of them shows .15 where none is wrong, so that alpha does not choose what is tried.
    confidence, error = (np.tile(part, 4)[:160] for part in data[:2])
    less, more = (fit(confidence, error, alone(160), alpha=alpha).accepted for alpha in sorted((one, two)))
    assert less <= more


@ANY
@given(labelled(), st.floats(0.01, 0.99), st.floats(0.01, 0.49))
def test_accepts_nothing_where_all_is_wrong(data: Data, alpha: float, delta: float) -> None:
    assert fit(data[0], np.ones(len(data[0]), dtype=bool), data[2], alpha=alpha, delta=delta).never


@ANY
@given(st.integers(2, 400), st.floats(0, 1), st.floats(0.001, 0.49))
def test_bound_of_items_on_their_own_is_clopper_pearsons(n: int, share: float, delta: float) -> None:
    k = int(share * (n - 1))
    bound = risk_bound((np.arange(n) < k).astype(float), alone(n), delta)
    assert bound == pytest.approx(stats.beta.ppf(1 - delta, k + 1, n - k), abs=1e-9)
    assert stats.binom.cdf(k, n, bound) == pytest.approx(delta, abs=1e-7)


def test_bound_of_groups_by_hand() -> None:
    # 4 groups of 2: both wrong, else none. One more group that is all wrong: 4 of 10, and the groups are alike wholly:
    # sum of (e - .4 * 2)^2 is 1.2^2 + 3 * .8^2 + 1.2^2 = 4.8, so 10 items are worth .4 * .6 * 10^2 / 4.8 = 5, and those
    # times the square of t(7) / t(3) at .9: (1.41492 / 1.63774)^2 = .74640, so 3.73198.
    bound = risk_bound(np.array([1.0, 1, 0, 0, 0, 0, 0, 0]), np.repeat(np.arange(4), 2), 0.1)
    assert bound == pytest.approx(stats.beta.ppf(0.9, 0.4 * 3.73198, 0.6 * 3.73198), abs=1e-5)
    # Each group counted as one item, without Student's quantiles, is the bound of 1 of 4.
    assert bound > stats.beta.ppf(0.9, 2, 3) > risk_bound(np.array([1.0, 0, 0, 0]), alone(4), 0.1) - 1e-12


@ANY
@given(labelled())
def test_bound_of_groups_is_no_lower_than_that_of_items(data: Data) -> None:
    _, error, cluster = data
    wrong = error.astype(float)
    assert risk_bound(wrong, cluster, 0.1) >= stats.beta.ppf(0.9, wrong.sum() + 1, len(wrong) - wrong.sum()) - 1e-9


@ANY
@given(labelled(), st.floats(0.1, 10))
def test_bound_does_not_depend_on_the_unit_of_weights(data: Data, unit: float) -> None:
    _, error, cluster = data
    w = np.random.default_rng(1).uniform(1, 4, len(error))
    bound = risk_bound(error.astype(float), cluster, 0.1, w)
    assert risk_bound(error.astype(float), cluster, 0.1, w * unit) == pytest.approx(bound, abs=1e-9)
    assert risk_bound(error.astype(float), cluster, 0.1, np.full(len(error), unit)) == pytest.approx(
        risk_bound(error.astype(float), cluster, 0.1), abs=1e-9
    )


def test_one_group_shows_nothing() -> None:
    assert risk_bound(np.zeros(50), np.zeros(50, dtype=np.int64), 0.1) == 1.0
    assert risk_bound(np.zeros(0), alone(0), 0.1) == 1.0
    assert risk_bound(np.zeros(1), alone(1), 0.1) == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("groups", "size", "alike"), [(300, 1, 0.0), (58, 22, 0.3), (58, 22, 1.0), (100, 5, 0.5), (20, 16, 0.3)]
)
def test_keeps_the_promise_where_it_is_hardest(groups: int, size: int, alike: float) -> None:
    # The true share of errors is alpha from .7 on, in the limit from above: accepting .7 breaks the promise. Of 500
    # draws at most 50 may on average; more than 50 + 3 * sqrt(500 * .1 * .9) = 70 would be luck of 1 in 740.
    rng = np.random.default_rng(7)
    cluster = np.repeat(np.arange(groups), size)
    broken = ignored = 0
    for _ in range(500):
        rate = np.full(groups, 0.3)
        if alike == 1:
            rate = (rng.random(groups) < 0.3).astype(float)
        elif alike:
            rate = rng.beta(0.3 * (1 / alike - 1), 0.7 * (1 / alike - 1), groups)
        confidence = rng.choice([0.9, 0.7, 0.5], len(cluster), p=[0.35, 0.35, 0.3])
        chance = np.select([confidence == 0.9, confidence == 0.7], [0.0, rate[cluster]], 0.5)
        error = rng.random(len(cluster)) < chance
        broken += (fit(confidence, error, cluster, alpha=0.15).threshold or 1) <= 0.7
        ignored += (fit(confidence, error, alone(len(error)), alpha=0.15).threshold or 1) <= 0.7
    assert broken <= 70
    # The test can tell: where groups are alike, a bound that takes their items for independent breaks it.
    assert size == 1 or ignored > 70


def test_weights_make_up_for_how_items_were_drawn() -> None:
    # Half of the population is easy (risk .02) and half hard (risk .3); hard ones were drawn three times as often. The
    # true risk is .16 and alpha .2; without weights it looks like (.02 + 3 * .3) / 4 = .23.
    rng = np.random.default_rng(3)
    hard = rng.random(2000) < 0.75
    error = rng.random(2000) < np.where(hard, 0.3, 0.02)
    w = np.where(hard, 1.0, 3.0)
    assert fit(np.full(2000, 0.8), error, alone(2000), alpha=0.2).never
    found = fit(np.full(2000, 0.8), error, alone(2000), alpha=0.2, w=w)
    assert found.threshold == 0.8
    assert found.risk == pytest.approx(0.16, abs=0.03)


def test_errors_by_the_nearest_levels() -> None:
    # Of two equally near levels the lower: 2.5 is 2, and so is a mean of people of (2 + 3) / 2.
    calibrated = np.array([2.5, 2.51, 4.9, 0.2, 3.0])
    y = np.array([2.0, 2.5, 5.0, 1.0, 4.5])
    levels = np.arange(1.0, 6.0)
    assert errors(calibrated, y, levels).tolist() == [False, True, False, False, True]


def test_confidence_of_votes() -> None:
    nan = np.nan
    votes = np.array([[1, 1, 2, 3], [3, 2, 2, 3], [nan, 2, nan, nan], [nan] * 4])
    answer, share = majority(votes)
    assert answer.tolist()[:3] == [1, 2, 2]
    assert share.tolist()[:3] == [0.5, 0.5, 1.0]
    assert np.isnan(answer[3])
    assert np.isnan(share[3])


def test_risk_curve_takes_equal_confidences_together() -> None:
    thresholds, accepted, risk = risk_curve(np.array([0.5, 0.9, 0.5, 0.7]), np.array([True, False, False, True]))
    assert thresholds.tolist() == [0.9, 0.7, 0.5]
    assert accepted.tolist() == [0.25, 0.5, 1.0]
    assert risk.tolist() == [0.0, 0.5, 0.5]


def test_areas_by_hand() -> None:
    # In order of confidence right, wrong, right, wrong: risks 0, 1/2, 1/3, 2/4, so (0 + 1/2 + 1/3 + 1/2) / 4 = 1/3.
    # The oracle puts the two errors last: 0, 0, 1/3, 2/4, so 5/24. By chance 1/2.
    error, w = np.array([0.0, 1, 0, 1]), np.ones((1, 4))
    confidence = np.array([0.9, 0.8, 0.7, 0.6])
    assert aurc(error, confidence, w)[0] == pytest.approx(1 / 3)
    assert aurc_of_oracle(error, confidence, w)[0] == pytest.approx(5 / 24)
    assert aurc_of_chance(error, confidence, w)[0] == 0.5
    # All equally confident: half of the items are wrong at every acceptance.
    assert aurc(error, np.ones(4), w)[0] == pytest.approx(0.5)
    # The first two tied: 1/2, 1/2, 1/3, 2/4.
    assert aurc(error, np.array([0.9, 0.9, 0.7, 0.6]), w)[0] == pytest.approx((1 / 2 + 1 / 2 + 1 / 3 + 1 / 2) / 4)
    # Nothing has weight: not defined, rather than 0.
    assert np.isnan([one(error, confidence, 0 * w)[0] for one in (aurc, aurc_of_chance)]).all()


@ANY
@given(labelled())
def test_area_is_the_mean_over_all_orders_of_ties(data: Data) -> None:
    confidence, error, _ = data
    n = len(error)
    values, block = np.unique(-confidence, return_inverse=True)
    # An item at each place is wrong as often as its block is.
    rate = (np.bincount(block, error) / np.bincount(block))[np.sort(block)]
    expected = (np.cumsum(rate) / np.arange(1, n + 1)).mean()
    w = np.ones((1, n))
    found = aurc(error.astype(float), confidence, w)[0]
    assert found == pytest.approx(expected, abs=1e-9)
    assert len(values) <= n
    least = aurc_of_oracle(error.astype(float), confidence, w)[0]
    assert least - 1e-9 <= found
    assert least == pytest.approx((np.cumsum(np.sort(error)) / np.arange(1, n + 1)).mean(), abs=1e-9)


def test_weighted_area_is_that_of_items_said_again() -> None:
    rng = np.random.default_rng(5)
    error, confidence = (rng.random(50) < 0.3).astype(float), rng.integers(0, 8, 50) / 8
    times = rng.multinomial(50, np.full(50, 0.02))
    again = np.repeat(np.arange(50), times)
    expected = aurc(error[again], confidence[again], np.ones((1, 50)))[0]
    assert aurc(error, confidence, times[None, :].astype(float))[0] == pytest.approx(expected, abs=1e-9)
    assert aurc(error, confidence, times[None, :] * 0.1)[0] == pytest.approx(expected, abs=1e-9)
    figure = bootstrap.figures({"aurc": aurc}, error, confidence, alone(50), draws=200)["aurc"]
    assert figure.low is not None
    assert figure.high is not None
    assert figure.value is not None
    assert figure.low < figure.value < figure.high
