"""From the scores of the criteria to one grade."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from rubrics.rubric import Rubric
from rubrics.scales import Criterion


@dataclass(frozen=True, slots=True)
class Overall:
    """The weighted mean of the criteria on 0..1, and what is known where some have no score.

    `value` is None unless every applicable criterion has a score. `low` and `high` are what it would be with
    the missing scores all worst and all best. Where nothing applies, `value` is None, `low` 0, `high` 1 and
    `complete` True: no score is missing, there is none to give.
    """

    value: float | None
    low: float
    high: float
    passed: bool | None
    complete: bool


def overall(rubric: Rubric, values: Mapping[str, float | None], not_applicable: Collection[str] = ()) -> Overall:
    """Combine values on each criterion's own scale; None or absent means no score.

    Raises ValueError for a value off its scale, an unknown criterion, or a value for one that is not applicable.
    """
    _refuse_strangers(rubric, values, not_applicable)
    applicable = [criterion for criterion in rubric.criteria if criterion.id not in not_applicable]
    earned: list[float] = []
    missing: list[float] = []
    for criterion in applicable:
        value = values.get(criterion.id)
        if value is None:
            missing.append(criterion.weight)
        else:
            earned.append(criterion.weight * criterion.normalise(value))
    passed = _passed(rubric, values, not_applicable)
    if not applicable:
        return Overall(value=None, low=0.0, high=1.0, passed=passed, complete=True)
    total = math.fsum(criterion.weight for criterion in applicable)
    low, high = math.fsum(earned) / total, math.fsum(earned + missing) / total
    return Overall(value=None if missing else low, low=low, high=high, passed=passed, complete=not missing)


def _refuse_strangers(rubric: Rubric, values: Mapping[str, float | None], not_applicable: Collection[str]) -> None:
    known = {criterion.id for criterion in rubric.criteria}
    if strangers := {*values, *not_applicable} - known:
        raise ValueError(f"{rubric.name} has no criterion {', '.join(sorted(strangers))}")
    if torn := [id_ for id_ in not_applicable if values.get(id_) is not None]:
        raise ValueError(f"{', '.join(torn)} cannot both have a value and not apply")


def _passed(rubric: Rubric, values: Mapping[str, float | None], not_applicable: Collection[str]) -> bool | None:
    """One failed requirement decides; all must be known to pass. One that does not apply is met."""
    needed = [criterion for criterion in rubric.criteria if criterion.required is not None]
    met = [_met(criterion, values.get(criterion.id), criterion.id in not_applicable) for criterion in needed]
    if not met:
        return None
    return False if False in met else None if None in met else True


def _met(criterion: Criterion, value: float | None, excused: bool) -> bool | None:
    if excused:
        return True
    return None if value is None else criterion.passes(value)
