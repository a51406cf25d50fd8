"""A criterion and the scale it is answered on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from rubrics.errors import problem, quote
from rubrics.text import Filled, Frozen, Text, tidy

NOT_APPLICABLE = "not_applicable"
CANNOT_TELL = "cannot_tell"

_LARGEST = 10**9
_WHOLE = re.compile(r"-?(0|[1-9][0-9]{0,11})")
_WHEN_NOT_APPLICABLE = "The question does not apply to this output."
_WHEN_CANNOT_TELL = "What is given is not enough to decide."


def _name(name: object) -> object:
    if isinstance(name, bool) or not isinstance(name, int | str):
        raise problem(f"{quote(name)} is not the name of a level", "a whole number or text, in quotes if need be")
    if isinstance(name, int):
        if abs(name) > _LARGEST:
            raise problem(f"level {quote(name)} is too large", f"a number from -{_LARGEST} to {_LARGEST}")
        return name
    name = tidy(name)
    if not 1 <= len(name) <= 64 or not name.isprintable():
        raise problem(f"{quote(name)} is not the name of a level", "1 to 64 characters on one line")
    return name


def _not_a_word(name: int | str) -> int | str:
    if name in (NOT_APPLICABLE, CANNOT_TELL):
        raise problem(f"{name} is not a level", f"`{name}: true` beside the levels")
    return name


def _not_reserved(id_: str) -> str:
    if id_.lower() == "overall":
        raise problem(f"{id_} names the whole grade", "another id")
    return id_


Name = Annotated[int | str, BeforeValidator(_name)]


class Level(Frozen):
    """One step of a scale: the answer to give, its number, and what it looks like."""

    level: Annotated[Name, AfterValidator(_not_a_word)]
    value: float = Field(strict=True, allow_inf_nan=False, ge=-_LARGEST, le=_LARGEST)
    description: Text = ""


class CriterionBase(Frozen):
    """One question about an output; levels run from worst to best."""

    id: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$"), AfterValidator(_not_reserved)]
    question: Filled
    weight: float = Field(default=1.0, strict=True, gt=0, le=1e6, allow_inf_nan=False)
    not_applicable: Filled | None = None
    cannot_tell: Filled | None = None
    required: Name | None = None
    levels: tuple[Level, ...] = Field(min_length=2, max_length=100)

    @field_validator("not_applicable", "cannot_tell", mode="before")
    @classmethod
    def _sentence(cls, value: object, info: ValidationInfo) -> object:
        if value is False:
            return None
        if value is True:
            return _WHEN_NOT_APPLICABLE if info.field_name == NOT_APPLICABLE else _WHEN_CANNOT_TELL
        return value

    @model_validator(mode="after")
    def _required_exists(self) -> CriterionBase:
        if self.required is not None and self.find(self.required) is None:
            known = ", ".join(map(str, self.names))
            raise problem(f"{quote(self.required)} is no level of {self.id}", f"one of {known}", at=("required",))
        return self

    @cached_property
    def names(self) -> tuple[int | str, ...]:
        """Level names, worst to best."""
        return tuple(level.level for level in self.levels)

    @cached_property
    def answers(self) -> tuple[int | str, ...]:
        """Everything a judge may answer: the level names, then the words for no level."""
        words = ((NOT_APPLICABLE, self.not_applicable), (CANNOT_TELL, self.cannot_tell))
        return (*self.names, *(word for word, when in words if when is not None))

    @cached_property
    def _by_name(self) -> dict[int | str, Level]:
        return {level.level: level for level in self.levels}

    def find(self, name: object) -> Level | None:
        """The level of exactly this name and type: True, 1.0 and "1" do not find 1."""
        return self._by_name.get(name) if type(name) in (int, str) else None  # type: ignore[call-overload]

    @property
    def minimum(self) -> float:
        """Value of the worst level."""
        return self.levels[0].value

    @property
    def maximum(self) -> float:
        """Value of the best level."""
        return self.levels[-1].value

    def normalise(self, value: float) -> float:
        """Map a value on this scale onto 0..1. Raises ValueError for a value that is not on it."""
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"{value} is not on the scale of {self.id}, {self.minimum} to {self.maximum}")
        return (value - self.minimum) / (self.maximum - self.minimum)

    def passes(self, value: float) -> bool | None:
        """Whether the value reaches the required level; None when nothing is required."""
        required = self.find(self.required)
        return None if required is None else value >= required.value


class Binary(CriterionBase):
    """A question answered no (0) or yes (1)."""

    scale: Literal["binary"]
    levels: tuple[Level, ...] = Field(
        default_factory=lambda: (Level(level="no", value=0.0), Level(level="yes", value=1.0))
    )

    @field_validator("levels", mode="before")
    @classmethod
    def _both(cls, levels: object) -> object:
        given = {"no": {"level": "no", "value": 0.0}, "yes": {"level": "yes", "value": 1.0}}
        seen: list[object] = []
        for entry in _entries(levels):
            name = entry.get("level")
            if name not in ("no", "yes") or name in seen:
                wrong = "comes twice" if name in seen else "is neither yes nor no"
                raise problem(f"{quote(name)} {wrong}", "yes and no once each, or `scale: ordinal` for other levels")
            seen.append(name)
            given[name] |= entry
        return list(given.values())

    @field_validator("levels")
    @classmethod
    def _zero_and_one(cls, levels: tuple[Level, ...]) -> tuple[Level, ...]:
        if tuple(level.value for level in levels) != (0.0, 1.0):
            raise problem("no is worth 0 and yes is worth 1", "no value, or `scale: ordinal` for other values")
        return levels


class Ordinal(CriterionBase):
    """A question answered by one of two or more ordered levels."""

    scale: Literal["ordinal"]

    @field_validator("levels", mode="before")
    @classmethod
    def _valued(cls, levels: object) -> object:
        entries = _entries(levels)
        if any("value" in entry for entry in entries):
            return entries
        whole = all(type(entry.get("level")) is int for entry in entries)
        return [{**entry, "value": entry["level"] if whole else place} for place, entry in enumerate(entries)]

    @field_validator("levels")
    @classmethod
    def _ascending(cls, levels: tuple[Level, ...]) -> tuple[Level, ...]:
        names = [level.level for level in levels]
        if len({str(name).casefold() for name in names}) < len(names):
            raise problem("two levels have the same name", "a different name for each, not by case alone")
        kinds = {type(name) for name in names}
        if len(kinds) > 1:
            raise problem("some levels are numbers and some are words", "all numbers or all words")
        if kinds == {int}:
            levels = tuple(sorted(levels, key=lambda level: level.value))
            if any(level.level != level.value for level in levels):
                raise problem("a level that is a number is its own value", "no value, or words as levels")
        elif any(worse.value >= better.value for worse, better in pairwise(levels)):
            raise problem("the values do not rise", "the levels from worst to best, each with a larger value")
        return levels


Criterion = Annotated[Binary | Ordinal, Field(discriminator="scale")]


def _entries(levels: object) -> list[dict[str, Any]]:
    """Any way of writing levels, spelt out as one mapping a level."""
    if isinstance(levels, Mapping):
        return [
            {"level": name, "description": _described(text, key)}
            for name, (key, text) in zip(_whole(list(levels)), levels.items(), strict=True)
        ]
    if not isinstance(levels, list | tuple):
        raise problem(f"{quote(levels)} is not a list of levels", "`name: description` lines, worst first")
    return [_entry(level, place) for place, level in enumerate(levels)]


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
