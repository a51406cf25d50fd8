"""Chat messages: what was said by whom, with images, calls of tools and what they returned.

The shape is OpenAI's; Anthropic's blocks `text`, `image`, `tool_use` and `tool_result` are taken too.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Tag, model_validator

from judge.fences import Fence, Picture, label
from judge.images import ImageUrl, check


def fit(value: object) -> object:
    """The value. Raises ValueError for text that cannot be stored."""
    if isinstance(value, str):
        if "\x00" in value:
            raise ValueError("contains a NUL character; remove it")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError("contains half of a surrogate pair, which is not text; repair the encoding") from None
    return value


def storable(value: object) -> object:
    """The value. Raises ValueError where it is not JSON, or holds text that cannot be stored."""
    match value:
        case str():
            fit(value)
        case dict():
            for key, one in value.items():
                fit(key)
                storable(one)
        case list() | tuple():
            for one in value:
                storable(one)
        case float() if not math.isfinite(value):
            raise ValueError(f"holds {value}, which is no JSON number; leave it out, or write null")
        case None | bool() | int() | float():
            pass
        case _:
            raise ValueError(f"holds a value of type {type(value).__name__}, which JSON has not; write it as text")
    return value


Text = Annotated[str, BeforeValidator(fit)]
Values = Annotated[dict[str, Any], BeforeValidator(storable)]

#: Which of several shapes a value has. Pydantic puts these into the places that it complains of.
TEXT, LIST, OBJECT = "<text>", "<list>", "<object>"
PARTS = ("text", "image_url", "image", "tool_use", "tool_result")
SOURCES = ("base64", "url")
TAGS = frozenset({TEXT, LIST, OBJECT, *(f"<{name}>" for name in PARTS + SOURCES)})


def text_or_list(value: object) -> str:
    """The shape of a text, or of a list."""
    return TEXT if isinstance(value, str) else LIST


def _text_or_object(value: object) -> str:
    return TEXT if isinstance(value, str) else OBJECT


def _typed(what: str, types: Sequence[str]) -> Discriminator:
    def shape(value: object) -> str:
        return f"<{value.get('type') if isinstance(value, dict) else getattr(value, 'type', None)}>"

    told = f"is no {what}; its type is one of {', '.join(types)}"
    return Discriminator(shape, custom_error_type="type", custom_error_message=told)


def either(things: str) -> BeforeValidator:
    """Complains of what is neither text nor a list."""

    def given(value: object) -> object:
        if not isinstance(value, str | list):
            raise ValueError(f"is neither text nor a list of {things}; write one of them")
        return value

    return BeforeValidator(given)


class _Given(BaseModel):
    """A value with no unknown fields. Clients write fields that they do not use as null, or as an empty list."""

    model_config = ConfigDict(defer_build=True, frozen=True, strict=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _without_unused(cls, value: object) -> object:
        return {k: v for k, v in value.items() if v is not None and v != []} if isinstance(value, dict) else value


class TextPart(_Given):
    """Text."""

    type: Literal["text"]
    text: Text

    def fence(self) -> Fence:
        """As it is shown."""
        return Fence("text", self.text)


class ImageAddress(_Given):
    """Where an image is. `detail` is kept and not passed on."""

    url: ImageUrl
    detail: Literal["auto", "low", "high"] | None = None


class ImageUrlPart(_Given):
    """An image, as OpenAI has it."""

    type: Literal["image_url"]
    image_url: ImageAddress

    def fence(self) -> Picture:
        """As it is shown."""
        return Picture(self.image_url.url)


class UrlSource(_Given):
    """An image by its address."""

    type: Literal["url"]
    url: ImageUrl


class Base64Source(_Given):
    """An image by its bytes."""

    type: Literal["base64"]
    media_type: Literal["image/png", "image/jpeg", "image/gif", "image/webp"]
    data: str

    @property
    def url(self) -> str:
        """The same as a `data:` URL."""
        return f"data:{self.media_type};base64,{self.data}"

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        check(self.url)
        return self


class ImagePart(_Given):
    """An image, as Anthropic has it."""

    type: Literal["image"]
    source: Annotated[
        Annotated[UrlSource, Tag("<url>")] | Annotated[Base64Source, Tag("<base64>")],
        _typed("source of an image", SOURCES),
    ]

    def fence(self) -> Picture:
        """As it is shown."""
        return Picture(self.source.url)


class ToolUse(_Given):
    """A call of a tool, as Anthropic has it."""

    type: Literal["tool_use"]
    id: Text | None = None
    name: Text
    input: Values

    def fence(self) -> Fence:
        """As it is shown."""
        return Fence("tool_call", json.dumps(self.input, ensure_ascii=False), label(name=self.name, id=self.id))


_Shown = (
    Annotated[TextPart, Tag("<text>")]
    | Annotated[ImageUrlPart, Tag("<image_url>")]
    | Annotated[ImagePart, Tag("<image>")]
)


class ToolResult(_Given):
    """What a tool returned, as Anthropic has it."""

    type: Literal["tool_result"]
    tool_use_id: Text | None = None
    content: Annotated[
        Annotated[Text, Tag(TEXT)]
        | Annotated[list[Annotated[_Shown, _typed("part of a result", PARTS[:3])]], Tag(LIST)],
        Discriminator(text_or_list),
        either("parts"),
    ] = ""
    is_error: bool = False

    def fence(self) -> Fence:
        """As it is shown."""
        error = "true" if self.is_error else None
        return Fence("tool_result", _bare(_fences(self.content)), label(id=self.tool_use_id, error=error))


Part = Annotated[
    _Shown | Annotated[ToolUse, Tag("<tool_use>")] | Annotated[ToolResult, Tag("<tool_result>")],
    _typed("part of a message", PARTS),
]


class Function(_Given):
    """A tool by its name, with what it is called with: JSON text, or the object itself."""

    name: Text
    arguments: Annotated[
        Annotated[Text, Tag(TEXT)] | Annotated[Values, Tag(OBJECT)],
        Discriminator(_text_or_object),
    ] = ""


class ToolCall(_Given):
    """A call of a tool, as OpenAI has it."""

    id: Text | None = None
    type: Literal["function"] = "function"
    function: Function

    def fence(self) -> Fence:
        """As it is shown."""
        given = self.function.arguments
        arguments = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
        return Fence("tool_call", arguments, label(name=self.function.name, id=self.id))


class Message(_Given):
    """One message of a chat, or one step of an agent."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: (
        Annotated[
            Annotated[Text, Tag(TEXT)] | Annotated[list[Part], Tag(LIST)],
            Discriminator(text_or_list),
            either("parts"),
        ]
        | None
    ) = None
    name: Text | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: Text | None = None

    def fence(self) -> Fence:
        """As it is shown."""
        parts = [*_fences(self.content or ""), *(call.fence() for call in self.tool_calls or ())]
        return Fence(self.role, _bare(parts), label(name=self.name, id=self.tool_call_id))


def _fences(content: str | Sequence[Part]) -> list[Fence | Picture]:
    if isinstance(content, str):
        return [Fence("text", content)] if content else []
    return [part.fence() for part in content]


def _bare(parts: Sequence[Fence | Picture]) -> str | Sequence[Fence | Picture]:
    """Text that stands alone needs no fence of its own."""
    match parts:
        case []:
            return ""
        case [Fence(name="text", inside=only)]:
            return only
    return parts
