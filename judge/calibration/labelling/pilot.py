"""The labels of a run so far: what a plan rests on, and what the next draw must know of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from judge.calibration.drift.repeats import repeats
from judge.calibration.judgements import Judgements
from judge.calibration.labelled import Joined, join
from judge.calibration.labelling import next_items, plans, sheets
from judge.calibration.labelling.groups import grouped, named_groups
from judge.calibration.labelling.plans import Plan
from judge.calibration.labelling.sampling import Sampling
from judge.calibration.splits import Part, split_items
from judge.errors import InputError

if TYPE_CHECKING:
    from judge.store.labels import Stored
    from judge.store.results import RunInfo
    from judge.store.store import Store


@dataclass(frozen=True, slots=True)
class Following:
    """The next items: the draw, the places of those that are new, and what must be said of it."""

    draw: sheets.Draw
    new: Sequence[int]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pilot:
    """A run and a label set.

    Attributes
    ----------
    parts
        Of every labelled item of the run.
    """

    label_set: str
    judgements: Judgements
    stored: Sequence[Stored]
    joined: Joined
    parts: dict[str, Part]
    dev: bool

    def plan(self, half_width: float) -> Plan:
        """How many more labels each measure needs."""
        return plans.plan(
            self.joined,
            self.parts,
            run=str(self.judgements.run),
            label_set=self.label_set,
            items=len(self.judgements.items),
            half_width=half_width,
            dev=self.dev,
        )

    def next_items(self, store: Store, info: RunInfo, criterion: str | None, n: int, seed: int) -> Following:
        """The next items to label. Raises InputError where too few are left."""
        judged = self.judgements
        ours = set(store.ask(store.labels.sheets_of, info.id))
        of_sheets = {one.label.item for one in self.stored if one.sheet in ours}
        used = sorted({str(one.sheet) for one in self.stored} & ours)
        before = next_items.earlier(judged, [store.ask(store.labels.drawn_for, id_) for id_ in used])
        unsure, told = next_items.unsure(judged, repeats(store, info, judged), criterion)
        drawn = next_items.draw(unsure, n, before, next_items.seed_of(seed, len(ours)))
        new = [place for place in drawn.places.tolist() if judged.items[place] not in of_sheets]
        stratum = np.zeros(len(judged.items), dtype=np.int64)
        already = len(drawn.places) - len(new)
        notes = [
            f"{len(new):,} new items of {len(judged.items):,}, {already:,} more were drawn and have labels already"
        ]
        notes.append(
            f"drawn where the judge was unsure of {', '.join(told)}"
            if told
            else "the judge's confidence is not known: drawn by chance alone; ask with --samples 5, or for logprobs"
        )
        elsewhere = {one.label.item for one in self.stored if one.sheet not in ours} & set(judged.items)
        if elsewhere:
            notes.append(
                f"{len(elsewhere):,} labelled items were not drawn by a sheet of this run: its figures count labels as "
                "a sample only where all were; import the new ones under a name of their own"
            )
        return Following(sheets.Draw(drawn.places, stratum, drawn.probability), new, tuple(notes))


def take_pilot(store: Store, info: RunInfo, label_set: str, group: str | None, seed: int, dev: bool) -> Pilot:
    """The labels of a set, beside what a run's judge said.

    Raises
    ------
    InputError
        For a set that is not there, whose labels belong to no item of the run, or whose groups are not those of the
        column.
    """
    stored: list[Stored] = store.ask(store.labels.of_set, label_set)
    if not stored:
        raise InputError(f"there is no label set {label_set!r}; see: judge labels list")
    judged = grouped(store, info, label_set, named_groups(label_set, stored), group)
    sampling = Sampling.kept(store, judged, stored)
    joined = join(judged, [one.label for one in stored], sampling.weights, sampling.strata)
    if not joined.criteria:
        raise InputError(f"no label of {label_set} belongs to an item of run {info.id}")
    return Pilot(label_set, judged, stored, joined, split_items(joined.groups, seed, dev), dev)
