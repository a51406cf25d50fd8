"""What all criteria share: one question about an output, and what an answer to it means."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Annotated, NamedTuple

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from rubrics.errors import problem, quote
from rubrics.levels import CANNOT_TELL, MOST_LEVELS, NOT_APPLICABLE, Level, Name
from rubrics.text import Filled, Frozen

_WHEN_NOT_APPLICABLE = "The question does not apply to this output."
_WHEN_CANNOT_TELL = "What is given is not enough to decide."


def _not_reserved(id_: str) -> str:
    if id_.lower() == "overall":
        raise problem(f"{id_} names the whole grade", "another id")
    return id_


Id = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$"), AfterValidator(_not_reserved)]
Weight = Annotated[float, Field(strict=True, gt=0, le=1e6, allow_inf_nan=False)]


class Mark(NamedTuple):
    """What an accepted answer means: the level's name, where it is one, and its number, where it has one."""

    level: int | str | None
    value: float | None


class CriterionBase(Frozen):
    """One question about an output."""

    id: Id
    question: Filled
    weight: Weight = 1.0
    not_applicable: Filled | None = None
    cannot_tell: Filled | None = None

    @field_validator("not_applicable", "cannot_tell", mode="before")
    @classmethod
    def _sentence(cls, value: object, info: ValidationInfo) -> object:
        if value is False:
            return None
        if value is True:
            return _WHEN_NOT_APPLICABLE if info.field_name == NOT_APPLICABLE else _WHEN_CANNOT_TELL
        return value

    @cached_property
    def answers(self) -> tuple[int | float | str, ...]:
        """Every answer that can be listed: what is on the scale, worst to best, then the words for what is not."""
        words = ((NOT_APPLICABLE, self.not_applicable), (CANNOT_TELL, self.cannot_tell))
        return (*self.listed, *(word for word, when in words if when is not None))

    @property
    def listed(self) -> Iterable[int | float | str]:
        """The answers that are on the scale, where they can be listed."""
        raise NotImplementedError

    @property
    def told(self) -> tuple[tuple[str, str], ...]:
        """What a judge is told of the scale: (answer, description) pairs."""
        raise NotImplementedError

    @property
    def valued(self) -> bool:
        """Whether answers have numbers; a criterion without them enters no mean."""
        return True

    @property
    def lowest(self) -> float:
        """The lowest value."""
        raise NotImplementedError

    @property
    def highest(self) -> float:
        """The highest value."""
        raise NotImplementedError

    def read(self, answer: object) -> Mark | None:
        """What an answer means; None for one that is not on the scale. Exact: True, 1.0 and "1" are not 1."""
        raise NotImplementedError

    def normalise(self, value: float) -> float:
        """Map a value on this scale onto 0..1. Raises ValueError for a value that is not on it."""
        if not self.lowest <= value <= self.highest:
            raise ValueError(f"{value} is not on the scale of {self.id}, {self.lowest} to {self.highest}")
        return (value - self.lowest) / (self.highest - self.lowest)

    @property
    def threshold(self) -> float | None:
        """The lowest value that passes; None where none is required."""
        return None

    def passes(self, value: float) -> bool | None:
        """Whether the value reaches what is required; None when nothing is."""
        return None if self.threshold is None else value >= self.threshold


class Levelled(CriterionBase):
    """A criterion answered by one of a few levels."""

    levels: tuple[Level, ...] = Field(min_length=2, max_length=MOST_LEVELS)
    required: Name | None = None

    @model_validator(mode="after")
    def _required_exists(self) -> Levelled:
        if self.required is not None and self.read(self.required) is None:
            known = ", ".join(map(str, self.listed))
            raise problem(f"{quote(self.required)} is no level of {self.id}", f"one of {known}", at=("required",))
        return self

    @cached_property
    def listed(self) -> tuple[int | str, ...]:
        """Level names, worst to best where they are ordered."""
        return tuple(level.level for level in self.levels)

    @property
    def told(self) -> tuple[tuple[str, str], ...]:
        """Every level with its description."""
        return tuple((str(level.level), level.description) for level in self.levels)

    @cached_property
    def _marks(self) -> dict[int | str, Mark]:
        return {level.level: Mark(level.level, level.value) for level in self.levels}

    def read(self, answer: object) -> Mark | None:
        """The level of exactly this name and type."""
        return self._marks.get(answer) if type(answer) in (int, str) else None  # type: ignore[call-overload]

    @cached_property
    def _values(self) -> tuple[float, ...]:
        return tuple(level.value for level in self.levels if level.value is not None)

    @property
    def lowest(self) -> float:
        """The lowest value of a level."""
        return min(self._values)

    @property
    def highest(self) -> float:
        """The highest value of a level."""
        return max(self._values)

    @cached_property
    def threshold(self) -> float | None:
        """The value of the required level."""
        mark = self.read(self.required)
        return None if mark is None else mark.value
