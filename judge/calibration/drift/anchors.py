"""Anchors: labelled items that a judge grades again, to see whether it is still the one that was calibrated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from judge.calibration.bound import Bound
from judge.calibration.judgements import Judgements
from judge.calibration.labelled import Labelled
from judge.calibration.statistics.bootstrap import Codes, Floats
from judge.errors import InputError
from judge.items import Item
from judge.pages import PAGE

if TYPE_CHECKING:
    from judge.store.store import Store

#: In the place of the code of a label: the criterion's own score.
SCORE = -1


@dataclass(frozen=True, slots=True)
class Stream:
    """One number of each item that is held against what it was.

    It is a criterion's score. Labels in no order have no score that could move: each label is a stream of its own, of 1
    where it was given and 0 where another one was.

    Attributes
    ----------
    label
        The code of the label, or SCORE.
    low, high
        What the numbers lie between.
    """

    criterion: str
    label: int
    name: str
    low: float
    high: float

    def of(self, scores: Floats) -> Floats:
        """(n,) the stream's numbers, of the criterion's scores or codes of labels; NaN stays NaN."""
        if self.label == SCORE:
            return scores
        return np.where(np.isnan(scores), np.nan, scores == self.label)


class Pair(NamedTuple):
    """Anchors of one criterion, before and now.

    Attributes
    ----------
    labelled
        The anchors that people labelled on the criterion, with the old scores.
    new : (n,)
        What the judge says now; NaN where it has no score.
    w : (n,)
        Inverse sampling probabilities over the largest of all labelled items.
    """

    labelled: Labelled
    new: Floats
    w: Floats

    @property
    def both(self) -> Pair:
        """The anchors with a score before and now."""
        kept = ~(np.isnan(self.labelled.score) | np.isnan(self.new))
        return Pair(self.labelled.take(kept), self.new[kept], self.w[kept])


def streams(bound: Bound) -> list[Stream]:
    """All that is watched of a calibration."""
    found = []
    for id_, one in bound.joined.criteria.items():
        scale = one.scale
        if scale.kind == "nominal":
            found += [Stream(id_, code, f"{id_}: {name}", 0.0, 1.0) for code, name in enumerate(scale.names)]
        else:
            found.append(Stream(id_, SCORE, id_, scale.minimum, scale.maximum))
    return found


def choose(bound: Bound, n: int | None, seed: int) -> list[str]:
    """All labelled items, or n of them drawn by a seed, in the order of the run.

    Raises
    ------
    InputError
        For more than there are.
    """
    labelled = [item for item in bound.judgements.items if item in bound.parts]
    if n is None:
        return labelled
    if n > len(labelled):
        raise InputError(
            f"{bound.name} rests on {len(labelled):,} labelled items, fewer than {n:,}; leave --anchors out for all"
        )
    drawn = np.sort(np.random.default_rng(seed).permutation(len(labelled))[:n])
    return [labelled[place] for place in drawn]


def texts(store: Store, run: str, ids: Sequence[str]) -> list[Item]:
    """The items with all that a judge is shown of them, in the order of their ids."""
    found: dict[str, Item] = {}
    for first in range(0, len(ids), PAGE):
        found |= store.ask(store.results.items, run, ids[first : first + PAGE])
    return [found[id_] for id_ in ids]


def pairs(bound: Bound, anchors: Sequence[str], new: Judgements) -> Iterator[tuple[str, Pair]]:
    """Criterion by criterion, the anchors before and now."""
    chosen, places = set(anchors), new.places
    for id_, labelled in bound.joined.criteria.items():
        kept = np.array([item in chosen for item in labelled.items], dtype=np.bool_)
        among = labelled.take(kept)
        score = new.said[id_].score
        now = np.array([score[places[item]] if item in places else np.nan for item in among.items], dtype=np.float64)
        yield id_, Pair(among, now, (labelled.w / labelled.w.max())[kept])


def one_a_group(judgements: Judgements, seed: int) -> Codes:
    """Places of one item of each group, drawn by a seed, ascending: items of one group are likely to score alike."""
    order = np.random.default_rng(seed).permutation(len(judgements.items))
    names = np.array(judgements.groups, dtype=object)[order]
    return np.sort(order[np.unique(names, return_index=True)[1]]).astype(np.int64)
