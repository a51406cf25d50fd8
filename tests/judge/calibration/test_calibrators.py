"""Every kind of calibrator by hand, beside its oracle, and by what must hold for all of them."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.special import expit, logit

from judge.calibration.calibrators import (
    Identity,
    Isotonic,
    Linear,
    Ordinal,
    Platt,
    Ridge,
    Shift,
    Temperature,
    read,
)
from judge.calibration.calibrators.fitted import Fitted, neighbours, shares
from judge.calibration.statistics.figures import Undefined
from tests.generated import ANY

FIVE = np.arange(1.0, 6.0)
TWO = np.array([0.0, 1.0])
MAPS_OF_ONE: tuple[Any, ...] = (Identity, Shift, Linear, Isotonic)


def column(*values: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array(values, dtype=float)[:, None]


def made(n: int, p: int, seed: int) -> tuple[Any, Any, Any]:
    """Scores, labels on levels 1..5 that go with them, and weights; simulated."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=n)
    X = np.column_stack([np.clip(np.round(3 + truth + rng.normal(size=n)), 1, 5) for _ in range(p)])
    y = np.clip(np.round(3.4 + truth + 0.5 * rng.normal(size=n)), 1, 5)
    return X, y, rng.uniform(0.5, 3, n)


def made_shares(n: int, K: int, seed: int) -> Any:
    return np.random.default_rng(seed).dirichlet(np.ones(K), n)


def fitted_ones(seed: int = 0) -> list[tuple[Fitted, Any]]:
    """One of each kind, and what it reads; simulated."""
    X, y, w = made(120, 3, seed)
    P = made_shares(120, 5, seed)
    probability = column(*np.random.default_rng(seed).uniform(size=120))
    met = (np.random.default_rng(seed + 1).uniform(size=120) < probability[:, 0]).astype(float)
    return [
        *((kind.fit(X, y, w, FIVE), X) for kind in MAPS_OF_ONE),
        (Ridge.fit(X, y, w, FIVE, np.arange(120) // 4), X),
        (Ordinal.fit(X, y, w, FIVE), X),
        (Temperature.fit(P, y, w, FIVE), P),
        (Platt.fit(probability, met, w, TWO), probability),
    ]


# By hand


def test_the_identity_says_what_the_judge_said_within_the_scale() -> None:
    identity = Identity.fit(column(1, 2), np.array([3.0, 3.0]), None, FIVE)
    assert identity.predict(column(-2, 2.5, 9)).tolist() == [1, 2.5, 5]


def test_a_shift_is_the_mean_difference_by_weight() -> None:
    # Differences 1, 2 and -1 with weights 1, 1 and 2: (1 + 2 - 2) / 4 = .25.
    shift = Shift.fit(column(2, 3, 4), np.array([3.0, 5.0, 3.0]), np.array([1.0, 1.0, 2.0]), FIVE)
    assert shift.offset == pytest.approx(0.25)
    assert shift.predict(column(2, 4.9)).tolist() == [2.25, 5]


def test_a_shift_is_fine_for_one_label_and_for_a_constant_judge() -> None:
    assert Shift.fit(column(3), np.array([4.0]), None, FIVE).offset == 1
    assert Shift.fit(column(3, 3), np.array([4.0, 2.0]), None, FIVE).offset == 0


def test_a_line() -> None:
    # f 1 2 3, y 2 2 5: slope = ((-1)(-1) + 0 + (1)(2)) / 2 = 1.5; intercept = 3 - 1.5 * 2 = 0.
    line = Linear.fit(column(1, 2, 3), np.array([2.0, 2.0, 5.0]), None, FIVE)
    assert (line.slope, line.intercept) == (pytest.approx(1.5), pytest.approx(0))
    assert line.predict(column(2, 4)).tolist() == pytest.approx([3, 5])


def test_a_line_does_not_turn_the_judge_round() -> None:
    line = Linear.fit(column(1, 2, 3), np.array([5.0, 4.0, 3.0]), None, FIVE)
    assert (line.slope, line.intercept) == (0, 4)


def test_isotonic_pools_what_falls() -> None:
    # Means 1, 4, 2, 5: the middle two fall, and are pooled to 3. Half way from 1 to 3 at f = 1.5.
    isotonic = Isotonic.fit(column(1, 2, 3, 4), np.array([1.0, 4.0, 2.0, 5.0]), None, FIVE)
    assert isotonic.predict(column(1, 2, 3, 4)).tolist() == [1, 3, 3, 5]
    assert isotonic.predict(column(0, 1.5, 2.5, 7)).tolist() == [1, 2, 3, 5]


def test_isotonic_keeps_only_the_ends_of_a_level_run() -> None:
    # 5, 4, 3, 2, 1 pool into one run of 3, which its two ends tell.
    isotonic = Isotonic.fit(column(1, 2, 3, 4, 5), FIVE[::-1].copy(), None, FIVE)
    assert (isotonic.scores, isotonic.values) == ((1, 5), (3, 3))


def test_proportional_odds_by_hand() -> None:
    # One judge score of two values, two levels: a logistic regression that fits both shares, 1/4 at 1 and 3/4 at 2.
    # logit P(upper) = b f - c: -log 3 = b - c and log 3 = 2 b - c, so b = 2 log 3 and c = 3 log 3.
    X = column(1, 1, 1, 1, 2, 2, 2, 2)
    ordinal = Ordinal.fit(X, np.array([0.0, 0, 0, 1, 0, 1, 1, 1]), None, TWO, penalty=0)
    assert ordinal.slopes == pytest.approx([2 * np.log(3)])
    assert ordinal.thresholds == pytest.approx([3 * np.log(3)])
    assert ordinal.predict(column(1, 1.5, 2)).tolist() == pytest.approx([0.25, 0.5, 0.75])


def test_a_level_that_no_label_reached_has_no_probability() -> None:
    ordinal = Ordinal.fit(column(1, 2, 2, 3, 3), np.array([1.0, 1, 3, 3, 1]), None, FIVE)
    found = ordinal.distribution(column(1, 2, 3))
    assert ordinal.seen == (1, 3)
    assert (found[:, [1, 3, 4]] == 0).all()
    assert found.sum(axis=1) == pytest.approx([1, 1, 1])


def test_a_label_between_two_levels_counts_to_both() -> None:
    below, part = neighbours(np.array([1.0, 1.25, 4.5, 5.0]), tuple(FIVE))
    assert below.tolist() == [0, 0, 3, 3]
    assert part.tolist() == [0, 0.25, 0.5, 1]


@pytest.mark.parametrize("kind", [Ordinal, Temperature])
def test_a_label_of_a_half_is_as_good_as_one_label_on_either_side(kind: Any) -> None:
    X = made_shares(30, 5, 0)
    y = np.tile([1.5, 2.5, 4.0], 10)
    both, low, high = np.repeat(X, 2, axis=0), np.floor(y), np.ceil(y)
    one = kind.fit(X, y, np.full(30, 2.0), FIVE)
    other = kind.fit(both, np.column_stack([low, high]).ravel(), None, FIVE)
    assert one.predict(X) == pytest.approx(other.predict(X), abs=1e-7)


def test_temperature_by_hand() -> None:
    # The judge says (.9, .1) always, and people give the lower level 3 times in 4. Temperature T makes the odds
    # 9^(1/T) = 3, so T = log 9 / log 3 = 2.
    P = np.tile([0.9, 0.1], (4, 1))
    temperature = Temperature.fit(P, np.array([0.0, 0, 0, 1]), None, TWO)
    assert temperature.temperature == pytest.approx(2, abs=1e-6)
    assert temperature.predict(P) == pytest.approx(np.full(4, 0.25), abs=1e-6)


def test_a_temperature_has_ends() -> None:
    sure = Temperature.fit(np.tile([0.6, 0.4], (3, 1)), np.zeros(3), None, TWO)
    lost = Temperature.fit(np.tile([0.6, 0.4], (3, 1)), np.ones(3), None, TWO)
    assert (sure.temperature, lost.temperature) == (pytest.approx(0.05), pytest.approx(20))


def test_platt_by_hand() -> None:
    # A probability of two values: both smoothed shares are met. Of 8 labels 4 are above: the targets are 5/6 and 1/6.
    # At .2: (3 * 1/6 + 5/6) / 4 = 1/3; at .8: 2/3. logit .8 = log 4: b log 4 = log 2, so b = 1/2 and a = 0.
    f = column(0.2, 0.2, 0.2, 0.2, 0.8, 0.8, 0.8, 0.8)
    platt = Platt.fit(f, np.array([0.0, 0, 0, 1, 0, 1, 1, 1]), None, TWO)
    assert (platt.intercept, platt.slope) == (pytest.approx(0, abs=1e-9), pytest.approx(0.5))
    assert platt.predict(column(0.2, 0.5, 0.8)).tolist() == pytest.approx([1 / 3, 1 / 2, 2 / 3])


def test_platt_does_not_turn_the_judge_round() -> None:
    platt = Platt.fit(column(0.1, 0.1, 0.9, 0.9), np.array([1.0, 1, 0, 0]), None, TWO)
    assert platt.slope == 0
    assert platt.predict(column(0, 1)).tolist() == pytest.approx([0.5, 0.5])


# Oracles


def test_isotonic_is_that_of_sklearn() -> None:
    from sklearn.isotonic import IsotonicRegression

    for seed in range(20):
        X, y, w = made(60, 1, seed)
        X += np.random.default_rng(seed).normal(size=X.shape)
        theirs = IsotonicRegression(out_of_bounds="clip").fit(X[:, 0], y, w)
        new = column(*np.linspace(-2, 8, 101))
        assert Isotonic.fit(X, y, w, FIVE).predict(new) == pytest.approx(theirs.predict(new[:, 0]), abs=1e-9)


def test_the_line_is_that_of_sklearn() -> None:
    from sklearn.linear_model import LinearRegression

    X, y, w = made(60, 1, 1)
    theirs = LinearRegression().fit(X, y, w)
    ours = Linear.fit(X, y, w, FIVE)
    assert (ours.intercept, ours.slope) == (pytest.approx(theirs.intercept_, abs=1e-9), pytest.approx(theirs.coef_[0]))


@pytest.mark.parametrize("penalty", [0.01, 0.3])
def test_ridge_is_that_of_sklearn(penalty: float) -> None:
    from sklearn.linear_model import Ridge as Theirs
    from sklearn.preprocessing import StandardScaler

    X, y, w = made(80, 4, 2)
    scaled = StandardScaler().fit(X, sample_weight=w)
    theirs = Theirs(alpha=penalty * w.sum(), tol=1e-12).fit(scaled.transform(X), y, w)
    found = np.clip(theirs.predict(scaled.transform(X)), 1, 5)
    ours = Ridge.fit(X, y, w, FIVE, penalties=(penalty,))
    assert ours.predict(X) == pytest.approx(found, abs=1e-9)


def test_the_penalty_is_the_one_with_the_least_error_on_groups_left_out() -> None:
    # As many groups as folds: whatever the shuffle, each group is left out once, as sklearn's LeaveOneGroupOut does it.
    from sklearn.linear_model import Ridge as Theirs
    from sklearn.model_selection import LeaveOneGroupOut
    from sklearn.preprocessing import StandardScaler

    for seed in range(5):
        X, y, w = made(50, 4, seed)
        group, grid, error = np.arange(50) // 5, (0.001, 0.03, 0.3, 3.0), {}
        for penalty in grid:
            missed = 0.0
            for kept, out in LeaveOneGroupOut().split(X, y, group):
                scaled = StandardScaler().fit(X[kept], sample_weight=w[kept])
                model = Theirs(alpha=penalty * w[kept].sum()).fit(scaled.transform(X[kept]), y[kept], w[kept])
                missed += (w[out] * (y[out] - model.predict(scaled.transform(X[out]))) ** 2).sum()
            error[penalty] = missed
        assert Ridge.fit(X, y, w, FIVE, group, penalties=grid).penalty == min(grid, key=lambda one: error[one])


def test_proportional_odds_are_those_of_statsmodels() -> None:
    # To 1e-4: its optimiser (BFGS on numerical gradients) stops there; ours has a gradient below 1e-10.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from statsmodels.miscmodels.ordinal_model import OrderedModel

        for seed in range(3):
            X, y, _ = made(150, 2, seed)
            model = OrderedModel(y, X, distr="logit").fit(method="bfgs", disp=0, maxiter=500)
            cuts = model.model.transform_threshold_params(model.params[2:])[1:-1]
            ours = Ordinal.fit(X, y, None, FIVE, penalty=0)
            assert ours.slopes == pytest.approx(model.params[:2], abs=1e-4)
            assert ours.thresholds == pytest.approx(cuts, abs=1e-4)
            columns = np.isin(FIVE, ours.seen)
            assert ours.distribution(X)[:, columns] == pytest.approx(model.predict(X), abs=1e-4)


def test_proportional_odds_on_two_levels_are_logistic_regression() -> None:
    # To 1e-6: sklearn's Newton stops at a gradient of 1e-10 of a loss scaled in another way.
    from sklearn.linear_model import LogisticRegression

    X, y, w = made(100, 3, 3)
    met = (y > 3).astype(float)
    theirs = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-10).fit(X, met, w)
    ours = Ordinal.fit(X, met, w, TWO, penalty=0)
    assert ours.slopes == pytest.approx(theirs.coef_[0], abs=1e-6)
    assert ours.thresholds == pytest.approx(-theirs.intercept_, abs=1e-6)


def test_platt_is_a_logistic_regression_on_smoothed_targets() -> None:
    # Each label as two weighted rows, its smoothed target above and the rest below. To 1e-6, as above.
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(4)
    f = rng.uniform(size=80)
    y = (rng.uniform(size=80) < f**2).astype(float)
    z = logit(np.clip(f, 1e-3, 1 - 1e-3))[:, None]
    target = np.where(y == 1, (y.sum() + 1) / (y.sum() + 2), 1 / (80 - y.sum() + 2))
    rows, upper = np.vstack([z, z]), np.r_[np.ones(80), np.zeros(80)]
    theirs = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-10)
    theirs.fit(rows, upper, np.r_[target, 1 - target])
    ours = Platt.fit(f[:, None], y, None, TWO)
    assert ours.slope == pytest.approx(theirs.coef_[0, 0], abs=1e-6)
    assert ours.intercept == pytest.approx(theirs.intercept_[0], abs=1e-6)
    assert ours.predict(f[:, None]) == pytest.approx(expit(theirs.intercept_ + theirs.coef_[0] * z[:, 0]), abs=1e-6)


def test_the_temperature_has_the_least_log_loss_of_a_fine_grid() -> None:
    P, w = made_shares(100, 5, 5), made(100, 1, 5)[2]
    rng = np.random.default_rng(5)
    code = np.array([rng.choice(5, p=p**0.5 / (p**0.5).sum()) for p in P])
    ours = Temperature.fit(P, code + 1.0, w, FIVE)
    rows = np.arange(100)

    def loss(temperature: float) -> float:
        p = P ** (1 / temperature)
        return -float((w * np.log(p[rows, code] / p.sum(axis=1))).sum())

    grid = np.geomspace(0.05, 20, 2001)
    assert 1 < ours.temperature < 5
    assert loss(ours.temperature) <= min(loss(one) for one in grid) + 1e-9


# What holds for all


@pytest.mark.parametrize("seed", range(3))
def test_a_calibrator_that_was_stored_and_read_back_says_the_same(seed: int) -> None:
    for calibrator, X in fitted_ones(seed):
        again = read(calibrator.model_dump_json())
        assert again == calibrator
        assert (again.predict(X) == calibrator.predict(X)).all()


def test_an_unknown_kind_is_not_read() -> None:
    with pytest.raises(ValidationError, match="kind"):
        read('{"kind": "magic", "levels": [1, 2]}')
    with pytest.raises(ValidationError, match="finite"):
        read('{"kind": "shift", "levels": [1, 2], "offset": NaN}')


SCORES = st.lists(st.tuples(st.floats(0, 6), st.floats(1, 5), st.integers(1, 3)), min_size=3, max_size=30)


@ANY
@given(SCORES, st.sampled_from([*MAPS_OF_ONE, Platt]))
def test_maps_of_one_score_keep_its_order(rows: list[tuple[float, float, int]], kind: Any) -> None:
    f, y, w = (np.array(one, dtype=float) for one in zip(*rows, strict=True))
    levels = np.array([1.0, 5.0]) if kind is Platt else FIVE
    new = column(*np.linspace(-1, 7, 33))
    if (
        kind is not Shift
        and kind is not Identity
        and len(np.unique(np.clip(f, 1.004, 4.996) if kind is Platt else f)) < 2
    ):
        with pytest.raises(Undefined, match="one score"):
            kind.fit(f[:, None], y, w, levels)
        return
    predicted = kind.fit(f[:, None], y, w, levels).predict(new)
    assert (np.diff(predicted) >= -1e-9).all()
    assert predicted.min() >= 1
    assert predicted.max() <= 5


@ANY
@given(SCORES, st.sampled_from([*MAPS_OF_ONE, Ordinal, Ridge]))
def test_a_whole_weight_is_as_good_as_rows_repeated(rows: list[tuple[float, float, int]], kind: Any) -> None:
    f, y, w = (np.array(one, dtype=float) for one in zip(*rows, strict=True))
    f = np.round(f)
    at = np.repeat(np.arange(len(y)), w.astype(int))
    X, fixed = f[:, None], {"penalties": (0.1,)} if kind is Ridge else {}
    new = column(*np.linspace(0, 6, 13))
    try:
        weighted = kind.fit(X, y, w, FIVE, **fixed)
    except Undefined:
        with pytest.raises(Undefined):
            kind.fit(X[at], y[at], None, FIVE, **fixed)
        return
    assert weighted.predict(new) == pytest.approx(kind.fit(X[at], y[at], None, FIVE, **fixed).predict(new), abs=1e-6)


def test_the_scale_of_weights_is_of_no_account() -> None:
    X, y, w = made(120, 3, 0)
    P = made_shares(120, 5, 0)
    for kind in (*MAPS_OF_ONE, Ridge, Ordinal):
        assert kind.fit(X, y, 7 * w, FIVE).predict(X) == pytest.approx(kind.fit(X, y, w, FIVE).predict(X), abs=1e-8)
    assert Temperature.fit(P, y, 7 * w, FIVE).temperature == pytest.approx(Temperature.fit(P, y, w, FIVE).temperature)
    f, met = P[:, :1], (y > 3).astype(float)
    assert Platt.fit(f, met, 7 * w, TWO).slope == pytest.approx(Platt.fit(f, met, w, TWO).slope)


def test_predictions_stay_on_the_scale_for_scores_never_seen() -> None:
    new = 100 * np.random.default_rng(6).normal(size=(200, 3))
    for calibrator, X in fitted_ones():
        if calibrator.reads != "scores":
            continue
        predicted = calibrator.predict(new[:, : X.shape[1]])
        assert predicted.shape == (200,)
        assert predicted.min() >= calibrator.levels[0]
        assert predicted.max() <= calibrator.levels[-1]
        assert calibrator.predict(X[:0]).shape == (0,)


def test_a_judge_without_fault_is_fitted_too() -> None:
    X = column(*np.tile(FIVE, 6))
    ordinal = Ordinal.fit(X, X[:, 0], None, FIVE)
    assert np.isfinite(ordinal.slopes).all()
    assert np.abs(ordinal.predict(X) - X[:, 0]).max() < 0.15
    assert Ridge.fit(X, X[:, 0], None, FIVE).predict(X) == pytest.approx(X[:, 0], abs=0.01)


def test_columns_that_are_constant_or_equal_do_no_harm() -> None:
    X, y, w = made(100, 1, 7)
    more = np.column_stack([X, X, np.full(100, 0.1 + 0.2)])
    for kind in (Ridge, Ordinal):
        found = kind.fit(more, y, w, FIVE)
        assert found.slopes[2] == 0
        assert found.slopes[0] == pytest.approx(found.slopes[1])
        assert np.isfinite(found.predict(more)).all()


# What cannot be fitted


@pytest.mark.parametrize("kind", [Linear, Isotonic, Ridge, Ordinal])
def test_a_constant_judge_fits_no_more_than_a_shift(kind: Any) -> None:
    with pytest.raises(Undefined, match="one score"):
        kind.fit(np.full((5, 1), 3.0), np.array([1.0, 2, 3, 4, 5]), None, FIVE)


def test_what_else_is_undefined_says_why() -> None:
    with pytest.raises(Undefined, match="no labels"):
        Shift.fit(np.empty((0, 1)), np.empty(0), None, FIVE)
    with pytest.raises(Undefined, match="one label"):
        Linear.fit(column(1), np.array([2.0]), None, FIVE)
    with pytest.raises(Undefined, match="all labels are 4"):
        Ordinal.fit(column(1, 2), np.array([4.0, 4.0]), None, FIVE)
    with pytest.raises(Undefined, match="one group"):
        Ridge.fit(column(1, 2), np.array([4.0, 3.0]), None, FIVE, np.zeros(2, dtype=np.int64))
    with pytest.raises(Undefined, match="same probability"):
        Temperature.fit(np.full((3, 5), 0.2), np.array([1.0, 2, 3]), None, FIVE)
    with pytest.raises(Undefined, match="one score"):
        Platt.fit(column(0.4, 0.4), np.array([1.0, 0]), None, TWO)


def test_bad_arrays_are_refused() -> None:
    X, y = column(1, 2), np.array([1.0, 2.0])
    for bad, said in (
        ((X, np.array([1.0, 6.0]), None, FIVE), "1 labels are off the scale from 1 to 5"),
        ((X, np.array([1.0, np.nan]), None, FIVE), "finite"),
        ((X[:, 0], y, None, FIVE), "same items"),
        ((X, y, np.ones(3), FIVE), "same items"),
        ((X, y, np.array([1.0, 0.0]), FIVE), "1 weights are not above 0"),
        ((X, y, None, np.array([1.0, 1.0])), "ascending"),
    ):
        with pytest.raises(ValueError, match=said):
            Shift.fit(*bad)
    with pytest.raises(ValueError, match="two levels"):
        Platt.fit(X, y, None, FIVE)
    with pytest.raises(ValueError, match="1 rows are not distributions"):
        shares(np.array([[0.5, 0.5], [0.5, 0.2]]), 2)
    with pytest.raises(ValueError, match="has 5 columns"):
        Temperature.fit(np.ones((2, 3)) / 3, y, None, FIVE)
    for calibrator, X in fitted_ones():
        with pytest.raises(ValueError, match="rows and columns"):
            calibrator.predict(X[:, 0])
        with pytest.raises(ValueError, match="2 rows hold scores that are not finite"):
            calibrator.predict(np.full((2, X.shape[1]), np.nan))
        if len(X[0]) > 1 and not isinstance(calibrator, MAPS_OF_ONE):
            with pytest.raises(ValueError, match="columns"):
                calibrator.predict(X[:, :2])
