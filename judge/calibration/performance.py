"""What a correction comes to on labels that it was not fitted on, and the curves that show it."""

from __future__ import annotations

import numpy as np
from pydantic import BaseModel, ConfigDict

from judge.calibration.correction import Correction, Flags, errors
from judge.calibration.labelled import Labelled
from judge.calibration.statistics import agreement, bootstrap, thresholds
from judge.calibration.statistics.bootstrap import Floats
from judge.calibration.statistics.figures import Figure
from judge.calibration.statistics.shares import Share, figures

#: Points of a curve of reliability, of equal numbers of items, and the fewest items in one.
BINS, FEWEST = 10, 10
#: Points of a curve of risk at most.
CURVE_POINTS = 60


class Reliability(BaseModel):
    """Items of about one score: their number, the mean of the scores, and the mean of the people with its interval."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    score: float
    people: Figure


class RiskPoint(BaseModel):
    """Were the grades of this confidence and above to stand: which share of all, and which share of them is wrong.

    `low` and `high` are the ends of the risk's interval, as of any share: 0 and 1 where one group alone stands.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    confidence: float
    accepted: float
    risk: float
    low: float
    high: float
    n: int


class Acceptance(BaseModel):
    """Which grades stand without a person.

    Attributes
    ----------
    accepted, risk
        Share of all items whose grade stands, and the share of those that is wrong.
    aurc, aurc_oracle, aurc_chance
        Area under risk against acceptance: of this confidence, of one that knows every error, of one that knows none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    accepted: Figure
    risk: Figure
    aurc: Figure
    aurc_oracle: float | None = None
    aurc_chance: float | None = None
    curve: tuple[RiskPoint, ...] = ()


class Covering(BaseModel):
    """What intervals for one grade come to.

    Attributes
    ----------
    coverage
        Share of them that hold the mean of the people.
    width, informative
        Their mean width as a share of the scale, and the share that is narrower than 60% of it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    coverage: Figure
    width: Figure
    informative: Figure


class Performance(BaseModel):
    """A correction on held-out labels.

    Attributes
    ----------
    raw_rmse, rmse, constant_rmse
        Of the judge's scores, of the calibrated ones, and of the mean that was fitted, against the mean of the people.
    raw_bias, bias
        Mean of score less people.
    reliability, raw_reliability
        Of calibrated scores, and of the judge's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    raw_rmse: Figure
    rmse: Figure
    constant_rmse: Figure
    raw_bias: Figure
    bias: Figure
    acceptance: Acceptance
    intervals: Covering
    reliability: tuple[Reliability, ...]
    raw_reliability: tuple[Reliability, ...]


def performance(test: Labelled, correction: Correction, draws: int = bootstrap.DRAWS, seed: int = 0) -> Performance:
    """How a correction does on held-out labels."""
    calibrated = correction.calibrated(test.inputs, test.shares, test.panel)
    nominal = test.scale.kind == "nominal"

    def error_of(scores: Floats, metric: bootstrap.Metric) -> Figure:
        if nominal:
            return Figure.undefined("labels in no order have no distance", len(test))
        return _figure(metric, test, scores, draws, seed)

    constant = np.full(len(test), np.nan if correction.constant is None else correction.constant)
    return Performance(
        raw_rmse=error_of(test.score, agreement.rmse(test.scale)),
        rmse=error_of(calibrated, agreement.rmse(test.scale)),
        constant_rmse=error_of(constant, agreement.rmse(test.scale)),
        raw_bias=error_of(test.score, agreement.bias),
        bias=error_of(calibrated, agreement.bias),
        acceptance=_acceptance(test, correction, calibrated, draws, seed),
        intervals=_covering(test, correction, calibrated, draws, seed),
        reliability=() if nominal else _reliability(test, calibrated),
        raw_reliability=() if nominal else _reliability(test, test.score),
    )


def _figure(metric: bootstrap.Metric, test: Labelled, scores: Floats, draws: int, seed: int) -> Figure:
    known = np.isfinite(scores)
    kept = test.take(known)
    if not len(kept):
        return Figure.undefined("no item has such a score", 0)
    return figures({"": metric}, kept.target, scores[known], kept.cluster, kept.w, draws=draws, seed=seed)[""]


def _acceptance(test: Labelled, correction: Correction, calibrated: Floats, draws: int, seed: int) -> Acceptance:
    """Which grades stand, how many of them are wrong, and the curve of all thresholds."""
    known = np.isfinite(calibrated) & np.isfinite(test.confidence)
    if correction.threshold is None or not known.any():
        why = correction.no_threshold or "no held-out item has a confidence"
        nothing = Figure.undefined(why, len(test))
        return Acceptance(accepted=nothing, risk=nothing, aurc=nothing)
    stands = known & correction.threshold.accepts(test.confidence)
    kept = test.take(known)
    wrong = errors(kept.scale, calibrated[known], kept.target)
    lost, plain = wrong.astype(np.float64), kept.w[None, :]
    every = np.zeros(len(test), dtype=np.bool_)
    every[known] = wrong
    area = bootstrap.figures(
        {"": thresholds.aurc}, lost, kept.confidence, kept.cluster, kept.w, draws=draws, seed=seed
    )[""]
    return Acceptance(
        accepted=_share(test, stands),
        risk=_share(test, every, stands, "no grade stands, so none that stands is wrong"),
        aurc=area,
        aurc_oracle=float(thresholds.aurc_of_oracle(lost, kept.confidence, plain)[0]),
        aurc_chance=float(thresholds.aurc_of_chance(lost, kept.confidence, plain)[0]),
        curve=_risk_curve(kept, wrong),
    )


def _share(test: Labelled, hit: Flags, among: Flags | None = None, nothing: str = "there are no items") -> Figure:
    """A share with the interval of clustered items; `nothing` says what it is where there is nothing to count."""
    counted = np.ones(len(test), dtype=np.bool_) if among is None else among
    return Share(lambda y, f: (hit, counted), nothing).figure(test.target, test.target, test.cluster, test.w)


def _risk_curve(kept: Labelled, wrong: Flags) -> tuple[RiskPoint, ...]:
    found, accepted, risk = thresholds.risk_curve(kept.confidence, wrong, kept.w)
    chosen = np.unique(np.linspace(0, len(found) - 1, min(len(found), CURVE_POINTS)).round().astype(int))
    points = []
    for at in chosen:
        stands = kept.confidence >= found[at]
        figure = _share(kept, wrong, stands)
        low, high = (0.0, 1.0) if figure.low is None or figure.high is None else (figure.low, figure.high)
        points.append(
            RiskPoint(
                confidence=float(found[at]),
                accepted=float(accepted[at]),
                risk=float(risk[at]),
                low=low,
                high=high,
                n=figure.n,
            )
        )
    return tuple(points)


def _covering(test: Labelled, correction: Correction, calibrated: Floats, draws: int, seed: int) -> Covering:
    known = np.isfinite(calibrated)
    if correction.intervals is None or not known.any():
        nothing = Figure.undefined(correction.no_intervals or "no held-out item has a calibrated score", len(test))
        return Covering(coverage=nothing, width=nothing, informative=nothing)
    kept = test.take(known)
    low, high, informative = correction.intervals.predict(calibrated[known])
    widths = (high - low) / kept.scale.width
    return Covering(
        coverage=_share(kept, np.asarray((low <= kept.target) & (kept.target <= high))),
        width=bootstrap.figures({"": _mean}, widths, widths, kept.cluster, kept.w, draws=draws, seed=seed)[""],
        informative=_share(kept, informative),
    )


def _reliability(test: Labelled, scores: Floats) -> tuple[Reliability, ...]:
    """The mean of the people for items of about one score, in bins of equal numbers of items."""
    known = np.isfinite(scores)
    kept, given = test.take(known), scores[known]
    bins = min(BINS, len(kept) // FEWEST)
    if not bins:
        return ()
    edges = np.unique(np.quantile(given, np.arange(1, bins) / bins))
    within = np.searchsorted(edges, given, side="right")
    points = []
    for code in np.unique(within):
        here = kept.take(within == code)
        mean = _figure(_mean, here, here.target, 500, 0)
        points.append(Reliability(score=float(np.average(given[within == code], weights=here.w)), people=mean))
    return tuple(points)


def _mean(y: Floats, f: Floats, W: Floats) -> Floats:
    total = W.sum(axis=1)
    return np.asarray(np.divide(W @ y, total, out=np.full(len(W), np.nan), where=total > 0))
