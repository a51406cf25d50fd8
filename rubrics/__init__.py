"""What is graded by: criteria, their scales, and how scores combine."""

from __future__ import annotations

from rubrics.errors import RubricError
from rubrics.example import Example
from rubrics.lint import lint
from rubrics.registry import shipped
from rubrics.rubric import Rubric
from rubrics.scales import CANNOT_TELL, NOT_APPLICABLE, Binary, Criterion, Level, Ordinal
from rubrics.schema import answer_schema
from rubrics.scoring import Overall, overall

__all__ = [
    "CANNOT_TELL",
    "NOT_APPLICABLE",
    "Binary",
    "Criterion",
    "Example",
    "Level",
    "Ordinal",
    "Overall",
    "Rubric",
    "RubricError",
    "answer_schema",
    "lint",
    "overall",
    "shipped",
]
