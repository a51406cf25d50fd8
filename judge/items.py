"""What is graded: one item."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, ValidationError

from judge.fences import Fence, Picture, texts, urls
from judge.images import ImageUrl
from judge.messages import LIST, TAGS, TEXT, Message, Text, Values, either, fit, text_or_list
from rubrics import Rubric, RubricError

PAIRS = "asks which of two outputs is better; pairs come with judge compare"
FIELDS = ("id", "input", "output", "reference", "context", "images", "metadata", "rubric")

Id = Annotated[str, Field(min_length=1, max_length=256)]
Said = Annotated[
    Annotated[Text, Tag(TEXT)] | Annotated[list[Message], Tag(LIST)], Discriminator(text_or_list), either("messages")
]
Context = Annotated[
    Annotated[Text, Tag(TEXT)] | Annotated[list[Text], Tag(LIST)], Discriminator(text_or_list), either("texts")
]


def _id(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return fit(value)


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


class Item(BaseModel):
    """One output to grade, with what a judge needs to see beside it."""

    model_config = ConfigDict(defer_build=True, frozen=True, strict=True, extra="forbid")

    id: Annotated[Id, BeforeValidator(_id, json_schema_input_type=Id | int)]
    input: Said | None = Field(default=None, description="Text, or the messages of a chat.")
    output: Said = Field(description="Text, or messages: a chat, or the steps of an agent with its calls of tools.")
    reference: Text | None = None
    context: Context | None = Field(default=None, description="Text, or the texts that were retrieved.")
    images: Annotated[list[ImageUrl], BeforeValidator(_listed, json_schema_input_type=str | list[str])] = Field(
        default_factory=list, description="Addresses or data: URLs of images that belong to the input."
    )
    metadata: Values = Field(default_factory=dict)
    rubric: Values | None = Field(default=None, description="A rubric that belongs to this item alone.")

    @cached_property
    def hash(self) -> str:
        """SHA-256 of what is graded: not of the id, nor of the metadata."""
        own = self.own_rubric.hash if self.own_rubric else None
        parts = [_plain(self.input), _plain(self.output), self.reference, self.context, own]
        if self.images:
            parts.append(self.images)
        return hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode()).hexdigest()

    @property
    def input_hash(self) -> str:
        """SHA-256 of the input alone."""
        return hashlib.sha256(json.dumps(_plain(self.input), ensure_ascii=False).encode()).hexdigest()

    @cached_property
    def own_rubric(self) -> Rubric | None:
        """The rubric that belongs to this item alone. Raises RubricError."""
        if self.rubric is None:
            return None
        found = Rubric.parse(self.rubric, f"rubric of item {self.id}")
        if found.pairwise:
            raise RubricError(f"{PAIRS}; write another scale", file=f"rubric of item {self.id}")
        return found

    @property
    def fences(self) -> list[Fence]:
        """As a judge is shown it, the output last."""
        found = [] if self.input is None else [_said("input", self.input)]
        if self.images:
            found.append(Fence("images", [Picture(url) for url in self.images]))
        if isinstance(self.context, str):
            found.append(Fence("context", self.context))
        elif self.context is not None:
            found += [Fence("context", text, str(number)) for number, text in enumerate(self.context, 1)]
        if self.reference is not None:
            found.append(Fence("reference", self.reference))
        return [*found, _said("output", self.output)]

    @property
    def size(self) -> int:
        """Bytes of all its texts and images."""
        fences = self.fences
        return sum(len(text.encode()) for text in texts(fences)) + sum(map(len, urls(fences)))

    @property
    def output_texts(self) -> list[str]:
        """All texts of the output: of messages, names and arguments of tool calls too."""
        return list(texts([_said("output", self.output)]))

    @property
    def output_bytes(self) -> int:
        """Bytes of all texts of the output in UTF-8."""
        return sum(len(text.encode()) for text in self.output_texts)


def _said(name: str, said: str | Sequence[Message]) -> Fence:
    return Fence(name, said if isinstance(said, str) else [message.fence() for message in said])


def _plain(said: str | Sequence[Message] | None) -> Any:
    if said is None or isinstance(said, str):
        return said
    return [message.model_dump(exclude_defaults=True) for message in said]


def plain(error: ValidationError) -> str:
    """The first complaint of pydantic about an item, in one line of plain words."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = [str(step) for step in first["loc"] if step not in TAGS]
    where = ".".join(place)
    if first["type"] == "missing":
        named = f", or name the column that holds it with --{where}" if len(place) == 1 else ""
        return f"no `{where}`; add it{named}"
    if first["type"] == "extra_forbidden":
        if len(place) > 1:
            return f"`{where}` is not known there; leave it out"
        return f"`{where}` is not a field of an item; the fields are {', '.join(FIELDS)}"
    if first["type"] == "dict_type":
        if place == ["rubric"]:
            return "`rubric` must be a rubric as an object; name one of a file with --rubric"
        return f"`{where}` must be an object"
    message = first["msg"].removeprefix("Value error, ")
    return f"`{where}` {message[0].lower()}{message[1:]}"
