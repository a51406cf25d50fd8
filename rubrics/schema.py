"""The JSON schema a judge's answer must fit, within the subset that strict structured output accepts."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from rubrics.rubric import Rubric
from rubrics.scales import Criterion, Numeric


@lru_cache(maxsize=256)
def answer_schema(rubric: Rubric) -> dict[str, Any]:
    """One object, one property a criterion in rubric order, the reason before the score. Shared: do not change it.

    A score that can be listed is an enum: bounds are not enforced by every provider.
    """
    return _object({criterion.id: _answer(criterion) for criterion in rubric.leaves})


def _answer(criterion: Criterion) -> dict[str, Any]:
    return _object({"reason": {"type": "string"}, "score": _score(criterion)})


def _score(criterion: Criterion) -> dict[str, Any]:
    numbers = [answer for answer in criterion.answers if isinstance(answer, int | float)]
    words = [answer for answer in criterion.answers if isinstance(answer, str)]
    whole = all(isinstance(number, int) for number in numbers)
    options: list[dict[str, Any]] = []
    if numbers:
        options.append({"type": "integer" if whole else "number", "enum": numbers})
    elif isinstance(criterion, Numeric):
        options.append({"type": "integer" if criterion.whole else "number"})
    if words:
        options.append({"type": "string", "enum": words})
    return options[0] if len(options) == 1 else {"anyOf": options}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
