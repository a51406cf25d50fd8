"""All that is measured of a judge on one criterion. It takes held-out labels, once they are opened, and no others."""

from __future__ import annotations

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from judge.calibration.correction import Correction
from judge.calibration.findings import LEAST_LABELS, Finding, finding
from judge.calibration.headline import Kind
from judge.calibration.labelled import Labelled
from judge.calibration.measures import Measure, measures
from judge.calibration.performance import Performance, performance
from judge.calibration.splits import Opened, Part
from judge.calibration.statistics import agreement, alt_test, bootstrap, confusion, preferences, raters
from judge.calibration.statistics.alt_test import AltTest
from judge.calibration.statistics.annotators import Annotator, annotators
from judge.calibration.statistics.bootstrap import Floats
from judge.calibration.statistics.figures import Figure, Undefined

#: Disagreements and points of a cloud that are kept.
WORST, CLOUD = 20, 400
#: How one person agrees with the rest.
AMONG_PEOPLE: dict[Kind, str] = {
    "binary": "kappa",
    "ordinal": "quadratic_kappa",
    "numeric": "concordance",
    "nominal": "kappa",
}
#: What Krippendorff's alpha counts as a distance.
LEVELS: dict[Kind, raters.Level] = {
    "nominal": "nominal",
    "binary": "nominal",
    "ordinal": "ordinal",
    "numeric": "interval",
}


class Disagreement(BaseModel):
    """An item on which judge and people are far apart."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    item: str
    judge: float
    people: float
    labels: tuple[tuple[str, float], ...]


class Length(BaseModel):
    """Judge less people against the length of the output.

    Attributes
    ----------
    slope
        Change of judge less people as the output becomes twice as long, in units of the scale.
    points
        (characters, judge less people) of some items.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    slope: Figure
    points: tuple[tuple[float, float], ...] = ()


class Measurement(BaseModel):
    """One criterion on its held-out labels.

    Attributes
    ----------
    items, groups, openings
        Held-out items with a label, their groups, and how often these labels were looked at.
    unscored
        Of these items, those that the judge has no score of: they are in no other figure.
    levels
        What people call the levels, lowest first; none for a range of numbers.
    balance
        The share of each level among the people's means.
    confusion
        Share of items by level of the people (row) and of the judge (column).
    alpha
        Krippendorff's, of the people among each other.
    icc, icc_of_mean
        ICC(2,1) and ICC(2,k) of the items that all people labelled; None of labels in no order.
    alt_test, no_alt_test
        The alternative annotator test, or why there is none.
    worst, worst_of
        The items on which judge and people are farthest apart, and the part of the labels that they are of: the dev
        part where there is one, so that work on the rubric need not use up held-out labels.
    orders
        Of pairs that were judged in both orders: what the order does to them, by the names of
        `statistics.preferences.metrics`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    criterion: str
    kind: Kind
    items: int
    groups: int
    openings: int
    unscored: int
    levels: tuple[str, ...]
    balance: tuple[float, ...]
    annotators: tuple[Annotator, ...]
    alpha: Figure
    icc: Figure | None
    icc_of_mean: Figure | None
    measures: tuple[Measure, ...]
    confusion: tuple[tuple[float, ...], ...]
    performance: Performance | None
    alt_test: AltTest | None
    no_alt_test: str | None
    length: Length
    worst: tuple[Disagreement, ...]
    worst_of: Part
    finding: Finding
    orders: dict[str, Figure] = Field(default_factory=dict)

    def measure(self, name: str, level: str = "item") -> Measure | None:
        """The measure of this name and level."""
        return next((one for one in self.measures if (one.name, one.level) == (name, level)), None)


def measure(
    opened: Opened[Labelled],
    correction: Correction | None,
    draws: int = bootstrap.DRAWS,
    seed: int = 0,
    dev: Labelled | None = None,
    epsilon: float = alt_test.EPSILON["experts"],
) -> Measurement:
    """All that is measured on the held-out labels of a criterion.

    Parameters
    ----------
    correction
        None where nothing could be fitted.
    dev
        The labels for work on the rubric, where some are kept apart: disagreements are shown of these.
    epsilon
        Of the alternative annotator test.
    """
    if not isinstance(opened, Opened):  # for callers whose types nobody checks
        raise TypeError("figures are reported on held-out labels that were opened, and on no others")
    labelled = opened.data
    test = labelled.scored
    told = performance(test, correction, draws, seed) if correction is not None and len(test) else None
    tie = 0.0 if correction is None else correction.tie
    found = measures(test, tie, draws, seed) if len(test) else ()
    stood = _alt_test(test, found, draws, seed, epsilon)
    alpha, single, mean = _among_people(labelled, draws, seed)
    return Measurement(
        criterion=labelled.criterion,
        kind=labelled.scale.kind,
        items=len(labelled),
        groups=labelled.groups,
        openings=opened.openings,
        unscored=len(labelled) - len(test),
        levels=labelled.scale.names,
        balance=_balance(test),
        annotators=_annotators(labelled, draws, seed),
        alpha=alpha,
        icc=single,
        icc_of_mean=mean,
        measures=found,
        confusion=_confusion(test),
        performance=told,
        alt_test=None if isinstance(stood, str) else stood,
        no_alt_test=stood if isinstance(stood, str) else None,
        length=_length(test, draws, seed),
        worst=_worst(test if dev is None else dev.scored),
        worst_of=Part.TEST if dev is None else Part.DEV,
        finding=finding(labelled.scale.kind, len(test), len(_people(test)), found, told, stood),
        orders=_orders(labelled, draws, seed),
    )


def _people(test: Labelled) -> list[str]:
    there = np.flatnonzero(~np.isnan(test.ratings).all(axis=0))
    return [test.annotators[column] for column in there]


def _alt_test(test: Labelled, found: tuple[Measure, ...], draws: int, seed: int, epsilon: float) -> AltTest | str:
    if len(test) < LEAST_LABELS:
        return f"{len(test)} held-out labels"
    ordered = test.scale.kind in ("ordinal", "numeric")
    score = alt_test.negative_rmse if ordered else alt_test.accuracy
    judge = test.score
    if test.scale.kind == "binary":
        assert test.scale.levels is not None
        judge = test.scale.levels[test.scale.nearest(test.score)]
    try:
        return alt_test.alt_test(
            test.ratings,
            judge,
            score,
            epsilon=epsilon,
            ordered=ordered,
            names=test.annotators,
            cluster=test.cluster,
            w=test.w,
            draws=draws,
            seed=seed,
        )
    except Undefined as undefined:
        return str(undefined)


def _among_people(labelled: Labelled, draws: int, seed: int) -> tuple[Figure, Figure | None, Figure | None]:
    """Krippendorff's alpha, ICC(2,1) and ICC(2,k), with their intervals."""
    level = LEVELS[labelled.scale.kind]
    n = int(((~np.isnan(labelled.ratings)).sum(axis=1) >= 2).sum())
    try:
        raters.krippendorff_alpha(labelled.ratings, level)
    except Undefined as undefined:
        return Figure.undefined(str(undefined), n), None, None

    def alpha(y: Floats, f: Floats, W: Floats) -> Floats:
        return raters.krippendorff_alphas(labelled.ratings, level, W)

    metrics: dict[str, bootstrap.Metric] = {"alpha": alpha}
    why = None
    if labelled.scale.kind != "nominal":
        try:
            raters.icc(labelled.ratings)
            metrics["single"] = lambda y, f, W: raters.iccs(labelled.ratings, W)[0]
            metrics["mean"] = lambda y, f, W: raters.iccs(labelled.ratings, W)[1]
        except Undefined as undefined:
            why = str(undefined)
    target = labelled.target
    found = bootstrap.figures(metrics, target, target, labelled.cluster, labelled.w, draws=draws, seed=seed)
    figure = found["alpha"].model_copy(update={"n": n})
    if labelled.scale.kind == "nominal":
        return figure, None, None
    complete = int((~np.isnan(labelled.ratings)).all(axis=1).sum())
    if why is not None:
        return figure, Figure.undefined(why, complete), Figure.undefined(why, complete)
    single, mean = (found[name].model_copy(update={"n": complete}) for name in ("single", "mean"))
    return figure, single, mean


def _annotators(labelled: Labelled, draws: int, seed: int) -> tuple[Annotator, ...]:
    kind = labelled.scale.kind
    return annotators(
        labelled.ratings,
        agreement.metrics(labelled.scale)[AMONG_PEOPLE[kind]],
        labelled.cluster,
        labelled.w,
        "majority" if kind in ("binary", "nominal") else "mean",
        labelled.annotators,
        draws=draws,
        seed=seed,
    )


def _balance(test: Labelled) -> tuple[float, ...]:
    if test.scale.levels is None or not len(test):
        return ()
    counts = np.bincount(test.scale.nearest(test.target), test.w, len(test.scale.levels))
    return tuple((counts / counts.sum()).tolist())


def _confusion(test: Labelled) -> tuple[tuple[float, ...], ...]:
    if test.scale.levels is None or not len(test):
        return ()
    table = confusion.confusion(test.scale, test.target, test.score, test.w)
    return tuple(tuple(row) for row in (table / table.sum()).tolist())


def _length(test: Labelled, draws: int, seed: int) -> Length:
    if test.scale.kind == "nominal":
        return Length(slope=Figure.undefined("labels in no order have no distance", len(test)))
    known = np.isfinite(test.length) & (test.length > 0)
    kept = test.take(known)
    if not len(kept):
        return Length(slope=Figure.undefined("no length is known", 0))
    doubled = np.log2(kept.length)
    gap = kept.score - kept.target

    def slope(y: Floats, f: Floats, W: Floats) -> Floats:
        total = W.sum(axis=1)
        middle = (W @ y / total)[:, None]
        spread = (W * (y - middle) ** 2).sum(axis=1)
        joint = (W * (y - middle) * f).sum(axis=1)
        return np.asarray(np.divide(joint, spread, out=np.full(len(W), np.nan), where=spread > 1e-12))

    figure = bootstrap.figures({"": slope}, doubled, gap, kept.cluster, kept.w, draws=draws, seed=seed)[""]
    if figure.value is None:
        figure = Figure.undefined("all outputs are of one length", len(kept))
    chosen = np.random.default_rng(seed).permutation(len(kept))[:CLOUD]
    points = zip(kept.length[chosen].tolist(), gap[chosen].tolist(), strict=True)
    return Length(slope=figure, points=tuple(points))


def _orders(labelled: Labelled, draws: int, seed: int) -> dict[str, Figure]:
    """What the order of two outputs does to the judge; nothing where they were shown in one order alone."""
    if labelled.orders is None:
        return {}
    labelled = labelled.take(np.asarray(~np.isnan(labelled.orders).any(axis=1)))
    if labelled.orders is None or not len(labelled):
        return {}
    people = preferences.majority([preferences.verdicts(row) for row in labelled.ratings])
    ab, ba = (preferences.verdicts(column) for column in labelled.orders.T)
    return preferences.preferences(people, ab, ba, cluster=labelled.cluster, w=labelled.w, draws=draws, seed=seed)


def _worst(shown: Labelled) -> tuple[Disagreement, ...]:
    """The items on which judge and people are farthest apart, the worst first."""
    apart = np.abs(shown.score - shown.target)
    if shown.scale.kind == "nominal":
        apart = (shown.score != shown.target).astype(np.float64)
    order = np.argsort(-apart, kind="stable")
    rows = []
    for at in order[:WORST]:
        if apart[at] <= 0:
            break
        said = [(name, value) for name, value in zip(shown.annotators, shown.ratings[at].tolist(), strict=True)]
        labels = tuple((name, value) for name, value in said if not np.isnan(value))
        rows.append(
            Disagreement(
                item=str(shown.items[at]), judge=float(shown.score[at]), people=float(shown.target[at]), labels=labels
            )
        )
    return tuple(rows)
