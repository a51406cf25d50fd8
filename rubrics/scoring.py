"""From the scores of the criteria to one grade."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rubrics.criterion import CriterionBase
from rubrics.rubric import Rubric
from rubrics.scales import Points
from rubrics.section import Node


@dataclass(frozen=True, slots=True)
class Overall:
    """What the criteria come to, at most 1, and what is known where some have no score.

    A node of the rubric is the weighted mean of its children on 0..1, as PaperBench has it; a node of points is the sum
    of what is met over the sum of what is above 0, as HealthBench has it, and can be below 0. `value` is None unless
    every applicable criterion has a score. `low` and `high` are what it would be with the missing scores all worst
    and all best. Where nothing applies, `value` is None, `low` 0, `high` 1 and `complete` True: no score is missing,
    there is none to give. Criteria without values, such as plain labels, have no part in it.
    """

    value: float | None
    low: float
    high: float
    passed: bool | None
    complete: bool


@dataclass(frozen=True, slots=True)
class Span:
    """What a part of a rubric can be: from low to high, the same where all is known."""

    low: float
    high: float
    complete: bool


Values = Mapping[str, float | None]


def overall(rubric: Rubric, values: Values, not_applicable: Collection[str] = ()) -> Overall:
    """Combine values on each criterion's own scale; None or absent means no score.

    Raises ValueError for a value off its scale, an unknown criterion, or a value for one that is not applicable.
    """
    _refuse_strangers(rubric, values, not_applicable)
    passed = _passed(rubric, values, not_applicable)
    span = _node(rubric, values, frozenset(not_applicable))
    if span is None:
        return Overall(value=None, low=0.0, high=1.0, passed=passed, complete=True)
    return Overall(span.low if span.complete else None, span.low, span.high, passed, span.complete)


def part(node: Node, values: Values, not_applicable: Collection[str] = ()) -> Span | None:
    """What a part of a rubric can be with these values; None where nothing in it applies."""
    return _node(node, values, frozenset(not_applicable))


def lowest(node: Node) -> float:
    """The lowest overall that any set of scores comes to: 0, or less where points can be lost."""
    worst = _worst(node)
    return 0.0 if worst is None else worst.low


class _Worst(NamedTuple):
    """The lowest that a node comes to, and whether it may not apply at all."""

    low: float
    optional: bool


def _worst(node: Node) -> _Worst | None:
    """Of all scores, and of all choices of what does not apply; None where nothing ever counts."""
    if node.by_points:
        return _worst_points([criterion for criterion in node.criteria if isinstance(criterion, Points)])
    parts = [(_Worst(0.0, c.not_applicable is not None), c.weight) for c in node.criteria if c.valued]
    inner = [(_worst(section), section.weight) for section in node.sections]
    parts += [(worst, weight) for worst, weight in inner if worst is not None]
    if not parts:
        return None
    certain = [(worst.low, weight) for worst, weight in parts if not worst.optional]
    total = math.fsum(weight for _, weight in certain)
    earned = math.fsum(low * weight for low, weight in certain)
    for low, weight in sorted((worst.low, weight) for worst, weight in parts if worst.optional):
        if total and low >= earned / total:
            break
        total, earned = total + weight, earned + low * weight
    return _Worst(earned / total, not certain)


def _worst_points(criteria: Sequence[Points]) -> _Worst | None:
    """All that can be lost, over the least that can be earned."""
    earnable = [(c.points, c.not_applicable is not None) for c in criteria if c.points > 0]
    if not earnable:
        return None
    always = math.fsum(points for points, optional in earnable if not optional)
    lost = math.fsum(c.points for c in criteria if c.points < 0)
    return _Worst(lost / (always or min(points for points, _ in earnable)), not always)


def _node(node: Node, values: Values, excused: frozenset[str]) -> Span | None:
    """What a node comes to; None where nothing in it applies."""
    if node.by_points:
        return _points([c for c in node.criteria if isinstance(c, Points) and c.id not in excused], values)
    leaves = [(c.weight, _leaf(c, values)) for c in node.criteria if c.id not in excused and c.valued]
    inner = [(section.weight, _node(section, values, excused)) for section in node.sections]
    parts = [*leaves, *((weight, span) for weight, span in inner if span is not None)]
    if not parts:
        return None
    total = math.fsum(weight for weight, _ in parts)
    return Span(
        math.fsum(weight * span.low for weight, span in parts) / total,
        math.fsum(weight * span.high for weight, span in parts) / total,
        all(span.complete for _, span in parts),
    )


def _leaf(criterion: CriterionBase, values: Values) -> Span:
    value = values.get(criterion.id)
    if value is None:
        return Span(0.0, 1.0, complete=False)
    share = criterion.normalise(value)
    return Span(share, share, complete=True)


def _points(criteria: Sequence[Points], values: Values) -> Span | None:
    best = math.fsum(criterion.points for criterion in criteria if criterion.points > 0)
    if not best:
        return None
    known = [(criterion, values.get(criterion.id)) for criterion in criteria]
    for criterion, value in known:
        if value is not None:
            criterion.normalise(value)
    low = math.fsum(min(c.points, 0.0) if value is None else value for c, value in known)
    high = math.fsum(max(c.points, 0.0) if value is None else value for c, value in known)
    return Span(low / best, high / best, all(value is not None for _, value in known))


def _refuse_strangers(rubric: Rubric, values: Values, not_applicable: Collection[str]) -> None:
    if strangers := {*values, *not_applicable} - set(rubric.ids):
        raise ValueError(f"{rubric.name} has no criterion {', '.join(sorted(strangers))}")
    if torn := [id_ for id_ in not_applicable if values.get(id_) is not None]:
        raise ValueError(f"{', '.join(torn)} cannot both have a value and not apply")


def _passed(rubric: Rubric, values: Values, not_applicable: Collection[str]) -> bool | None:
    """One failed requirement decides; all must be known to pass. One that does not apply is met."""
    needed = [criterion for criterion in rubric.leaves if criterion.threshold is not None]
    met = [_met(criterion, values.get(criterion.id), criterion.id in not_applicable) for criterion in needed]
    if not met:
        return None
    return False if False in met else None if None in met else True


def _met(criterion: CriterionBase, value: float | None, excused: bool) -> bool | None:
    if excused:
        return True
    return None if value is None else criterion.passes(value)
