"""What a rubric may say and should not."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rubrics.rubric import Rubric

_DOMINANT = 0.9
_ENUM_LIMIT = 1000  # OpenAI: enum values a strict schema may hold in all


def lint(rubric: Rubric) -> tuple[str, ...]:
    """Warnings, one line each; a rubric that gives none is not thereby good."""
    return tuple(_warnings(rubric))


def _warnings(rubric: Rubric) -> Iterator[str]:
    if not rubric.instructions:
        yield "no instructions: say who reads the output and what matters most"
    total = sum(criterion.weight for criterion in rubric.criteria)
    asked: dict[str, str] = {}
    for criterion in rubric.criteria:
        bare = [str(level.level) for level in criterion.levels if not level.description]
        if bare:
            yield f"{criterion.id}: no description of {', '.join(bare)}: say what each level looks like"
        if criterion.required == criterion.names[0]:
            yield f"{criterion.id}: requires its lowest level, which every output reaches"
        if len(rubric.criteria) > 1 and criterion.weight > _DOMINANT * total:
            yield f"{criterion.id}: holds over {_DOMINANT:.0%} of the weight: the others hardly count"
        question = " ".join(re.findall(r"\w+", criterion.question.casefold()))
        if question in asked:
            yield f"{criterion.id}: asks the same as {asked[question]}"
        asked.setdefault(question, criterion.id)
    answers = sum(len(criterion.answers) for criterion in rubric.criteria)
    if answers > _ENUM_LIMIT:
        yield f"{answers} answers in all, over the {_ENUM_LIMIT} a strict schema may hold: split the rubric"
