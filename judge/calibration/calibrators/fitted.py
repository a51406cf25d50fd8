"""What every calibrator is: fitted numbers on a scale, which serialise to JSON and predict with numpy alone."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike
from pydantic import AfterValidator, BaseModel, ConfigDict

from judge.calibration.statistics.bootstrap import Codes, Floats
from judge.calibration.statistics.figures import Undefined

#: What `predict` is given: the judge's scores (n, p), the distribution of this criterion (n, K), or the distributions
#: of all questions beside each other (n, Q * K).
Reads = Literal["scores", "distribution", "distributions"]
#: Shares of a row may miss or exceed 1 by this much; they are shared out anew.
SLACK = 0.02


def _ascending(levels: tuple[float, ...]) -> tuple[float, ...]:
    if len(levels) < 2 or not (np.diff(levels) > 0).all():
        raise ValueError(f"a scale has two or more ascending levels, not {levels}")
    return levels


#: Values of a scale, ascending; of a scale that has no levels its two ends.
Levels = Annotated[tuple[float, ...], AfterValidator(_ascending)]


class Fitted(BaseModel):
    """A map from a judge's scores to people's scale.

    Attributes
    ----------
    reads
        What `predict` is given.
    levels
        The scale. Predictions lie between its ends.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    reads: ClassVar[Reads] = "scores"

    levels: Levels

    def predict(self, X: Floats) -> Floats:
        """The scores on people's scale.

        Parameters
        ----------
        X : (n, p)
            As `reads` has it; of scores the columns in the order of the fit, the judge's own first. Maps of one score
            leave the further columns alone.

        Returns
        -------
        (n,)
            Within the scale, for scores too that were never seen.

        Raises
        ------
        ValueError
            For arrays of another shape, and for numbers that are not finite.
        """
        X = np.asarray(X, dtype=np.float64)
        if X.ndim != 2 or X.shape[1] < 1:
            raise ValueError(f"scores are given as rows and columns, not in the shape {X.shape}")
        if not np.isfinite(X).all():
            raise ValueError(f"{int((~np.isfinite(X)).any(axis=1).sum())} rows hold scores that are not finite")
        return np.clip(self._map(X), self.levels[0], self.levels[-1])

    def _map(self, X: Floats) -> Floats:
        raise NotImplementedError


def labelled(
    X: ArrayLike, y: ArrayLike, w: ArrayLike | None, levels: ArrayLike
) -> tuple[Floats, Floats, Floats, tuple[float, ...]]:
    """What a fit is given, checked: X (n, p), y (n,), w (n,) with ones for None, and the levels.

    Raises
    ------
    ValueError
        For shapes that do not go together, numbers that are not finite, weights that are not positive and labels off
        the scale.
    Undefined
        For no labels at all.
    """
    X, y = np.asarray(X, dtype=np.float64), np.asarray(y, dtype=np.float64)
    w = np.ones(len(y)) if w is None else np.asarray(w, dtype=np.float64)
    scale = _ascending(tuple(np.asarray(levels, dtype=np.float64).tolist()))
    if X.ndim != 2 or X.shape[1] < 1 or y.shape != (len(X),) or w.shape != y.shape:
        raise ValueError(f"scores {X.shape}, labels {y.shape} and weights {w.shape} are not of the same items")
    if not len(y):
        raise Undefined("there are no labels")
    if not (np.isfinite(X).all() and np.isfinite(y).all() and np.isfinite(w).all()):
        raise ValueError("scores, labels and weights must be finite; leave out the items that miss one")
    if (w <= 0).any():
        raise ValueError(f"{int((w <= 0).sum())} weights are not above 0")
    off = int(((y < scale[0]) | (y > scale[-1])).sum())
    if off:
        raise ValueError(f"{off} labels are off the scale from {scale[0]:g} to {scale[-1]:g}")
    return X, y, w, scale


def some_vary(X: Floats) -> None:
    """Raises Undefined where every column is constant."""
    if (X[0] == X).all():
        raise Undefined("the judge gave all labelled items one score, which leaves a shift at most")


def added(values: Floats, at: Codes, size: int) -> Floats:
    """The values of each code 0..size-1 added up, (size,)."""
    return np.bincount(at, weights=values, minlength=size).astype(np.float64, copy=False)


def shares(P: Floats, K: int) -> Floats:
    """Distributions over K levels whose rows add up to 1, (n, K).

    Raises
    ------
    ValueError
        For another number of columns, negative shares and rows whose sum is not about 1.
    """
    if P.ndim != 2 or P.shape[1] != K:
        raise ValueError(f"a distribution over {K} levels has {K} columns; these have the shape {P.shape}")
    total = P.sum(axis=1)
    bad = (P < 0).any(axis=1) | ~(np.abs(total - 1) <= SLACK)
    if bad.any():
        raise ValueError(f"{int(bad.sum())} rows are not distributions: shares from 0 to 1 that add up to 1")
    found: Floats = P / total[:, None]
    return found


def neighbours(y: Floats, levels: tuple[float, ...]) -> tuple[Codes, Floats]:
    """The level at or below each label, as its code (n,), and the share of the level above it, (n,).

    The mean of several people mostly lies between two levels. It counts to both in parts, so that the mean of the parts
    is the label.
    """
    scale = np.asarray(levels)
    below = np.clip(np.searchsorted(scale, y, side="right") - 1, 0, len(scale) - 2).astype(np.int64)
    return below, (y - scale[below]) / (scale[below + 1] - scale[below])
