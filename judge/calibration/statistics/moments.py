"""Sums and means of weighted items under many reweightings, and whether scores vary at all."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from judge.calibration.statistics.bootstrap import Codes, Floats
from judge.calibration.statistics.figures import Undefined

Flags = NDArray[np.bool_]


def people_must_vary(y: Floats | Codes) -> None:
    """Refuses labels that define no agreement beyond chance.

    Raises
    ------
    Undefined
        For fewer than two items, and where people gave every item the same score.
    """
    if len(y) < 2:
        raise Undefined("there are no items" if not len(y) else "there is one item alone")
    if (y == y[0]).all():
        raise Undefined("people gave every item the same score")


def must_vary(y: Floats | Codes, f: Floats | Codes) -> None:
    """Refuses scores that define no correlation.

    Raises
    ------
    Undefined
        As `people_must_vary`, and where the judge gave every item the same score.
    """
    people_must_vary(y)
    if (f == f[0]).all():
        raise Undefined("the judge gave every item the same score")


def mean(scores: Floats, W: Floats) -> Floats:
    """The mean of scores (n,) under reweightings (B, n) -> (B,). NaN where nothing has weight.

    Raises
    ------
    Undefined
        For n = 0.
    """
    if not len(scores):
        raise Undefined("there are no items")
    return ratio(np.asarray(W @ scores), W.sum(axis=1))


def sums(place: Codes, W: Floats) -> Floats:
    """The weight at each place: (n,) codes 0..K-1 and (B, n) -> (B, K)."""
    count = int(place.max()) + 1
    return np.array([np.bincount(place, row, count) for row in W], dtype=np.float64).reshape(len(W), count)


def pooled(y: Floats, f: Floats, W: Floats) -> tuple[Floats, Floats, Floats]:
    """Items of the same two scores as one, with the sum of their weights: y (P,), f (P,), W (B, P).

    What depends on the pairs of scores alone is the same of both, and much sooner computed of few levels.
    """
    people, of_people = np.unique(y, return_inverse=True)
    judge, of_judge = np.unique(f, return_inverse=True)
    different, place = np.unique(of_people * len(judge) + of_judge, return_inverse=True)
    if 2 * len(different) > len(y):
        return y, f, W
    return people[different // len(judge)], judge[different % len(judge)], sums(place, W)


def ratio(part: Floats, whole: Floats) -> Floats:
    """part / whole, NaN where there is nothing of the whole."""
    shape = np.broadcast(part, whole).shape
    found: Floats = np.divide(part, whole, out=np.full(shape, np.nan), where=whole > 0)
    return found


def varies(scores: Floats, W: Floats) -> Flags:
    """Whether the scores (n,) that have weight differ, under each reweighting (B, n) -> (B,)."""
    present = W > 0
    first = scores[present.argmax(axis=1)]
    other: Flags = (present & (scores[None, :] != first[:, None])).any(axis=1)
    return other
