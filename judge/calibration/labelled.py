"""What people and a judge said of the same items on one criterion, as arrays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from judge.calibration.judgements import Judgements, Said, beside
from judge.calibration.labelling.labels import Label
from judge.calibration.scale import Scale
from judge.calibration.splits import Fitting, Holding, Part, Sealed
from judge.calibration.statistics.bootstrap import Codes, Floats
from judge.verdicts import Outcome


@dataclass(frozen=True)
class Labelled:
    """One criterion, on n items that at least one person scored.

    Attributes
    ----------
    ratings : (n, R)
        What each annotator said, NaN where one did not; of labels their codes.
    score : (n,)
        What the judge said, NaN where it has no score.
    inputs : (n, p)
        The judge's scores on all criteria with values, this one first; NaN where there is none.
    shares : (n, K) or None
        The judge's share of every level.
    panel : (n, Q * K) or None
        Its shares on all Q criteria beside each other, where they are known on each.
    confidence : (n,)
        The share of the answer that the judge gave; NaN where it is not known.
    cluster, stratum : (n,)
        Codes of the groups, and of the strata that the items were drawn from.
    system : (n,) or None
        Codes of what made each item, where that is known.
    w : (n,)
        Inverse of the probability with which the item was drawn to be labelled, to a mean of 1.
    length : (n,)
        Characters of the output.
    orders : (n, 2) or None
        Of pairs the judge's preference in either order, as of `Said`.
    """

    criterion: str
    scale: Scale
    items: NDArray[np.object_]
    annotators: tuple[str, ...]
    ratings: Floats
    score: Floats
    inputs: Floats
    shares: Floats | None
    confidence: Floats
    cluster: Codes
    stratum: Codes
    w: Floats
    length: Floats
    system: Codes | None = None
    panel: Floats | None = None
    orders: Floats | None = None

    def __len__(self) -> int:
        return len(self.items)

    @cached_property
    def target(self) -> Floats:
        """(n,) the mean of the people on each item; of labels the most frequent one, of several the first."""
        if self.scale.kind != "nominal":
            return np.asarray(np.nanmean(self.ratings, axis=1), dtype=np.float64)
        assert self.scale.levels is not None
        votes = np.stack([(self.ratings == code).sum(axis=1) for code in self.scale.levels], axis=1)
        return np.asarray(votes.argmax(axis=1), dtype=np.float64)

    @property
    def scored(self) -> Labelled:
        """The items that the judge has a score of."""
        return self.take(~np.isnan(self.score))

    @property
    def groups(self) -> int:
        """How many groups there are."""
        return len(np.unique(self.cluster))

    def take(self, kept: NDArray[np.bool_]) -> Labelled:
        """The items of a mask, with the codes of their groups and strata made dense anew."""
        rows: dict[str, Any] = {
            one.name: value[kept]
            for one in fields(self)
            if isinstance(value := getattr(self, one.name), np.ndarray) and len(value) == len(self)
        }
        for name in ("cluster", "stratum", "system") if self.system is not None else ("cluster", "stratum"):
            rows[name] = np.unique(rows[name], return_inverse=True)[1].astype(np.int64)
        return replace(self, **rows)


@dataclass(frozen=True, slots=True)
class Joined:
    """Labels and judgements joined by item.

    `groups` is the group of every item that has a label on some criterion.
    `unknown` are items that were labelled and not judged, `unlabelled` how many were judged and not labelled.
    `not_applicable` labels say that the criterion does not apply, `abstained` that the person cannot tell.
    """

    criteria: dict[str, Labelled]
    groups: dict[str, str]
    unknown: tuple[str, ...]
    unlabelled: int
    not_applicable: Counter[str]
    abstained: Counter[str]


def join(
    judgements: Judgements,
    labels: Sequence[Label],
    weights: Mapping[str, float] | None = None,
    strata: Mapping[str, int] | None = None,
) -> Joined:
    """Labels beside judgements, criterion by criterion.

    Parameters
    ----------
    weights, strata
        Of items that were drawn with unequal probabilities, by item.
    """
    places = judgements.places
    known = [label for label in labels if label.item in places]
    unknown = dict.fromkeys(label.item for label in labels if label.item not in places)
    excused = Counter(label.criterion for label in known if label.outcome is Outcome.NOT_APPLICABLE)
    abstained = Counter(label.criterion for label in known if label.outcome is Outcome.ABSTAINED)
    by_criterion: dict[str, list[Label]] = {}
    for label in known:
        if label.outcome is Outcome.SCORED and label.criterion in judgements.said:
            by_criterion.setdefault(label.criterion, []).append(label)
    criteria = {
        id_: _labelled(id_, judgements, by_criterion[id_], places, weights or {}, strata or {})
        for id_ in judgements.said
        if id_ in by_criterion
    }
    unlabelled = len(places) - len({label.item for label in known})
    groups = {str(item): judgements.groups[places[item]] for one in criteria.values() for item in one.items}
    return Joined(criteria, groups, tuple(unknown), unlabelled, excused, abstained)


def _labelled(
    criterion: str,
    judgements: Judgements,
    labels: Sequence[Label],
    places: Mapping[str, int],
    weights: Mapping[str, float],
    strata: Mapping[str, int],
) -> Labelled:
    said, panel = judgements.said[criterion], beside(judgements.said)
    items = sorted({label.item for label in labels}, key=places.__getitem__)
    row = {item: number for number, item in enumerate(items)}
    annotators = sorted({label.annotator for label in labels})
    column = {name: number for number, name in enumerate(annotators)}
    ratings = np.full((len(items), len(annotators)), np.nan)
    for label in labels:
        ratings[row[label.item], column[label.annotator]] = _number(label, said.scale)
    at = np.array([places[item] for item in items], dtype=np.int64)
    w = np.array([weights.get(item, 1.0) for item in items])
    return Labelled(
        criterion=criterion,
        scale=said.scale,
        items=np.array(items, dtype=object),
        annotators=tuple(annotators),
        ratings=ratings,
        score=said.score[at],
        inputs=np.stack([one.score[at] for one in _inputs(criterion, judgements.said)], axis=1),
        shares=None if said.shares is None else said.shares[at],
        confidence=said.confidence[at],
        cluster=_codes([judgements.groups[place] for place in at]),
        stratum=np.array([strata.get(item, 0) for item in items], dtype=np.int64),
        w=w / w.mean(),
        length=judgements.length[at],
        panel=None if panel is None else panel[at],
        orders=None if said.orders is None else said.orders[at],
        system=None if judgements.systems is None else _codes([judgements.systems[place] for place in at]),
    )


def _codes(names: Sequence[str]) -> Codes:
    return np.asarray(np.unique(np.array(names, dtype=object), return_inverse=True)[1], dtype=np.int64)


def _inputs(criterion: str, said: Mapping[str, Said]) -> list[Said]:
    """The columns that a calibrator may use: the criterion itself, then the others that have values."""
    others = (one for id_, one in said.items() if id_ != criterion and one.scale.kind != "nominal")
    return [said[criterion], *others]


def _number(label: Label, scale: Scale) -> float:
    if scale.kind == "nominal":
        return float(scale.names.index(str(label.level)))
    assert label.value is not None
    return label.value


@dataclass(frozen=True, slots=True)
class Divided:
    """The labels of a criterion, each part with what may be done with it; `dev` is free for all but figures."""

    fit: Fitting[Labelled]
    hold: Holding[Labelled]
    test: Sealed[Labelled]
    dev: Labelled


def divide(labelled: Labelled, part: Sequence[Part], record: Callable[[str], int]) -> Divided:
    """The labels in parts; `part` is that of each item, `record` writes down every look at the test part."""
    of = {one: labelled.take(np.array([each is one for each in part], dtype=bool)) for one in Part}
    sealed = Sealed(of[Part.TEST], record)
    return Divided(Fitting(of[Part.FIT]), Holding(of[Part.HOLD]), sealed, of[Part.DEV])
