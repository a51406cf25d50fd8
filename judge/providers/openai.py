"""OpenAI chat completions, and every server that speaks them.

The exact bytes of the body are ours, because they are the key under which the answer is kept; the SDK brings
authentication, transport and its errors. Its retries are off: calling owns them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

from judge.errors import SetupError
from judge.judges import Judge
from judge.providers import AnswerLost, Body, CallError, Image, NotSent, Reading, Rejected, Request, Unreadable
from judge.providers.retry_after import retry_after

OPENAI_URL = "https://api.openai.com/v1"
PATH = "/chat/completions"
TOOL = "record_grades"
CONNECT_TIMEOUT_S = 10.0
#: No reply has more; a count beyond it is none.
MOST_TOKENS = 10**9
DETAIL_CHARACTERS = 300

OUT_OF_MONEY = frozenset({"insufficient_quota", "credit_balance_exhausted", "billing_hard_limit_reached"})


class OpenAI:
    """One model behind one chat completions endpoint."""

    def __init__(self, judge: Judge) -> None:
        if not judge.model:
            raise SetupError(f"the judge {judge.name!r} names no model; write model: NAME, or openai/NAME")
        if judge.options:
            raise SetupError(
                f"the judge {judge.name!r}: openai has no options; the fields are {', '.join(Judge.model_fields)}"
            )
        self.endpoint = (judge.base_url or OPENAI_URL).rstrip("/") + PATH
        self._model = judge.model
        self._key = _key(judge)
        self._client = _client(judge, self._key)

    def compile(self, request: Request) -> Body:
        """Everything but the user message and the token limit is serialised once."""
        asking = request.asking
        shared: dict[str, Any] = {"model": self._model, **dict(asking.parameters)}
        if asking.mode == "json_schema":
            schema = {"name": "grades", "strict": True, "schema": request.schema}
            shared["response_format"] = {"type": "json_schema", "json_schema": schema}
        elif asking.mode == "tool":
            function = {"name": TOOL, "strict": True, "parameters": request.schema}
            shared["tools"] = [{"type": "function", "function": function}]
            shared["tool_choice"] = {"type": "function", "function": {"name": TOOL}}
        shared["messages"] = [{"role": "system", "content": request.system}]
        prefix = _json(shared).removesuffix(b"}]}") + b'},{"role":"user","content":'
        limit = b'}],"%s":' % asking.token_limit.encode()

        def body(user: str, max_tokens: int, images: Sequence[Image] = ()) -> bytes:
            return b"%s%s%s%d}" % (prefix, _json(user), limit, max_tokens)

        return body

    async def send(self, body: bytes) -> bytes:
        """The raw reply. The caller bounds the time."""
        from openai import APIConnectionError, APIStatusError  # noqa: PLC0415 - 0.5 s, only for those who ask OpenAI

        failure: CallError
        try:
            raw: bytes = await self._client.post(PATH, cast_to=bytes, content=body, options={"headers": _JSON_HEADERS})
            return raw
        except APIStatusError as error:
            failure = self._rejected(error.status_code, error.body, error.response.headers)
        except APIConnectionError as error:
            detail = " ".join(str(error.__cause__).split())[:DETAIL_CHARACTERS] or type(error.__cause__).__name__
            if _never_connected(error):
                failure = NotSent("no_connection", f"no connection to {self.endpoint}: {detail}")
            else:
                failure = AnswerLost("connection_lost", f"the connection broke before the answer came: {detail}")
        # Raised out here: the SDK's error holds the key and the prompt in its request, and must not travel along.
        raise failure

    def read(self, raw: bytes) -> Reading:
        """The first choice of a chat completion."""
        try:
            reply = json.loads(raw)
        except (ValueError, RecursionError):
            raise Unreadable("not_json", "the reply is not JSON") from None
        try:
            choice = reply["choices"][0]
            message, finish = choice["message"], choice.get("finish_reason")
            usage = reply.get("usage") or {}
            reading = Reading(
                text=_text(message),
                finish=_finish(finish, message),
                prompt_tokens=_count(usage.get("prompt_tokens")),
                completion_tokens=_count(usage.get("completion_tokens")),
                model=_string(reply.get("model")),
                reply_id=_string(reply.get("id")),
                refusal=_string(message.get("refusal")),
            )
        except (AttributeError, IndexError, KeyError, TypeError):
            raise Unreadable("not_a_completion", "the reply is JSON, but not a chat completion") from None
        if reading.finish == "stop" and reading.text is None:
            raise Unreadable("empty_completion", "the reply holds no text")
        return reading

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.close()

    def _rejected(self, status: int, body: object, headers: Any) -> Rejected:
        error = body if isinstance(body, dict) else {}
        if isinstance(error.get("error"), dict):
            error = error["error"]
        code = _string(error.get("code")) or ""
        detail = " ".join(str(error.get("message") or f"HTTP status {status}").split())
        if self._key:
            detail = detail.replace(self._key, "***")
        cause = f"http_{status}"
        if code in OUT_OF_MONEY or status == 402:
            cause = "out_of_money"
        elif code in {"context_length_exceeded", "content_filter"}:
            cause = code
        return Rejected(cause, detail[:DETAIL_CHARACTERS], status, retry_after(headers), _string(error.get("param")))


_JSON_HEADERS = {"Content-Type": "application/json"}


def _key(judge: Judge) -> str | None:
    if judge.key_variable is None:
        return None
    key = os.environ.get(judge.key_variable, "").strip()
    if not key:
        raise SetupError(
            f"the judge {judge.name!r} needs a key: set {judge.key_variable}, or in the judge's YAML api_key_env "
            "to the variable that holds it (a server without keys needs none beside its base_url)"
        )
    return key


def _client(judge: Judge, key: str | None) -> Any:
    from openai import AsyncOpenAI, DefaultAioHttpClient, Timeout  # noqa: PLC0415 - 0.5 s, only for those who ask OpenAI

    client = AsyncOpenAI(
        base_url=judge.base_url or OPENAI_URL,
        api_key=key or "none",
        max_retries=0,
        timeout=Timeout(None, connect=CONNECT_TIMEOUT_S),
        # Replies are small; an encoded one could unpack to any size.
        default_headers={**judge.headers, "Accept-Encoding": "identity"},
        http_client=DefaultAioHttpClient(follow_redirects=False, trust_env=False),
    )
    if judge.base_url is not None:  # the SDK takes these from the environment, and they are OpenAI's business
        client.organization = client.project = None
    return client


def _never_connected(error: BaseException) -> bool:
    """Whether a failure came before a connection was there.

    The SDK's transport calls a reset in mid-answer a failed connect too, so the cause below it decides.
    """
    from aiohttp import ClientConnectorError, ConnectionTimeoutError, InvalidURL  # noqa: PLC0415 - loaded by the SDK

    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ClientConnectorError | ConnectionTimeoutError | InvalidURL):
            return True
        cause = cause.__cause__
    return False


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _text(message: dict[str, Any]) -> str | None:
    calls = message.get("tool_calls")
    if calls:
        return _string(calls[0]["function"]["arguments"]) if len(calls) == 1 else None
    return _string(message.get("content"))


def _finish(reason: object, message: dict[str, Any]) -> Any:
    if message.get("refusal") or reason == "content_filter":
        return "refused"
    return "length" if reason == "length" else "stop"


def _string(value: object) -> str | None:
    """Text from outside, made fit to be stored."""
    return value.encode("utf-8", "replace").decode().replace("\x00", "\ufffd") if isinstance(value, str) else None


def _count(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS:
        return value
    return None
