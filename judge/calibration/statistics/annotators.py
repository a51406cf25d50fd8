"""Each person by themselves: what their labels look like, and how they agree with the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from judge.calibration.statistics import bootstrap
from judge.calibration.statistics.bootstrap import Codes, Floats, Metric
from judge.calibration.statistics.figures import Figure
from judge.calibration.statistics.raters import Target, rest_of
from judge.calibration.statistics.shares import figures


@dataclass(frozen=True, slots=True)
class Annotator:
    """What one person's labels look like.

    `mean` and `sd` are by the weights of the items; `sd` is None for one label. `agreement` is with the rest of the
    people.
    """

    annotator: str
    n: int
    mean: float
    sd: float | None
    agreement: Figure


def annotators(
    ratings: Floats,
    metric: Metric,
    cluster: Codes,
    w: Floats,
    target: Target = "mean",
    names: Sequence[str] | None = None,
    *,
    draws: int = bootstrap.DRAWS,
    seed: int = 0,
) -> tuple[Annotator, ...]:
    """Each person with at least one label.

    Parameters
    ----------
    ratings : (n_items, n_raters)
        NaN where a person did not label; of labels without order their codes.
    metric
        The agreement of a person with the rest.
    cluster, w : (n_items,)
        Codes of groups, and inverse sampling probabilities.
    target : {"mean", "majority"}
        What the rest say of an item: their mean, or the label that most of them gave.
    names : (n_raters,)
        Of the people; their column numbers where there are none.

    Returns
    -------
    tuple of Annotator
        The agreement has the metric's own interval, or the cluster bootstrap's. It is undefined, with its reason, for
        one annotator and for one who shares no item with the rest.
    """
    labelled = ~np.isnan(ratings)
    alone = int(labelled.any(axis=0).sum()) < 2
    rest = np.full(ratings.shape, np.nan) if alone else rest_of(ratings, target)
    found = []
    for column in np.flatnonzero(labelled.any(axis=0)).tolist():
        own, on = labelled[:, column], labelled[:, column] & ~np.isnan(rest[:, column])
        if on.any():
            among = np.unique(cluster[on], return_inverse=True)[1].astype(np.int64)
            pair = rest[on, column], ratings[on, column]
            agreement = figures({"": metric}, *pair, among, w[on], draws=draws, seed=seed)[""]
        else:
            agreement = Figure.undefined("one annotator" if alone else "shares no item with the rest", 0)
        name = str(column) if names is None else names[column]
        found.append(Annotator(name, int(own.sum()), *_spread(ratings[own, column], w[own]), agreement))
    return tuple(found)


def _spread(labels: Floats, w: Floats) -> tuple[float, float | None]:
    """Mean and standard deviation; equal weights give the usual one, with n - 1."""
    mean, n = float(np.average(labels, weights=w)), len(labels)
    variance = float(np.average((labels - mean) ** 2, weights=w))
    return mean, (variance * n / (n - 1)) ** 0.5 if n > 1 else None
