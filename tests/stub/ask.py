"""One request, in whatever dialect it came, and what a dialect is."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from stub.behaviour import Behaviour
from stub.verdicts import dumps

#: Stands where an answer is JSON, and no text: it goes there as it was said, with a key that occurs twice.
VERBATIM = "the answer as it was said"


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked, and how."""

    given: dict[str, Any]
    prompt: str
    last_user: str
    schema: dict[str, Any] | None
    tool: str | None
    prompt_tokens: int
    logprobs: int = 0

    @classmethod
    def of(
        cls,
        given: dict[str, Any],
        texts: Sequence[tuple[str, str]],
        schema: dict[str, Any] | None,
        tool: str | None,
        parts: Sequence[object],
        logprobs: int = 0,
    ) -> Ask:
        """From texts by role, and the parts of the request that count as prompt beside them."""
        prompt = "\n".join(text for _, text in texts)
        last_user = next((text for role, text in reversed(texts) if role == "user"), "")
        characters = len(prompt) + sum(len(dumps(part)) for part in parts if part)
        return cls(given, prompt, last_user, schema or schema_in(prompt), tool, (characters + 3) // 4, logprobs)


class Dialect(Protocol):
    """A module that speaks for one provider."""

    #: Where each feature stands in a request.
    FIELDS: Mapping[str, str]

    def read(self, given: dict[str, Any]) -> Ask:
        """What a request asks for."""

    def complete(self, number: int, ask: Ask, text: str | None, behaviour: Behaviour, seed: bytes) -> dict[str, Any]:
        """A whole reply, with no text for a refusal."""

    def fail(self, status: int, message: str, code: str | None, param: str | None) -> dict[str, Any]:
        """The body of an error."""


def text_of(content: object) -> str:
    if isinstance(content, list):
        return "\n".join(part.get("text", "") for part in content)
    return content if isinstance(content, str) else ""


def schema_in(prompt: str) -> dict[str, Any] | None:
    """A JSON schema written in the prompt: the outermost object around the first "properties"."""
    at = prompt.find('"properties"')
    start = prompt.rfind("\n\n", 0, at)
    while at >= 0 and (start := prompt.find("{", start + 1, at)) >= 0:
        try:
            found, end = json.JSONDecoder().raw_decode(prompt, start)
        except ValueError:
            end = 0  # a brace of the text around it
        if end > at and "properties" in found:
            return dict(found)
    return None


def asked_for(given: dict[str, Any], field: str) -> bool:
    """Whether a request has something at a dotted path."""
    value: Any = given
    for name in field.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value is not None


def written(text: str | None) -> int:
    """The tokens of an answer, as they are counted."""
    return (len(text or "") + 3) // 4
