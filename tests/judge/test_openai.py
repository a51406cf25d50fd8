"""OpenAI chat completions: exact bytes out, readings and named failures back."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from judge.judges import Asking, OutputMode
from judge.providers import Image, Reading, Rejected, Request, Unreadable
from judge.tokens import Token

pytestmark = pytest.mark.anyio
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
NOWHERE = "http://127.0.0.1:9"


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
    adapter_at: Any, mode: OutputMode, asked: dict[str, Any]
) -> None:
    async with adapter_at("openai", NOWHERE) as provider:
        asking = Asking(mode, (("temperature", 0.5), ("reasoning_effort", "low")), "max_tokens")
        body = provider.compile(Request(asking, 'sys "é"', SCHEMA))
        first, second = body('user {x} % "\n', 7), body("other", 7)
    assert json.loads(first) == {
        "model": "m",
        "temperature": 0.5,
        "reasoning_effort": "low",
        **asked,
        "messages": [{"role": "system", "content": 'sys "é"'}, {"role": "user", "content": 'user {x} % "\n'}],
        "max_tokens": 7,
    }
    shared = first.index(b"user {x}")
    assert first[:shared] == second[:shared]  # what items share is a prefix that providers can cache
    assert provider.endpoint == "http://127.0.0.1:9/v1/chat/completions"


async def test_a_call_and_its_reading(shared_stub: Any, adapter_at: Any) -> None:
    shared_stub.reset()
    for mode in ("json_schema", "tool"):
        async with adapter_at("openai", shared_stub.url) as provider:
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
        ({"content": "x"}, "model_length", Reading("x", "context")),
        ({"content": None}, "length", Reading(None, "length")),
        ({"content": None}, "content_filter", Reading(None, "refused")),
        ({"content": None, "refusal": "No."}, "stop", Reading(None, "refused", refusal="No.")),
    ],
)
async def test_how_a_completion_ended(
    adapter_at: Any, message: dict[str, Any], finish: str | None, expected: Reading
) -> None:
    async with adapter_at("openai", NOWHERE) as provider:
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
        b'{"choices": [{"message": {"content": "x"}, "finish_reason": []}]}',
        b'{"choices": [{"message": {"content": "x"}}], "usage": [1]}',
        b"[" * 100_000,
        b"\xff",
    ],
)
async def test_what_is_no_completion_is_unreadable(adapter_at: Any, raw: bytes) -> None:
    async with adapter_at("openai", NOWHERE) as provider:
        with pytest.raises(Unreadable):
            provider.read(raw)


@pytest.mark.parametrize("tokens", [-1, True, "7", 1.5, None, 10**7 + 1, 10**30])
async def test_a_count_that_is_no_count_is_unknown(adapter_at: Any, tokens: object) -> None:
    reply = {"choices": [{"message": {"content": "x"}}], "usage": {"prompt_tokens": tokens, "completion_tokens": 3}}
    async with adapter_at("openai", NOWHERE) as provider:
        reading = provider.read(json.dumps(reply).encode())
    assert (reading.prompt_tokens, reading.completion_tokens) == (None, 3)


async def test_what_a_reply_says_of_itself_can_be_stored(adapter_at: Any) -> None:
    odd = "a\ud800\x00b"
    reply = {"id": odd, "model": odd, "choices": [{"message": {"content": None, "refusal": odd}}]}
    async with adapter_at("openai", NOWHERE) as provider:
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
        ({"status": 429, "code": "slow_down", "retry_after": 7}, "slow_down", 429, 7.0),
        ({"status": 402}, "out_of_money", 402, None),
        ({"status": 500}, "http_500", 500, None),
        ({"status": 400, "code": "context_length_exceeded"}, "context_length_exceeded", 400, None),
    ],
)
async def test_an_error_status_is_named(
    shared_stub: Any, adapter_at: Any, behaviour: dict[str, Any], cause: str, status: int, wait: float | None
) -> None:
    shared_stub.reset()
    shared_stub.behave("status", **behaviour)
    async with adapter_at("openai", shared_stub.url) as provider:
        with pytest.raises(Rejected) as raised:
            await provider.send(b'{"messages": []}')
    assert (raised.value.cause, raised.value.status, raised.value.retry_after_s) == (cause, status, wait)
    assert shared_stub.stats()["requests"] == 1  # the SDK's own retries are off


async def test_a_parameter_that_is_refused_is_named(shared_stub: Any, adapter_at: Any) -> None:
    shared_stub.reset()
    shared_stub.behave("no_temperature")
    async with adapter_at("openai", shared_stub.url) as provider:
        with pytest.raises(Rejected) as raised:
            await provider.send(b'{"messages": [], "temperature": 1}')
    assert raised.value.parameter == "temperature"


async def test_words_of_other_servers_that_a_prompt_is_too_long(shared_stub: Any, adapter_at: Any) -> None:
    told = {
        "vllm": "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens.",
        "llama.cpp": "the request exceeds the available context size. try increasing the context size",
    }
    for message in told.values():
        shared_stub.reset()
        shared_stub.behave("status", status=400, message=message)
        async with adapter_at("openai", shared_stub.url) as provider:
            with pytest.raises(Rejected) as raised:
                await provider.send(b'{"messages": []}')
        assert raised.value.cause == "context_length_exceeded"


@pytest.mark.parametrize(
    ("status", "message"),
    [(400, "Logprobs is not enabled for this model"), (403, "You are not allowed to request logprobs from this model")],
)
async def test_log_probabilities_that_are_refused_in_words_alone(
    shared_stub: Any, adapter_at: Any, status: int, message: str
) -> None:
    shared_stub.reset()
    shared_stub.behave("status", status=status, message=message)
    async with adapter_at("openai", shared_stub.url) as provider:
        with pytest.raises(Rejected) as raised:
            await provider.send(b'{"messages": []}')
    assert raised.value.parameter == "logprobs"


async def test_images_follow_the_text(adapter_at: Any) -> None:
    urls = ["https://example.org/a.png", "data:image/png;base64,AAAA"]
    async with adapter_at("openai", NOWHERE) as provider:
        body = provider.compile(Request(Asking("json_prompt", ()), "s", SCHEMA))
        sent = json.loads(body("u", 7, [Image(url) for url in urls]))
    assert sent["messages"][1]["content"] == [
        {"type": "text", "text": "u"},
        {"type": "image_url", "image_url": {"url": urls[0]}},
        {"type": "image_url", "image_url": {"url": urls[1]}},
    ]
    assert sent["max_completion_tokens"] == 7


async def test_log_probabilities_are_asked_for_and_read(shared_stub: Any, adapter_at: Any) -> None:
    shared_stub.reset()
    async with adapter_at("openai", shared_stub.url) as provider:
        asked = provider.compile(Request(Asking("json_schema", (), logprobs=True), "s", SCHEMA))("u", 10)
        reading = provider.read(await provider.send(asked))
        plain = provider.compile(Request(Asking("json_schema", ()), "s", SCHEMA))("u", 10)
        without = provider.read(await provider.send(plain))
    assert (json.loads(asked)["logprobs"], json.loads(asked)["top_logprobs"]) == (True, 20)
    assert b"".join(token.raw for token in reading.tokens) == reading.text.encode()
    for token in reading.tokens:
        assert token.raw in dict(token.alternatives)
        assert math.fsum(math.exp(logprob) for _, logprob in token.alternatives) <= 1.0 + 1e-9
    assert without.tokens is None


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, None),
        ([], None),
        ([{"token": "a", "logprob": -0.5}], (Token(b"a", ((b"a", -0.5),)),)),
        ([{"token": "?", "bytes": [195], "logprob": 0}], (Token(b"\xc3", ((b"\xc3", 0.0),)),)),
        (
            [{"token": "a", "logprob": -2.0, "top_logprobs": [{"token": "b", "bytes": None, "logprob": -0.1}]}],
            (Token(b"a", ((b"b", -0.1), (b"a", -2.0))),),
        ),
        ([{"token": "a"}], None),
        ([{"token": "a", "bytes": [300], "logprob": 0}], None),
        ([{"token": 3, "logprob": 0}], None),
        ("text", None),
    ],
)
async def test_tokens_of_another_form_are_none(adapter_at: Any, given: Any, expected: Any) -> None:
    reply = {"choices": [{"message": {"content": "a"}, "logprobs": {"content": given}}]}
    async with adapter_at("openai", NOWHERE) as provider:
        reading = provider.read(json.dumps(reply).encode())
    assert (reading.text, reading.tokens) == ("a", expected)


async def test_cached_tokens_are_among_the_prompts(shared_stub: Any, adapter_at: Any) -> None:
    shared_stub.reset()
    shared_stub.behave("cached", cached=5, cache_write=2)
    async with adapter_at("openai", shared_stub.url) as provider:
        body = provider.compile(Request(Asking("json_schema", ()), "s" * 100, SCHEMA))("u", 10)
        reading = provider.read(await provider.send(body))
    assert (reading.cached_tokens, reading.cache_write_tokens) == (5, 2)
    assert reading.prompt_tokens == shared_stub.stats()["prompt_tokens"]
