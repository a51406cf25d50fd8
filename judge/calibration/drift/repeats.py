"""Every sample that a judge was asked for, where it was asked more than once about each item."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from judge.calibration.judgements import Judgements
from judge.calibration.scale import Scale
from judge.calibration.statistics.bootstrap import Floats
from judge.grades import CriterionGrade, Sample
from judge.pages import pages

if TYPE_CHECKING:
    from judge.store.results import RunInfo
    from judge.store.store import Store


def repeats(store: Store, info: RunInfo, judgements: Judgements) -> dict[str, Floats]:
    """By criterion the scores of all samples, (n, k): a row an item of the judgements, NaN where one has no score.

    Empty where the judge was asked once. Of labels the scores are their codes.
    """
    if info.samples < 2:
        return {}
    found = {id_: np.full((len(judgements.items), info.samples), np.nan) for id_ in judgements.said}
    places = judgements.places
    for page in pages(store, info):
        for grade in page:
            place = places.get(grade.item)
            if place is None or grade.rubric.hash != judgements.rubric.hash:
                continue
            for id_, one in grade.criteria.items():
                scores = list(_scores(one, judgements.said[id_].scale))[: info.samples]
                found[id_][place, : len(scores)] = scores
    return found


def _scores(one: CriterionGrade, scale: Scale) -> Iterator[float]:
    for sample in one.samples:
        yield _score(sample, scale)


def _score(sample: Sample, scale: Scale) -> float:
    if scale.kind == "nominal":
        return float(scale.names.index(str(sample.level))) if sample.level is not None else np.nan
    return np.nan if sample.score is None else sample.score
