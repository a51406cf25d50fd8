"""How the labelled items came to be labelled, and what may be said of the whole run because of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from judge.calibration.judgements import Judgements
from judge.calibration.labelled import Labelled
from judge.calibration.populations import population
from judge.calibration.populations.population import Labels, Population, Provenance, Run
from judge.calibration.statistics.bootstrap import Codes, Floats

if TYPE_CHECKING:
    from judge.store.labels import Drawn, Stored
    from judge.store.store import Store


@dataclass(frozen=True, slots=True)
class Sampling:
    """Where labels come from.

    Attributes
    ----------
    weights, strata
        Of labelled items that were drawn from the run: the inverse of their probability, and a code of their stratum.
        Empty where the items were not drawn by sheets.
    every
        Stratum and probability of every item of the run, in its order; None where they were not drawn by sheets.
    """

    provenance: Provenance = Provenance.ELSEWHERE
    weights: Mapping[str, float] = field(default_factory=dict)
    strata: Mapping[str, int] = field(default_factory=dict)
    every: tuple[Codes, Floats] | None = None

    @classmethod
    def of(cls, judgements: Judgements, stored: Sequence[Stored], sheets: Sequence[Sequence[Drawn]]) -> Sampling:
        """From labels, and the sheets of the run that some of them were drawn by.

        Labels of several sheets are taken together: an item could have been drawn by each of them.
        """
        known = [one for one in stored if one.label.item in judgements.places]
        if known and sheets and all(one.sheet is not None for one in known):
            return cls._drawn(judgements, {one.label.item for one in known}, sheets)
        if known and all(one.sampled_from == judgements.run or one.sheet is not None for one in known):
            return cls(Provenance.DECLARED)
        return cls()

    @classmethod
    def kept(cls, store: Store, judgements: Judgements, stored: Sequence[Stored]) -> Sampling:
        """From labels, with the sheets of the judged run that the store has."""
        ids = dict.fromkeys(one.sheet for one in stored if one.sheet is not None)
        ours = [id_ for id_ in ids if store.ask(store.labels.sheet_run, id_) == judgements.run]
        return cls.of(judgements, stored, [store.ask(store.labels.drawn_for, id_) for id_ in ours])

    @classmethod
    def _drawn(cls, judgements: Judgements, labelled: set[str], sheets: Sequence[Sequence[Drawn]]) -> Sampling:
        missed = np.ones(len(judgements.items))
        columns = []
        for sheet in sheets:
            of_item = {one.item: one for one in sheet}
            missed *= np.array([1 - _of(of_item, item) for item in judgements.items])
            columns.append([of_item[item].stratum if item in of_item else -1 for item in judgements.items])
        stratum = np.unique(np.array(columns).T, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)
        probability = 1 - missed
        drawn = np.array([item in labelled for item in judgements.items])
        # Of what was drawn, some may not have been labelled: by chance, within a stratum.
        expected, came = np.bincount(stratum, probability), np.bincount(stratum, drawn)
        answered = np.divide(came, expected, out=np.ones(len(came)), where=expected > 0)
        probability = np.minimum(probability * answered[stratum], 1.0)
        places = [place for place, item in enumerate(judgements.items) if item in labelled]
        weights = {judgements.items[place]: float(1 / probability[place]) for place in places}
        strata = {judgements.items[place]: int(stratum[place]) for place in places}
        return cls(Provenance.SHEET, weights, strata, (stratum, probability))

    def estimate(self, judgements: Judgements, labelled: Labelled) -> Population:
        """What the whole run comes to on a criterion: a pass rate on 0..1, or a mean on the criterion's scale."""
        scale = labelled.scale
        binary = scale.kind == "binary"
        low, span = (scale.minimum, scale.width) if binary else (0.0, 1.0)
        ends = (0.0, 1.0) if binary else (scale.minimum, scale.maximum)
        f = (judgements.said[labelled.criterion].score - low) / span
        target = (labelled.target - low) / span
        cluster = np.unique(np.array(judgements.groups, dtype=object), return_inverse=True)[1].astype(np.int64)
        y = np.full(len(f), np.nan)
        if self.provenance is Provenance.ELSEWHERE:
            scores = (labelled.score - low) / span
            labels = Labels(y=target, f=scores, cluster=labelled.cluster, w=labelled.w)
            return population.estimate(
                Run(f=f, y=y, cluster=cluster), self.provenance, labels, binary=binary, scale=ends
            )
        places = judgements.places
        y[[places[str(item)] for item in labelled.items]] = target
        stratum, pi = (None, None) if self.every is None else self.every
        run = Run(f=f, y=y, cluster=cluster, pi=pi, stratum=stratum)
        return population.estimate(run, self.provenance, binary=binary, scale=ends)


def _of(drawn: Mapping[str, Drawn], item: str) -> float:
    return drawn[item].probability if item in drawn else 0.0
