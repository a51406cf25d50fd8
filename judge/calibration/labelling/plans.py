"""How many more items people should label, criterion by criterion and measure by measure.

Agreement is reported on held-out labels alone, so of every label that is made for it only a share counts. What the
numbers rest on is taken from the other part, which calibrators are fitted on: a plan is no look at held-out labels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
from pydantic import BaseModel, ConfigDict

from judge.calibration.labelled import Joined, Labelled
from judge.calibration.labelling import planning
from judge.calibration.splits import SHARES, SHARES_WITH_DEV, Part
from judge.calibration.statistics import confusion, correlation
from judge.calibration.statistics.bootstrap import Floats
from judge.calibration.statistics.figures import Undefined
from judge.calibration.statistics.moments import Flags
from judge.calibration.statistics.shares import effective_size

#: With fewer labelled items there is nothing to plan by.
LEAST_PILOT = 10
HELD_OUT, PASSED, FAILED, LABELLED = (
    "held-out items",
    "held-out items that people pass",
    "held-out items that people fail",
    "labelled items",
)


class Needed(BaseModel):
    """One measure.

    Attributes
    ----------
    expected
        Its value on the pilot: the labelled items that are not held out. Of a mean by people.
    half_width
        The target, in units of the measure.
    needed, of, now
        How many items it takes, which ones count, and how many of these there are now (of passed and failed ones: by
        the pilot's share). None where `why` says why.
    more
        Items still to be labelled in all, drawn as they come, until as many count.
    beyond
        Whether the run has not as many.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    measure: str
    half_width: float
    of: str
    now: int
    expected: float | None = None
    needed: int | None = None
    more: int | None = None
    beyond: bool = False
    why: str | None = None


class Plan(BaseModel):
    """All measures, by criterion. `items` and `labelled` are those of the run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: str
    label_set: str
    half_width: float
    items: int
    labelled: int
    criteria: dict[str, tuple[Needed, ...]]

    @property
    def more(self) -> int:
        """Items still to be labelled for all that can be reached within the run."""
        return max((one.more or 0 for row in self.criteria.values() for one in row if not one.beyond), default=0)


def plan(
    joined: Joined,
    parts: dict[str, Part],
    *,
    run: str,
    label_set: str,
    items: int,
    half_width: float = 0.05,
    dev: bool = False,
) -> Plan:
    """How many more items to label.

    Parameters
    ----------
    parts
        Of every labelled item.
    items
        Of the run.
    half_width
        Of rates and coefficients as they are; of means as a share of the scale's range.
    """
    criteria = {}
    for id_, labelled in joined.criteria.items():
        of = [parts[str(item)] for item in labelled.items]
        pilot = labelled.take(np.array([part in (Part.FIT, Part.HOLD) for part in of], dtype=np.bool_)).scored
        share = (SHARES_WITH_DEV if dev else SHARES)[Part.TEST]
        asked = _Asked(pilot, len(labelled), of.count(Part.TEST), share, items, half_width)
        criteria[id_] = tuple(asked.rows())
    counted = len(parts)
    return Plan(run=run, label_set=label_set, half_width=half_width, items=items, labelled=counted, criteria=criteria)


class _Asked:
    """One criterion: what its pilot says, and how many labels there are."""

    def __init__(
        self, pilot: Labelled, labelled: int, held_out: int, share: float, items: int, half_width: float
    ) -> None:
        self._pilot, self._labelled, self._held_out = pilot, labelled, held_out
        self._share, self._items, self._half = share, items, half_width

    def rows(self) -> Iterator[Needed]:
        pilot, kind = self._pilot, self._pilot.scale.kind
        if len(pilot) < LEAST_PILOT:
            why = f"{len(pilot)} labelled items to plan by; label {LEAST_PILOT} first"
            yield Needed(measure="any", half_width=self._half, of=LABELLED, now=self._labelled, why=why)
            return
        if kind == "binary":
            yield from self._error_rates()
        if kind != "numeric":
            quadratic = kind == "ordinal"
            name = "quadratic kappa" if quadratic else "kappa"
            table = confusion.confusion(pilot.scale, pilot.target, pilot.score, pilot.w)
            of_table = confusion.quadratic_kappa if quadratic else confusion.kappa
            value = float(of_table(table[None])[0])

            def kappa() -> int:
                return planning.for_kappa(table, self._half, quadratic=quadratic, effect=self._effect(self._right))

            yield self._held(name, value, kappa)
        if kind in ("ordinal", "numeric"):
            yield self._spearman()
        if kind != "nominal":
            yield from self._population()

    @property
    def _right(self) -> Floats:
        """(n,) how near the judge is to the people: 1 where it gave their level; without levels less the distance."""
        pilot = self._pilot
        if pilot.scale.levels is None:
            return -np.abs(pilot.score - pilot.target)
        right = pilot.scale.nearest(pilot.score) == pilot.scale.nearest(pilot.target)
        return np.asarray(right, dtype=np.float64)

    def _effect(self, values: Floats) -> float:
        """Labels for each independent one: groups and unequal weights make it more than 1."""
        return max(len(values) / effective_size(values, self._pilot.w, self._pilot.cluster), 1.0)

    def _error_rates(self) -> Iterator[Needed]:
        pilot = self._pilot
        passed, said = pilot.scale.nearest(pilot.target) == 1, pilot.scale.nearest(pilot.score) == 1
        p = float(pilot.w @ passed / pilot.w.sum())
        tpr, tnr = (_rate(hit, among, pilot.w) for hit, among in ((said, passed), (~said, ~passed)))
        why, counts = None, (0, 0)
        if tpr is None or tnr is None:
            why = "people passed all items of the pilot, or none"
        else:
            try:
                counts = planning.for_error_rates(tpr, tnr, p, self._half, effect=self._effect(self._right))[:2]
            except Undefined as undefined:
                why = str(undefined)
        for name, of, share, rate, needed in (
            ("TPR", PASSED, p, tpr, counts[0]),
            ("TNR", FAILED, 1 - p, tnr, counts[1]),
        ):
            now = round(self._held_out * share)
            row = Needed(measure=name, half_width=self._half, of=of, now=now, expected=rate, why=why)
            yield row if why is not None else self._with(row, needed, share * self._share)

    def _spearman(self) -> Needed:
        pilot = self._pilot
        try:
            rho = float(correlation.spearman(pilot.target, pilot.score, pilot.w[None])[0])
        except Undefined as undefined:
            return Needed(
                measure="Spearman", half_width=self._half, of=HELD_OUT, now=self._held_out, why=str(undefined)
            )
        effect = self._effect(self._right)
        return self._held("Spearman", rho, lambda: planning.for_spearman(rho, self._half, effect=effect))

    def _held(self, name: str, value: float, needed: Callable[[], int]) -> Needed:
        """A measure that is reported on held-out labels."""
        row = Needed(measure=name, half_width=self._half, of=HELD_OUT, now=self._held_out)
        if math.isfinite(value):
            row = row.model_copy(update={"expected": value})
        try:
            return self._with(row, needed(), self._share)
        except Undefined as undefined:
            return row.model_copy(update={"why": str(undefined)})

    def _with(self, row: Needed, needed: int, share: float) -> Needed:
        """With what is needed, where this share of the items that are labelled counts."""
        more = math.ceil(planning.more(needed, row.now) / share)
        beyond = self._labelled + more > self._items
        return row.model_copy(update={"needed": needed, "more": more, "beyond": beyond})

    def _population(self) -> Iterator[Needed]:
        """The mean or pass rate of the whole run: by labels alone, and with the judge's help. All labels count."""
        pilot, binary = self._pilot, self._pilot.scale.kind == "binary"
        low, width = (pilot.scale.minimum, pilot.scale.width) if binary else (0.0, 1.0)
        y = (pilot.target - low) / width
        mean = float(pilot.w @ y / pilot.w.sum())
        sd = math.sqrt(float(pilot.w @ (y - mean) ** 2 / pilot.w.sum()) * len(y) / (len(y) - 1))
        half = self._half if binary else self._half * pilot.scale.width
        effect = self._effect(y)
        try:
            r = max(float(correlation.pearson(pilot.target, pilot.score, pilot.w[None])[0]), 0.0)
        except Undefined:
            r = 0.0
        name = "pass rate" if binary else "mean"
        for help_, by in ((0.0, "labels only"), (r, "with the judge")):
            row = Needed(measure=f"{name}, {by}", half_width=half, of=LABELLED, now=self._labelled, expected=mean)
            try:
                if binary:
                    needed = rate_with(mean, half, help_, self._items, effect)
                else:
                    needed = planning.for_mean(sd, half, r=help_, items=self._items, effect=effect)
            except Undefined as undefined:
                yield row.model_copy(update={"why": str(undefined)})
                continue
            yield self._with(row, needed, 1.0)


def _rate(hit: Flags, among: Flags, w: Floats) -> float | None:
    return float(w[among] @ hit[among] / w[among].sum()) if among.any() else None


def rate_with(share: float, half_width: float, r: float, items: int, effect: float = 1.0) -> int:
    """Labels for a pass rate with the help of a judge whose scores correlate with people's by r, in a run of N items.

    Each label is worth 1 / (1 - r^2 + r^2 n / N): what the judge leaves unexplained of the labels, and what the run is
    too short for.

    Raises
    ------
    Undefined
        As `planning.for_rate`.
    """
    needed = planning.for_rate(share, half_width, effect=effect * (1 - r * r)) if r < 1 else 1
    for _ in range(100):  # it only rises, to where it stands
        worth = 1 - r * r + r * r * min(needed / items, 1.0)
        again = planning.for_rate(share, half_width, effect=effect * worth)
        if again <= needed:
            break
        needed = again
    return needed
