"""What a run came to: per criterion, with everything that has no score in plain sight."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from judge.grades import OVERALL
from judge.verdicts import Outcome
from rubrics import Rubric

if TYPE_CHECKING:
    from judge.store.results import RunInfo, Totals
    from judge.store.store import Store


@dataclass(frozen=True, slots=True)
class CriterionSummary:
    """One criterion over all items of a run, or the overall score.

    Attributes
    ----------
    n
        Items, without those to which the criterion does not apply.
    mean
        Of the scored ones, on the criterion's own scale (the overall: 0..1); None where none is scored.
    low, high
        What the mean would be if every missing score were the worst, or the best.
    distribution
        (value, count) of every score that occurs, ascending.
    """

    criterion: str
    n: int
    scored: int
    not_applicable: int
    mean: float | None
    low: float | None
    high: float | None
    minimum: float
    maximum: float
    distribution: tuple[tuple[float, int], ...]
    outcomes: dict[str, int]

    @property
    def scored_share(self) -> float | None:
        """Scored ones among those that apply; None where none applies."""
        return self.scored / self.n if self.n else None


@dataclass(frozen=True, slots=True)
class Summary:
    """A run's figures. `open` items were not graded yet and count as missing."""

    run: RunInfo
    open: int
    criteria: tuple[CriterionSummary, ...]
    overall: CriterionSummary
    totals: Totals
    causes: tuple[tuple[Outcome, str, int], ...]

    @property
    def clean(self) -> bool:
        """Whether every item is scored or not applicable on every criterion."""
        return not self.open and self.overall.scored == self.overall.n

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        shares = {one.criterion: one.scored_share for one in (*self.criteria, self.overall)}
        data = asdict(self)
        for one in (*data["criteria"], data["overall"]):
            one["scored_share"] = shares[one["criterion"]]
        for part in ("rubric", "judge"):
            data["run"][part] = getattr(self.run, part).model_dump(mode="json")
        data["trust"] = "uncalibrated"
        return data


def summarise(store: Store, run_id: str) -> Summary:
    """The summary of a run, from its stored grades."""
    (info,) = store.ask(store.results.runs, run_id)
    rubric = Rubric.model_validate_json(store.ask(store.results.rubric_body, info.rubric.hash))
    missing = info.items - info.finished - info.held
    counted: dict[str, list[Any]] = {}
    for cell in store.ask(store.results.cells, info.id):
        counted.setdefault(cell.criterion, []).append(cell)
    low, high = store.ask(store.results.bounds, info.id)
    criteria = [
        _criterion(one.id, counted.get(one.id, []), missing, one.minimum, one.maximum) for one in rubric.criteria
    ]
    overall = _criterion(OVERALL, counted.pop(OVERALL, []), missing, 0.0, 1.0, (low, high + missing))
    return Summary(
        run=info,
        open=missing,
        criteria=tuple(criteria),
        overall=overall,
        totals=store.ask(store.results.totals, info.id),
        causes=tuple(store.ask(store.results.causes, info.id)),
    )


def _criterion(
    criterion: str,
    cells: list[Any],
    missing: int,
    minimum: float,
    maximum: float,
    sums: tuple[float, float] | None = None,
) -> CriterionSummary:
    outcomes: Counter[str] = Counter()
    for cell in cells:
        outcomes[cell.outcome] += cell.count
    if missing:
        outcomes["open"] += missing
    not_applicable = outcomes[Outcome.NOT_APPLICABLE]
    scored = outcomes[Outcome.SCORED]
    n = sum(outcomes.values()) - not_applicable
    distribution = tuple((c.score, c.count) for c in cells if c.outcome is Outcome.SCORED)
    total = sum(score * count for score, count in distribution)
    lowest, highest = sums or (total + (n - scored) * minimum, total + (n - scored) * maximum)
    return CriterionSummary(
        criterion=criterion,
        n=n,
        scored=scored,
        not_applicable=not_applicable,
        mean=total / scored if scored else None,
        low=lowest / n if n else None,
        high=highest / n if n else None,
        minimum=minimum,
        maximum=maximum,
        distribution=distribution,
        outcomes=dict(outcomes),
    )
