"""What is graded by: criteria, their scales, and how scores combine."""

from __future__ import annotations

from rubrics.criterion import Mark
from rubrics.errors import RubricError
from rubrics.example import Example
from rubrics.levels import CANNOT_TELL, NOT_APPLICABLE, Level
from rubrics.lint import Finding, lint
from rubrics.parts import in_parts
from rubrics.registry import shipped
from rubrics.rubric import Rubric
from rubrics.scales import Binary, Categorical, Criterion, Numeric, Ordinal, Points, Preference
from rubrics.schema import answer_schema
from rubrics.scoring import Overall, lowest, overall
from rubrics.section import Section

__all__ = [
    "CANNOT_TELL",
    "NOT_APPLICABLE",
    "Binary",
    "Categorical",
    "Criterion",
    "Example",
    "Finding",
    "Level",
    "Mark",
    "Numeric",
    "Ordinal",
    "Overall",
    "Points",
    "Preference",
    "Rubric",
    "RubricError",
    "Section",
    "answer_schema",
    "in_parts",
    "lint",
    "lowest",
    "overall",
    "shipped",
]
