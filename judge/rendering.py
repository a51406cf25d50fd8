"""What a judge would be sent about an item, to the byte; and nothing is sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from judge import prompts
from judge.grading import refuse_pairs
from judge.items import Item
from judge.judges import Asking, Judge
from judge.providers import Dialect
from rubrics import Rubric, in_parts


class Message(BaseModel):
    """One message of a call. `images` are addresses, in the order of the marks that stand for them in the text."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    role: Literal["system", "user"]
    content: str
    images: tuple[str, ...] = ()


class RenderedCall(BaseModel):
    """One call about one item: what it asks for, and how.

    Attributes
    ----------
    criteria
        The ids of those that it asks for.
    answer_schema
        The JSON schema that an answer must follow.
    body
        The whole body of the request, parameters included, where the provider's adapter tells.
    """

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    criteria: tuple[str, ...]
    messages: tuple[Message, Message]
    answer_schema: dict[str, Any]
    body: str | None = None


def rendered(
    item: Item, rubric: Rubric, judge: Judge, asking: Asking, dialect: Dialect | None = None
) -> Iterator[RenderedCall]:
    """The calls for one sample of one item, in order: the first attempt of each. Raises SetupError for pairs.

    Without a dialect they have no body.
    """
    chosen = item.own_rubric or rubric
    refuse_pairs(chosen)
    text, images = prompts.user(item), prompts.images(item)
    for part in in_parts(chosen, judge.criteria_per_call):
        request = prompts.request(part, asking)
        body = None if dialect is None else dialect.compile(request)(text, judge.max_tokens, images).decode()
        messages = (
            Message(role="system", content=request.system),
            Message(role="user", content=text, images=tuple(image.url for image in images)),
        )
        yield RenderedCall(criteria=tuple(part.ids), messages=messages, answer_schema=request.schema, body=body)
