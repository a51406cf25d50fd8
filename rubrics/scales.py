"""The scales that a criterion can be answered on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from rubrics.criterion import CriterionBase, Levelled, Mark
from rubrics.errors import problem, quote
from rubrics.levels import LARGEST, Level, Number, distinct, entries, yes_and_no
from rubrics.text import Filled

#: A stepped range of more numbers than this is described instead of listed.
MOST_LISTED = 25
SMALLEST_STEP = 1e-6
_OTHER_LEVELS = "`scale: ordinal` for other levels"


class Binary(Levelled):
    """A question answered no (0) or yes (1)."""

    scale: Literal["binary"]
    levels: tuple[Level, ...] = Field(
        default_factory=lambda: (Level(level="no", value=0.0), Level(level="yes", value=1.0))
    )

    @field_validator("levels", mode="before")
    @classmethod
    def _both(cls, levels: object) -> object:
        worth = {"no": 0.0, "yes": 1.0}
        return [{"value": worth[entry["level"]], **entry} for entry in yes_and_no(levels, _OTHER_LEVELS)]

    @field_validator("levels")
    @classmethod
    def _zero_and_one(cls, levels: tuple[Level, ...]) -> tuple[Level, ...]:
        if tuple(level.value for level in levels) != (0.0, 1.0):
            raise problem("no is worth 0 and yes is worth 1", "no value, or `scale: ordinal` for other values")
        return levels


class Ordinal(Levelled):
    """A question answered by one of two or more ordered levels."""

    scale: Literal["ordinal"]

    @field_validator("levels", mode="before")
    @classmethod
    def _valued(cls, levels: object) -> object:
        given = entries(levels)
        if any(entry.get("value") is not None for entry in given):
            return given
        whole = all(type(entry.get("level")) is int for entry in given)
        return [{**entry, "value": entry["level"] if whole else place} for place, entry in enumerate(given)]

    @field_validator("levels")
    @classmethod
    def _ascending(cls, levels: tuple[Level, ...]) -> tuple[Level, ...]:
        values = [level.value for level in distinct(levels) if level.value is not None]
        if len(values) < len(levels):
            raise problem("some levels have a value and some have none", "a value for each level, or for none")
        if all(type(level.level) is int for level in levels):
            if any(level.level != level.value for level in levels):
                raise problem("a level that is a number is its own value", "no value, or words as levels")
            return tuple(sorted(levels, key=lambda level: level.value or 0.0))
        if any(worse >= better for worse, better in pairwise(values)):
            raise problem("the values do not rise", "the levels from worst to best, each with a larger value")
        return levels


class Categorical(Levelled):
    """A question answered by one of two or more labels in no order.

    With a value for each, the criterion enters the overall; with none it only counts labels.
    """

    scale: Literal["categorical"]

    @field_validator("levels", mode="before")
    @classmethod
    def _spelt_out(cls, levels: object) -> object:
        return entries(levels)

    @field_validator("levels")
    @classmethod
    def _all_or_none(cls, levels: tuple[Level, ...]) -> tuple[Level, ...]:
        values = [level.value for level in distinct(levels) if level.value is not None]
        if values and len(values) < len(levels):
            raise problem("some labels have a value and some have none", "a value for each label, or for none")
        if values and min(values) == max(values):
            raise problem("all labels have the same value", "different values, or none")
        return levels

    @model_validator(mode="after")
    def _means_something(self) -> Categorical:
        if not self.valued and self.required is not None:
            raise problem("labels without values have no order", "values for the labels", at=("required",))
        if not self.valued and self.weight != 1.0:
            raise problem("labels without values enter no mean", "values for the labels, or no weight", at=("weight",))
        return self

    @property
    def valued(self) -> bool:
        """Whether the labels have values."""
        return bool(self._values)


class Numeric(CriterionBase):
    """A question answered by a number from `minimum` to `maximum`, in steps of `step` where there is one."""

    scale: Literal["numeric"]
    minimum: Number
    maximum: Number
    step: Annotated[float, Field(strict=True, ge=SMALLEST_STEP, le=LARGEST, allow_inf_nan=False)] | None = None
    anchors: dict[str, Filled] = Field(default_factory=dict, max_length=100)
    required: Number | None = None

    @field_validator("anchors", mode="before")
    @classmethod
    def _keyed(cls, anchors: object) -> object:
        if not isinstance(anchors, Mapping):
            return anchors
        keyed = {_plain(key): text for key, text in anchors.items()}
        if len(keyed) < len(anchors):
            raise problem("two anchors for one number", "one")
        return keyed

    @model_validator(mode="after")
    def _is_a_range(self) -> Numeric:
        if self.minimum >= self.maximum:
            raise problem("the minimum is not below the maximum", "a smaller minimum", at=("minimum",))
        if self.step is not None and not self._is_step(self.maximum):
            raise problem("the steps do not lead from the minimum to the maximum", "another step", at=("step",))
        for name in self.anchors:
            if self.read(_number(name)) is None:
                raise problem(f"{quote(name)} is not on the scale", "an anchor that is", at=("anchors", name))
        if self.required is not None and self.read(self.required) is None:
            raise problem(f"{quote(self.required)} is not on the scale", "a number that is", at=("required",))
        return self

    def _is_step(self, value: float) -> bool:
        steps = (value - self.minimum) / (self.step or 1.0)
        return math.isclose(steps, round(steps), abs_tol=1e-6)

    @property
    def whole(self) -> bool:
        """Whether all answers are whole numbers."""
        return self.step is not None and self.step.is_integer() and self.minimum.is_integer()

    @cached_property
    def listed(self) -> tuple[int | float, ...]:
        """All numbers, where there are few steps; else none."""
        count = 0 if self.step is None else round((self.maximum - self.minimum) / self.step) + 1
        if not 0 < count <= MOST_LISTED:
            return ()
        values = [round(self.minimum + (self.step or 0.0) * place, 9) for place in range(count)]
        return tuple(int(value) if value.is_integer() else value for value in values)

    @property
    def told(self) -> tuple[tuple[str, str], ...]:
        """The range, then the anchors in order."""
        steps = "" if self.step is None else f", in steps of {written(self.step)}"
        span = f"a number from {written(self.minimum)} to {written(self.maximum)}{steps}"
        return ((span, ""), *sorted(self.anchors.items(), key=lambda anchor: _number(anchor[0])))

    @property
    def lowest(self) -> float:
        """The lower bound."""
        return self.minimum

    @property
    def highest(self) -> float:
        """The upper bound."""
        return self.maximum

    @property
    def threshold(self) -> float | None:
        """The lowest number that passes."""
        return self.required

    def read(self, answer: object) -> Mark | None:
        """A number in the range and on a step."""
        if type(answer) not in (int, float) or not self.minimum <= answer <= self.maximum:  # type: ignore[operator]
            return None
        value = float(answer)  # type: ignore[arg-type]
        return Mark(None, value) if self.step is None or self._is_step(value) else None


class Points(Levelled):
    """A statement that is met (yes) or not (no), and the points for meeting it: below 0 for a fault.

    A set of them scores the sum of what is met over the sum of what is above 0.
    """

    scale: Literal["points"]
    points: Number
    levels: tuple[Level, ...] = Field(default_factory=lambda: (Level(level="no"), Level(level="yes")))

    @model_validator(mode="before")
    @classmethod
    def _unweighted(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and data.get("weight", 1.0) != 1.0:
            raise problem("points are the weight", "no weight", at=("weight",))
        return data

    @field_validator("points")
    @classmethod
    def _counts(cls, points: float) -> float:
        if points == 0:
            raise problem("0 points count for nothing", "points above or below 0")
        return points

    @field_validator("levels", mode="before")
    @classmethod
    def _both(cls, levels: object) -> object:
        given = yes_and_no(levels, _OTHER_LEVELS)
        if any(entry.get("value") is not None for entry in given):
            raise problem("a level of a points criterion has no value", "`points`, and no value")
        return given

    @cached_property
    def _marks(self) -> dict[int | str, Mark]:
        return {"no": Mark("no", 0.0), "yes": Mark("yes", self.points)}

    @cached_property
    def _values(self) -> tuple[float, ...]:
        return (0.0, self.points)

    @cached_property
    def threshold(self) -> float | None:
        """Of the required answer; with points above 0 a required no is reached by all, below 0 a required yes."""
        return None if self.required is None else self._marks[self.required].value


class Preference(CriterionBase):
    """Which of two outputs is better: a, b or a tie. Asked of pairs, in both orders, and of nothing else."""

    scale: Literal["preference"]
    tie: bool = True

    @property
    def listed(self) -> tuple[str, ...]:
        """The answers."""
        return ("a", "tie", "b") if self.tie else ("a", "b")

    @property
    def told(self) -> tuple[tuple[str, str], ...]:
        """The answers, in words."""
        words = {"a": "output A is better", "b": "output B is better", "tie": "neither is better"}
        return tuple((answer, words[answer]) for answer in self.listed)

    @property
    def lowest(self) -> float:
        """B is better."""
        return 0.0

    @property
    def highest(self) -> float:
        """A is better."""
        return 1.0

    def read(self, answer: object) -> Mark | None:
        """The share of the preference that A has."""
        shares = {"a": 1.0, "tie": 0.5, "b": 0.0}
        return Mark(answer, shares[answer]) if isinstance(answer, str) and answer in self.listed else None


Criterion = Annotated[Binary | Ordinal | Categorical | Numeric | Points | Preference, Field(discriminator="scale")]


def written(number: float) -> str:
    """A number as people write it: 3 and 0.5, and every digit of 1234567."""
    return str(int(number)) if number.is_integer() else str(number)


def _plain(key: object) -> object:
    """An anchor's key in its one form: `1`, `1.0` and `"1"` are the same number."""
    if isinstance(key, bool) or not isinstance(key, int | float | str):
        return key
    number = _number(key)
    return written(number) if math.isfinite(number) else str(key)


def _number(name: str | float) -> float:
    try:
        return float(name)
    except (ValueError, OverflowError):
        return math.nan
