"""How a judge agrees with people on held-out labels: each figure beside people's own, and the best constant answer."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Literal

from pydantic import BaseModel, ConfigDict

from judge.calibration.headline import OF_PEOPLE, OF_PEOPLE_TOO
from judge.calibration.labelled import Labelled
from judge.calibration.statistics import agreement, bootstrap, correlation, documents, pairs, raters
from judge.calibration.statistics.bootstrap import Metric
from judge.calibration.statistics.constants import best_constants
from judge.calibration.statistics.figures import Figure, Undefined

Level = Literal["item", "document", "system"]

#: Each of more people than this labels little, and each takes as long: they are held to the first measures alone.
MANY_PEOPLE = 30
#: How two orders agree, of items within documents and of systems.
_ORDERS: dict[str, Metric] = {"spearman": correlation.spearman, "kendall": pairs.kendall}


class Measure(BaseModel):
    """One figure of the judge, and what it must not be read without.

    Attributes
    ----------
    level
        `item`: over all items. `document`: within each group, averaged over groups. `system`: of the means of systems.
    judge
        Against the mean of the people.
    person, judge_beside
        One person against the rest of the people, averaged over persons; and the judge against the same rest.
    constant
        What the best constant answer reaches.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    level: Level
    judge: Figure
    person: Figure | None = None
    judge_beside: Figure | None = None
    constant: float | None = None


def measures(test: Labelled, tie: float, draws: int = bootstrap.DRAWS, seed: int = 0) -> tuple[Measure, ...]:
    """Every measure of a criterion, on items that the judge has a score of.

    Parameters
    ----------
    test : n items
        All with a score of the judge.
    tie
        Judge's scores of items at most this far apart are a tie of a pair; tuned on other labels. The means of systems
        are compared without one, as `pairwise_accuracy_without_tie`: they lie far closer together than items.
    """
    found = agreement.agreement(test.scale, test.target, test.score, test.cluster, test.w, draws=draws, seed=seed)
    ranked = _ranked(test, tie)
    found |= bootstrap.figures(ranked, test.target, test.score, test.cluster, test.w, draws=draws, seed=seed)
    constants = best_constants(test.scale, test.target, test.w) if len(test) else {}
    if ranked and len(test) > 1:
        constants["pairwise_accuracy"] = float(pairs.always_tie(test.target, test.score, test.w[None, :])[0])
    beside = _people(test, ranked, draws, seed)
    of_items = [
        Measure(name=name, level="item", judge=figure, constant=constants.get(name), **beside.get(name, {}))
        for name, figure in found.items()
    ]
    return (*of_items, *_of_documents(test, tie, draws, seed), *_of_systems(test, draws, seed))


def _ranked(test: Labelled, tie: float) -> dict[str, Metric]:
    """Correlations, and accuracy of pairs; labels in no order, and two levels, have none."""
    if test.scale.kind in ("nominal", "binary"):
        return {}
    return {
        "spearman": correlation.spearman,
        "pearson": correlation.pearson,
        "kendall": pairs.kendall,
        "pairwise_accuracy": pairs.pairwise_accuracy(tie),
    }


def _people(test: Labelled, ranked: Mapping[str, Metric], draws: int, seed: int) -> dict[str, dict[str, Figure]]:
    """By measure: one person against the rest, and the judge against the same rest."""
    if test.ratings.shape[1] < 2 or not len(test):
        return {}
    every = {**agreement.metrics(test.scale), **ranked}
    target: raters.Target = "majority" if test.scale.kind in ("binary", "nominal") else "mean"
    wanted: dict[str, Metric] = {}
    few = test.ratings.shape[1] <= MANY_PEOPLE
    for name in OF_PEOPLE[test.scale.kind] + (OF_PEOPLE_TOO[test.scale.kind] if few else ()):
        try:
            wanted[f"person {name}"] = raters.left_out_metric(test.ratings, every[name], "human", target)
            wanted[f"judge_beside {name}"] = raters.left_out_metric(test.ratings, every[name], "judge", target)
        except Undefined:
            return {}
    found = bootstrap.figures(wanted, test.target, test.score, test.cluster, test.w, draws=draws, seed=seed)
    beside: dict[str, dict[str, Figure]] = {}
    for key, figure in found.items():
        of, _, name = key.partition(" ")
        beside.setdefault(name, {})[of] = figure
    return beside


def _of_documents(test: Labelled, tie: float, draws: int, seed: int) -> list[Measure]:
    if test.scale.kind == "nominal" or test.groups == len(test):
        return []
    within = {**_ORDERS, "pairwise_accuracy": pairs.pairwise_accuracy(tie)}
    found = documents.by_document(within, test.target, test.score, test.cluster, test.w, draws=draws, seed=seed)
    tied = documents.by_document({"": pairs.always_tie}, test.target, test.score, test.cluster, test.w, draws=2)[""]
    beside: dict[str, documents.Beside] = {}
    with suppress(Undefined):  # of one annotator
        beside = (
            {}
            if test.ratings.shape[1] > MANY_PEOPLE
            else documents.people_by_document(
                within, test.ratings, test.score, test.cluster, test.w, draws=draws, seed=seed
            )
        )
    constants = {"pairwise_accuracy": tied.value}
    return [_measure(name, "document", figure, beside, constants.get(name)) for name, figure in found.items()]


def _of_systems(test: Labelled, draws: int, seed: int) -> list[Measure]:
    if test.system is None or test.scale.kind == "nominal":
        return []
    of_means = {**_ORDERS, "pairwise_accuracy_without_tie": pairs.pairwise_accuracy()}
    found = documents.by_system(of_means, test.target, test.score, test.system, test.w, draws=draws, seed=seed)
    beside: dict[str, documents.Beside] = {}
    with suppress(Undefined):
        beside = (
            {}
            if test.ratings.shape[1] > MANY_PEOPLE
            else documents.people_by_system(
                of_means, test.ratings, test.score, test.system, test.w, draws=draws, seed=seed
            )
        )
    return [_measure(name, "system", figure, beside) for name, figure in found.items()]


def _measure(
    name: str, level: Level, judge: Figure, beside: Mapping[str, documents.Beside], constant: float | None = None
) -> Measure:
    person, judge_beside = beside.get(name, (None, None))
    return Measure(name=name, level=level, judge=judge, person=person, judge_beside=judge_beside, constant=constant)
