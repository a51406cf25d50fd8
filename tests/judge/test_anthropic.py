"""Anthropic's Messages: exact bytes out, readings and named failures back."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import pytest
from opentelemetry import trace

from judge import Judge, SetupError
from judge.judges import Asking, OutputMode
from judge.providers import Image, Reading, Rejected, Request, Unreadable, connect
from rubrics import Rubric, answer_schema, shipped

pytestmark = pytest.mark.anyio
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
NOWHERE = "http://127.0.0.1:9"
#: The server's subset of JSON schema is what the SDK of today makes of one; that of before insists on a type.
TODAY = pytest.mark.skipif(anthropic.__version__ < "2", reason="the SDK of before wants a type beside every enum")
CALLED = {"type": "tool_use", "id": "t", "name": "record_grades", "input": {"a": "é", "b": 1.50}}


def text(said: object) -> dict[str, Any]:
    return {"type": "text", "text": said}


@pytest.mark.parametrize(
    ("mode", "output", "asked"),
    [
        ("json_schema", {"format": {"type": "json_schema", "schema": SCHEMA}}, {}),
        (
            "tool",
            {},
            {
                "tools": [{"name": "record_grades", "strict": True, "input_schema": SCHEMA}],
                "tool_choice": {"type": "tool", "name": "record_grades", "disable_parallel_tool_use": True},
            },
        ),
        ("json_prompt", {}, {}),
    ],
)
async def test_the_body_says_what_is_asked_and_nothing_else(
    adapter_at: Any, mode: OutputMode, output: dict[str, Any], asked: dict[str, Any]
) -> None:
    async with adapter_at("anthropic", NOWHERE) as provider:
        asking = Asking(mode, (("temperature", 0.5), ("reasoning_effort", "low")))
        body = provider.compile(Request(asking, 'sys "é"', SCHEMA))
        first, second = body('user {x} % "\n', 7), body("other", 7)
        bare = provider.compile(Request(Asking("json_prompt", ()), "s", SCHEMA))("u", 7)
    assert json.loads(first) == {
        "model": "m",
        "temperature": 0.5,
        "output_config": {"effort": "low", **output},
        **asked,
        "system": [{"type": "text", "text": 'sys "é"', "cache_control": {"type": "ephemeral"}}],
        "messages": [{"role": "user", "content": 'user {x} % "\n'}],
        "max_tokens": 7,
    }
    shared = first.index(b"user {x}")
    assert first[:shared] == second[:shared]  # what items share is a prefix that the provider can cache
    assert set(json.loads(bare)) == {"model", "system", "messages", "max_tokens"}


@pytest.mark.parametrize("mode", ["json_schema", "tool"])
async def test_a_call_and_its_reading(shared_stub: Any, adapter_at: Any, mode: OutputMode) -> None:
    shared_stub.reset()
    async with adapter_at("anthropic", shared_stub.url) as provider:
        raw = await provider.send(provider.compile(Request(Asking(mode, ()), "s", SCHEMA))("u", 10))
        reading = provider.read(raw)
    stats = shared_stub.stats()
    assert list(json.loads(reading.text)) == ["a"]
    assert (reading.finish, reading.model, reading.reply_id) == ("stop", "m", "msg_1")
    assert (reading.prompt_tokens, reading.completion_tokens) == (stats["prompt_tokens"], stats["completion_tokens"])
    assert reading.tokens is None


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ({"content": [text("x")], "stop_reason": "end_turn"}, Reading("x")),
        ({"content": [text("x")]}, Reading("x")),
        ({"content": [{"type": "thinking", "thinking": "?"}, text("x"), text("y")]}, Reading("xy")),
        ({"content": [text("so"), CALLED], "stop_reason": "tool_use"}, Reading(r'{"a": "\u00e9", "b": 1.5}')),
        ({"content": [text("x")], "stop_reason": "max_tokens"}, Reading("x", "length")),
        ({"content": [], "stop_reason": "model_context_window_exceeded"}, Reading(None, "context")),
        ({"content": [], "stop_reason": "refusal", "stop_details": None}, Reading(None, "refused")),
        (
            {"content": [], "stop_reason": "refusal", "stop_details": {"category": "bio", "explanation": "No."}},
            Reading(None, "refused", refusal="No."),
        ),
    ],
)
async def test_how_a_message_ended(adapter_at: Any, reply: dict[str, Any], expected: Reading) -> None:
    async with adapter_at("anthropic", NOWHERE) as provider:
        assert provider.read(json.dumps(reply).encode()) == expected


@pytest.mark.parametrize(
    ("raw", "cause"),
    [
        (b"<html>", "not_json"),
        (b"null", "not_a_message"),
        (b"[]", "not_a_message"),
        (b"{}", "not_a_message"),
        (b'{"content": null}', "not_a_message"),
        (b'{"content": [{}]}', "not_a_message"),
        (b'{"content": [{"type": "text", "text": 3}]}', "not_a_message"),
        (b'{"content": [{"type": "text", "text": "x"}], "stop_reason": []}', "not_a_message"),
        (b'{"content": [{"type": "text", "text": "x"}], "usage": [1]}', "not_a_message"),
        (b'{"content": []}', "empty_message"),
        (json.dumps({"content": [CALLED, CALLED]}).encode(), "empty_message"),
        (b'{"content": [{"type": "tool_use"}]}', "not_a_message"),
    ],
)
async def test_what_is_no_answer_is_unreadable(adapter_at: Any, raw: bytes, cause: str) -> None:
    async with adapter_at("anthropic", NOWHERE) as provider:
        with pytest.raises(Unreadable) as raised:
            provider.read(raw)
    assert raised.value.cause == cause


@pytest.mark.parametrize(
    "said",
    [
        "{}",
        '{"a": 1, "a": 2}',
        '{ "a" :\t1.50,\n"b": [ ], "c": {"a": [{}, "]}"]} }',
        r'{"a": "\ud800\u0000\"}", "b": NaN, "c": 1e400}',
        '{"é": "ü"}',
    ],
)
@pytest.mark.parametrize("spaced", ["%s", " \n%s\n", "\ufeff%s"])
async def test_the_input_of_a_tool_is_read_as_it_was_sent(adapter_at: Any, said: str, spaced: str) -> None:
    block = f'{{"id": "}}", "input": {{}} ,"type": "tool_use", "input" : {said}}}'
    blocks = f'[{{"type": "text", "text": "["}} , {block} ]'
    reply = spaced % f'{{"id": "n", "id": "m", "content" : {blocks}, "usage": {{}}}}'
    async with adapter_at("anthropic", NOWHERE) as provider:
        assert provider.read(reply.encode()) == Reading(said, reply_id="m")


async def test_cached_tokens_are_added_to_the_prompts(adapter_at: Any) -> None:
    usage = {
        "input_tokens": 10,
        "cache_read_input_tokens": 300,
        "cache_creation_input_tokens": 20,
        "output_tokens": 7,
    }
    async with adapter_at("anthropic", NOWHERE) as provider:
        reading = provider.read(json.dumps({"content": [text("x")], "usage": usage}).encode())
    assert (reading.prompt_tokens, reading.cached_tokens, reading.cache_write_tokens) == (330, 300, 20)
    assert reading.completion_tokens == 7


@pytest.mark.parametrize("share", ["input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"])
async def test_a_sum_that_is_no_count_is_unknown(adapter_at: Any, share: str) -> None:
    usage = {"input_tokens": 1, "cache_read_input_tokens": 1, "cache_creation_input_tokens": 1, "output_tokens": 7}
    async with adapter_at("anthropic", NOWHERE) as provider:
        read = [
            provider.read(json.dumps({"content": [text("x")], "usage": {**usage, share: tokens}}).encode())
            for tokens in (10**7 - 2, 10**7 - 1)
        ]
    assert [(one.prompt_tokens, one.completion_tokens) for one in read] == [(10**7, 7), (None, 7)]


@pytest.mark.parametrize(
    ("behaviour", "cause"),
    [
        ({"status": 402}, "out_of_money"),
        ({"status": 429, "code": "insufficient_quota"}, "out_of_money"),
        ({"status": 400, "code": "credit_balance_exhausted"}, "out_of_money"),
        ({"status": 400, "code": "context_length_exceeded"}, "context_length_exceeded"),
        (
            {"status": 400, "message": "input length and `max_tokens` exceed context limit: 199000 + 4096 > 200000"},
            "context_length_exceeded",
        ),
        ({"status": 400, "code": "content_filter"}, "content_filter"),
        ({"status": 413}, "request_too_large"),
        ({"status": 429}, "http_429"),
        ({"status": 429, "code": "slow_down"}, "slow_down"),
        ({"status": 529}, "overloaded"),
    ],
)
async def test_an_error_is_named(shared_stub: Any, adapter_at: Any, behaviour: dict[str, Any], cause: str) -> None:
    shared_stub.reset()
    shared_stub.behave("status", **behaviour)
    async with adapter_at("anthropic", shared_stub.url) as provider:
        with pytest.raises(Rejected) as raised:
            await provider.send(b'{"messages": [], "max_tokens": 1}')
    assert (raised.value.cause, raised.value.status) == (cause, behaviour["status"])
    assert raised.value.parameter is None


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ("`temperature` is deprecated for this model.", "temperature"),
        ("temperature: Extra inputs are not permitted", "temperature"),
        ("output_config.effort: Input should be 'low' or 'high'", "reasoning_effort"),
        ("This model does not support the effort parameter.", "reasoning_effort"),
        ("The effortless temperatures of this request", None),
    ],
)
async def test_a_field_that_is_refused_is_named_as_the_judge_names_it(
    shared_stub: Any, adapter_at: Any, message: str, field: str | None
) -> None:
    shared_stub.reset()
    shared_stub.behave("status", status=400, message=message)
    async with adapter_at("anthropic", shared_stub.url) as provider:
        with pytest.raises(Rejected) as raised:
            await provider.send(b'{"messages": [], "max_tokens": 1}')
    assert raised.value.parameter == field


async def test_images_follow_the_text(adapter_at: Any) -> None:
    async with adapter_at("anthropic", NOWHERE) as provider:
        body = provider.compile(Request(Asking("json_prompt", ()), "s", SCHEMA))
        images = [
            Image("https://example.org/a.png"),
            Image("data:image/png;base64,AA+/"),
            Image("DATA:IMAGE/PNG;base64,B"),
        ]
        sent = json.loads(body("u", 7, images))
    assert sent["messages"][0]["content"] == [
        {"type": "text", "text": "u"},
        {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA+/"}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "B"}},
    ]


def test_log_probabilities_are_refused_at_the_start() -> None:
    judge = Judge(name="j", provider="anthropic", model="m", base_url=NOWHERE, logprobs=True)
    with pytest.raises(SetupError, match="Anthropic returns no log probabilities; take logprobs out"):
        connect(judge)


async def test_no_prompt_goes_into_a_trace(shared_stub: Any, adapter_at: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    traced: list[str] = []
    real = trace.get_tracer

    def get_tracer(name: str, *given: Any, **more: Any) -> trace.Tracer:
        traced.append(name)
        return real(name, *given, **more)

    monkeypatch.setattr(trace, "get_tracer", get_tracer)
    shared_stub.reset()
    async with anthropic.AsyncAnthropic(base_url=shared_stub.url, api_key="k") as plain:
        asked = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "u"}]}
        await plain.messages.create(**asked)
    assert traced, "the SDK traces where it is not told otherwise"
    traced.clear()
    async with adapter_at("anthropic", shared_stub.url) as provider:
        await provider.send(json.dumps(asked).encode())
    assert traced == []


@TODAY
@pytest.mark.parametrize("name", shipped())
async def test_the_schema_that_is_sent_is_one_that_the_sdk_would_not_change(adapter_at: Any, name: str) -> None:
    given = answer_schema(Rubric.load(name))
    async with adapter_at("anthropic", NOWHERE) as provider:
        body = json.loads(provider.compile(Request(Asking("json_schema", ()), "Grade.", given))("x", 10))
    schema = body["output_config"]["format"]["schema"]
    assert schema == anthropic.transform_schema(schema)
    assert list(schema["properties"]) == list(given["properties"])


@TODAY
async def test_criteria_may_be_called_like_words_of_a_schema(adapter_at: Any) -> None:
    ids = ("type", "enum", "anyOf", "properties")
    given = answer_schema(
        Rubric.parse(
            {"name": "r", "criteria": [{"id": id_, "scale": "binary", "question": f"Is it {id_}?"} for id_ in ids]}
        )
    )
    async with adapter_at("anthropic", NOWHERE) as provider:
        body = json.loads(provider.compile(Request(Asking("json_schema", ()), "Grade.", given))("x", 10))
    schema = body["output_config"]["format"]["schema"]
    assert schema == anthropic.transform_schema(given)
    assert tuple(schema["properties"]) == ids


async def test_numbers_and_words_are_one_enum_and_no_union_of_types(adapter_at: Any) -> None:
    ordinal = {"scale": "ordinal", "levels": [1, 2], "not_applicable": True}
    free = {"scale": "numeric", "minimum": 0, "maximum": 1, "cannot_tell": True}
    criteria = [{"id": "a", "question": "Is it a?", **ordinal}, {"id": "b", "question": "Is it b?", **free}]
    given = answer_schema(Rubric.parse({"name": "r", "criteria": criteria}))
    async with adapter_at("anthropic", NOWHERE) as provider:
        body = json.loads(provider.compile(Request(Asking("json_schema", ()), "Grade.", given))("x", 10))
    scores = [one["properties"]["score"] for one in body["output_config"]["format"]["schema"]["properties"].values()]
    assert scores == [{"enum": [1, 2, "not_applicable"]}, {"anyOf": [{"type": "number"}, {"enum": ["cannot_tell"]}]}]
