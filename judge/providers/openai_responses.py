"""OpenAI's Responses, asked for one answer and told to keep nothing, unless the judge's description says so."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

from judge.judges import Judge
from judge.providers import AnswerLost, Body, Image, NotSent, Reading, Rejected, Request, Unreadable, wire
from judge.providers.batches import decoded, id_of
from judge.providers.keeping import Noted, order
from judge.providers.openai import TOOL, TOP_LOGPROBS, OpenAIServer, tokens
from judge.providers.openai_batches import OpenAIBatches
from judge.tokens import Token

PATH = "/responses"
#: A response that is not done, and how often it is asked for.
UNDER_WAY = frozenset({"queued", "in_progress"})
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 2.0

#: Failures of a response that are a refusal of what was asked, and not of the server's making.
REFUSALS = frozenset(
    {"bio_policy", "cyber_policy", "image_content_policy_violation", "invalid_prompt", "misalignment_policy_violation"}
)


class Responses:
    """How responses are asked for and read, whoever carries them."""

    model: str

    def compile(self, request: Request) -> Body:
        """Everything but the user message and the token limit is serialised once."""
        asking, parameters = request.asking, dict(request.asking.parameters)
        effort = parameters.pop("reasoning_effort", None)
        shared: dict[str, Any] = {"model": self.model, "store": False, **parameters}
        if effort is not None:
            shared["reasoning"] = {"effort": effort}
        if asking.logprobs:
            shared |= {"top_logprobs": TOP_LOGPROBS, "include": ["message.output_text.logprobs"]}
        if asking.mode == "json_schema":
            form = {"type": "json_schema", "name": "grades", "strict": True, "schema": request.schema}
            shared["text"] = {"format": form}
        elif asking.mode == "tool":
            shared["tools"] = [{"type": "function", "name": TOOL, "strict": True, "parameters": request.schema}]
            shared["tool_choice"] = {"type": "function", "name": TOOL}
        shared["instructions"] = request.system
        prefix = wire.encode(shared).removesuffix(b"}") + b',"input":[{"role":"user","content":'

        def body(user: str, max_tokens: int, images: Sequence[Image] = ()) -> bytes:
            return b'%s%s}],"max_output_tokens":%d}' % (prefix, wire.encode(_content(user, images)), max_tokens)

        return body

    def read(self, raw: bytes) -> Reading:
        """The one message of a response, or the one call of the tool."""
        reply = wire.decode(raw)
        try:
            refused = _failed(reply)
            parts = list(_parts(reply["output"]))
            usage = reply.get("usage") or {}
            details = usage.get("input_tokens_details") or {}
            refusal = refused or next((part["refusal"] for part in parts if part["type"] == "refusal"), None)
            reading = Reading(
                text=_text(parts),
                finish="refused" if refusal is not None else _finish(reply),
                prompt_tokens=wire.count(usage.get("input_tokens")),
                completion_tokens=wire.count(usage.get("output_tokens")),
                model=wire.text(reply.get("model")),
                reply_id=wire.text(reply.get("id")),
                refusal=wire.text(refusal),
                cached_tokens=wire.count(details.get("cached_tokens")) or 0,
                cache_write_tokens=wire.count(details.get("cache_write_tokens")) or 0,
                tokens=_tokens(parts),
            )
        except (AttributeError, KeyError, TypeError):
            raise Unreadable("not_a_response", "the reply is JSON, but not a response") from None
        if reading.finish == "stop" and reading.text is None:
            raise Unreadable("empty_response", "the reply holds no text")
        return reading


class OpenAIResponses(Responses, OpenAIServer):
    """One model behind one responses endpoint."""

    def __init__(self, judge: Judge) -> None:
        super().__init__(judge, PATH)

    def batches(self) -> OpenAIBatches:
        """See `Batched`."""
        return OpenAIBatches(self, PATH)

    async def send_to_keep(self, body: bytes, key: str, attempt: int, noted: Noted) -> bytes:
        """See `Keeping`. Answered in the background: the id is there at once, and is asked for until it is done."""
        told = b'%s,"background":true' % order(key, attempt)
        raw = await self.send(body.replace(b'"store":false', told, 1))
        id = id_of(decoded(raw))
        await noted(id)
        pause_s = FIRST_PAUSE_S
        while decoded(raw).get("status") in UNDER_WAY:
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
            raw = await self._retrieved(id)
        return raw

    async def recall(self, key: str, attempt: int, reply_id: str | None) -> bytes | None:
        """By its id, where that was told: responses are listed nowhere."""
        if reply_id is None:
            raise Rejected("not_listed", "a response can be asked for by its id alone", 404)
        raw = await self.asked("get", f"{PATH}/{id_of({'id': reply_id})}")
        if decoded(raw).get("status") in UNDER_WAY:
            raise AnswerLost("under_way", "the response is not done")
        return raw

    async def _retrieved(self, id: str) -> bytes:
        """A response that was accepted. A refusal to show it is no refusal of the call: the answer is lost."""
        try:
            return await self.asked("get", f"{PATH}/{id}")
        except (Rejected, NotSent) as failure:
            raise AnswerLost("not_retrieved", f"the response cannot be had: {failure}") from None


def _failed(reply: dict[str, Any]) -> str | None:
    """Why a response that failed is a refusal; None for one that did not. Raises Unreadable for any other failure."""
    if reply.get("status") != "failed":
        return None
    error = reply.get("error") or {}
    code, said = wire.text(error.get("code")), wire.text(error.get("message"))
    if code in REFUSALS:
        return said or code
    # Its words may repeat what was asked, which is not known here.
    raise Unreadable(wire.word(code) or "failed", "the response failed")


def _finish(reply: dict[str, Any]) -> Any:
    if reply.get("status") == "incomplete":
        return "refused" if reply["incomplete_details"]["reason"] == "content_filter" else "length"
    return "stop"


def _parts(output: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The parts of messages, and calls; reasoning is neither."""
    for one in output:
        if one["type"] == "message":
            yield from one["content"]
        elif one["type"] == "function_call":
            yield one


def _text(parts: Sequence[dict[str, Any]]) -> str | None:
    calls = [part["arguments"] for part in parts if part["type"] == "function_call"]
    if calls:
        return wire.text(calls[0]) if len(calls) == 1 else None
    said = [part["text"] for part in parts if part["type"] == "output_text"]
    return wire.text("".join(said)) if said else None


def _tokens(parts: Sequence[dict[str, Any]]) -> tuple[Token, ...] | None:
    return tokens([token for part in parts if part["type"] == "output_text" for token in part.get("logprobs") or ()])


def _content(user: str, images: Sequence[Image]) -> str | list[dict[str, Any]]:
    if not images:
        return user
    parts = [{"type": "input_image", "detail": "auto", "image_url": image.url} for image in images]
    return [{"type": "input_text", "text": user}, *parts]
