"""The OpenAI adapter: exact bytes out, readings and named failures back."""

from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from judge import Judge, SetupError
from judge.judges import Asking, OutputMode
from judge.providers import AnswerLost, NotSent, Reading, Rejected, Request, Unreadable
from judge.providers.openai import OpenAI

pytestmark = pytest.mark.anyio
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
KEY = "sk-secret-0123456789"


@asynccontextmanager
async def opened(judge: Judge) -> AsyncIterator[OpenAI]:
    provider = OpenAI(judge)
    try:
        yield provider
    finally:
        await provider.close()


@asynccontextmanager
async def answering(reply: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that gives every request the same bytes: its address, and the heads that came."""
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(reply)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", heads
    finally:
        server.close()


def http(status: str, body: bytes, *head: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", "content-type: application/json", f"content-length: {len(body)}", *head, "", ""]
    return "\r\n".join(lines).encode() + body


@pytest.mark.parametrize(
    ("mode", "asked"),
    [
        (
            "json_schema",
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "grades", "strict": True, "schema": SCHEMA},
                }
            },
        ),
        (
            "tool",
            {
                "tools": [
                    {
                        "type": "function",
                        "function": {"name": "record_grades", "strict": True, "parameters": SCHEMA},
                    }
                ],
                "tool_choice": {"type": "function", "function": {"name": "record_grades"}},
            },
        ),
        ("json_prompt", {}),
    ],
)
async def test_the_body_says_what_is_asked_and_nothing_else(
    judge_at: Callable[..., Judge], mode: OutputMode, asked: dict[str, Any]
) -> None:
    async with opened(judge_at("http://127.0.0.1:9/v1/")) as provider:
        asking = Asking(mode, (("temperature", 0.5),), "max_tokens")
        body = provider.compile(Request(asking, 'sys "é"', SCHEMA))
        first, second = body('user {x} % "\n', 7), body("other", 7)
    assert json.loads(first) == {
        "model": "m",
        "temperature": 0.5,
        **asked,
        "messages": [{"role": "system", "content": 'sys "é"'}, {"role": "user", "content": 'user {x} % "\n'}],
        "max_tokens": 7,
    }
    shared = first.index(b"user {x}")
    assert first[:shared] == second[:shared]  # what items share is a prefix that providers can cache
    assert provider.endpoint == "http://127.0.0.1:9/v1/chat/completions"


async def test_a_call_and_its_reading(stub: Any, judge_at: Callable[..., Judge]) -> None:
    server = stub()
    for mode in ("json_schema", "tool"):
        async with opened(judge_at(server.base_url)) as provider:
            raw = await provider.send(provider.compile(Request(Asking(mode, ()), "s", SCHEMA))("u", 10))
            reading = provider.read(raw)
        assert reading.text is not None
        assert list(json.loads(reading.text)) == ["a"]
        assert (reading.finish, reading.model) == ("stop", "m")
        assert (reading.reply_id or "").startswith("chatcmpl-")
        assert reading.prompt_tokens is not None
        assert raw == raw.strip()


@pytest.mark.parametrize(
    ("message", "finish", "expected"),
    [
        ({"content": "x"}, "stop", Reading("x")),
        ({"content": ""}, "stop", Reading("")),
        ({"content": "x"}, None, Reading("x")),
        ({"content": "x"}, "length", Reading("x", "length")),
        ({"content": None}, "length", Reading(None, "length")),
        ({"content": None}, "content_filter", Reading(None, "refused")),
        ({"content": None, "refusal": "No."}, "stop", Reading(None, "refused", refusal="No.")),
    ],
)
async def test_how_a_completion_ended(
    judge_at: Callable[..., Judge], message: dict[str, Any], finish: str | None, expected: Reading
) -> None:
    async with opened(judge_at("http://127.0.0.1:9/v1")) as provider:
        assert (
            provider.read(json.dumps({"choices": [{"message": message, "finish_reason": finish}]}).encode()) == expected
        )


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"<html>",
        b"{}",
        b"[]",
        b"null",
        b"3",
        b'{"choices": []}',
        b'{"choices": [{}]}',
        b'{"choices": [{"message": null}]}',
        b'{"choices": [{"message": {"content": null}, "finish_reason": "stop"}]}',
        b'{"choices": [{"message": {"content": ["x"]}, "finish_reason": "stop"}]}',
        b'{"choices": [{"message": {"tool_calls": [{}]}}]}',
        b'{"choices": [{"message": {"content": "x"}}], "usage": [1]}',
        b"[" * 100_000,
        b"\xff",
    ],
)
async def test_what_is_no_completion_is_unreadable(judge_at: Callable[..., Judge], raw: bytes) -> None:
    async with opened(judge_at("http://127.0.0.1:9/v1")) as provider:
        with pytest.raises(Unreadable):
            provider.read(raw)


@pytest.mark.parametrize("tokens", [-1, True, "7", 1.5, None, 10**30])
async def test_a_count_that_is_no_count_is_unknown(judge_at: Callable[..., Judge], tokens: object) -> None:
    reply = {"choices": [{"message": {"content": "x"}}], "usage": {"prompt_tokens": tokens, "completion_tokens": 3}}
    async with opened(judge_at("http://127.0.0.1:9/v1")) as provider:
        reading = provider.read(json.dumps(reply).encode())
    assert (reading.prompt_tokens, reading.completion_tokens) == (None, 3)


async def test_what_a_reply_says_of_itself_can_be_stored(judge_at: Callable[..., Judge]) -> None:
    odd = "a\ud800\x00b"
    reply = {"id": odd, "model": odd, "choices": [{"message": {"content": None, "refusal": odd}}]}
    async with opened(judge_at("http://127.0.0.1:9/v1")) as provider:
        reading = provider.read(json.dumps(reply).encode())
    for said in (reading.model, reading.reply_id, reading.refusal):
        assert said is None or said.encode()


@pytest.mark.parametrize(
    ("behaviour", "cause", "status", "wait"),
    [
        ({"status": 400}, "http_400", 400, None),
        ({"status": 401}, "http_401", 401, None),
        ({"status": 429, "retry_after": 7}, "http_429", 429, 7.0),
        ({"status": 429, "code": "insufficient_quota"}, "out_of_money", 429, None),
        ({"status": 402}, "out_of_money", 402, None),
        ({"status": 500}, "http_500", 500, None),
        ({"status": 400, "code": "context_length_exceeded"}, "context_length_exceeded", 400, None),
    ],
)
async def test_an_error_status_is_named(
    stub: Any, judge_at: Callable[..., Judge], behaviour: dict[str, Any], cause: str, status: int, wait: float | None
) -> None:
    server = stub()
    server.behave("status", **behaviour)
    async with opened(judge_at(server.base_url)) as provider:
        with pytest.raises(Rejected) as raised:
            await provider.send(b'{"messages": []}')
    assert (raised.value.cause, raised.value.status, raised.value.retry_after_s) == (cause, status, wait)
    assert server.stats()["requests"] == 1  # the SDK's own retries are off


async def test_a_parameter_that_is_refused_is_named(stub: Any, judge_at: Callable[..., Judge]) -> None:
    server = stub()
    server.behave("no_temperature")
    async with opened(judge_at(server.base_url)) as provider:
        with pytest.raises(Rejected) as raised:
            await provider.send(b'{"messages": [], "temperature": 1}')
    assert raised.value.parameter == "temperature"


@pytest.mark.parametrize("mode", ["reset", "cut_stream"])
async def test_an_answer_that_breaks_off_is_lost(stub: Any, judge_at: Callable[..., Judge], mode: str) -> None:
    server = stub()
    server.behave(mode)
    async with opened(judge_at(server.base_url)) as provider:
        with pytest.raises(AnswerLost, match="broke before the answer came"):
            await provider.send(b'{"messages": []}')
    assert server.stats()["requests"] == 1


async def test_a_server_that_is_not_there_was_sent_nothing(judge_at: Callable[..., Judge]) -> None:
    async with opened(judge_at("http://127.0.0.1:9/v1")) as provider:
        with pytest.raises(NotSent, match=r"no connection to http://127\.0\.0\.1:9/v1/chat/completions"):
            await provider.send(b"{}")


async def test_a_redirect_is_not_followed(judge_at: Callable[..., Judge]) -> None:
    async with answering(http("200 OK", b"{}")) as (elsewhere, reached):
        redirect = http("307 Temporary Redirect", b"", f"location: {elsewhere}/chat/completions")
        async with answering(redirect) as (url, heads), opened(judge_at(url)) as provider:
            with pytest.raises(Rejected) as raised:
                await provider.send(b"{}")
    assert (raised.value.status, len(heads), reached) == (307, 1, [])


async def test_no_proxy_of_the_environment_is_used(
    stub: Any, judge_at: Callable[..., Judge], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with opened(judge_at(stub().base_url)) as provider:
        assert b"choices" in await provider.send(b'{"messages": []}')


async def test_the_key_is_sent_and_never_said(judge_at: Callable[..., Judge], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", f" {KEY}\n")
    error = json.dumps({"error": {"message": f"Incorrect API key provided: {KEY}"}}).encode()
    async with (
        answering(http("401 Unauthorized", error)) as (url, heads),
        opened(judge_at(url, headers={"X-Team": "eval"}, api_key_env="OPENAI_API_KEY")) as provider,
    ):
        with pytest.raises(Rejected) as raised:
            await provider.send(b"{}")
    assert f"authorization: bearer {KEY}".encode() in heads[0].lower()
    assert b"x-team: eval" in heads[0].lower()
    assert b"accept-encoding: identity" in heads[0].lower()
    told = "".join(traceback.format_exception(raised.value))
    assert KEY not in told
    assert "Incorrect API key provided: ***" in str(raised.value)


async def test_which_key_and_when_none(judge_at: Callable[..., Judge], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SetupError, match="needs a key: set OPENAI_API_KEY"):
        OpenAI(Judge.load("openai/some-model"))
    with pytest.raises(SetupError, match="set OTHER_KEY"):
        OpenAI(judge_at("http://127.0.0.1:9/v1", api_key_env="OTHER_KEY"))
    with pytest.raises(SetupError, match="names no model"):
        OpenAI(judge_at("http://127.0.0.1:9/v1", model=""))
    for judge in (judge_at("http://127.0.0.1:9/v1"), judge_at("http://127.0.0.1:9/v1", api_key_env=None)):
        async with opened(judge) as provider:
            assert provider.endpoint == "http://127.0.0.1:9/v1/chat/completions"


async def test_openais_own_key_goes_to_no_other_server(
    judge_at: Callable[..., Judge], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_ORG_ID", "org-secret")
    error = json.dumps({"error": {"message": "no"}}).encode()
    async with answering(http("401 Unauthorized", error)) as (url, heads), opened(judge_at(url)) as provider:
        with pytest.raises(Rejected):
            await provider.send(b"{}")
    assert KEY.encode() not in heads[0]
    assert b"org-secret" not in heads[0]
