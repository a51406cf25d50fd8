"""Levels above the single item: within documents, averaged over them; and the means of systems.

The level is part of a figure's name. Of a judge that is to grade single answers, those within documents tell; figures
of systems rest on as many points as there are systems, and are far higher.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

import numpy as np

from judge.calibration.statistics import bootstrap
from judge.calibration.statistics.bootstrap import DRAWS, Codes, Floats, Metric
from judge.calibration.statistics.figures import Figure, Undefined
from judge.calibration.statistics.moments import mean, ratio, sums

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
