"""What a run came to: per criterion, with everything that has no score in plain sight."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from judge.grades import OVERALL, CalibrationRef
from judge.sections import SectionSummary, section_summaries
from judge.trust import applier
from judge.verdicts import Outcome
from rubrics import Criterion

if TYPE_CHECKING:
    from judge.calibration.summaries import CalibratedSummary
    from judge.store.digests import Cell
    from judge.store.results import RunInfo, Totals
    from judge.store.store import Store

#: Figures that differ by less than this are the same: sums of weights leave such crumbs.
SAME = 1e-9


@dataclass(frozen=True, slots=True)
class CriterionSummary:
    """One criterion over all items of a run, or the overall score.

    Attributes
    ----------
    n
        Items, without those to which the criterion does not apply.
    mean
        Of the scored ones, on the criterion's own scale (the overall: 0..1); None where none is scored.
    unclipped
        Of the overall: the mean before it was cut off at 0; None where it was not.
    low, high
        What the mean would be if every missing score were the worst, or the best.
    minimum, maximum
        Of the scale; None for labels without values, which have no mean and no bounds either.
    distribution
        (value, count) of every score that occurs, ascending; of labels without values, (label, count).
    answers
        (name, value) of every answer on the scale, where they can be listed; of labels without values,
        (label, None).
    """

    criterion: str
    n: int
    scored: int
    not_applicable: int
    mean: float | None
    low: float | None
    high: float | None
    minimum: float | None
    maximum: float | None
    distribution: tuple[tuple[float | int | str, int], ...]
    outcomes: dict[str, int]
    answers: tuple[tuple[str, float | None], ...] = ()
    unclipped: float | None = None

    @property
    def by_answer(self) -> tuple[tuple[str, int], ...]:
        """(name, count) of every answer on the scale, those nobody gave too; answers of one value share a count.

        Empty where they are not listed, or some score lies between them, as a mean of samples may.
        """
        counts = {told if isinstance(told, float) else str(told): count for told, count in self.distribution}
        names: dict[float | str, list[str]] = {}
        for name, value in self.answers:
            names.setdefault(name if value is None else value, []).append(name)
        if not counts.keys() <= names.keys():
            return ()
        return tuple((", ".join(several), counts.get(told, 0)) for told, several in names.items())

    @property
    def scored_share(self) -> float | None:
        """Scored ones among those that apply; None where none applies."""
        return self.scored / self.n if self.n else None


@dataclass(frozen=True, slots=True)
class Summary:
    """A run's figures. `open` items were not graded yet and count as missing.

    `calibrated` are its criteria by `calibration`, where it was graded with one.
    """

    run: RunInfo
    open: int
    criteria: tuple[CriterionSummary, ...]
    sections: tuple[SectionSummary, ...]
    overall: CriterionSummary
    totals: Totals
    causes: tuple[tuple[Outcome, str, int], ...]
    calibration: CalibrationRef | None = None
    calibrated: tuple[CalibratedSummary, ...] = ()

    @property
    def unseen_models(self) -> tuple[str, ...]:
        """Models that answered and that the calibration never saw; none without one."""
        seen = () if self.calibration is None else self.calibration.models
        return tuple(model for model in self.totals.models if seen and model not in seen)

    @property
    def clean(self) -> bool:
        """Whether every item is scored or not applicable on every criterion."""
        return not self.open and self.overall.scored == self.overall.n

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        data = asdict(self)
        told: tuple[CriterionSummary | SectionSummary, ...] = (*self.criteria, *self.sections, self.overall)
        for one, plain in zip(told, (*data["criteria"], *data["sections"], data["overall"]), strict=True):
            plain["scored_share"] = one.scored_share
        for part in ("rubric", "judge"):
            data["run"][part] = getattr(self.run, part).model_dump(mode="json")
        data["trust"] = "uncalibrated" if self.calibration is None else "calibrated"
        data["calibration"] = None if self.calibration is None else self.calibration.model_dump(mode="json")
        return data


def summarise(store: Store, run_id: str, calibration: str | None = None) -> Summary:
    """The summary of a run, from its stored grades; by the calibration that is named, or that it was graded with.

    Raises InputError, SetupError for a calibration that is not there, or is of another rubric or judge.
    """
    head = store.ask(store.results.run_head, run_id)
    rubric = store.ask(store.verdicts.stored_rubric, head.rubric.hash)
    counted: dict[str, list[Cell]] = {}
    digest = store.ask(store.digests.of_run, head.id, head.items, rubric)
    totals = store.ask(store.results.totals, head.id, digest)
    info = store.results.RunInfo.of(head, digest.count("finished"), digest.count("held"), totals.cost_usd)
    missing = info.items - info.finished - info.held
    low, high = digest.bounds
    for cell in digest.cells:
        counted.setdefault(cell.criterion, []).append(cell)
    criteria = [_criterion(one, counted.get(one.id, []), missing) for one in rubric.leaves]
    return Summary(
        run=info,
        open=missing,
        criteria=tuple(criteria),
        sections=section_summaries(rubric, digest.sections, missing),
        overall=_overall(
            store.ask(store.results.lowest, info.id),
            counted.get(OVERALL, []),
            missing,
            low + store.ask(store.results.lowest_open, info.id),
            high + missing,
        ),
        totals=totals,
        causes=tuple(digest.causes),
        **_by_calibration(store, info, calibration),
    )


def _by_calibration(store: Store, info: RunInfo, calibration: str | None) -> dict[str, Any]:
    by = applier(store, info, calibration)
    return {} if by is None else {"calibration": by.ref, "calibrated": tuple(by.summaries(store, info))}


@dataclass(frozen=True, slots=True)
class _Count:
    """Cells of one criterion, counted."""

    outcomes: Counter[str]
    distribution: tuple[tuple[float | int | str, int], ...]

    @classmethod
    def of(cls, cells: Iterable[Cell], missing: int) -> _Count:
        outcomes: Counter[str] = Counter()
        values: Counter[float | int | str] = Counter()
        for cell in cells:
            outcomes[cell.outcome] += cell.count
            told = cell.label if cell.score is None else cell.score
            if cell.outcome is Outcome.SCORED and told is not None:
                values[told] += cell.count
        if missing:
            outcomes["open"] += missing
        return cls(outcomes, tuple(values.items()))

    @property
    def n(self) -> int:
        return self.outcomes.total() - self.outcomes[Outcome.NOT_APPLICABLE]

    @property
    def scored(self) -> int:
        return self.outcomes[Outcome.SCORED]

    @property
    def total(self) -> float:
        return math.fsum(value * count for value, count in self.distribution if isinstance(value, float))


def _criterion(criterion: Criterion, cells: Iterable[Cell], missing: int) -> CriterionSummary:
    count = _Count.of(cells, missing)
    if not criterion.valued:
        order = {label: place for place, label in enumerate(criterion.listed)}
        labels = tuple(sorted(count.distribution, key=lambda pair: order[pair[0]]))
        return replace(_summary(criterion.id, count, labels), answers=_answers(criterion))
    absent = count.n - count.scored
    sums = (count.total + absent * criterion.lowest, count.total + absent * criterion.highest)
    found = _summary(criterion.id, count, count.distribution, (criterion.lowest, criterion.highest), sums)
    return replace(found, answers=_answers(criterion))


def _answers(criterion: Criterion) -> tuple[tuple[str, float | None], ...]:
    marks = ((level, criterion.read(level)) for level in criterion.listed)
    return tuple((str(level), mark.value) for level, mark in marks if mark is not None)


def _overall(least: float, cells: Iterable[Cell], missing: int, low: float, high: float) -> CriterionSummary:
    count = _Count.of(cells, missing)
    found = _summary(OVERALL, count, count.distribution, (least, 1.0), (low, high))
    # Points can take an item below 0. The mean is clipped, and no item before it: HealthBench, simple-evals
    # healthbench_eval.py. Items may have such rubrics of their own, whatever that of the run.
    found = replace(found, unclipped=before_clipping(found.mean))
    return replace(found, mean=clipped(found.mean), low=clipped(found.low), high=clipped(found.high))


def clipped(mean: float | None) -> float | None:
    """A mean of overalls on 0..1, as HealthBench cuts it off: the mean, and no item before it."""
    return None if mean is None else min(max(mean, 0.0), 1.0)


def before_clipping(mean: float | None) -> float | None:
    """The mean of overalls itself where it is cut off; None where it stays as it is, but for a hair of rounding."""
    return mean if mean is not None and mean < -SAME else None


def _summary(
    criterion: str,
    count: _Count,
    distribution: tuple[tuple[float | int | str, int], ...],
    scale: tuple[float, float] | None = None,
    sums: tuple[float, float] | None = None,
) -> CriterionSummary:
    """`scale` is (minimum, maximum) and `sums` the lowest and highest sum of all scores; None for plain labels."""
    return CriterionSummary(
        criterion=criterion,
        n=count.n,
        scored=count.scored,
        not_applicable=count.outcomes[Outcome.NOT_APPLICABLE],
        mean=count.total / count.scored if count.scored and scale else None,
        low=sums[0] / count.n if count.n and sums else None,
        high=sums[1] / count.n if count.n and sums else None,
        minimum=scale[0] if scale else None,
        maximum=scale[1] if scale else None,
        distribution=distribution,
        outcomes=dict(count.outcomes),
    )
