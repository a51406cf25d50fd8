"""Several judges held against the same labels: how each agrees with people, and by how much they differ."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict

from judge.calibration import paired
from judge.calibration.bound import Bound
from judge.calibration.headline import Kind
from judge.calibration.labelled import Labelled, divide
from judge.calibration.populations.population import Provenance
from judge.calibration.scale import Scale
from judge.calibration.splits import Opened
from judge.calibration.statistics import agreement, bootstrap, correlation, shares
from judge.calibration.statistics.bootstrap import Codes, Floats, Metric
from judge.calibration.statistics.figures import Figure
from judge.errors import InputError
from judge.grades import JudgeRef

#: What judges are compared by.
MEASURES: Mapping[Kind, tuple[str, ...]] = {
    "binary": ("balanced_accuracy", "tpr", "tnr", "kappa", "accuracy"),
    "ordinal": ("quadratic_kappa", "exact", "mae", "spearman"),
    "numeric": ("concordance", "mae", "spearman"),
    "nominal": ("kappa", "accuracy"),
}
CALIBRATED = "calibrated_rmse"
#: Of these the lower is the better one.
ERRORS = frozenset({"mae", CALIBRATED})


class Held(BaseModel):
    """A judge, by its calibration. Cost and latency are means of an item, None where they are not known."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    calibration: str
    name: str
    version: int
    judge: JudgeRef
    models: tuple[str, ...]
    cost_usd: float | None
    latency_s: float | None


class Compared(BaseModel):
    """One measure.

    Attributes
    ----------
    main
        Whether it is one of those to go by: agreement as it is, and the error of calibrated scores.
    less_is_better
        Whether it is an error.
    judges
        Of each judge.
    differences
        Of each judge but the first less that of the first, on the same items: of shares, their sums and kappa with the
        interval of `paired`, else with the cluster bootstrap's; of judges that said the same of every item without.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    main: bool
    less_is_better: bool
    judges: tuple[Figure, ...]
    differences: tuple[Figure, ...]


class CriterionComparison(BaseModel):
    """One criterion.

    Attributes
    ----------
    items, groups
        Held-out items that all judges have a score of, and their groups.
    unscored
        Of the held-out items that all were asked about, those that each judge has no score of.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    criterion: str
    kind: Kind
    items: int
    groups: int
    unscored: tuple[int, ...]
    measures: tuple[Compared, ...]


class Comparison(BaseModel):
    """Judges beside each other.

    Attributes
    ----------
    openings
        How often the held-out labels have been looked at, this time included.
    weighted_by
        The calibration whose run the labelled items were drawn from by sheets, which weigh them. None where there is
        none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    label_set: str
    openings: int
    weighted_by: str | None
    held: tuple[Held, ...]
    criteria: dict[str, CriterionComparison]


def compare(
    bounds: Sequence[Bound], record: Callable[[str, str], int], draws: int = bootstrap.DRAWS, seed: int = 0
) -> Comparison:
    """Two or more judges on the held-out labels of all.

    Parameters
    ----------
    record
        Writes down that held-out labels of a set are looked at, for a purpose; and says how often they have been.

    Raises
    ------
    InputError
        Where they were not held against the same labels in the same split, saying what differs.
    """
    for other in bounds[1:]:
        _refuse_different(bounds[0], other)
    purpose = f"compare {', '.join(one.name for one in bounds)}"
    openings = max([record(name, purpose) for name in dict.fromkeys(one.info.label_set for one in bounds)])
    drawn = next((one for one in bounds if one.sampling.provenance is Provenance.SHEET), None)
    criteria = {}
    for id_ in bounds[0].joined.criteria:
        if all(id_ in one.joined.criteria for one in bounds):
            opened = [_opened(one, id_, purpose, openings) for one in bounds]
            criteria[id_] = _criterion(id_, bounds, opened, drawn, draws, seed)
    return Comparison(
        label_set=bounds[0].info.label_set,
        openings=openings,
        weighted_by=None if drawn is None else drawn.name,
        held=tuple(_held(one) for one in bounds),
        criteria=criteria,
    )


def _refuse_different(one: Bound, other: Bound) -> None:
    ours, theirs = one.made.binding, other.made.binding
    differs = []
    if one.info.id == other.info.id:
        raise InputError(f"{one.name} is named twice; name two calibrations")
    if ours.labels_hash != theirs.labels_hash:
        differs.append(f"the labels ({ours.label_set}, {theirs.label_set})")
    if ours.seed != theirs.seed:
        differs.append(f"the seed of the split ({ours.seed}, {theirs.seed})")
    if ours.dev != theirs.dev:
        differs.append("whether a dev part was kept")
    if not differs and any(part != other.parts.get(item, part) for item, part in one.parts.items()):
        differs.append("the groups of the items")
    for id_ in one.joined.criteria.keys() & other.joined.criteria.keys():
        if not _alike(one.joined.criteria[id_].scale, other.joined.criteria[id_].scale):
            differs.append(f"the values of {id_}")
    if differs:
        raise InputError(
            f"{one.name} and {other.name} were not held against the same labels in the same way: "
            f"{', '.join(differs)} differ; calibrate both on one label set with one seed"
        )


def _alike(one: Scale, other: Scale) -> bool:
    same = (one.kind, one.minimum, one.maximum, one.names) == (other.kind, other.minimum, other.maximum, other.names)
    return same and np.array_equal(
        np.zeros(0) if one.levels is None else one.levels, np.zeros(0) if other.levels is None else other.levels
    )


def _opened(bound: Bound, id_: str, purpose: str, openings: int) -> Opened[Labelled]:
    labelled = bound.joined.criteria[id_]
    parts = [bound.parts[str(item)] for item in labelled.items]
    return divide(labelled, parts, lambda _: openings).test.open(purpose)


def _criterion(
    id_: str, bounds: Sequence[Bound], opened: Sequence[Opened[Labelled]], drawn: Bound | None, draws: int, seed: int
) -> CriterionComparison:
    places = [{str(item): place for place, item in enumerate(one.data.items)} for one in opened]
    asked = [item for item in places[0] if all(item in other for other in places)]
    scores = [one.data.score[[of[item] for item in asked]] for one, of in zip(opened, places, strict=True)]
    scored = np.asarray(np.isfinite(scores).all(axis=0), dtype=np.bool_)
    items = [item for item, kept in zip(asked, scored, strict=True) if kept]
    at = [np.array([of[item] for item in items], dtype=np.int64) for of in places]
    first = opened[0].data
    names = np.array([bounds[0].joined.groups[item] for item in items], dtype=object)
    cluster = np.unique(names, return_inverse=True)[1].astype(np.int64)
    w = np.ones(len(items)) if drawn is None else np.array([drawn.sampling.weights[item] for item in items])
    y = first.target[at[0]]
    measures = []
    if items:
        measures = list(_agreements(first.scale, y, [row[scored] for row in scores], cluster, w, draws, seed))
        calibrated = [
            _calibrated(bound, id_, one.data, where) for bound, one, where in zip(bounds, opened, at, strict=True)
        ]
        if all(row is not None for row in calibrated):
            rows = [row for row in calibrated if row is not None]
            known = np.isfinite(np.stack(rows)).all(axis=0)
            codes = np.unique(cluster[known], return_inverse=True)[1].astype(np.int64)
            sides = [row[known] for row in rows]
            found = _sides({CALIBRATED: agreement.rmse(first.scale)}, y[known], sides, codes, w[known], draws, seed)
            measures += list(found) if known.any() else []
    return CriterionComparison(
        criterion=id_,
        kind=first.scale.kind,
        items=len(items),
        groups=len(np.unique(cluster)),
        unscored=tuple(int(np.isnan(row).sum()) for row in scores),
        measures=tuple(measures),
    )


def _calibrated(bound: Bound, id_: str, test: Labelled, at: Codes) -> Floats | None:
    """What the judge's scores are on people's scale; None where nothing could be fitted."""
    correction = bound.made.corrections.get(id_)
    if correction is None or correction.selection is None:
        return None
    shares, panel = (None if one is None else one[at] for one in (test.shares, test.panel))
    return correction.calibrated(test.inputs[at], shares, panel)


def _agreements(
    scale: Scale, y: Floats, sides: Sequence[Floats], cluster: Codes, w: Floats, draws: int, seed: int
) -> Iterator[Compared]:
    every = {**agreement.metrics(scale), "spearman": correlation.spearman}
    return _sides({name: every[name] for name in MEASURES[scale.kind]}, y, sides, cluster, w, draws, seed)


def _sides(
    metrics: Mapping[str, Metric],
    y: Floats,
    sides: Sequence[Floats],
    cluster: Codes,
    w: Floats,
    draws: int,
    seed: int,
) -> Iterator[Compared]:
    """Every metric of every judge, as in its calibration, and the differences from the first, of the same resamples."""
    first = sides[0]
    judges = [shares.figures(metrics, y, f, cluster, w, draws=draws, seed=seed) for f in sides]
    apart = [_apart(metrics, y, f, first, cluster, w, draws, seed) for f in sides[1:]]
    for name in metrics:
        yield Compared(
            name=name,
            main=name in (CALIBRATED, next(iter(metrics))),
            less_is_better=name in ERRORS,
            judges=tuple(found[name] for found in judges),
            differences=tuple(found[name] for found in apart),
        )


def _apart(
    metrics: Mapping[str, Metric], y: Floats, f: Floats, first: Floats, cluster: Codes, w: Floats, draws: int, seed: int
) -> dict[str, Figure]:
    """Every metric of a judge less that of the first."""
    found = {name: paired.difference(metric, y, f, first, cluster, w) for name, metric in metrics.items()}
    told = {name: figure for name, figure in found.items() if figure is not None}
    drawn = {name: _difference(metric, first) for name, metric in metrics.items() if name not in told}
    resampled = bootstrap.figures(drawn, y, f, cluster, w, draws=draws, seed=seed)
    if np.array_equal(f, first):
        why = "the judges said the same of every item: no resample shows a spread"
        resampled = {
            name: one.model_copy(update={"low": None, "high": None, "why": one.why or why})
            for name, one in resampled.items()
        }
    return told | resampled


def _difference(metric: Metric, first: Floats) -> Metric:
    def of(y: Floats, f: Floats, W: Floats) -> Floats:
        return metric(y, f, W) - metric(y, first, W)

    return of


def _held(bound: Bound) -> Held:
    made = bound.made
    return Held(
        calibration=bound.info.id,
        name=bound.info.name,
        version=bound.info.version,
        judge=made.binding.judge,
        models=made.binding.models,
        cost_usd=made.cost_usd,
        latency_s=made.latency_s,
    )
