"""What pydantic refuses, said in the words of someone who writes rubrics."""

from __future__ import annotations

import difflib
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from rubrics.errors import RubricError, quote
from rubrics.example import Answer, Example
from rubrics.levels import Level
from rubrics.lines import Lines, Path
from rubrics.scales import Binary, Categorical, Numeric, Ordinal, Points, Preference
from rubrics.section import Section

_SCALES: dict[str, type[BaseModel]] = {
    "binary": Binary,
    "ordinal": Ordinal,
    "categorical": Categorical,
    "numeric": Numeric,
    "points": Points,
    "preference": Preference,
}
_ADVICE = {
    "name": "lower-case letters, digits, `-`, `_` or `.`, at most 64, beginning with a letter or digit",
    "id": "letters, digits, `-` or `_`, at most 64, beginning with a letter",
    "weight": "a number above 0, at most 1000000",
    "value": "a number between -1000000000 and 1000000000, or none for any level",
    "minimum": "the lowest number of the scale",
    "maximum": "the highest number of the scale",
    "step": "a number from 0.000001 up, or none for any number in the range",
    "points": "points above 0 for what is good, below 0 for a fault",
    "anchors": "`number: description` lines",
    "tie": "true or false",
    "criteria": "a list of 1 to 500 criteria",
    "sections": "a list of 1 to 500 sections",
    "levels": "2 to 100 levels, worst first",
    "scale": f"one of {', '.join(_SCALES)}",
    "examples": "a list of worked examples",
    "answers": "a mapping of criterion ids to `reason` and `score`",
    "not_applicable": "true, false or a sentence that says when",
    "cannot_tell": "true, false or a sentence that says when",
    "version": "text, in quotes",
}
_UNKNOWN = ("extra_forbidden", "invalid_key")
_ENDLESS = ("recursion_loop", "recursion_depth_exceeded")
_WRONG = {
    "missing": "missing",
    "string_type": "{found} is not text",
    "string_pattern_mismatch": "{found} is not a plain name",
    "float_type": "{found} is not a number",
    "finite_number": "{found} is not a finite number",
    "greater_than": "{found} is too small",
    "greater_than_equal": "{found} is too small",
    "less_than_equal": "{found} is too large",
    "too_short": "too few",
    "too_long": "too many",
    "tuple_type": "{found} is not a list",
    "dict_type": "{found} is not a mapping",
    "model_type": "{found} is not a mapping",
    "model_attributes_type": "{found} is not a mapping",
    "union_tag_not_found": "missing",
    "union_tag_invalid": "{found} is no known scale",
    "string_unicode": "the text holds half of a surrogate pair",
}


def complaint(error: ValidationError, lines: Lines, whole: type[BaseModel]) -> RubricError:
    """The fault to mend first, whose mending may mend others: see `_rank`. `whole` is what was to be made."""
    first = min(error.errors(include_url=False), key=lambda fault: (_rank(fault), lines.of(_path(fault)) or 0))
    path = _path(first)
    return lines.fault(_message(first, path, whole), lines.of(path), path)


def _rank(fault: ErrorDetails) -> tuple[int, int]:
    """Unknown fields first, for a misspelt one is also missing; sizes last and inmost first, for pydantic counts
    only the parts of a list that passed.
    """
    if fault["type"] in ("too_short", "too_long"):
        return 2, -len(fault["loc"])
    return (0, 0) if fault["type"] in _UNKNOWN else (1, 0)


def _path(fault: ErrorDetails) -> Path:
    loc = fault["loc"]
    # The step after a criterion's place names the scale chosen, which nobody wrote.
    written = tuple(step for at, step in enumerate(loc) if not (at > 1 and loc[at - 2] == "criteria"))
    if fault["type"].startswith("union_tag"):
        written = (*written, "scale")
    if fault["type"] in _ENDLESS:
        written = written[:2]
    return (*written, *fault.get("ctx", {}).get("at", ()))


def _message(fault: ErrorDetails, path: Path, whole: type[BaseModel]) -> str:
    if fault["type"] == "rubric":
        return fault["msg"]
    if fault["type"] in _ENDLESS:
        return "nested too deep; write it flatter"
    if fault["type"] in _UNKNOWN:
        return _unknown(str(path[-1]), _part(fault["loc"]) or whole)
    field = next((step for step in reversed(path) if isinstance(step, str)), "")
    advice = "`key: value` lines" if "a mapping" in _wrong(fault) else _ADVICE.get(field, "text, in quotes if need be")
    return f"{_wrong(fault)}; write {advice}"


def _wrong(fault: ErrorDetails) -> str:
    found: Any = fault["input"]
    if fault["type"] == "union_tag_invalid":
        found = found["scale"]
    return _WRONG.get(fault["type"], fault["msg"]).format(found=quote(found))


def _part(loc: Path) -> type[BaseModel] | None:
    """The model that a field belongs to, by where it stands; None for the rubric itself."""
    match loc:
        case ("sections", _, *inner):
            return _part(tuple(inner)) or Section
        case ("criteria", _, scale, "levels", _, _):
            return Level
        case ("criteria", _, scale, _):
            return _SCALES[str(scale)]
        case ("examples", _, "answers", _, _):
            return Answer
        case ("examples", _, _):
            return Example
    return None


def _unknown(field: str, part: type[BaseModel]) -> str:
    close = difflib.get_close_matches(field, part.model_fields, n=1)
    return f"no such field; write {close[0] if close else 'one of ' + ', '.join(part.model_fields)}"
