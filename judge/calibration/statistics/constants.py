"""What the best constant answer would reach: a judge that is not beyond it knows nothing of the items."""

from __future__ import annotations

from typing import Literal

import numpy as np

from judge.calibration.scale import Scale
from judge.calibration.statistics.agreement import metrics
from judge.calibration.statistics.bootstrap import Floats
from judge.calibration.statistics.figures import Undefined

Loss = Literal["accuracy", "adjacent", "absolute", "squared"]

#: What any constant reaches, by definition.
BY_DEFINITION = {"kappa": 0.0, "quadratic_kappa": 0.0, "concordance": 0.0, "youden": 0.0, "balanced_accuracy": 0.5}
_LOSSES: dict[str, Loss] = {
    "accuracy": "accuracy",
    "exact": "accuracy",
    "adjacent": "adjacent",
    "mae": "absolute",
    "rmse": "squared",
}


def best_constant(y: Floats, levels: Floats | None, loss: Loss, w: Floats | None = None) -> float:
    """The one answer that, given to every item, would agree best with people.

    Parameters
    ----------
    y : (n,)
        People's mean scores.
    levels : (K,) or None
        What may be answered, ascending; None: any number.
    loss
        `accuracy`: the level that most of y are nearest to. `adjacent`: the level within one of most. `absolute`: the
        level of the smallest mean absolute error; without levels the weighted median of y. `squared`: the mean of y,
        whatever the levels are.
    w : (n,)
        Weights of the items.

    Returns
    -------
    float
        Of equally good ones the lowest.

    Raises
    ------
    Undefined
        For n = 0.
    ValueError
        For `accuracy` and `adjacent` without levels.
    """
    if not len(y):
        raise Undefined("there are no items")
    weights = np.ones(len(y)) if w is None else w
    if loss == "squared":
        return float(weights @ y / weights.sum())
    if levels is None:
        if loss != "absolute":
            raise ValueError(f"the best constant by {loss} is one of the scale's levels, and it lists none")
        return _median(y, weights)
    if loss == "absolute":
        lost = np.array([weights @ np.abs(y - level) for level in levels])
        return float(levels[_first_least(lost)])
    scale = Scale("ordinal", float(levels[0]), float(levels[-1]), levels)
    counted = np.bincount(scale.nearest(y), weights, len(levels))
    if loss == "adjacent":
        padded = np.pad(counted, 1)
        counted = padded[:-2] + padded[1:-1] + padded[2:]
    return float(levels[_first_least(-counted.astype(np.float64))])


def best_constants(scale: Scale, y: Floats, w: Floats | None = None) -> dict[str, float]:
    """What the best constant answer reaches on each metric of the scale that has one, by the metric's name.

    Each metric has its own best constant: the modal level for `accuracy`, the median for `mae`, the mean for `rmse`. It
    knows the people's answers that it is measured on, which a judge does not: in its favour, and little for many items.
    `ac1` is that of the modal level.

    Raises
    ------
    Undefined
        For n = 0.
    """
    weights = (np.ones(len(y)) if w is None else w)[None, :]
    found: dict[str, float] = {}
    for name, metric in metrics(scale).items():
        if name in BY_DEFINITION:
            found[name] = BY_DEFINITION[name]
            continue
        loss = "accuracy" if name == "ac1" else _LOSSES.get(name)
        if loss is not None:
            answer = best_constant(y, scale.levels, loss, w)
            found[name] = float(metric(y, np.full(len(y), answer), weights)[0])
    return found


def _median(y: Floats, w: Floats) -> float:
    order = np.argsort(y, kind="stable")
    reached = np.cumsum(w[order])
    return float(y[order][np.searchsorted(reached, reached[-1] / 2 * (1 - 1e-12))])


def _first_least(lost: Floats) -> int:
    """The first of the smallest, up to rounding."""
    return int(np.flatnonzero(lost <= lost.min() + 1e-12 * np.abs(lost).max())[0])
