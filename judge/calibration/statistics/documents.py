"""Levels above the single item: within documents, averaged over them; and the means of systems.

The level is part of a figure's name. Of a judge that is to grade single answers, those within documents tell; figures
of systems rest on as many points as there are systems, and are far higher.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from judge.calibration.statistics import bootstrap
from judge.calibration.statistics.bootstrap import DRAWS, Codes, Floats, Metric
from judge.calibration.statistics.figures import Figure, Undefined
from judge.calibration.statistics.moments import mean, ratio, sums
from judge.calibration.statistics.raters import rest_of


class Beside(NamedTuple):
    """One person against the rest, and the judge against the same rest."""

    person: Figure
    judge: Figure


#: Elements of the weights of documents taken at once, a row for each and a column for each of their items.
_BLOCK = 65_536


def of_documents(metric: Metric, y: Floats, f: Floats, document: Codes, w: Floats | None = None) -> Floats:
    """A correlation, or accuracy of pairs, within each document.

    Parameters
    ----------
    metric
        Of `correlation.py` or `pairs.py`.
    document : (n,)
        Codes 0..D-1.
    w : (n,)
        Weights of the items within their documents.

    Returns
    -------
    (D,)
        NaN for documents that do not define it.
    """
    weights = np.ones(len(y)) if w is None else w
    order = np.argsort(document, kind="stable")
    sizes = np.bincount(document)
    ends = np.cumsum(sizes)
    found = np.full(len(sizes), np.nan)
    first = 0
    while first < len(sizes):
        last = first + 1
        while last < len(sizes) and (last + 1 - first) * (ends[last] - ends[first] + sizes[first]) <= _BLOCK:
            last += 1
        items = order[ends[first] - sizes[first] : ends[last - 1]]
        rows = np.arange(first, last)[:, None] == document[items]
        with contextlib.suppress(Undefined):  # none of these defines it: they stay NaN, and are counted as left out
            found[first:last] = metric(y[items], f[items], rows * weights[items])
        first = last
    return found


def by_document(
    metrics: Mapping[str, Metric],
    y: Floats,
    f: Floats,
    document: Codes,
    w: Floats | None = None,
    *,
    cluster: Codes | None = None,
    draws: int = DRAWS,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, Figure]:
    """The mean over documents of what each metric is within them. `n` counts documents, and so does `left_out`.

    Where every item was as likely, every document that defines a metric counts the same, however many of its items were
    labelled; else by its own weight (`weights_of`).

    Parameters
    ----------
    document : (n,)
        Codes 0..D-1.
    w : (n,)
        Inverse sampling probabilities; None where every item was as likely.
    cluster : (n,)
        Codes of what is resampled, where that is more than a document.

    Raises
    ------
    ValueError
        Where items of one document lie in two clusters.
    """
    document = np.unique(document, return_inverse=True)[1]  # those that have items
    of_document = np.arange(int(document.max()) + 1 if len(document) else 0)
    if cluster is not None:
        of_document[document] = cluster
        if (of_document[document] != cluster).any():
            raise ValueError("items of one document are in two groups, so groups cannot be resampled document-wise")
    weights = weights_of(document, np.ones(len(y)) if w is None else w)
    return {
        name: _averaged(of_documents(metric, y, f, document, w), weights, of_document, draws, confidence, seed)
        for name, metric in metrics.items()
    }


def weights_of(document: Codes, w: Floats) -> Floats:
    """What each document counts in a mean over the documents of a run, (n,) codes 0..D-1 and (n,) weights -> (D,).

    Where the weights within each document are alike, documents were drawn with all that was labelled of them, and that
    weight is the document's own, 1 / its probability. Else items were drawn one by one: a document is then the likelier
    to define a figure the more of its items are likely, and what puts that right is the sum of their weights, which
    estimates how many items it has in the run. So documents of as many items count the same, and others by that number;
    the mean of their weights would leave those too heavy of which only rare items were drawn.

    References
    ----------
    Horvitz and Thompson (1952), A generalization of sampling without replacement from a finite universe. JASA 47,
    section 2.
    """
    if not len(w):
        return np.zeros(0)
    sizes, whole = np.bincount(document), np.bincount(document, w)
    mean = whole / sizes
    singly = bool((np.abs(w - mean[document]) > 1e-9 * mean[document]).any())
    return np.asarray(whole if singly else mean, dtype=np.float64)


def _averaged(values: Floats, w: Floats, cluster: Codes, draws: int, confidence: float, seed: int) -> Figure:
    defined = ~np.isnan(values)
    used, left_out = values[defined], int((~defined).sum())
    if not len(used):
        why = f"none of {left_out} documents defines it: in each, all scores of people or of the judge are the same"
        return Figure.undefined(why, 0, "documents").model_copy(update={"left_out": left_out})
    groups = np.unique(cluster[defined], return_inverse=True)[1]
    averaged: Metric = lambda y, f, W: mean(y, W)  # noqa: E731
    drawn = bootstrap.figures(
        {"": averaged}, used, used, groups, w[defined], draws=draws, confidence=confidence, seed=seed
    )
    return drawn[""].model_copy(update={"of": "documents", "left_out": left_out})


def by_system(
    metrics: Mapping[str, Metric],
    y: Floats,
    f: Floats,
    system: Codes,
    w: Floats | None = None,
    *,
    draws: int = DRAWS,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, Figure]:
    """What each metric is of the mean scores of systems. `n` counts systems; they are what is resampled.

    Parameters
    ----------
    system : (n,)
        Codes 0..S-1 of what made each item.
    """
    if not len(y):
        return {name: Figure.undefined("there are no items", 0, "systems") for name in metrics}
    system = np.unique(system, return_inverse=True)[1]  # those that have items
    weights = np.ones(len(y)) if w is None else w
    whole = sums(system, weights[None, :])[0]
    means = [ratio(sums(system, (weights * scores)[None, :])[0], whole) for scores in (y, f)]
    each = np.arange(len(whole))
    drawn = bootstrap.figures(metrics, means[0], means[1], each, draws=draws, confidence=confidence, seed=seed)
    return {name: figure.model_copy(update={"of": "systems"}) for name, figure in drawn.items()}


def people_by_document(
    metrics: Mapping[str, Metric],
    ratings: Floats,
    judge: Floats,
    document: Codes,
    w: Floats,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> dict[str, Beside]:
    """By metric, one person against the mean of the rest within documents, and the judge against the same rest.

    Each person is left out in turn, and the figures are averaged over persons. `n` counts the documents that define a
    figure for some person, `left_out` the others; the documents are what is resampled.

    Parameters
    ----------
    ratings : (n, R)
        NaN where a person did not label.
    judge, document, w : (n,)
        The judge's score, codes 0..D-1, and inverse sampling probabilities.

    Raises
    ------
    Undefined
        For one annotator.
    """
    rest, weights = rest_of(ratings, "mean"), weights_of(document, w)
    found = {}
    for name, metric in metrics.items():
        within = [_within(metric, aim, (own, judge), document, w) for aim, own in zip(rest.T, ratings.T, strict=True)]
        known = [one for one in within if not np.isnan(one).all(axis=1).any()]  # with both figures or with neither
        if known:
            found[name] = Beside(
                *(_over_people(np.stack(side), weights, draws, seed) for side in zip(*known, strict=True))
            )
    return found


def _within(metric: Metric, aim: Floats, answers: tuple[Floats, Floats], document: Codes, w: Floats) -> Floats:
    """(2, D) what a metric is of each of two answers within each document; NaN where it is not defined."""
    on = ~np.isnan([aim, *answers]).any(axis=0)
    names, codes = np.unique(document[on], return_inverse=True)
    found = np.full((2, int(document.max()) + 1), np.nan)
    for row, answer in zip(found, answers, strict=True):
        if len(names):
            row[names] = of_documents(metric, aim[on], answer[on], codes, w[on])
    return found


def _over_people(values: Floats, w: Floats, draws: int, seed: int) -> Figure:
    """The mean over persons of the mean over documents, of (R, D) values."""
    there = ~np.isnan(values)
    kept = there.any(axis=0)
    inside, defined = np.where(there, values, 0.0)[:, kept].T, there[:, kept].T.astype(np.float64)

    def averaged(y: Floats, f: Floats, W: Floats) -> Floats:
        means = ratio(W @ inside, W @ defined)  # a person may have no document in a resample
        known = ~np.isnan(means)
        return ratio(np.where(known, means, 0.0).sum(axis=1), known.sum(axis=1).astype(np.float64))

    nothing, each = np.zeros(int(kept.sum())), np.arange(int(kept.sum()))
    figure = bootstrap.figures({"": averaged}, nothing, nothing, each, w[kept], draws=draws, seed=seed)[""]
    return figure.model_copy(update={"of": "documents", "left_out": int((~kept).sum())})


def people_by_system(
    metrics: Mapping[str, Metric],
    ratings: Floats,
    judge: Floats,
    system: Codes,
    w: Floats,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> dict[str, Beside]:
    """By metric, the same of the mean scores of systems, of the items that person, rest and judge all scored.

    `n` counts systems, which are what is resampled; persons whose items are not of every system have no part.
    """
    rest, count = rest_of(ratings, "mean"), int(system.max()) + 1
    sides: list[tuple[Floats, Floats, Floats]] = []
    for aim, own in zip(rest.T, ratings.T, strict=True):
        on = ~np.isnan([aim, own, judge]).any(axis=0)
        whole = np.bincount(system[on], w[on], count)
        if (whole > 0).all():
            means = (np.bincount(system[on], w[on] * scores[on], count) / whole for scores in (aim, own, judge))
            sides.append((next(means), next(means), next(means)))
    each, found = np.arange(count), {}
    for name, metric in metrics.items():
        known = [side for side in sides if _defines(metric, side)]
        if not known:
            continue
        over = {"person": _over_sides(metric, known, 1), "judge": _over_sides(metric, known, 2)}
        nothing = np.zeros(count)
        both = bootstrap.figures(over, nothing, nothing, each, draws=draws, seed=seed)
        found[name] = Beside(**{who: one.model_copy(update={"of": "systems"}) for who, one in both.items()})
    return found


def _defines(metric: Metric, side: tuple[Floats, Floats, Floats]) -> bool:
    """Whether both figures of a person are there: they enter with both or with neither."""
    aim, ones = side[0], np.ones((1, len(side[0])))
    try:
        return not any(np.isnan(metric(aim, answers, ones)).any() for answers in side[1:])
    except Undefined:
        return False


def _over_sides(metric: Metric, sides: Sequence[tuple[Floats, Floats, Floats]], at: int) -> Metric:
    def averaged(y: Floats, f: Floats, W: Floats) -> Floats:
        return np.asarray(np.mean([metric(side[0], side[at], W) for side in sides], axis=0))

    return averaged
