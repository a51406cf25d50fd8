"""OpenAI's Responses: exact bytes out, readings and named failures back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from judge.judges import Asking, OutputMode
from judge.providers import Image, Reading, Rejected, Request, Unreadable

pytestmark = pytest.mark.anyio
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
NOWHERE = "http://127.0.0.1:9"


def message(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "content": list(parts)}


def text(said: object) -> dict[str, Any]:
    return {"type": "output_text", "text": said}


@pytest.mark.parametrize(
    ("mode", "asked"),
    [
        (
            "json_schema",
            {"text": {"format": {"type": "json_schema", "name": "grades", "strict": True, "schema": SCHEMA}}},
        ),
        (
            "tool",
            {
                "tools": [{"type": "function", "name": "record_grades", "strict": True, "parameters": SCHEMA}],
                "tool_choice": {"type": "function", "name": "record_grades"},
            },
        ),
        ("json_prompt", {}),
    ],
)
async def test_the_body_says_what_is_asked_and_nothing_else(
    adapter_at: Any, mode: OutputMode, asked: dict[str, Any]
) -> None:
    async with adapter_at("openai-responses", NOWHERE) as provider:
        asking = Asking(mode, (("temperature", 0.5), ("reasoning_effort", "low")))
        body = provider.compile(Request(asking, 'sys "é"', SCHEMA))
        first, second = body('user {x} % "\n', 7), body("other", 7)
    assert json.loads(first) == {
        "model": "m",
        "store": False,
        "temperature": 0.5,
        "reasoning": {"effort": "low"},
        **asked,
        "instructions": 'sys "é"',
        "input": [{"role": "user", "content": 'user {x} % "\n'}],
        "max_output_tokens": 7,
    }
    shared = first.index(b"user {x}")
    assert first[:shared] == second[:shared]  # what items share is a prefix that providers can cache


@pytest.mark.parametrize("mode", ["json_schema", "tool"])
async def test_a_call_and_its_reading(shared_stub: Any, adapter_at: Any, mode: OutputMode) -> None:
    shared_stub.reset()
    async with adapter_at("openai-responses", shared_stub.url) as provider:
        raw = await provider.send(provider.compile(Request(Asking(mode, ()), "s", SCHEMA))("u", 10))
        reading = provider.read(raw)
    stats = shared_stub.stats()
    assert list(json.loads(reading.text)) == ["a"]
    assert (reading.finish, reading.model, reading.reply_id) == ("stop", "m", "resp_1")
    assert (reading.prompt_tokens, reading.completion_tokens) == (stats["prompt_tokens"], stats["completion_tokens"])


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ({"status": "completed", "output": [message(text("x"))]}, Reading("x")),
        ({"output": [message(text("x"))]}, Reading("x")),
        ({"status": "completed", "output": [{"type": "reasoning"}, message(text("x"), text("y"))]}, Reading("xy")),
        ({"status": "completed", "output": [{"type": "function_call", "arguments": "{}"}]}, Reading("{}")),
        (
            {
                "status": "incomplete",
                "incomplete_details": {"reason": "max_output_tokens"},
                "output": [message(text("x"))],
            },
            Reading("x", "length"),
        ),
        (
            {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}, "output": []},
            Reading(None, "refused"),
        ),
        (
            {"status": "completed", "output": [message({"type": "refusal", "refusal": "No."})]},
            Reading(None, "refused", refusal="No."),
        ),
        (
            {"status": "failed", "error": {"code": "bio_policy", "message": "No."}, "output": []},
            Reading(None, "refused", refusal="No."),
        ),
    ],
)
async def test_how_a_response_ended(adapter_at: Any, reply: dict[str, Any], expected: Reading) -> None:
    async with adapter_at("openai-responses", NOWHERE) as provider:
        assert provider.read(json.dumps(reply).encode()) == expected


@pytest.mark.parametrize(
    ("reply", "cause"),
    [
        (None, "not_a_response"),
        ([], "not_a_response"),
        ({}, "not_a_response"),
        ({"output": 3}, "not_a_response"),
        ({"output": [{}]}, "not_a_response"),
        ({"output": [message({"type": "output_text"})]}, "not_a_response"),
        ({"output": [message(text(3))]}, "not_a_response"),
        ({"status": "incomplete", "output": []}, "not_a_response"),
        ({"output": []}, "empty_response"),
        ({"status": "in_progress", "output": []}, "empty_response"),
        ({"output": [{"type": "function_call", "arguments": "{}"}] * 2}, "empty_response"),
        ({"status": "failed", "output": []}, "failed"),
        ({"status": "failed", "error": {"code": "server_error", "message": "oh"}, "output": []}, "server_error"),
        ({"status": "failed", "error": {"code": "rate_limit_exceeded"}, "output": []}, "rate_limit_exceeded"),
    ],
)
async def test_what_is_no_answer_is_unreadable(adapter_at: Any, reply: object, cause: str) -> None:
    async with adapter_at("openai-responses", NOWHERE) as provider:
        with pytest.raises(Unreadable) as raised:
            provider.read(json.dumps(reply).encode())
    assert raised.value.cause == cause


@pytest.mark.parametrize(
    ("feature", "parameters", "field"),
    [
        ("no_temperature", (("temperature", 1.0),), "temperature"),
        ("no_effort", (("reasoning_effort", "low"),), "reasoning_effort"),
        ("no_logprobs", (), "logprobs"),
    ],
)
async def test_a_field_that_is_refused_is_named_as_the_judge_names_it(
    shared_stub: Any, adapter_at: Any, feature: str, parameters: Any, field: str
) -> None:
    shared_stub.reset()
    shared_stub.behave(feature)
    asking = Asking("json_prompt", parameters, logprobs=feature == "no_logprobs")
    async with adapter_at("openai-responses", shared_stub.url) as provider:
        with pytest.raises(Rejected) as raised:
            await provider.send(provider.compile(Request(asking, "s", SCHEMA))("u", 10))
    assert raised.value.parameter == field


async def test_images_follow_the_text(adapter_at: Any) -> None:
    url = "data:image/png;base64,AAAA"
    async with adapter_at("openai-responses", NOWHERE) as provider:
        body = provider.compile(Request(Asking("json_prompt", ()), "s", SCHEMA))
        sent = json.loads(body("u", 7, [Image(url)]))
    assert sent["input"][0]["content"] == [
        {"type": "input_text", "text": "u"},
        {"type": "input_image", "detail": "auto", "image_url": url},
    ]


async def test_log_probabilities_are_asked_for_and_read(shared_stub: Any, adapter_at: Any) -> None:
    shared_stub.reset()
    async with adapter_at("openai-responses", shared_stub.url) as provider:
        asked = provider.compile(Request(Asking("json_schema", (), logprobs=True), "s", SCHEMA))("u", 10)
        reading = provider.read(await provider.send(asked))
    sent = json.loads(asked)
    assert (sent["top_logprobs"], sent["include"]) == (20, ["message.output_text.logprobs"])
    assert b"".join(token.raw for token in reading.tokens) == reading.text.encode()
    assert all(token.raw in dict(token.alternatives) for token in reading.tokens)


async def test_cached_tokens_are_among_the_prompts(shared_stub: Any, adapter_at: Any) -> None:
    shared_stub.reset()
    shared_stub.behave("cached", cached=5, cache_write=2)
    async with adapter_at("openai-responses", shared_stub.url) as provider:
        body = provider.compile(Request(Asking("json_schema", ()), "s" * 100, SCHEMA))("u", 10)
        reading = provider.read(await provider.send(body))
    assert (reading.cached_tokens, reading.cache_write_tokens) == (5, 2)
    assert reading.prompt_tokens == shared_stub.stats()["prompt_tokens"]
