"""OpenAI chat completions, and every server that speaks them.

The exact bytes of the body are ours, because they are the key under which the answer is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from judge.judges import Judge
from judge.providers import Body, Image, Reading, Request, Unreadable, wire
from judge.providers.batches import id_of
from judge.providers.keeping import ATTEMPT, KEY, Noted, order
from judge.providers.openai_batches import OpenAIBatches
from judge.providers.transport import Transport
from judge.tokens import Token

OPENAI_URL = "https://api.openai.com/v1"
PATH = "/chat/completions"
TOOL = "record_grades"
#: The most that OpenAI gives.
TOP_LOGPROBS = 20

#: Codes that are causes as they stand.
CAUSES = frozenset({"context_length_exceeded", "content_filter", "slow_down"})
OUT_OF_MONEY = frozenset({"insufficient_quota", "credit_balance_exhausted", "billing_hard_limit_reached"})
#: How servers that say it without OpenAI's code say that a prompt is too long: vLLM, llama.cpp.
TOO_LONG = ("maximum context length", "exceeds the available context size")
#: Why an answer ended. Mistral and others tell a full context apart from the token limit.
FINISHES: dict[str, Any] = {
    "length": "length",
    "content_filter": "refused",
    "model_length": "context",
    "model_context_window_exceeded": "context",
}
#: What a gateway adds to an error where a filter of its own refused the input (OpenRouter, with status 403).
FLAGGED = "flagged_input"
#: Of fields of a body, the field of a judge that put them there.
FIELDS = {"top_logprobs": "logprobs", "include": "logprobs", "reasoning": "reasoning_effort"}


class OpenAIServer(Transport):
    """A path of OpenAI's, or of a server like it."""

    def __init__(self, judge: Judge, path: str) -> None:
        import openai  # noqa: PLC0415 - 0.7 s, only for those who ask OpenAI

        super().__init__(judge, openai, openai.AsyncOpenAI, OPENAI_URL, path)
        if judge.base_url is not None:  # the SDK takes these from the environment, and they are OpenAI's business
            self._client.organization = self._client.project = None

    @staticmethod
    def explain(error: dict[str, Any]) -> tuple[str | None, str | None]:
        """OpenAI's codes, and the words of servers that give none."""
        code, said, metadata = wire.text(error.get("code")), str(error.get("message")), error.get("metadata")
        cause = code if code in CAUSES else None
        if code in OUT_OF_MONEY or error.get("type") in OUT_OF_MONEY:
            cause = "out_of_money"
        elif isinstance(metadata, dict) and FLAGGED in metadata:
            cause = "content_filter"
        elif any(words in said for words in TOO_LONG):
            cause = "context_length_exceeded"
        field = wire.text(error.get("param"))
        if field is None:
            # OpenAI refuses log probabilities of some models without naming the parameter.
            return cause, "logprobs" if "logprobs" in said.lower() else None
        return cause, FIELDS.get(field.partition("[")[0].partition(".")[0], field)


class ChatCompletions:
    """How chat completions are asked for and read, whoever carries them."""

    model: str

    def compile(self, request: Request) -> Body:
        """Everything but the user message and the token limit is serialised once."""
        asking = request.asking
        shared: dict[str, Any] = {"model": self.model, **dict(asking.parameters)}
        if asking.logprobs:
            shared |= {"logprobs": True, "top_logprobs": TOP_LOGPROBS}
        if asking.mode == "json_schema":
            schema = {"name": "grades", "strict": True, "schema": request.schema}
            shared["response_format"] = {"type": "json_schema", "json_schema": schema}
        elif asking.mode == "tool":
            function = {"name": TOOL, "strict": True, "parameters": request.schema}
            shared["tools"] = [{"type": "function", "function": function}]
            shared["tool_choice"] = {"type": "function", "function": {"name": TOOL}}
        shared["messages"] = [{"role": "system", "content": request.system}]
        prefix = wire.encode(shared).removesuffix(b"}]}") + b'},{"role":"user","content":'
        limit = b'}],"%s":' % asking.token_limit.encode()

        def body(user: str, max_tokens: int, images: Sequence[Image] = ()) -> bytes:
            return b"%s%s%s%d}" % (prefix, wire.encode(_content(user, images)), limit, max_tokens)

        return body

    def read(self, raw: bytes) -> Reading:
        """The first choice of a chat completion."""
        reply = wire.decode(raw)
        try:
            choice = reply["choices"][0]
            message = choice["message"]
            usage = reply.get("usage") or {}
            details = usage.get("prompt_tokens_details") or {}
            reading = Reading(
                text=_text(message),
                finish="refused" if message.get("refusal") else FINISHES.get(choice.get("finish_reason"), "stop"),
                prompt_tokens=wire.count(usage.get("prompt_tokens")),
                completion_tokens=wire.count(usage.get("completion_tokens")),
                model=wire.text(reply.get("model")),
                reply_id=wire.text(reply.get("id")),
                refusal=wire.text(message.get("refusal")),
                cached_tokens=wire.count(details.get("cached_tokens")) or 0,
                cache_write_tokens=wire.count(details.get("cache_write_tokens")) or 0,
                tokens=tokens((choice.get("logprobs") or {}).get("content")),
            )
        except (AttributeError, IndexError, KeyError, TypeError):
            raise Unreadable("not_a_completion", "the reply is JSON, but not a chat completion") from None
        if reading.finish == "stop" and reading.text is None:
            raise Unreadable("empty_completion", "the reply holds no text")
        return reading


class OpenAI(ChatCompletions, OpenAIServer):
    """One model behind one chat completions endpoint."""

    def __init__(self, judge: Judge) -> None:
        super().__init__(judge, PATH)

    def batches(self) -> OpenAIBatches:
        """See `Batched`."""
        return OpenAIBatches(self, PATH)

    async def send_to_keep(self, body: bytes, key: str, attempt: int, noted: Noted) -> bytes:
        """See `Keeping`. The answer's id is not known before it comes."""
        return await self.send(b"{%s,%s" % (order(key, attempt), body[1:]))

    async def recall(self, key: str, attempt: int, reply_id: str | None) -> bytes | None:
        """By the metadata that it was sent with."""
        params = {"metadata": {KEY: key, ATTEMPT: str(attempt)}, "limit": 1}
        listed = wire.decode(await self.asked("get", PATH, options={"params": params}))
        found = listed.get("data") if isinstance(listed, dict) else None
        if not isinstance(found, list):
            raise Unreadable("not_a_list", "the reply lists no completions")
        return await self.asked("get", f"{PATH}/{id_of(found[0])}") if found else None


def tokens(given: Any) -> tuple[Token, ...] | None:
    """The tokens of an answer, where their probabilities were given in OpenAI's form."""
    try:
        return tuple(Token(_raw(one), _alternatives(one)) for one in given) if given else None
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def _alternatives(token: dict[str, Any]) -> tuple[tuple[bytes, float], ...]:
    weighed = {_raw(one): float(one["logprob"]) for one in token.get("top_logprobs") or ()}
    weighed.setdefault(_raw(token), float(token["logprob"]))
    return tuple(weighed.items())


def _raw(token: dict[str, Any]) -> bytes:
    """The bytes of a token; those of its text where a server gives none."""
    given = token.get("bytes")
    return bytes(given) if isinstance(given, list) else token["token"].encode("utf-8", "replace")


def _content(user: str, images: Sequence[Image]) -> str | list[dict[str, Any]]:
    if not images:
        return user
    parts = [{"type": "image_url", "image_url": {"url": image.url}} for image in images]
    return [{"type": "text", "text": user}, *parts]


def _text(message: dict[str, Any]) -> str | None:
    calls = message.get("tool_calls")
    if calls:
        return wire.text(calls[0]["function"]["arguments"]) if len(calls) == 1 else None
    return wire.text(message.get("content"))
