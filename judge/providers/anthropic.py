"""Anthropic's Messages, and servers that speak them.

The exact bytes of the body are ours, because they are the key under which the answer is kept. What all items of a
rubric share is marked for the provider's cache. No log probabilities are returned.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import Any

from judge.errors import SetupError
from judge.judges import Judge
from judge.providers import Body, Image, Reading, Request, Unreadable, wire
from judge.providers.anthropic_batches import AnthropicBatches
from judge.providers.transport import Transport

ANTHROPIC_URL = "https://api.anthropic.com"
PATH = "/v1/messages"
TOOL = "record_grades"

OUT_OF_MONEY = frozenset(
    {"enforced_spend_limit_reached", "contract_spend_limit_reached", "linked_organization_spend_limit_reached"}
)
#: Usage grew faster than is allowed.
RAMP = "ramp_limit_exceeded"
#: What is told in words alone.
NO_CREDIT = "credit balance is too low"
FILTERED = "content filtering policy"
TOO_LONG = ("prompt is too long", "exceed context limit")
#: Of fields of a body, the field of a judge that put them there.
FIELDS = {"temperature": "temperature", "effort": "reasoning_effort"}

FINISHES = {"max_tokens": "length", "model_context_window_exceeded": "context", "refusal": "refused"}


class Messages:
    """How messages are asked for and read, whoever carries them."""

    model: str

    def compile(self, request: Request) -> Body:
        """Everything but the user message and the token limit is serialised once."""
        asking, parameters, schema = request.asking, dict(request.asking.parameters), _untyped(request.schema)
        output: dict[str, Any] = {}
        if "reasoning_effort" in parameters:
            output["effort"] = parameters.pop("reasoning_effort")
        shared: dict[str, Any] = {"model": self.model, **parameters}
        if asking.mode == "json_schema":
            output["format"] = {"type": "json_schema", "schema": schema}
        elif asking.mode == "tool":
            shared["tools"] = [{"name": TOOL, "strict": True, "input_schema": schema}]
            shared["tool_choice"] = {"type": "tool", "name": TOOL, "disable_parallel_tool_use": True}
        if output:
            shared["output_config"] = output
        shared["system"] = [{"type": "text", "text": request.system, "cache_control": {"type": "ephemeral"}}]
        prefix = wire.encode(shared).removesuffix(b"}") + b',"messages":[{"role":"user","content":'

        def body(user: str, max_tokens: int, images: Sequence[Image] = ()) -> bytes:
            return b'%s%s}],"max_tokens":%d}' % (prefix, wire.encode(_content(user, images)), max_tokens)

        return body

    def read(self, raw: bytes) -> Reading:
        """The text of a message, or the input of the one call of the tool."""
        reply = wire.decode(raw)
        try:
            usage, details = reply.get("usage") or {}, reply.get("stop_details") or {}
            finish: Any = FINISHES.get(reply.get("stop_reason"), "stop")
            cached = wire.count(usage.get("cache_read_input_tokens")) or 0
            written = wire.count(usage.get("cache_creation_input_tokens")) or 0
            fresh = wire.count(usage.get("input_tokens"))
            reading = Reading(
                text=text(reply["content"], raw),
                finish=finish,
                prompt_tokens=None if fresh is None else wire.count(fresh + cached + written),
                completion_tokens=wire.count(usage.get("output_tokens")),
                model=wire.text(reply.get("model")),
                reply_id=wire.text(reply.get("id")),
                refusal=wire.text(details.get("explanation") or details.get("category")),
                cached_tokens=cached,
                cache_write_tokens=written,
            )
        except (AttributeError, KeyError, TypeError):
            raise Unreadable("not_a_message", "the reply is JSON, but not a message") from None
        if reading.finish == "stop" and reading.text is None:
            raise Unreadable("empty_message", "the reply holds no text")
        return reading


class Anthropic(Messages, Transport):
    """One model behind one messages endpoint."""

    def __init__(self, judge: Judge) -> None:
        if judge.logprobs:
            raise SetupError(
                f"the judge {judge.name!r}: Anthropic returns no log probabilities; take logprobs out of its "
                "description, and pass --samples to see how sure it is"
            )
        import anthropic  # noqa: PLC0415 - 1.2 s, only for those who ask Anthropic

        # With telemetry on, prompts could be written into the spans of whoever traces this process.
        client = partial(anthropic.AsyncAnthropic, open_telemetry=False)
        super().__init__(judge, anthropic, client, ANTHROPIC_URL, PATH)

    def batches(self) -> AnthropicBatches:
        """See `Batched`."""
        return AnthropicBatches(self)

    @staticmethod
    def explain(error: dict[str, Any]) -> tuple[str | None, str | None]:
        """Anthropic's error codes, and its words where it has none."""
        details, said = error.get("details"), str(error.get("message"))
        code = details.get("error_code") if isinstance(details, dict) else None
        cause = None
        if code in OUT_OF_MONEY or NO_CREDIT in said:
            cause = "out_of_money"
        elif code == RAMP:
            cause = "slow_down"
        elif FILTERED in said:
            cause = "content_filter"
        elif any(words in said for words in TOO_LONG):
            cause = "context_length_exceeded"
        return cause, next((ours for theirs, ours in FIELDS.items() if re.search(rf"\b{theirs}\b", said)), None)


def _untyped(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema as the SDK's own `transform_schema` leaves it: an enum stands without a type.

    Numbers and words are listed in one enum, since unions of types are few in a call.
    """
    kept = {name: part for name, part in schema.items() if not (name == "type" and "enum" in schema)}
    if "properties" in kept:  # whose names are those of criteria, whatever they look like
        kept["properties"] = {name: _untyped(part) for name, part in kept["properties"].items()}
    if "anyOf" in kept:
        options = [_untyped(part) for part in kept["anyOf"]]
        if all("enum" in option for option in options):
            return {"enum": [answer for option in options for answer in option["enum"]]}
        kept["anyOf"] = options
    return kept


def text(blocks: Sequence[dict[str, Any]], raw: bytes) -> str | None:
    """What the blocks of a message say: the input of the one call of a tool, as it was sent, or all text."""
    called = [place for place, block in enumerate(blocks) if block["type"] == "tool_use"]
    if called:
        return wire.text(wire.exact(raw, "content", called[0], "input")) if len(called) == 1 else None
    said = [block["text"] for block in blocks if block["type"] == "text"]
    return wire.text("".join(said)) if said else None


def _content(user: str, images: Sequence[Image]) -> str | list[dict[str, Any]]:
    if not images:
        return user
    return [{"type": "text", "text": user}, *({"type": "image", "source": _source(image)} for image in images)]


def _source(image: Image) -> dict[str, str]:
    """Where an image is: at an address, or in the address itself."""
    if image.url[:5].lower() != "data:":
        return {"type": "url", "url": image.url}
    head, _, data = image.url[5:].partition(",")
    return {"type": "base64", "media_type": head.partition(";")[0].lower(), "data": data}
