"""What every adapter does through its SDK: keys, failures, redirects, proxies and certificates, on loopback."""

from __future__ import annotations

import json
import re
import traceback
from pathlib import Path
from typing import Any

import pytest

from judge import Judge, SetupError
from judge.judges import KEYS, Asking
from judge.providers import AnswerLost, NotSent, Rejected, Request, connect
from tests.stub.listeners import PEM, answering, proxying

pytestmark = pytest.mark.anyio
KEY = "sk-secret-0123456789"
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}

#: Of each provider, the path that is asked at its server.
PROVIDERS = {"openai": "/v1/chat/completions", "openai-responses": "/v1/responses", "anthropic": "/v1/messages"}
every_provider = pytest.mark.parametrize("provider", PROVIDERS)


def body_of(adapter: Any) -> bytes:
    """A request that a stub can read."""
    made: bytes = adapter.compile(Request(Asking("json_schema", ()), "s", SCHEMA))("u", 10)
    return made


@every_provider
async def test_the_raw_reply_comes_as_it_was_sent(adapter_at: Any, provider: str) -> None:
    raw = b'{"any":  "bytes"}\n'
    async with answering("200 OK", raw) as (url, heads), adapter_at(provider, url) as adapter:
        assert await adapter.send(b"{}") == raw
        assert adapter.endpoint == url + PROVIDERS[provider]
    head = heads[0].lower()
    assert head.startswith(f"post {adapter.endpoint.removeprefix(url)} http".encode())
    assert b"content-type: application/json" in head
    assert b"accept-encoding: identity" in head
    assert b"idempotency" not in head


@every_provider
async def test_the_key_is_sent_and_never_said(adapter_at: Any, provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_KEY", f" {KEY}\n")
    error = json.dumps({"error": {"message": f"Incorrect API key provided: {KEY}"}}).encode()
    headers = {"X-Team": "eval"}
    async with (
        answering("401 Unauthorized", error) as (url, heads),
        adapter_at(provider, url, headers=headers, api_key_env="THE_KEY") as adapter,
    ):
        with pytest.raises(Rejected) as raised:
            await adapter.send(b'{"the": "prompt"}')
    assert re.search(rb"(?i)(authorization: bearer|x-api-key:) " + KEY.encode(), heads[0])
    assert b"x-team: eval" in heads[0].lower()
    told = "".join(traceback.format_exception(raised.value))
    assert KEY not in told
    assert "the prompt" not in told
    assert "Incorrect API key provided: ***" in str(raised.value)


@every_provider
async def test_a_providers_own_key_goes_to_no_other_server(
    adapter_at: Any, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (*KEYS.values(), "ANTHROPIC_AUTH_TOKEN", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_ADMIN_KEY"):
        monkeypatch.setenv(name, KEY)
    async with answering() as (url, heads), adapter_at(provider, url) as adapter:
        await adapter.send(b"{}")
    assert KEY.encode() not in heads[0]


@every_provider
async def test_headers_of_the_environment_go_to_no_other_server(
    adapter_at: Any, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"{provider.partition('-')[0].upper()}_CUSTOM_HEADERS"
    monkeypatch.setenv(name, f"X-Internal: {KEY}")
    with pytest.raises(SetupError, match=f"{name} is set, and would be sent to http"):
        async with adapter_at(provider, "http://127.0.0.1:9"):
            pass


@every_provider
async def test_which_key_and_when_none(adapter_at: Any, provider: str) -> None:
    with pytest.raises(SetupError, match=f"needs a key: set {KEYS[provider]}"):
        connect(Judge.load(f"{provider}/some-model"))
    with pytest.raises(SetupError, match="set OTHER_KEY"):
        async with adapter_at(provider, "http://127.0.0.1:9", api_key_env="OTHER_KEY"):
            pass
    with pytest.raises(SetupError, match=f"names no model; write model: NAME, or {provider}/NAME"):
        async with adapter_at(provider, "http://127.0.0.1:9", model=""):
            pass
    with pytest.raises(SetupError, match=f"{provider} has no options"):
        async with adapter_at(provider, "http://127.0.0.1:9", options={"a": 1}):
            pass


@every_provider
@pytest.mark.parametrize("mode", ["reset", "cut_stream"])
async def test_an_answer_that_breaks_off_is_lost(adapter_at: Any, shared_stub: Any, provider: str, mode: str) -> None:
    shared_stub.reset()
    shared_stub.behave(mode)
    async with adapter_at(provider, shared_stub.url) as adapter:
        with pytest.raises(AnswerLost, match="broke before the answer came"):
            await adapter.send(body_of(adapter))
    assert shared_stub.stats()["requests"] == 1  # the SDK's own retries are off


@every_provider
async def test_a_server_that_is_not_there_was_sent_nothing(adapter_at: Any, provider: str) -> None:
    async with adapter_at(provider, "http://127.0.0.1:9") as adapter:
        with pytest.raises(NotSent, match=r"no connection to http://127\.0\.0\.1:9/v1/"):
            await adapter.send(b"{}")


@every_provider
async def test_a_redirect_is_not_followed(adapter_at: Any, provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_KEY", KEY)
    async with (
        answering() as (elsewhere, reached),
        answering("307 Temporary Redirect", b"", f"location: {elsewhere}{PROVIDERS[provider]}") as (url, heads),
        adapter_at(provider, url, api_key_env="THE_KEY") as adapter,
    ):
        with pytest.raises(Rejected) as raised:
            await adapter.send(b"{}")
    assert (raised.value.status, len(heads), reached) == (307, 1, [])


@every_provider
async def test_no_proxy_of_the_environment_is_used(
    adapter_at: Any, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with answering() as (url, _), adapter_at(provider, url) as adapter:
        assert await adapter.send(b"{}") == b"{}"


@every_provider
async def test_the_proxy_of_a_judge_is_used(adapter_at: Any, provider: str) -> None:
    async with (
        answering() as (url, heads),
        proxying() as (proxy, asked),
        adapter_at(provider, url, proxy=proxy) as adapter,
    ):
        assert await adapter.send(b"{}") == b"{}"
        assert asked == [f"POST {adapter.endpoint} HTTP/1.1"]
    assert len(heads) == 1


@every_provider
async def test_a_proxy_is_passed_through_to_a_server_with_a_certificate_of_its_own(
    adapter_at: Any, provider: str
) -> None:
    async with (
        answering(tls=True) as (url, heads),
        proxying() as (proxy, asked),
        adapter_at(provider, url, proxy=proxy, ca_file=str(PEM)) as adapter,
    ):
        assert await adapter.send(b"{}") == b"{}"
    assert asked == [f"CONNECT {url.removeprefix('https://')} HTTP/1.1"]
    assert len(heads) == 1


@every_provider
@pytest.mark.parametrize("refusing", [True, False])
async def test_a_proxy_that_lets_nobody_through_was_sent_nothing(
    adapter_at: Any, provider: str, refusing: bool
) -> None:
    async with answering(tls=True) as (url, heads), proxying(refusing) as (proxy, _):
        there = proxy if refusing else "http://127.0.0.1:9"
        async with adapter_at(provider, url, proxy=there, ca_file=str(PEM)) as adapter:
            with pytest.raises(NotSent):
                await adapter.send(b"{}")
    assert heads == []


@every_provider
async def test_a_certificate_is_trusted_where_the_judge_names_it_and_nowhere_else(
    adapter_at: Any, provider: str
) -> None:
    async with answering(tls=True) as (url, heads):
        async with adapter_at(provider, url) as adapter:
            with pytest.raises(NotSent, match=r"(?i)certificate"):
                await adapter.send(b"{}")
        assert heads == []
        async with adapter_at(provider, url, ca_file=str(PEM)) as adapter:
            assert await adapter.send(b"{}") == b"{}"


@pytest.mark.parametrize("text", [None, "no certificate"])
async def test_a_file_of_certificates_that_cannot_be_used_is_no_start(
    adapter_at: Any, tmp_path: Path, text: str | None
) -> None:
    path = tmp_path / "ca.pem"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SetupError, match=r"ca\.pem cannot be used .*; name a PEM file") as raised:
        async with adapter_at("openai", "https://127.0.0.1:9", ca_file=str(path)):
            pass
    assert "\n" not in str(raised.value)
