"""How the labelled items came to be labelled, and what may be said of the whole run because of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from judge.calibration.judgements import Judgements
from judge.calibration.labelled import Labelled
from judge.calibration.populations import population
from judge.calibration.populations.population import Labels, Population, Provenance, Run
from judge.calibration.statistics.bootstrap import Codes, Floats
from judge.errors import InputError
from judge.verdicts import Outcome

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
    complete
        Criteria that people looked at on every item of the run.
    excused
        By criterion, items to which all who looked say that it does not apply.
    """

    provenance: Provenance = Provenance.ELSEWHERE
    weights: Mapping[str, float] = field(default_factory=dict)
    strata: Mapping[str, int] = field(default_factory=dict)
    every: tuple[Codes, Floats] | None = None
    complete: frozenset[str] = frozenset()
    excused: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, judgements: Judgements, stored: Sequence[Stored], sheets: Sequence[Sequence[Drawn]]) -> Sampling:
        """From labels, and the sheets that some of them were drawn by.

        Labels of several sheets are taken together: an item could have been drawn by each of them. More labels of an
        item that was drawn, from wherever they are, change nothing of how it came to be labelled. Sheets of another run
        speak for this one by item: `kept` leaves out those that did not know every item of it.
        """
        known = [one for one in stored if one.label.item in judgements.places]
        looked, items = _looked(judgements, known), {one.label.item for one in known}
        if known and sheets and items == {one.label.item for one in known if one.sheet is not None}:
            found = cls._drawn(judgements, items, sheets)
        elif known and all(one.sheet is None and one.sampled_from == judgements.run is not None for one in known):
            found = cls(Provenance.DECLARED)
        else:
            found = cls()
        return replace(found, **looked)

    @classmethod
    def kept(cls, store: Store, judgements: Judgements, stored: Sequence[Stored]) -> Sampling:
        """From labels, with the sheets that they were drawn by, of the judged run or of one with the same items.

        Raises InputError where labels are of another run whose items have these ids and other texts.
        """
        ours, every = [], set(judgements.items)
        for id_ in dict.fromkeys(one.sheet for one in stored if one.sheet is not None):
            drawn: list[Drawn] = store.ask(store.labels.drawn_for, id_)
            run = store.ask(store.labels.sheet_run, id_)
            if run != judgements.run:
                _refuse_other_texts(store, judgements, stored, id_, run)
            if run == judgements.run or every <= {one.item for one in drawn}:
                ours.append(drawn)
            elif any(one.sheet == id_ and one.label.item in every for one in stored):
                return cls.of(judgements, stored, [])  # of some labels nobody knows how likely they were
        return cls.of(judgements, stored, ours)

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

    def of_all(self, criteria: Iterable[str]) -> Provenance:
        """How the labels came to be, on all these criteria: of every item of the run where each is complete."""
        whole = self.provenance is Provenance.ELSEWHERE and self.complete.issuperset(criteria)
        return Provenance.EVERY if whole else self.provenance

    def estimate(self, judgements: Judgements, labelled: Labelled) -> Population:
        """What the whole run comes to on a criterion: a pass rate on 0..1, or a mean on the criterion's scale."""
        scale, said = labelled.scale, judgements.said[labelled.criterion]
        binary = scale.kind == "binary"
        low, span = (scale.minimum, scale.width) if binary else (0.0, 1.0)
        ends = (0.0, 1.0) if binary else (scale.minimum, scale.maximum)
        f = (said.score - low) / span
        target = (labelled.target - low) / span
        cluster = np.unique(np.array(judgements.groups, dtype=object), return_inverse=True)[1].astype(np.int64)
        y = np.full(len(f), np.nan)
        out = self.excused.get(labelled.criterion, frozenset())
        excused = np.array([item in out for item in judgements.items], dtype=np.bool_)
        by_judge = np.array([one is Outcome.NOT_APPLICABLE for one in said.outcomes], dtype=np.bool_)
        provenance = self.of_all([labelled.criterion])
        if provenance is Provenance.ELSEWHERE:
            labels = Labels(y=target, f=(labelled.score - low) / span, cluster=labelled.cluster, w=labelled.w)
            run = Run(f=f, y=y, cluster=cluster, excused=excused, excused_by_judge=by_judge)
            return population.estimate(run, provenance, labels, binary=binary, scale=ends)
        places = judgements.places
        y[[places[str(item)] for item in labelled.items]] = target
        stratum, pi = (None, None) if self.every is None else self.every
        run = Run(f=f, y=y, cluster=cluster, pi=pi, stratum=stratum, excused=excused, excused_by_judge=by_judge)
        return population.estimate(run, provenance, binary=binary, scale=ends)


def _refuse_other_texts(
    store: Store, judgements: Judgements, stored: Sequence[Stored], sheet: str, run: str | None
) -> None:
    if judgements.run is None or run is None:
        return
    labelled = [one.label.item for one in stored if one.sheet == sheet and one.label.item in judgements.places]
    theirs, ours = (store.ask(store.labels.item_hashes, id_) for id_ in (run, judgements.run))
    other = [item for item in dict.fromkeys(labelled) if theirs.get(item, ours.get(item)) != ours.get(item)]
    if other:
        raise InputError(
            f"the labels of {len(other):,} items, such as {other[0]!r}, are of run {run}, where these items read "
            f"otherwise than in run {judgements.run}; calibrate that run, or label items of this one"
        )


def _of(drawn: Mapping[str, Drawn], item: str) -> float:
    return drawn[item].probability if item in drawn else 0.0


def _looked(judgements: Judgements, known: Sequence[Stored]) -> dict[str, Any]:
    """What people looked at, whatever they found: complete criteria, and the items that are excused."""
    outcomes: dict[str, dict[str, set[Outcome]]] = {}
    for one in known:
        of_item = outcomes.setdefault(one.label.criterion, {})
        of_item.setdefault(one.label.item, set()).add(one.label.outcome)
    excused = {
        id_: frozenset(
            item for item, told in of_item.items() if Outcome.NOT_APPLICABLE in told and Outcome.SCORED not in told
        )
        for id_, of_item in outcomes.items()
    }
    complete = frozenset(id_ for id_, of_item in outcomes.items() if len(of_item) == len(judgements.items))
    return {"complete": complete, "excused": excused}
