"""The best constant answer, by each loss."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judge.calibration.scale import Scale
from judge.calibration.statistics.agreement import metrics
from judge.calibration.statistics.constants import best_constant, best_constants
from judge.calibration.statistics.figures import Undefined

LEVELS = np.arange(1.0, 6.0)
ORDINAL = Scale("ordinal", 1, 5, LEVELS, tuple("12345"))
BINARY = Scale("binary", 0, 1, np.array([0.0, 1.0]), ("no", "yes"))
Y = np.array([1.0, 1, 1, 4, 5, 5, 4])


def test_each_loss_has_its_own_constant() -> None:
    """Of 1 1 1 4 4 5 5: the mode is 1, the median 4, the mean 3; four lie within one of 4, and so of 5."""
    assert best_constant(Y, LEVELS, "accuracy") == 1
    assert best_constant(Y, LEVELS, "absolute") == 4
    assert best_constant(Y, LEVELS, "squared") == 3
    assert best_constant(Y, LEVELS, "adjacent") == 4
    assert best_constant(Y, None, "absolute") == 4


def test_weights_count() -> None:
    w = np.array([0.1, 0.1, 0.1, 2, 1, 1, 1])
    assert best_constant(Y, LEVELS, "accuracy", w) == 4
    assert best_constant(np.array([1.0, 2, 9]), None, "absolute", np.array([1.0, 1, 3])) == 9
    assert best_constant(np.array([1.0, 2, 9]), None, "squared", np.array([1.0, 1, 2])) == 5.25


def test_of_equally_good_constants_it_is_the_lowest() -> None:
    assert best_constant(np.array([1.0, 2, 2, 1]), LEVELS, "accuracy") == 1
    assert best_constant(np.array([1.0, 2, 3, 4]), LEVELS, "absolute") == 2
    assert best_constant(np.array([1.0, 2, 3, 4]), None, "absolute") == 2


def test_what_the_best_constants_reach() -> None:
    """Exact 3/7 (always 1), adjacent 4/7, MAE of 4: (3 * 3 + 0 + 0 + 1 + 1) / 7 = 11/7, RMSE of 3: sqrt(22 / 7)."""
    assert best_constants(ORDINAL, Y) == pytest.approx(
        {"quadratic_kappa": 0, "exact": 3 / 7, "adjacent": 4 / 7, "mae": 11 / 7, "rmse": (22 / 7) ** 0.5}
    )
    found = best_constants(BINARY, np.array([1.0, 1, 1, 0]))
    # AC1 of always yes: agreement 3/4, mean shares 1/8 and 7/8, chance 2 * 7/64.
    expected = {"balanced_accuracy": 0.5, "youden": 0, "accuracy": 0.75, "kappa": 0, "ac1": (48 - 14) / (64 - 14)}
    assert found == pytest.approx(expected)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.floats(1, 5), st.floats(0.1, 5)), min_size=1, max_size=12))
def test_no_other_level_is_better(rows: list[tuple[float, float]]) -> None:
    y, w = np.array(rows).T
    reached = best_constants(ORDINAL, y, w)
    for level in LEVELS:
        others = {name: metrics(ORDINAL)[name](y, np.full(len(y), level), w[None, :])[0] for name in ("mae", "rmse")}
        assert all(reached[name] <= value + 1e-9 for name, value in others.items())
        for name in ("exact", "adjacent"):
            assert reached[name] >= metrics(ORDINAL)[name](y, np.full(len(y), level), w[None, :])[0] - 1e-9


def test_refusals() -> None:
    with pytest.raises(Undefined, match="no items"):
        best_constant(np.array([]), LEVELS, "accuracy")
    with pytest.raises(ValueError, match="lists none"):
        best_constant(Y, None, "accuracy")
