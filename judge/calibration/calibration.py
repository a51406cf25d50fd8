"""A calibration: what was fitted and measured for one rubric and one judge, on labels that are named."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from judge.calibration.calibrators.panel import trainers
from judge.calibration.calibrators.selection import Trained
from judge.calibration.correction import Correction, Promise, correct
from judge.calibration.judgements import Judgements
from judge.calibration.labelled import Divided, Joined, Labelled, divide, join
from judge.calibration.labelling.groups import named_by
from judge.calibration.labelling.sampling import Sampling
from judge.calibration.measuring import Measurement, measure
from judge.calibration.populations.population import Population, Provenance
from judge.calibration.populations.transport import ErrorRates, error_rates
from judge.calibration.splits import Part, split_items
from judge.calibration.statistics import bootstrap
from judge.calibration.statistics.alt_test import EPSILON, People
from judge.calibration.statistics.figures import Undefined
from judge.errors import InputError
from judge.grades import JudgeRef, RubricRef

if TYPE_CHECKING:
    from judge.store.labels import Stored


class Binding(BaseModel):
    """What a calibration belongs to. Where any of it differs it says nothing.

    Attributes
    ----------
    labels_hash
        SHA-256 of all labels of the set, their groups and draws, as they were.
    models
        What the provider said that it ran.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rubric: RubricRef
    judge: JudgeRef
    label_set: str
    labels_hash: str
    seed: int
    dev: bool
    run: str | None
    group: str | None
    models: tuple[str, ...]


class Parted(BaseModel):
    """How many groups and labelled items lie in a part of the labels."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    groups: int
    items: int


class Labels(BaseModel):
    """The labels that a calibration rests on.

    Attributes
    ----------
    labels, annotators
        Of the labelled items that were judged: all labels, and how many of each person.
    unknown
        Labelled items that the judge was not asked about; they are in no figure.
    unlabelled
        Judged items without a label.
    not_applicable, abstained
        By criterion, labels that it does not apply, or that the person cannot tell; they are in no figure.
    parts
        By part of the split.
    provenance, by_sheet
        How the labelled items came to be labelled, and how many of them sheets drew. Where all were drawn, every figure
        is weighted by how likely that was.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    labels: int
    items: int
    annotators: dict[str, int]
    unknown: tuple[str, ...]
    unlabelled: int
    not_applicable: dict[str, int]
    abstained: dict[str, int]
    parts: dict[Part, Parted]
    provenance: Provenance
    by_sheet: int

    @property
    def single(self) -> str | None:
        """Which people gave one label alone, which tells nothing of how people agree; None where nobody did."""
        alone = [name for name, count in self.annotators.items() if count == 1]
        if not alone:
            return None
        return f"{', '.join(alone)}: one label alone, too few to tell how people agree"

    @property
    def mixed(self) -> str | None:
        """Why figures are not weighted though sheets drew labelled items; None where that is not so."""
        if not self.by_sheet or self.provenance is not Provenance.ELSEWHERE:
            return None
        which = (
            "the labelled items were drawn by a sheet of another run, which lacks items of this one"
            if self.by_sheet == self.items
            else f"{self.by_sheet:,} of the {self.items:,} labelled items were drawn by a sheet and the others were not"
        )
        return f"{which}: no figure is weighted, and the labels stand for no whole run"


class Calibration(BaseModel):
    """What was fitted and measured.

    Attributes
    ----------
    corrections
        By criterion; those that could not be fitted are in `unfitted` with the reason.
    measurements
        By criterion, on the test part of the labels.
    populations
        What the whole run comes to, by criterion; none without a run.
    error_rates
        TPR and TNR of pass/fail criteria on all labels but those of the dev part: what carries over to other items.
    openings
        How often the test part was looked at, this time included.
    cost_usd, latency_s
        Means of an item; None where they are not known.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal["calibration/1"] = "calibration/1"
    binding: Binding
    promise: Promise
    labels: Labels
    openings: int
    corrections: dict[str, Correction]
    unfitted: dict[str, str]
    measurements: dict[str, Measurement]
    populations: dict[str, Population]
    error_rates: dict[str, ErrorRates]
    cost_usd: float | None
    latency_s: float | None
    made_at: datetime


def calibrate(
    judgements: Judgements,
    stored: Sequence[Stored],
    sampling: Sampling,
    *,
    label_set: str,
    group: str | None,
    record: Callable[[str], int],
    promise: Promise | None = None,
    seed: int = 0,
    dev: bool = False,
    network: bool = False,
    people: People = "experts",
    draws: int = bootstrap.DRAWS,
    told: Callable[[str], None] = lambda _: None,
) -> Calibration:
    """Fits and measures a judge on labels.

    Parameters
    ----------
    sampling
        How the labelled items came to be labelled.
    group
        The column that named the groups, for the record.
    network
        Whether a network that learns how each person differs may be chosen; it needs torch.
    people
        Who labelled: the alternative annotator test lets a judge lose the less, the cheaper they are.
    record
        Writes down that the test part is looked at, and says how often it has been.
    told
        Is told what is being worked on.

    Raises
    ------
    InputError
        Where no label belongs to a judged item.
    """
    promise = promise or Promise()
    labels = [one.label for one in stored]
    judgements = judgements.regrouped(named_by(labels))
    joined = join(judgements, labels, sampling.weights, sampling.strata)
    if not joined.criteria:
        raise _strangers(label_set, joined, judgements)
    parts = split_items(joined.groups, seed, dev)
    openings = 0
    divided = {
        id_: divide(one, [parts[item] for item in one.items], lambda _: openings)
        for id_, one in joined.criteria.items()
    }
    networks = trainers(judgements.said, labels, seed) if network else None
    corrections, unfitted = _corrected(divided, judgements, promise, seed, networks, told)
    # Written down before the first look, and after all that may be refused: a refusal has seen nothing.
    openings = record(f"calibrate {judgements.judge.name} on {label_set}")
    measurements = {}
    for id_, one in divided.items():
        told(f"{id_}: measuring on held-out labels")
        measurements[id_] = measure(
            one.test.open(id_), corrections.get(id_), draws, seed, one.dev if dev else None, EPSILON[people]
        )
    return Calibration(
        binding=_binding(judgements, stored, label_set, seed, dev, group),
        promise=promise,
        labels=_counted(joined, stored, parts, sampling.of_all(joined.criteria)),
        openings=openings,
        corrections=corrections,
        unfitted=unfitted,
        measurements=measurements,
        populations=_populations(judgements, joined, parts, sampling),
        error_rates=_error_rates(joined, parts),
        cost_usd=_mean(judgements.cost_usd),
        latency_s=_mean(judgements.latency_s),
        made_at=datetime.now(UTC),
    )


def _binding(
    judgements: Judgements, stored: Sequence[Stored], label_set: str, seed: int, dev: bool, group: str | None
) -> Binding:
    return Binding(
        rubric=RubricRef(name=judgements.rubric.name, hash=judgements.rubric.hash),
        judge=judgements.judge,
        label_set=label_set,
        labels_hash=labels_hash(stored),
        seed=seed,
        dev=dev,
        run=judgements.run,
        group=group,
        models=judgements.models,
    )


def _strangers(label_set: str, joined: Joined, judgements: Judgements) -> InputError:
    return InputError(
        f"no label of {label_set} belongs to an item that was judged; labels name items such as "
        f"{', '.join(joined.unknown[:3])}, the judge's are such as {', '.join(judgements.items[:3])}"
    )


def labels_hash(stored: Sequence[Stored]) -> str:
    """SHA-256 of labels in whatever order they come, with the groups and the draws of their items."""
    rows = sorted(
        json.dumps(
            [
                *one.label.cell,
                one.label.outcome,
                one.label.level,
                one.label.value,
                one.label.group,
                one.sheet,
                one.sampled_from,
            ]
        )
        for one in stored
    )
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


def _corrected(
    divided: dict[str, Divided],
    judgements: Judgements,
    promise: Promise,
    seed: int,
    networks: Callable[[Labelled], Trained] | None,
    told: Callable[[str], None],
) -> tuple[dict[str, Correction], dict[str, str]]:
    corrections, unfitted = {}, {}
    for id_, one in divided.items():
        told(f"{id_}: fitting")
        others = [other for other, said in judgements.said.items() if other != id_ and said.scale.kind != "nominal"]
        try:
            corrections[id_] = correct(one.fit, one.hold, (id_, *others), promise, seed, networks)
        except Undefined as undefined:
            unfitted[id_] = str(undefined)
    return corrections, unfitted


def _counted(joined: Joined, stored: Sequence[Stored], parts: dict[str, Part], provenance: Provenance) -> Labels:
    of_group = {joined.groups[item]: part for item, part in parts.items()}
    groups, items = Counter(of_group.values()), Counter(parts.values())
    ours = [one.label for one in stored if one.label.item in parts]
    return Labels(
        labels=len(ours),
        items=len(parts),
        annotators=dict(sorted(Counter(label.annotator for label in ours).items())),
        unknown=joined.unknown,
        unlabelled=joined.unlabelled,
        not_applicable=dict(joined.not_applicable),
        abstained=dict(joined.abstained),
        parts={part: Parted(groups=groups[part], items=items[part]) for part in Part if groups[part]},
        provenance=provenance,
        by_sheet=len({one.label.item for one in stored if one.sheet is not None} & parts.keys()),
    )


def _error_rates(joined: Joined, parts: dict[str, Part]) -> dict[str, ErrorRates]:
    found = {}
    for id_, one in joined.criteria.items():
        if one.scale.kind == "binary":
            kept = _reported(one, parts).scored
            y, f = (kept.scale.nearest(values).astype(np.float64) for values in (kept.target, kept.score))
            with suppress(Undefined):  # of one class only there are no rates, and no correction by them
                found[id_] = error_rates(y, f, kept.w, kept.cluster)
    return found


def _reported(one: Labelled, parts: dict[str, Part]) -> Labelled:
    """The labels without those that the prompt was worked on with."""
    return one.take(np.array([parts[str(item)] is not Part.DEV for item in one.items], dtype=np.bool_))


def _populations(
    judgements: Judgements, joined: Joined, parts: dict[str, Part], sampling: Sampling
) -> dict[str, Population]:
    """The whole run, criterion by criterion. Labels that the prompt was worked on with are left out."""
    if judgements.run is None:
        return {}
    found = {}
    for id_, one in joined.criteria.items():
        if one.scale.kind != "nominal":
            found[id_] = sampling.estimate(judgements, _reported(one, parts))
    return found


def _mean(values: bootstrap.Floats) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) and len(known) == len(values) else None
