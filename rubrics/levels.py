"""The levels of a scale, and every way of writing them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from rubrics.errors import problem, quote
from rubrics.text import Frozen, Text, tidy

NOT_APPLICABLE = "not_applicable"
CANNOT_TELL = "cannot_tell"

LARGEST = 10**9
MOST_LEVELS = 100
_WHOLE = re.compile(r"-?(0|[1-9][0-9]{0,11})")


def _name(name: object) -> object:
    if isinstance(name, bool) or not isinstance(name, int | str):
        raise problem(f"{quote(name)} is not the name of a level", "a whole number or text, in quotes if need be")
    if isinstance(name, int):
        if abs(name) > LARGEST:
            raise problem(f"level {quote(name)} is too large", f"a number from -{LARGEST} to {LARGEST}")
        return name
    name = tidy(name)
    if not 1 <= len(name) <= 64 or not name.isprintable():
        raise problem(f"{quote(name)} is not the name of a level", "1 to 64 characters on one line")
    return name


def answer(given: object) -> object:
    """An answer as an example may write it: a level's name, or a number."""
    if isinstance(given, float) and math.isfinite(given):
        return given
    return _name(given)


def _not_a_word(name: int | str) -> int | str:
    if name in (NOT_APPLICABLE, CANNOT_TELL):
        raise problem(f"{name} is not a level", f"`{name}: true` beside the levels")
    return name


Name = Annotated[int | str, BeforeValidator(_name)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=-LARGEST, le=LARGEST)]


class Level(Frozen):
    """One step of a scale: the answer to give, its number where it has one, and what it looks like."""

    level: Annotated[Name, AfterValidator(_not_a_word)]
    value: Number | None = None
    description: Text = ""


def entries(levels: object) -> list[dict[str, Any]]:
    """Any way of writing levels, spelt out as one mapping a level."""
    if isinstance(levels, Mapping | list | tuple) and len(levels) > MOST_LEVELS:
        raise problem("too many", f"2 to {MOST_LEVELS} levels, worst first")
    if isinstance(levels, Mapping):
        return [
            {"level": name, "description": _described(text, key)}
            for name, (key, text) in zip(_whole(list(levels)), levels.items(), strict=True)
        ]
    if not isinstance(levels, list | tuple):
        raise problem(f"{quote(levels)} is not a list of levels", "`name: description` lines, worst first")
    return [_entry(level, place) for place, level in enumerate(levels)]


def yes_and_no(levels: object, other: str) -> list[dict[str, Any]]:
    """The two levels of a yes-or-no question, no first; `other` is what to write where they will not do."""
    given: dict[object, dict[str, Any]] = {"no": {"level": "no"}, "yes": {"level": "yes"}}
    seen: list[object] = []
    for entry in entries(levels):
        name = entry.get("level")
        if name not in ("no", "yes") or name in seen:
            wrong = "comes twice" if name in seen else "is neither yes nor no"
            raise problem(f"{quote(name)} {wrong}", f"yes and no once each, or {other}")
        seen.append(name)
        given[name] |= entry
    return list(given.values())


def distinct(levels: tuple[Level, ...]) -> tuple[Level, ...]:
    """The levels, refused where two names are alike, or some are numbers and some are words."""
    names = [level.level for level in levels]
    if len({str(name).casefold() for name in names}) < len(names):
        raise problem("two levels have the same name", "a different name for each, not by case alone")
    if len({type(name) for name in names}) > 1:
        raise problem("some levels are numbers and some are words", "all numbers or all words")
    return levels


def _entry(level: object, place: int) -> dict[str, Any]:
    if isinstance(level, Level):
        return level.model_dump()
    if not isinstance(level, Mapping):
        return {"level": level}
    if "level" not in level:
        raise problem("no level is named here", "`level: name`, or `name: description` without a dash", at=(place,))
    return dict(level)


def _described(text: object, name: int | str) -> object:
    if text is not None and not isinstance(text, str):
        raise problem(f"{quote(text)} is not text", "what the level looks like", at=(name,))
    return text or ""


def _whole(names: list[Any]) -> list[Any]:
    """JSON has no keys but strings: keys that all read as whole numbers are whole numbers."""
    return [int(name) for name in names] if all(_WHOLE.fullmatch(str(name)) for name in names) else names
