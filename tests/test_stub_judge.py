"""The stub judge, as the real SDKs see it."""

from __future__ import annotations

import asyncio
import json
import math
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

STUB = Path(__file__).parent / "stub_judge.py"
SCORE = {
    "type": "object",
    "properties": {"reason": {"type": "string"}, "score": {"anyOf": [{"type": "integer", "enum": [1, 2, 3]}]}},
}
SCHEMA = {"type": "object", "properties": {"clear": SCORE, "kind": SCORE}}
FORM = {"type": "json_schema", "json_schema": {"name": "grades", "schema": SCHEMA}}
WAIT_S = 1.0  # in all: a reply that trickles keeps to any limit on the silence between bytes
TOOL = {"type": "function", "function": {"name": "grades", "parameters": SCHEMA}}


@contextmanager
def stub(*flags: str) -> Iterator[str]:
    command = [sys.executable, str(STUB), "--seed-regex", r"ITEM-\d+", *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield process.stdout.readline().split()[-1]
        finally:
            process.terminate()


def ask(url: str, item: str = "ITEM-1", **request: Any) -> Any:
    """The first choice of one chat completion."""

    async def one() -> Any:
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
            messages = [{"role": "system", "content": "Grade."}, {"role": "user", "content": item}]
            given: dict[str, Any] = {"model": "m", "messages": messages, "response_format": FORM} | request
            return (await client.chat.completions.create(**given)).choices[0]

    return asyncio.run(asyncio.wait_for(one(), WAIT_S))


def respond(url: str, item: str = "ITEM-1", **request: Any) -> Any:
    """One response."""
    form = {"type": "json_schema", "name": "grades", "schema": SCHEMA}
    given: dict[str, Any] = {"model": "m", "instructions": "Grade.", "input": item, "text": {"format": form}} | request
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        return client.responses.create(**given)


def message(url: str, item: str = "ITEM-1", **request: Any) -> Any:
    """One message."""
    output = {"format": {"type": "json_schema", "schema": SCHEMA}}
    messages = [{"role": "user", "content": item}]
    given: dict[str, Any] = {"model": "m", "max_tokens": 99, "messages": messages, "output_config": output} | request
    with anthropic.Anthropic(base_url=url, api_key="none", max_retries=0) as client:
        return client.messages.create(**given)


def http(url: str, body: dict[str, Any] | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data), timeout=5) as reply:
        return json.load(reply)


def expected(item: str) -> dict[str, int]:
    """The scores by hand: a hash of the item's hash and the path, modulo three levels."""
    seed = blake2b(item.encode(), digest_size=16).digest()
    digests = {
        name: blake2b(seed + f"$.{name}.score".encode(), digest_size=8).digest() for name in SCHEMA["properties"]
    }
    return {name: 1 + int.from_bytes(digest, "big") % 3 for name, digest in digests.items()}


def scores(text: str) -> dict[str, int]:
    return {name: answer["score"] for name, answer in json.loads(text).items()}


def test_three_ways_to_ask_bring_the_same_verdict() -> None:
    with stub() as url:
        form = ask(url, "first: ITEM-1")
        tool = ask(url, response_format=None, tools=[TOOL])
        written = ask(url, "ITEM-1\n\nSchema: " + json.dumps(SCHEMA), response_format=None)
        other = ask(url, "ITEM-3")
        calls, stats = http(f"{url}/calls"), http(f"{url}/stats")
    assert scores(form.message.content) == scores(written.message.content) == expected("ITEM-1")
    assert scores(tool.message.tool_calls[0].function.arguments) == expected("ITEM-1")
    assert scores(other.message.content) == expected("ITEM-3") != expected("ITEM-1")
    assert [(call["n"], call["items"], call["answered"]) for call in calls] == [
        (1, ["ITEM-1"], 200),
        (2, ["ITEM-1"], 200),
        (3, ["ITEM-1"], 200),
        (4, ["ITEM-3"], 200),
    ]
    assert len({call["body_sha256"] for call in calls}) == 4
    assert (stats["requests"], stats["in_flight"], stats["status"]) == (4, 0, {"200": 4})


def test_prompt_tokens_count_text_and_schema() -> None:
    request = {"messages": [{"role": "user", "content": "12345"}], "response_format": {"type": "json_object"}}
    with stub() as url:
        usage = http(f"{url}/v1/chat/completions", request)["usage"]
    assert usage["prompt_tokens"] == 7  # 5 + len('{"type":"json_object"}') = 27 characters


@pytest.mark.parametrize(
    ("flags", "error"),
    [
        (("--rate-429", "1", "--retry-after", "7"), openai.RateLimitError),
        (("--rate-500", "1"), openai.InternalServerError),
        (("--rate-reset", "1"), openai.APIConnectionError),
        (("--rate-badbody", "1"), json.JSONDecodeError),
        (("--rpm", "60", "--rpm-burst", "0"), openai.RateLimitError),
    ],
)
def test_faults(flags: tuple[str, ...], error: type[Exception]) -> None:
    with stub(*flags) as url:
        with pytest.raises(error) as raised:
            ask(url)
        call = http(f"{url}/calls")[0]
    if isinstance(raised.value, openai.RateLimitError):
        assert raised.value.response.headers["retry-after"] == ("7" if "7" in flags else "1")
    assert call["fault"] is not None
    assert call["answered"] == {"429": 429, "500": 500, "reset": None, "badbody": 200, "limit": 429}[call["fault"]]


def test_truncation_says_length() -> None:
    with stub("--rate-truncated", "1") as url:
        choice = ask(url)
    assert choice.finish_reason == "length"
    with pytest.raises(json.JSONDecodeError):
        json.loads(choice.message.content)


def test_behaviour_starts_and_ends_where_told() -> None:
    with stub() as url:
        http(f"{url}/behave", {"mode": "out_of_range", "after": 1, "count": 2})
        found = [scores((ask(url)).message.content)["clear"] for _ in range(4)]
    right = expected("ITEM-1")["clear"]
    assert found == [right, 99, 99, right]


def test_behaviours_spoil_the_text() -> None:
    texts = {}
    with stub() as url:
        for mode in ("prose", "two_objects", "nan", "missing", "extra", "duplicate_key", "copy_to_reason", "length"):
            http(f"{url}/behave", {"mode": mode})
            texts[mode] = (ask(url)).message.content
        http(f"{url}/behave", {"mode": "refusal"})
        refusal = (ask(url)).message
        http(f"{url}/behave", {"mode": "content_filter"})
        filtered = ask(url)
        http(f"{url}/reset", {})
        normal = (ask(url)).message.content
    assert "{" not in texts["prose"]
    assert texts["two_objects"].startswith(normal + "\n{")
    assert '"score":NaN' in texts["nan"]
    assert (list(json.loads(texts["missing"])), list(json.loads(texts["extra"]))) == (
        ["clear"],
        ["clear", "kind", "extra"],
    )
    assert texts["duplicate_key"].count('"clear":') == 2
    assert json.loads(texts["duplicate_key"]) == json.loads(normal)
    assert json.loads(texts["copy_to_reason"])["kind"]["reason"] == "ITEM-1"
    assert texts["length"] == normal[: len(normal) // 2]
    assert (refusal.content, refusal.refusal) == (None, "I cannot help with that.")
    assert (filtered.finish_reason, filtered.message.content) == ("content_filter", None)


def test_an_answer_is_said_word_for_word_in_every_dialect() -> None:
    said = '{"a": 1, "a" : 2.50}'
    tool = {"name": "grades", "input_schema": SCHEMA}
    asked = {"model": "m", "max_tokens": 99, "messages": [{"role": "user", "content": "x"}], "tools": [tool]}
    with stub() as url:
        http(f"{url}/behave", {"mode": "say", "text": said})
        texts = [ask(url).message.content, respond(url).output_text, message(url).content[0].text]
        request = urllib.request.Request(f"{url}/v1/messages", json.dumps(asked).encode())
        with urllib.request.urlopen(request, timeout=5) as reply:
            raw = reply.read().decode()
    assert texts == [said] * 3
    assert f'"input":{said}' in raw


def test_behaviours_refuse_parameters() -> None:
    asked: dict[str, dict[str, Any]] = {
        "no_json_schema": {},
        "no_tools_no_schema": {"response_format": None, "tools": [TOOL]},
        "no_temperature": {"temperature": 0},
        "max_completion_tokens": {"max_tokens": 9},
    }
    named = {}
    with stub() as url:
        for mode, request in asked.items():
            http(f"{url}/behave", {"mode": mode})
            with pytest.raises(openai.BadRequestError) as raised:
                ask(url, **request)
            named[mode] = raised.value.param
            ask(url, response_format=None)
        http(f"{url}/behave", {"mode": "status", "status": 429, "code": "insufficient_quota"})
        with pytest.raises(openai.RateLimitError) as quota:
            ask(url)
    assert list(named.values()) == ["response_format", "tools", "temperature", "max_tokens"]
    assert quota.value.code == "insufficient_quota"


@pytest.mark.parametrize("mode", ["cut_stream", "hang", "trickle", "reset"])
def test_what_never_arrives_is_never_answered(mode: str) -> None:
    with stub() as url:
        http(f"{url}/behave", {"mode": mode})
        with pytest.raises((openai.APIConnectionError, TimeoutError)):
            ask(url)
        deadline = time.monotonic() + 5
        while http(f"{url}/stats")["in_flight"] and time.monotonic() < deadline:
            time.sleep(0.01)
        call, status = http(f"{url}/calls")[0], http(f"{url}/stats")["status"]
    assert call["answered"] is None
    assert status == {{"cut_stream": "cut", "reset": "reset"}.get(mode, "client_gone"): 1}


def test_every_dialect_brings_the_same_verdict() -> None:
    function = {"type": "function", "name": "grades", "parameters": SCHEMA, "strict": True}
    tool = {"name": "grades", "input_schema": SCHEMA}
    with stub() as url:
        response, called = respond(url), respond(url, tools=[function], text=openai.omit)
        said, used = message(url), message(url, tools=[tool], output_config=anthropic.omit)
        calls = http(f"{url}/calls")
    assert scores(response.output_text) == scores(said.content[0].text) == expected("ITEM-1")
    assert scores(called.output[-1].arguments) == scores(json.dumps(used.content[0].input)) == expected("ITEM-1")
    assert (said.stop_reason, used.stop_reason, response.status) == ("end_turn", "tool_use", "completed")
    assert [call["path"] for call in calls] == ["/v1/responses"] * 2 + ["/v1/messages"] * 2
    assert {call["answered"] for call in calls} == {200}


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        ({"status": 402}, anthropic.PaymentRequiredError),
        ({"status": 413}, anthropic.ContentTooLargeError),
        ({"status": 429, "code": "rate_limit_exceeded"}, anthropic.RateLimitError),
        ({"status": 529}, anthropic.OverloadedError),
    ],
)
def test_errors_are_what_anthropics_sdk_expects(
    behaviour: dict[str, Any], error: type[anthropic.APIStatusError]
) -> None:
    with stub() as url:
        http(f"{url}/behave", {"mode": "status", **behaviour})
        with pytest.raises(error) as raised:
            message(url)
        http(f"{url}/behave", {"mode": "status", "status": 429, "code": "insufficient_quota"})
        with pytest.raises(anthropic.RateLimitError) as limit:
            message(url)
        http(f"{url}/behave", {"mode": "status", "status": 429, "code": "slow_down"})
        with pytest.raises(anthropic.RateLimitError) as ramp:
            message(url)
    assert raised.value.api_message == f"told to answer {behaviour['status']}"
    assert limit.value.error_code == "enforced_spend_limit_reached"
    assert ramp.value.error_code == "ramp_limit_exceeded"


def test_how_answers_end_in_every_dialect() -> None:
    with stub() as url:
        http(f"{url}/behave", {"mode": "length"})
        cut, short = respond(url), message(url)
        http(f"{url}/behave", {"mode": "context"})
        full, filled = ask(url), message(url)
        http(f"{url}/behave", {"mode": "content_filter"})
        filtered, stopped = respond(url), message(url)
        http(f"{url}/behave", {"mode": "refusal"})
        refused = respond(url)
        http(f"{url}/behave", {"mode": "failed", "code": "bio_policy"})
        failed = respond(url)
        http(f"{url}/behave", {"mode": "cached", "cached": 6, "cache_write": 4})
        chat = http(f"{url}/v1/chat/completions", {"messages": [{"role": "user", "content": "x" * 80}]})
        cached, kept = respond(url, "x" * 80), message(url, "x" * 80)
    assert (cut.incomplete_details.reason, short.stop_reason) == ("max_output_tokens", "max_tokens")
    assert full.finish_reason == filled.stop_reason == "model_context_window_exceeded"
    assert (filtered.incomplete_details.reason, stopped.stop_details.category) == ("content_filter", "general_harms")
    assert refused.output[-1].content[0].refusal == "I cannot help with that."
    assert (failed.status, failed.error.code) == ("failed", "bio_policy")
    assert chat["usage"]["prompt_tokens_details"] == {"cached_tokens": 6, "cache_write_tokens": 4}
    details = cached.usage.input_tokens_details
    assert (details.cached_tokens, details.cache_write_tokens) == (6, 4)
    assert (kept.usage.cache_read_input_tokens, kept.usage.cache_creation_input_tokens) == (6, 4)


@pytest.mark.parametrize("item", [f"ITEM-{number}" for number in range(6)])
def test_the_tokens_of_a_score_carry_the_shares_of_all_scores(item: str) -> None:
    levels = [1, 10, 12, "not_clear", "not_so"]
    score = {"type": ["integer", "string"], "enum": levels}
    schema = {"type": "object", "properties": {"a": {**SCORE, "properties": {**SCORE["properties"], "score": score}}}}
    form = {"type": "json_schema", "json_schema": {"name": "grades", "schema": schema}}
    with stub() as url:
        choice = ask(url, item, response_format=form, logprobs=True, top_logprobs=20)
        silent = ask(url, item, response_format=form)
    text, tokens = choice.message.content, choice.logprobs.content
    assert b"".join(bytes(token.bytes) for token in tokens).decode() == text
    given = json.dumps(json.loads(text)["a"]["score"])
    begin = text.rindex(given)
    share, at = 1.0, 0
    for token in tokens:
        # The token after a number tells that the number ends there.
        if begin <= at <= begin + len(given):
            share *= math.exp(token.logprob)
            assert sum(math.exp(one.logprob) for one in token.top_logprobs) == pytest.approx(1.0, abs=1e-4)
        at += len(token.bytes)
    assert share == pytest.approx(by_hand(item, levels)[given], abs=1e-4)
    assert silent.logprobs is None


def by_hand(item: str, levels: list[int | str]) -> dict[str, float]:
    """The share of each level: 98% by weights from 1 to 9, a hash of the item's hash, the path and the level."""
    seed = blake2b(item.encode(), digest_size=16).digest()
    weights = {}
    for level in map(json.dumps, levels):
        digest = blake2b(seed + f"$.a.score={level}".encode(), digest_size=8).digest()
        weights[level] = 1 + int.from_bytes(digest, "big") % 9
    return {level: 0.98 * weight / sum(weights.values()) for level, weight in weights.items()}
