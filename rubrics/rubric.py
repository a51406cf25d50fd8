"""A rubric: criteria, instructions and worked examples, known by name and content hash."""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, ValidationError, ValidationInfo, field_validator

from rubrics import registry
from rubrics.complaint import complaint
from rubrics.errors import problem, quote
from rubrics.example import Example
from rubrics.lines import Lines
from rubrics.scales import Criterion
from rubrics.source import read
from rubrics.text import Filled, Frozen, Text


def _version(value: object) -> object:
    return str(value) if type(value) is int else value


class Rubric(Frozen):
    """What good is. `load` reads one; built from Python it raises pydantic's ValidationError."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")
    version: Annotated[Filled, BeforeValidator(_version)] | None = None
    description: Text = ""
    instructions: Text = ""
    criteria: tuple[Criterion, ...] = Field(min_length=1, max_length=500)
    examples: tuple[Example, ...] = ()

    @classmethod
    def load(cls, ref: str | Path) -> Self:
        """The rubric in a .yaml, .yml or .json file, or the shipped one of this name. Raises RubricError."""
        text, source = registry.find(ref)
        return cls.loads(text, source)

    @classmethod
    def loads(cls, text: str, source: str = "<text>") -> Self:
        """The rubric in YAML or JSON text; `source` names it in errors. Raises RubricError."""
        lines = Lines(source)
        return cls._checked(read(text, lines), lines)

    @classmethod
    def parse(cls, data: object, source: str = "<data>") -> Self:
        """The rubric in plain data, such as the one an item brings along. Raises RubricError."""
        return cls._checked(data, Lines(source))

    @classmethod
    def _checked(cls, data: object, lines: Lines) -> Self:
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise complaint(error, lines, cls) from None

    @field_validator("criteria")
    @classmethod
    def _distinct(cls, criteria: tuple[Criterion, ...]) -> tuple[Criterion, ...]:
        seen: dict[str, str] = {}
        for place, criterion in enumerate(criteria):
            folded = criterion.id.lower().replace("-", "_")
            if folded in seen:
                raise problem(f"id {criterion.id} is too like {seen[folded]}", "another id", at=(place, "id"))
            seen[folded] = criterion.id
        return criteria

    @field_validator("examples")
    @classmethod
    def _answered(cls, examples: tuple[Example, ...], info: ValidationInfo) -> tuple[Example, ...]:
        if "criteria" not in info.data:  # refused already, so there is nothing to hold the answers against
            return examples
        criteria: tuple[Criterion, ...] = info.data["criteria"]
        return tuple(_in_order(example, place, criteria) for place, example in enumerate(examples))

    @cached_property
    def hash(self) -> str:
        """SHA-256 hex of all that can change a grade: every field but name, version and description."""
        content = self.model_dump(mode="json", exclude={"name", "version", "description"})
        canonical = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    def __hash__(self) -> int:
        return hash(self.hash)

    @cached_property
    def _by_id(self) -> dict[str, Criterion]:
        return {criterion.id: criterion for criterion in self.criteria}

    @cached_property
    def ids(self) -> frozenset[str]:
        """The ids of the criteria."""
        return frozenset(self._by_id)

    def criterion(self, id_: str) -> Criterion:
        """The criterion of this id. Raises KeyError."""
        return self._by_id[id_]


def _in_order(example: Example, place: int, criteria: tuple[Criterion, ...]) -> Example:
    """The example with its answers in the order of the criteria, so that equal hashes give equal prompts."""
    ids = [criterion.id for criterion in criteria]
    if unknown := [id_ for id_ in example.answers if id_ not in ids]:
        raise problem(
            f"{quote(unknown[0])} is no criterion", f"one of {', '.join(ids)}", at=(place, "answers", unknown[0])
        )
    for criterion in criteria:
        at = (place, "answers", criterion.id)
        if criterion.id not in example.answers:
            raise problem(f"no answer to {criterion.id}", "an answer to every criterion", at=at)
        score = example.answers[criterion.id].score
        if score not in criterion.answers:
            known = ", ".join(map(str, criterion.answers))
            raise problem(f"{quote(score)} is no answer to {criterion.id}", f"one of {known}", at=(*at, "score"))
    return example.model_copy(update={"answers": {id_: example.answers[id_] for id_ in ids}})
