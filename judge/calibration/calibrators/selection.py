"""Which calibrator to use: the one that does best on groups it was not fitted on, if it is clearly worth having."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from pydantic import BaseModel, ConfigDict

from judge.calibration.calibrators import (
    Calibrator,
    Identity,
    Isotonic,
    Linear,
    Network,
    Ordinal,
    Platt,
    Ridge,
    Shift,
    Temperature,
)
from judge.calibration.calibrators.fitted import added, labelled
from judge.calibration.statistics.bootstrap import Codes, Floats
from judge.calibration.statistics.figures import Undefined

#: Labels below which a kind is not tried: with fewer it promises more than it keeps.
LEAST_LABELS = {"isotonic": 100, "platt": 100, "ridge": 200, "ordinal": 200, "network": 700}
#: Several raters, for a network that learns how each of them differs.
LEAST_RATERS = 3
#: With fewer labels than this a line has to do better than people's mean. A few labels that happen to be alike make any
#: judge look useless and a flat line perfect.
LEAST_FOR_FLAT = 50
#: The judge keeps its own scores while the best map gains less than this share of the gain's standard error. A whole
#: one, as for trees, suits errors that are not paired: here it would keep them until they are off by 2.7 standard
#: errors, a quarter until 1.7.
SHARE = 0.25
FOLDS = 10
#: The cross-fitting is repeated with other folds as long as it costs no more than about this many items each.
REPEATS, ITEMS = 10, 2000


class Candidate(BaseModel):
    """One kind of calibrator, and how it did.

    Attributes
    ----------
    rmse, error
        Cross-fitted, in units of the scale, and its standard error over groups. None where it could not be tried.
    behind, behind_error
        The rmse above that of the best, and the standard error of the difference on the same groups.
    why
        Why it could not be chosen; None where it could.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    rmse: float | None = None
    error: float | None = None
    behind: float | None = None
    behind_error: float | None = None
    why: str | None = None


class Selection(BaseModel):
    """The calibrator that was chosen, fitted on all labels, and what it was chosen from.

    Attributes
    ----------
    labels
        Their effective number, (sum w)^2 / sum w^2.
    candidates
        From the simplest to the least simple; last, and never chosen, `constant`: people's mean.
    why
        What decided.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    chosen: Calibrator
    candidates: tuple[Candidate, ...]
    labels: float
    groups: int
    folds: int
    repeats: int
    seed: int
    why: str


class Trained(Protocol):
    """What trains a network on some of the items, such as `network_training.Trainer`."""

    @property
    def inputs(self) -> Floats: ...

    @property
    def raters(self) -> int: ...

    def fit(self, rows: Codes) -> Network: ...


_Fit = Callable[[Codes], Calibrator]


@dataclass(frozen=True, slots=True)
class _Way:
    """A kind, what it reads (n, q), and its fit on some rows; or why it is not tried."""

    kind: str
    inputs: Floats
    fit: _Fit
    why: str | None


def choose(
    X: Floats,
    y: Floats,
    cluster: Codes,
    w: Floats | None,
    levels: Floats,
    distributions: Floats | None = None,
    seed: int = 0,
    *,
    network: Trained | str | None = None,
) -> Selection:
    """The calibrator for these labels, chosen by cross-fitting over groups and then fitted on all of them.

    Each kind that these labels are enough for is fitted on nine tenths of the groups and tried on the rest, in turns,
    with several divisions into tenths. The one with the least squared error is chosen, of equals the simpler. The judge
    keeps its scores unless that gains more than a quarter of the gain's standard error, as it varies over groups.

    Parameters
    ----------
    X : (n, p)
        The judge's score on this criterion first, then what else there is: other criteria, other judges.
    y : (n,)
        People's mean.
    cluster : (n,)
        Codes of groups.
    w : (n,)
        Inverse sampling probabilities; None: all 1.
    levels : (K,)
        Ascending; the two ends of a scale without levels.
    distributions : (n, K)
        The judge's distribution over the levels, where it is known for every item.
    seed
        Of the divisions into folds.
    network
        Trains networks on the labels of each rater, where they are at hand; or why none is.

    Returns
    -------
    Selection
        With the identity where there is one group, as nothing can be tried on another, and where all labels are alike.

    Raises
    ------
    ValueError
        For arrays that do not go together and labels off the scale.
    Undefined
        Without labels.

    References
    ----------
    Stone (1974), Cross-validatory choice and assessment of statistical predictions. JRSS B 36, section 3. Breiman,
    Friedman, Olshen and Stone (1984), Classification and Regression Trees, section 3.4.3 (of what is close to the best,
    the simplest; here the identity alone). Roberts et al. (2017), Cross-validation strategies for data with temporal,
    spatial, hierarchical, or phylogenetic structure. Ecography 40 (folds of groups).
    """
    X, y, w, scale = labelled(X, y, w, levels)
    if np.shape(cluster) != y.shape:
        raise ValueError(f"{len(y)} labels, and groups in the shape {np.shape(cluster)}")
    if distributions is not None and np.shape(distributions) != (len(y), len(scale)):
        raise ValueError(f"distributions for {len(y)} items and {len(scale)} levels, not {np.shape(distributions)}")
    names, group = np.unique(cluster, return_inverse=True)
    labels = float(w.sum() ** 2 / (w * w).sum())
    ways = list(_ways(X, y, group, w, scale, distributions, network, labels))
    parts = min(FOLDS, len(names))
    repeats = int(np.clip(ITEMS // len(y), 1, REPEATS)) if parts > 1 else 0
    rng = np.random.default_rng(seed)
    folds = [(rng.permutation(len(names)) % parts)[group] for _ in range(repeats)]
    missed = {way.kind: way.why or _missed(way, y, folds) for way in ways}
    candidates = _beside(missed, group, w, labels)
    alike = bool((y == y[0]).all())
    kind, why = ("identity", "people gave every item the same score") if alike else _decided(candidates)
    return Selection(
        chosen=next(way for way in ways if way.kind == kind).fit(np.arange(len(y))),
        candidates=candidates,
        labels=labels,
        groups=len(names),
        folds=parts if repeats else 0,
        repeats=repeats,
        seed=seed,
        why=why,
    )


def _ways(
    X: Floats,
    y: Floats,
    group: Codes,
    w: Floats,
    scale: tuple[float, ...],
    distributions: Floats | None,
    network: Trained | str | None,
    labels: float,
) -> Iterator[_Way]:
    """All kinds, from the simplest to the least simple, and the constant."""
    levels = np.asarray(scale)

    def of(kind: type[Identity | Shift | Linear | Platt | Isotonic | Ordinal], inputs: Floats = X) -> _Fit:
        return lambda rows: kind.fit(inputs[rows], y[rows], w[rows], levels)

    def temperature(rows: Codes) -> Calibrator:
        assert distributions is not None
        return Temperature.fit(distributions[rows], y[rows], w[rows], levels)

    def ridge(rows: Codes) -> Calibrator:
        return Ridge.fit(X[rows], y[rows], w[rows], levels, group[rows])

    def trained(rows: Codes) -> Calibrator:
        assert network is not None
        assert not isinstance(network, str)
        return network.fit(rows)

    def constant(rows: Codes) -> Calibrator:
        return Linear(levels=scale, intercept=float(np.average(y[rows], weights=w[rows])), slope=0.0)

    few = {kind: _too_few(kind, labels) for kind in LEAST_LABELS}
    no_distributions = None if distributions is not None else "the judge's distributions are not known for every item"
    one_score = None if X.shape[1] > 1 else "there is one score an item, so nothing to combine"
    levels_two = None if len(scale) == 2 else f"the scale has {len(scale)} levels, and this is for two"
    yield _Way("identity", X, of(Identity), None)
    yield _Way("shift", X, of(Shift), None)
    yield _Way("temperature", X if distributions is None else distributions, temperature, no_distributions)
    yield _Way("linear", X, of(Linear), None)
    yield _Way("platt", X, of(Platt), levels_two or few["platt"])
    yield _Way("isotonic", X, of(Isotonic), few["isotonic"])
    yield _Way("ridge", X, ridge, one_score or few["ridge"])
    yield _Way("ordinal", X, of(Ordinal), few["ordinal"])
    read = X if network is None or isinstance(network, str) else network.inputs
    yield _Way("network", read, trained, _no_network(network, few["network"]))
    yield _Way("constant", X, constant, None)


def _too_few(kind: str, labels: float) -> str | None:
    least = LEAST_LABELS[kind]
    # A hair of slack for sums of weights.
    return None if labels >= least - 1e-6 else f"needs {least} labels, and there are {labels:.0f}"


def _no_network(network: Trained | str | None, few: str | None) -> str | None:
    if isinstance(network, str):
        return network
    if few or network is None:
        return few or "the labels of each rater were not given"
    if network.raters < LEAST_RATERS:
        return f"needs {LEAST_RATERS} raters or more, and there are {network.raters}"
    return None


def _missed(way: _Way, y: Floats, folds: list[Codes]) -> Floats | str:
    """The squared error of every item while it is left out, averaged over the divisions, (n,); or why there is none."""
    if not folds:
        return "one group: nothing can be tried on another"
    total = np.zeros(len(y))
    for fold in folds:
        for part in range(int(fold.max()) + 1):
            out = fold == part
            try:
                predicted = way.fit(np.flatnonzero(~out)).predict(way.inputs[out])
            except Undefined as undefined:
                return f"on part of the labels: {undefined}"
            total[out] += (y[out] - predicted) ** 2
    return total / len(folds)


def _beside(missed: dict[str, Floats | str], group: Codes, w: Floats, labels: float) -> tuple[Candidate, ...]:
    """Every kind's error, and how far it is behind the best of those that may be chosen."""
    barred = {"constant": "people's mean: a figure to beat"}
    count = int(group.max()) + 1
    weight = added(w, group, count)
    sums = {kind: added(w * one, group, count) for kind, one in missed.items() if not isinstance(one, str)}
    if labels < LEAST_FOR_FLAT and "linear" in sums and sums["linear"].sum() >= sums["constant"].sum():
        barred["linear"] = f"with fewer than {LEAST_FOR_FLAT} labels it must do better than people's mean"
    able = [kind for kind in sums if kind not in barred]
    best = min(able, key=lambda kind: sums[kind].sum(), default=None)

    def candidate(kind: str, one: Floats | str) -> Candidate:
        if best is None or isinstance(one, str):
            return Candidate(kind=kind, why=one if isinstance(one, str) else "nothing to hold it against")
        squared, error = _mean(sums[kind], weight)
        rmse, least = np.sqrt(squared), np.sqrt(_mean(sums[best], weight)[0])
        # The error of a root is that of the square over twice the root.
        apart = _mean(sums[kind] - sums[best], weight)[1] / max(rmse + least, np.finfo(float).tiny)
        return Candidate(
            kind=kind,
            rmse=float(rmse),
            error=float(error / (2 * rmse)) if rmse else 0.0,
            behind=float(rmse - least),
            behind_error=float(apart),
            why=barred.get(kind),
        )

    return tuple(candidate(kind, one) for kind, one in missed.items())


def _mean(sums: Floats, weight: Floats) -> tuple[float, float]:
    """A weighted mean from its sums by group, and its standard error over groups."""
    mean = sums.sum() / weight.sum()
    away = sums - mean * weight
    count = len(weight)
    return float(mean), float(np.sqrt(count / (count - 1) * (away @ away)) / weight.sum())


def _decided(candidates: tuple[Candidate, ...]) -> tuple[str, str]:
    """The kind to choose, and what decided."""
    able = [one for one in candidates if one.why is None and one.behind is not None]
    if not able:
        return "identity", candidates[0].why or "nothing could be tried"
    best, identity = min(able, key=lambda one: one.behind or 0.0), able[0]
    if (identity.behind or 0.0) <= SHARE * (identity.behind_error or 0.0):
        return "identity", "no map does clearly better on groups left out than the scores as they are"
    return best.kind, "the least error on groups left out"
