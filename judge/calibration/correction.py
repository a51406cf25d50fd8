"""What was fitted for one criterion: the map to people's scale, when a grade may stand, how far it may be off."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from judge.calibration.calibrators import selection
from judge.calibration.calibrators.selection import Selection, Trained
from judge.calibration.labelled import Labelled
from judge.calibration.scale import Scale
from judge.calibration.splits import Fitting, Holding
from judge.calibration.statistics import conformal, thresholds
from judge.calibration.statistics.bootstrap import Floats
from judge.calibration.statistics.conformal import Intervals
from judge.calibration.statistics.figures import Undefined
from judge.calibration.statistics.pairs import tuned_tie
from judge.calibration.statistics.thresholds import Threshold

Flags = NDArray[np.bool_]

#: Where fewer items have a score on every criterion, a calibrator reads the own one alone.
LEAST_COMPLETE = 0.8
#: Kinds of calibrators that read the scores on other criteria too.
OF_SEVERAL = frozenset({"ridge", "ordinal"})


class Promise(BaseModel):
    """What thresholds and intervals are to keep.

    Attributes
    ----------
    alpha, delta
        With probability 1 - delta, at most a share alpha of the grades that stand without a person is wrong.
    coverage
        The share of grades whose interval holds the mean of the people.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    alpha: float = 0.1
    delta: float = 0.1
    coverage: float = 0.9


class Correction(BaseModel):
    """What was fitted for one criterion, on labels that no figure is reported on.

    Attributes
    ----------
    inputs
        The criteria whose scores the calibrator reads, this one first.
    selection
        The calibrator and what it was chosen from; None for labels in no order, which keep as they are.
    constant
        The mean of the people on the labels that were fitted on: what a judge must be better than.
    tie
        Judge's scores at most this far apart count as a tie of a pair.
    threshold, intervals
        None where there is none; then `no_threshold` and `no_intervals` say why.
    fitted, held
        Labelled items that the calibrator was fitted on, and those that threshold and intervals were.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    criterion: str
    inputs: tuple[str, ...]
    selection: Selection | None
    constant: float | None
    tie: float
    fitted: int
    held: int
    threshold: Threshold | None = None
    no_threshold: str | None = None
    intervals: Intervals | None = None
    no_intervals: str | None = None

    def calibrated(self, inputs: Floats, shares: Floats | None, panel: Floats | None = None) -> Floats:
        """(n,) the judge's scores on people's scale; NaN where one is missing that the calibrator needs.

        Parameters
        ----------
        inputs : (n, p)
            The judge's scores: this criterion first, then the others in the order of the fit.
        shares : (n, K) or None
            The judge's share of every level.
        panel : (n, Q * K) or None
            Its shares on all criteria beside each other.
        """
        given: Floats | None = inputs[:, : len(self.inputs)]
        if self.selection is None:
            return np.asarray(inputs[:, 0])
        if self.selection.chosen.reads != "scores":
            given = shares if self.selection.chosen.reads == "distribution" else panel
        found = np.full(len(inputs), np.nan)
        if given is not None:
            known = np.isfinite(given).all(axis=1)
            if known.any():
                found[known] = self.selection.chosen.predict(given[known])
        return found


def correct(
    fitting: Fitting[Labelled],
    holding: Holding[Labelled],
    inputs: tuple[str, ...],
    promise: Promise,
    seed: int = 0,
    network: Callable[[Labelled], Trained] | None = None,
) -> Correction:
    """Fits a criterion: the calibrator on the one part, threshold and intervals on the other, which it has not seen.

    Parameters
    ----------
    network
        Makes what trains networks on some items, where they may be chosen too.

    Raises
    ------
    Undefined
        Where there is no label to fit on.
    """
    fit, held = fitting.data.scored, holding.data.scored
    if not len(fit):
        raise Undefined("no label to fit on has a score of the judge")
    chosen, width = _selected(fit, seed, network)
    plain = Correction(
        criterion=fit.criterion,
        inputs=inputs[:width],
        selection=chosen,
        constant=None if chosen is None else float(np.average(fit.target, weights=fit.w)),
        tie=_tie(fit),
        fitted=len(fit),
        held=len(held),
    )
    calibrated = plain.calibrated(held.inputs, held.shares, held.panel)
    known = np.isfinite(calibrated)
    held, calibrated = held.take(known), calibrated[known]
    return plain.model_copy(update={**_threshold(held, calibrated, promise), **_intervals(held, calibrated, promise)})


def _selected(fit: Labelled, seed: int, network: Callable[[Labelled], Trained] | None) -> tuple[Selection | None, int]:
    """The calibrator, and how many of the inputs it reads."""
    if fit.scale.kind == "nominal":
        return None, 1
    complete = np.asarray(np.isfinite(fit.inputs).all(axis=1))
    panels = complete if fit.panel is None else complete & np.isfinite(fit.panel).all(axis=1)
    learns = network is not None and panels.mean() >= LEAST_COMPLETE
    complete = panels if learns else complete
    wide = complete.mean() >= LEAST_COMPLETE
    rows = fit.take(complete) if wide else fit
    inputs = rows.inputs if wide else rows.inputs[:, :1]
    shares = rows.shares if rows.shares is not None and np.isfinite(rows.shares).all() else None
    trained: Trained | str | None = None
    if network is not None:
        few = f"reads the judge's answers to all criteria, and {int(panels.sum()):,} of {len(fit):,} items have them"
        trained = network(rows) if learns else few
    levels = levels_of(fit.scale)
    found = selection.choose(inputs, rows.target, rows.cluster, rows.w, levels, shares, seed, network=trained)
    return found, inputs.shape[1] if found.chosen.kind in OF_SEVERAL else 1


def levels_of(scale: Scale) -> Floats:
    """The levels of a scale; of one without levels its two ends."""
    return np.array([scale.minimum, scale.maximum]) if scale.levels is None else scale.levels


def _tie(fit: Labelled) -> float:
    """Tuned on pairs within groups, or on all pairs where no group has two items; 0 where there are none."""
    for group in (fit.cluster, None):
        with suppress(Undefined):
            return tuned_tie(fit.target, fit.score, group, fit.w)
    return 0.0


def errors(scale: Scale, calibrated: Floats, target: Floats) -> Flags:
    """(n,) where the level nearest to the calibrated score is not the one nearest to the mean of the people."""
    if scale.kind == "nominal":
        return np.asarray(calibrated != target)
    return thresholds.errors(calibrated, target, levels_of(scale))


def _threshold(held: Labelled, calibrated: Floats, promise: Promise) -> dict[str, Threshold | str]:
    if held.scale.levels is None:
        return {"no_threshold": "a range of numbers has no levels that could be right or wrong"}
    known = np.isfinite(held.confidence)
    if not known.any():
        return {"no_threshold": "the judge's confidence is not known: ask with --samples 5, or a judge with logprobs"}
    kept = held.take(known)
    wrong = errors(kept.scale, calibrated[known], kept.target)
    return {
        "threshold": thresholds.fit(
            kept.confidence, wrong, kept.cluster, alpha=promise.alpha, delta=promise.delta, w=kept.w
        )
    }


def _intervals(held: Labelled, calibrated: Floats, promise: Promise) -> dict[str, Intervals | str]:
    if held.scale.kind == "nominal":
        return {"no_intervals": "labels in no order have no intervals"}
    if not len(held):
        return {"no_intervals": "no label is left that the calibrator was not fitted on"}
    levels = tuple(levels_of(held.scale).tolist())
    snapped = held.scale.levels is not None
    return {
        "intervals": conformal.fit(
            calibrated, held.target, held.cluster, levels, coverage=promise.coverage, snapped=snapped, w=held.w
        )
    }
