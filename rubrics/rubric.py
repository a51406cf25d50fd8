"""A rubric: criteria, instructions and worked examples, known by name and content hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from rubrics import registry
from rubrics.complaint import complaint
from rubrics.errors import problem, quote
from rubrics.example import Example
from rubrics.lines import Lines
from rubrics.scales import Criterion, Preference
from rubrics.section import PART, Node, Section
from rubrics.source import read
from rubrics.text import Filled, Text

MOST_CRITERIA = 10_000
_DEEPEST = 12
#: What only decides how answers are counted, and is never shown to a judge.
_COUNTING = frozenset({"weight", "points", "required", "value"})


def _version(value: object) -> object:
    return str(value) if type(value) is int else value


class Rubric(Node):
    """What good is. `load` reads one; built from Python it raises pydantic's ValidationError."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")
    version: Annotated[Filled, BeforeValidator(_version)] | None = None
    description: Text = ""
    instructions: Text = ""
    examples: tuple[Example, ...] = Field(default=(), fail_fast=True)

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
    def of_each_item(cls) -> Self:
        """The rubric of items that each bring one of their own: it has no criteria."""
        return cls.model_validate({"name": "rubrics-of-items"}, context=PART)

    @classmethod
    def _checked(cls, data: object, lines: Lines) -> Self:
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise complaint(error, lines, cls) from None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        _distinct(self)
        pairs = [isinstance(criterion, Preference) for criterion in self.leaves]
        if any(pairs) and not all(pairs):
            raise problem("some criteria ask for pairs and some for one output", "two rubrics", at=("criteria",))
        for place, example in enumerate(self.examples):
            _answered(example, place, self.leaves)
        return self

    @cached_property
    def hash(self) -> str:
        """SHA-256 hex of all that can change a grade: every field but name, version and description."""
        return _digest(self._content)

    @cached_property
    def asked_hash(self) -> str:
        """SHA-256 hex of what a judge is shown. Two rubrics that share it differ in how answers are counted alone."""
        return _digest(_without_counting(self._content))

    @property
    def _content(self) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude={"name", "version", "description"})

    def __hash__(self) -> int:
        return hash(self.hash)

    @cached_property
    def leaves(self) -> tuple[Criterion, ...]:
        """Every criterion, those of sections too, in the order of writing."""
        return tuple(self.walk())

    @cached_property
    def _by_id(self) -> dict[str, Criterion]:
        return {criterion.id: criterion for criterion in self.leaves}

    @property
    def ids(self) -> Collection[str]:
        """The ids of the criteria, in order."""
        return self._by_id.keys()

    def criterion(self, id_: str) -> Criterion:
        """The criterion of this id. Raises KeyError."""
        return self._by_id[id_]

    def asked_of(self, id_: str) -> dict[str, Any]:
        """What a judge is shown of a criterion, by the names of its fields. Raises KeyError."""
        asked: dict[str, Any] = _without_counting(self.criterion(id_).model_dump(mode="json"))
        return asked

    @property
    def pairwise(self) -> bool:
        """Whether it is asked of pairs of outputs."""
        return any(isinstance(criterion, Preference) for criterion in self.leaves[:1])


def _distinct(rubric: Rubric) -> None:
    """Refuses ids that are alike: of criteria, and of sections."""
    for kind in ("criteria", "sections"):
        seen: dict[str, str] = {}
        for at, id_ in _ids(rubric, kind):
            if len(at) > 2 * (_DEEPEST + 1):
                raise problem(f"sections nested more than {_DEEPEST} deep", "them flatter", at=at[:2])
            folded = id_.lower().replace("-", "_")
            if folded in seen:
                wrong = "is there already" if seen[folded] == id_ else f"is too like {seen[folded]}"
                raise problem(f"id {id_} {wrong}", "another id", at=(*at, "id"))
            seen[folded] = id_
            if len(seen) > MOST_CRITERIA:
                raise problem(f"more than {MOST_CRITERIA} {kind}", "several rubrics", at=at)


def _ids(node: Node, kind: str, at: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], str]]:
    children: tuple[Criterion | Section, ...] = node.criteria if kind == "criteria" else node.sections
    for place, child in enumerate(children):
        yield (*at, kind, place), child.id
    for place, section in enumerate(node.sections):
        yield from _ids(section, kind, (*at, "sections", place))


def _digest(content: object) -> str:
    canonical = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _without_counting(content: Any) -> Any:
    if isinstance(content, list):
        return [_without_counting(part) for part in content]
    if isinstance(content, dict):
        kept = ((key, part) for key, part in content.items() if key not in _COUNTING)
        # The keys within examples are ids, which may be any of those words.
        return {key: part if key == "examples" else _without_counting(part) for key, part in kept}
    return content


def _answered(example: Example, place: int, criteria: tuple[Criterion, ...]) -> None:
    """Refuses an example that does not answer each criterion, and nothing else."""
    at: tuple[str | int, ...] = ("examples", place, "answers")
    ids = {criterion.id for criterion in criteria}
    if unknown := [id_ for id_ in example.answers if id_ not in ids]:
        known = ", ".join(criterion.id for criterion in criteria)
        raise problem(f"{quote(unknown[0])} is no criterion", f"one of {known}", at=(*at, unknown[0]))
    for criterion in criteria:
        if criterion.id not in example.answers:
            raise problem(f"no answer to {criterion.id}", "an answer to every criterion", at=(*at, criterion.id))
        score = example.answers[criterion.id].score
        if criterion.read(score) is None and not (isinstance(score, str) and score in criterion.answers):
            raise problem(
                f"{quote(score)} is no answer to {criterion.id}",
                _allowed(criterion),
                at=(*at, criterion.id, "score"),
            )


def _allowed(criterion: Criterion) -> str:
    words = ", ".join(map(str, criterion.answers))
    if criterion.listed:
        return f"one of {words}"
    return f"{criterion.told[0][0]}{f', or {words}' if words else ''}"
