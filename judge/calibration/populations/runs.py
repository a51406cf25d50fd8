"""A run and labels beside it: what a figure of the whole run is made of."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from judge.calibration.statistics.bootstrap import Codes, Floats

#: Of so many items, or fewer, a criterion may not apply without a word more than a warning.
FEW_EXCUSED = 0.02


class Provenance(StrEnum):
    """Where labels come from, which decides what they may be used for."""

    SHEET = "drawn from this run, with recorded probabilities"
    DECLARED = "said to be a sample of this run"
    EVERY = "of every item of this run"
    ELSEWHERE = "from elsewhere"


@dataclass(frozen=True, slots=True)
class Run:
    """Every item of a run, on one criterion.

    Attributes
    ----------
    f : (N,)
        The judge's scores; NaN where it gave none.
    y : (N,)
        Means of the people who labelled an item; NaN where nobody did.
    cluster : (N,)
        Codes of groups.
    pi : (N,) or None
        Probabilities of being labelled, 0 where an item could not be. None where all were as likely within a stratum.
    stratum : (N,) or None
        Codes of the strata that the labels were drawn by.
    excused, excused_by_judge : (N,) or None
        Items to which people, or the judge, say that the criterion does not apply. They have no `y`, or no `f`.
    """

    f: Floats
    y: Floats
    cluster: Codes
    pi: Floats | None = None
    stratum: Codes | None = None
    excused: NDArray[np.bool_] | None = None
    excused_by_judge: NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True)
class Labels:
    """Labelled items that are no part of the run, or no sample of it.

    Attributes
    ----------
    y, f : (n,)
        Means of people, and the judge's scores; NaN where it gave none.
    cluster : (n,)
        Codes of groups, in a numbering of their own.
    w : (n,)
        Inverse sampling probabilities.
    """

    y: Floats
    f: Floats
    cluster: Codes
    w: Floats


def looked(run: Run) -> NDArray[np.bool_]:
    """The items that people labelled, or said that the criterion does not apply to."""
    labelled = ~np.isnan(run.y)
    return labelled if run.excused is None else labelled | run.excused


def weights(run: Run) -> Floats:
    """Inverse probabilities of being labelled."""
    there = looked(run)
    if run.pi is not None:
        return np.asarray(1 / np.where(there & (run.pi > 0), run.pi, 1.0))
    stratum = np.zeros(len(run.y), dtype=np.int64) if run.stratum is None else run.stratum
    return np.asarray((np.bincount(stratum) / np.maximum(np.bincount(stratum, there), 1))[stratum])


def excused(run: Run, w: Floats, labels: int | None = None) -> tuple[float, str] | None:
    """The share of items to which people, or the judge if more, say that the criterion does not apply; None for none.

    `labels` is how many other labels there are, of those from elsewhere.
    """
    told = []
    if run.excused is not None and run.excused.any():
        out = float(w[run.excused].sum())
        others = float(w[~np.isnan(run.y)].sum()) if labels is None else float(labels)
        told.append((out / (out + others), "people say"))
    if run.excused_by_judge is not None and run.excused_by_judge.any():
        told.append((float(run.excused_by_judge.mean()), "the judge says"))
    if not told:
        return None
    share, whose = max(told)
    return share, f"{whose} of {share:.1%} of the items that the criterion does not apply to them"
