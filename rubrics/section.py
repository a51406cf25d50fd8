"""A part of a rubric: criteria, and sections of their own, that come to one number."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

from pydantic import Field, ValidationInfo, model_validator

from rubrics.criterion import Id, Weight
from rubrics.errors import problem
from rubrics.scales import Criterion, Points
from rubrics.text import Frozen, Text

MOST_CHILDREN = 500
#: The validation context of a part of a rubric, which need not add up by itself, nor hold anything.
PART = "part"


class Node(Frozen):
    """What holds criteria and sections: the rubric itself, and every section of it.

    Its number is the weighted mean of its children; or, where all are `points` criteria, the sum of what is met over
    the sum of what is above 0.
    """

    # The first fault is told: a million of them would take a gigabyte to keep.
    criteria: tuple[Criterion, ...] = Field(default=(), max_length=MOST_CHILDREN, fail_fast=True)
    sections: tuple[Section, ...] = Field(default=(), max_length=MOST_CHILDREN, fail_fast=True)

    @model_validator(mode="after")
    def _adds_up(self, info: ValidationInfo) -> Self:
        if not self.criteria and not self.sections and info.context != PART:
            raise problem("nothing to grade here", "at least one criterion or section", at=("criteria",))
        points = [criterion for criterion in self.criteria if isinstance(criterion, Points)]
        if points and (len(points) < len(self.criteria) or self.sections):
            raise problem(
                "points and other scales have no common sum",
                "a section for the points criteria alone",
                at=("criteria",),
            )
        if points and info.context != PART and all(criterion.points < 0 for criterion in points):
            raise problem("no points can be earned here", "a criterion with points above 0", at=("criteria",))
        return self

    @property
    def by_points(self) -> bool:
        """Whether points are summed here."""
        return bool(self.criteria) and isinstance(self.criteria[0], Points)

    def walk(self) -> Iterator[Criterion]:
        """Every criterion in here, in the order of writing."""
        yield from self.criteria
        for section in self.sections:
            yield from section.walk()


class Section(Node):
    """A named part of a rubric."""

    id: Id
    description: Text = ""
    weight: Weight = 1.0
