"""A model's answer becomes verdicts, or an outcome that says why not. Never a number by guess."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from judge.verdicts import Outcome, Verdict
from rubrics import CANNOT_TELL, NOT_APPLICABLE, Criterion, Rubric


class Unusable(ValueError):
    """The answer as a whole is not the one JSON object that was asked for."""


def parse(text: str, rubric: Rubric) -> tuple[Verdict, ...]:
    """Verdicts in the rubric's order, from a text that is exactly one JSON object.

    A criterion that is absent, or whose score is none of its levels, is `invalid` by itself; anything wrong with
    the object makes every criterion `invalid`.
    """
    try:
        answer = _one_object(text)
        unknown = [key for key in answer if key not in rubric.ids]
        if unknown:
            raise Unusable(f"it grades {len(unknown)} criteria that the rubric does not have")
    except Unusable as problem:
        return failed(rubric, Outcome.INVALID, str(problem))
    return tuple(_verdict(criterion, answer) for criterion in rubric.leaves)


def failed(rubric: Rubric, outcome: Outcome, cause: str) -> tuple[Verdict, ...]:
    """The same outcome for every criterion."""
    return tuple(Verdict(criterion.id, outcome, cause=cause) for criterion in rubric.leaves)


def _one_object(text: str) -> dict[str, Any]:
    try:
        answer = json.loads(text, object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant)
    except Unusable:
        raise
    except (ValueError, RecursionError):
        raise Unusable("it is not exactly one JSON object") from None
    if not isinstance(answer, dict):
        raise Unusable("it is not a JSON object")
    return answer


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Unusable("a key of its JSON object occurs twice")
    return found


def _refuse_constant(name: str) -> None:
    raise Unusable("it holds NaN or Infinity, which are not JSON")


def _verdict(criterion: Criterion, answer: Mapping[str, Any]) -> Verdict:
    given = answer.get(criterion.id)
    if not isinstance(given, dict) or list(given) != ["reason", "score"]:
        return Verdict(criterion.id, Outcome.INVALID, cause=f"{criterion.id} has not exactly a reason and then a score")
    reason = given["reason"]
    if not isinstance(reason, str):
        return Verdict(criterion.id, Outcome.INVALID, cause=f"the reason of {criterion.id} is not text")
    return verdict_of(criterion, given["score"], reason.encode("utf-8", "replace").decode().replace("\x00", "\ufffd"))


def verdict_of(criterion: Criterion, score: object, reason: str | None) -> Verdict:
    """What a score means on a criterion: a level or number, `not_applicable`, `abstained`, or `invalid`."""
    mark = criterion.read(score)
    if mark is not None:
        return Verdict(criterion.id, Outcome.SCORED, mark.level, mark.value, reason)
    if score == NOT_APPLICABLE and criterion.not_applicable:
        return Verdict(criterion.id, Outcome.NOT_APPLICABLE, reason=reason)
    if score == CANNOT_TELL and criterion.cannot_tell:
        return Verdict(criterion.id, Outcome.ABSTAINED, reason=reason)
    return Verdict(
        criterion.id, Outcome.INVALID, reason=reason, cause=f"the score of {criterion.id} is not {_allowed(criterion)}"
    )


def _allowed(criterion: Criterion) -> str:
    listed = ", ".join(json.dumps(answer) for answer in criterion.answers)
    if criterion.listed:
        return f"one of {listed}"
    return f"{criterion.told[0][0]}{f', or {listed}' if listed else ''}"
