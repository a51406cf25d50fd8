"""What is graded: one item."""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from rubrics import Rubric

FIELDS = ("id", "input", "output", "reference", "context", "metadata", "rubric")


def _text(value: object) -> object:
    if isinstance(value, str):
        if "\x00" in value:
            raise ValueError("contains a NUL character; remove it")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError("contains half of a surrogate pair, which is not text; repair the encoding") from None
    return value


def _id(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return _text(value)


Text = Annotated[str, BeforeValidator(_text)]


class Item(BaseModel):
    """One output to grade, with what a judge needs to see beside it."""

    model_config = ConfigDict(defer_build=True, frozen=True, strict=True, extra="forbid")

    id: Annotated[str, BeforeValidator(_id), Field(min_length=1, max_length=256)]
    input: Text | None = None
    output: Text
    reference: Text | None = None
    context: Text | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)
    rubric: dict[str, Any] | None = Field(default=None, description="A rubric that belongs to this item alone.")

    @field_validator("metadata", "rubric")
    @classmethod
    def _storable(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        written = json.dumps(value, ensure_ascii=False)
        _text(written.replace(r"\u0000", "\x00"))
        return value

    @cached_property
    def hash(self) -> str:
        """SHA-256 of what is graded: not of the id, nor of the metadata."""
        own = self.own_rubric.hash if self.own_rubric else None
        parts = [self.input, self.output, self.reference, self.context, own]
        return hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode()).hexdigest()

    @cached_property
    def own_rubric(self) -> Rubric | None:
        """The rubric that belongs to this item alone. Raises RubricError."""
        return None if self.rubric is None else Rubric.parse(self.rubric, f"rubric of item {self.id}")


def plain(error: ValidationError) -> str:
    """The first complaint of pydantic about an item, in one line of plain words."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "missing":
        return f"no `{where}`; add it, or name the column that holds it with --{where}"
    if first["type"] == "extra_forbidden":
        return f"`{where}` is not a field of an item; the fields are {', '.join(FIELDS)}"
    message = first["msg"].removeprefix("Value error, ")
    return f"`{where}` {message[0].lower()}{message[1:]}"
