"""The JSON schema a judge's answer must fit, within the subset that strict structured output accepts."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from rubrics.rubric import Rubric
from rubrics.scales import Criterion


@lru_cache(maxsize=256)
def answer_schema(rubric: Rubric) -> dict[str, Any]:
    """One object, one property a criterion in rubric order, the reason before the score. Shared: do not change it."""
    return _object({criterion.id: _answer(criterion) for criterion in rubric.criteria})


def _answer(criterion: Criterion) -> dict[str, Any]:
    return _object({"reason": {"type": "string"}, "score": _score(criterion)})


def _score(criterion: Criterion) -> dict[str, Any]:
    numbers = [answer for answer in criterion.answers if isinstance(answer, int)]
    words = [answer for answer in criterion.answers if isinstance(answer, str)]
    options = [
        {"type": kind, "enum": answers} for kind, answers in (("integer", numbers), ("string", words)) if answers
    ]
    return options[0] if len(options) == 1 else {"anyOf": options}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
