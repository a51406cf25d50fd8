"""litellm: which of it is let in, exact arguments out, and one request a call, whatever litellm would do."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import ssl
import subprocess
import sys
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from judge import Judge, SetupError
from judge.judges import Asking, OutputMode
from judge.prices import price_of
from judge.providers import AnswerLost, Image, NotSent, Rejected, Request, connect
from judge.providers.exchange import Carrier, exchange
from judge.providers.litellm import ROUTES, LiteLLM

pytestmark = pytest.mark.anyio
HERE = find_spec("litellm") is not None
installed = pytest.mark.skipif(not HERE, reason="litellm is not installed here; make test-litellm has it")
KEY, PROMPT, NOWHERE = "sk-secret-0123456789", "a prompt that nobody else reads", "http://127.0.0.1:9"
#: A key and its certificate, made for these tests.
PEM = Path(__file__).with_name("loopback.pem")
ANSWER = {"type": "object", "properties": {"reason": {"type": "string"}}, "required": ["reason"]}
SCHEMA = {"type": "object", "properties": {"a": ANSWER}, "required": ["a"]}
#: Of each dialect, a model, and where its server is under the stub's address.
MODELS = {"openai/m": "/v1", "anthropic/claude-sonnet-4-5": ""}
every_dialect = pytest.mark.parametrize("model", MODELS)


@asynccontextmanager
async def asking(model: str, url: str, **fields: Any) -> AsyncIterator[LiteLLM]:
    """The adapter for a model at a server."""
    adapter = connect(Judge(name="j", provider="litellm", model=model, base_url=url, **fields))
    assert isinstance(adapter, LiteLLM)
    try:
        yield adapter
    finally:
        await adapter.close()


@asynccontextmanager
async def answering(
    status: str, *head: str, body: bytes = b"{}", tls: bool = False
) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that gives every request the same reply: its address, and what came."""
    came: list[bytes] = []
    lines = [f"HTTP/1.1 {status}", "content-type: application/json", f"content-length: {len(body)}", *head, "", ""]
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH) if tls else None
    if context is not None:
        context.load_cert_chain(PEM)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", received)
        came.append(received + await reader.readexactly(int(length[1]) if length else 0))
        writer.write("\r\n".join(lines).encode() + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"http{'s' * tls}://127.0.0.1:{server.sockets[0].getsockname()[1]}", came


def body_of(adapter: LiteLLM, mode: OutputMode = "json_prompt", images: tuple[Image, ...] = (), **asked: Any) -> bytes:
    """A call with a limit that every route takes."""
    made = adapter.compile(Request(Asking(mode, (), "max_tokens", **asked), f"Answer {json.dumps(SCHEMA)}.", SCHEMA))
    return made(PROMPT, 10, images)


def ran(program: str, folder: Path, **environment: str) -> str:
    """What a program of its own prints, run in a folder."""
    given = {"PATH": os.environ["PATH"], **environment}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, env=given, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


CONNECTS = """
from judge import Judge, SetupError
from judge.providers import connect
try:
    connect(Judge(name="j", provider="litellm", model="openai/m", base_url="http://127.0.0.1:9"))
except SetupError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("version", "told"),
    [
        ("1.82.7", "litellm 1.82.7 was published by an attacker: remove it"),
        ("1.82.8", "litellm 1.82.8 was published by an attacker: remove it"),
        ("1.99.9", "litellm 1.99.9 is too old; install 1.100 or newer"),
    ],
)
async def test_a_version_that_must_not_run_is_not_even_imported(tmp_path: Path, version: str, told: str) -> None:
    metadata = tmp_path / f"litellm-{version}.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text(f"Metadata-Version: 2.1\nName: litellm\nVersion: {version}\n")
    (tmp_path / "litellm.py").write_text("print('it ran')")
    assert ran(CONNECTS, tmp_path, PYTHONPATH=str(tmp_path)).startswith(told)


@pytest.mark.skipif(HERE, reason="litellm is installed here")
def test_without_litellm_the_extra_is_named() -> None:
    with pytest.raises(SetupError, match="needs litellm; install this project with its extra: litellm"):
        connect(Judge.load("litellm/openai/m"))


@pytest.mark.parametrize("model", ["cohere_chat/command-a", "azure/deployment", "gpt-5-mini", "openai/", "no_such/m"])
def test_a_route_whose_calls_cannot_be_watched_is_refused_by_name(model: str) -> None:
    with pytest.raises(SetupError, match=f"route '{model.partition('/')[0]}' is not among .* anthropic, .*openai"):
        connect(Judge.load(f"litellm/{model}"))


def test_an_address_is_not_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_BASE", NOWHERE)
    with pytest.raises(SetupError, match="ANTHROPIC_API_BASE is set; write the address as base_url"):
        connect(Judge.load("litellm/anthropic/claude-haiku-4-5"))


def test_a_route_has_the_price_of_its_provider() -> None:
    assert price_of(Judge.load("litellm/anthropic/claude-haiku-4-5")) == price_of(
        Judge.load("anthropic/claude-haiku-4-5")
    )
    assert price_of(Judge.load("litellm/gemini/gemini-2.5-flash")) is not None


SOCKETS = """
import json, os, socket
tried, lookup = [], socket.getaddrinfo
def noted(host, *more, **named):
    tried.append(str(host))
    return lookup(host, *more, **named)
socket.getaddrinfo = noted
"""


@installed
def test_importing_it_calls_nobody_and_reads_no_environment_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("OPENAI_API_KEY=sk-of-the-folder\n")
    told = ran(f"{SOCKETS}{CONNECTS}print(json.dumps([tried, os.environ.get('OPENAI_API_KEY')]))", tmp_path)
    assert json.loads(told) == [[], None]


@installed
@pytest.mark.parametrize("setting", ["success_callback = [print]", "cache = object()", "drop_params = True"])
def test_settings_under_which_others_see_a_call_or_change_it_are_refused(tmp_path: Path, setting: str) -> None:
    local = "import os\nos.environ['LITELLM_LOCAL_MODEL_COST_MAP'] = 'True'\nimport litellm\n"
    told = ran(f"{local}litellm.{setting}\n{CONNECTS}", tmp_path)
    assert told.startswith(f"litellm.{setting.partition(' ')[0]} is set in this process")


@installed
async def test_the_body_is_what_litellm_is_called_with() -> None:
    async with asking("openai/m", NOWHERE) as adapter:
        asked = Asking("json_schema", (("temperature", 0.5),), "max_tokens", logprobs=True)
        body = adapter.compile(Request(asked, "s", SCHEMA))("u", 10)
    assert json.loads(body) == {
        "model": "openai/m",
        "temperature": 0.5,
        "logprobs": True,
        "top_logprobs": 20,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "grades", "strict": True, "schema": SCHEMA},
        },
        "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}],
        "max_tokens": 10,
    }


@installed
@every_dialect
async def test_a_call_and_its_reading(shared_stub: Any, model: str) -> None:
    shared_stub.reset()
    shared_stub.behave("model", model="m-2026-11-01")
    async with asking(model, shared_stub.url + MODELS[model]) as adapter:
        reading = adapter.read(await adapter.send(body_of(adapter, "json_schema")))
    stats = shared_stub.stats()
    assert list(json.loads(reading.text or "")) == ["a"]
    assert (reading.finish, reading.model) == ("stop", "m-2026-11-01")  # and not the name that was asked for
    assert reading.reply_id in {"chatcmpl-1", "msg_1"}  # and none that litellm makes up
    assert (reading.prompt_tokens, reading.completion_tokens) == (stats["prompt_tokens"], stats["completion_tokens"])


ASKS = """
import asyncio, os, sys
sys.stderr = sys.stdout
from judge import Judge
from judge.judges import Asking
from judge.providers import Request, connect
async def ask():
    adapter = connect(Judge(name="j", provider="litellm", model="openai/m", base_url=os.environ["SERVER"]))
    body = adapter.compile(Request(Asking("json_prompt", (), "max_tokens"), "s", {}))("u", 10)
    print(adapter.read(await adapter.send(body)).refusal)
    await adapter.close()
asyncio.run(ask())
"""


@installed
async def test_nothing_is_said_on_standard_error_of_odd_fields(tmp_path: Path) -> None:
    message = {"role": "assistant", "content": "said", "refusal": 7}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    odd = {"id": "1", "model": 7, "choices": choices, "usage": {"prompt_tokens": "many"}}
    async with answering("200 OK", body=json.dumps(odd).encode()) as (url, came):
        assert await asyncio.to_thread(ran, ASKS, tmp_path, SERVER=url) == "None"
    assert len(came) == 1


@installed
@every_dialect
async def test_cached_tokens_are_told_apart(shared_stub: Any, model: str) -> None:
    shared_stub.reset()
    shared_stub.behave("cached", cached=5, cache_write=3)
    async with asking(model, shared_stub.url + MODELS[model]) as adapter:
        reading = adapter.read(await adapter.send(body_of(adapter)))
    assert (reading.cached_tokens, reading.cache_write_tokens) == (5, 3)
    assert reading.prompt_tokens == shared_stub.stats()["prompt_tokens"]


@installed
async def test_log_probabilities_come_through(shared_stub: Any) -> None:
    shared_stub.reset()
    async with asking("openai/m", shared_stub.base_url) as adapter:
        reading = adapter.read(await adapter.send(body_of(adapter, "json_schema", logprobs=True)))
    assert b"".join(token.raw for token in reading.tokens or ()).decode() == reading.text


@installed
async def test_an_answer_that_was_cut_in_a_tool_of_litellms_is_no_whole_one(shared_stub: Any) -> None:
    shared_stub.reset()
    shared_stub.behave("length")
    async with asking("anthropic/without-schemas", shared_stub.url) as adapter:
        reading = adapter.read(await adapter.send(body_of(adapter, "json_schema")))
    assert "json_tool_call" in shared_stub.calls()[0]["body"]
    assert reading.finish == "length"


@installed
@pytest.mark.parametrize("mode", ["json_schema", "tool"])
async def test_the_input_of_a_tool_is_read_as_the_server_sent_it(shared_stub: Any, mode: OutputMode) -> None:
    said = '{"a": {"reason": "first", "reason": "second"}, "b": 1.50}'
    shared_stub.reset()
    shared_stub.behave("say", text=said)
    async with asking("anthropic/without-schemas", shared_stub.url) as adapter:
        reading = adapter.read(await adapter.send(body_of(adapter, mode)))
    assert reading.text == said


@installed
@pytest.mark.parametrize(
    ("model", "asked", "field"),
    [
        ("anthropic/m", {"logprobs": True}, "logprobs"),
        ("hyperbolic/m", {"token_limit": "max_completion_tokens"}, "max_completion_tokens"),
        ("hyperbolic/m", {"parameters": (("reasoning_effort", "low"),)}, "reasoning_effort"),
    ],
)
async def test_what_a_route_does_not_take_is_named_before_anything_is_sent(
    model: str, asked: dict[str, Any], field: str
) -> None:
    given = {"mode": "json_prompt", "parameters": (), "token_limit": "max_tokens", **asked}
    async with answering("200 OK") as (url, came), asking(model, url) as adapter:
        with pytest.raises(Rejected, match="does not support") as raised:
            await adapter.send(adapter.compile(Request(Asking(**given), "s", SCHEMA))(PROMPT, 10))
    assert (raised.value.status, raised.value.parameter, came) == (400, field, [])
    assert PROMPT not in str(raised.value)


@installed
@every_dialect
async def test_an_image_is_sent_and_never_fetched(model: str) -> None:
    data, address = Image("data:image/png;base64,iVBORw0KGgo="), Image(f"{NOWHERE}/a.png")
    async with answering("400 Bad Request") as (url, came), asking(model, url) as adapter:
        with pytest.raises(Rejected) as raised:
            await adapter.send(body_of(adapter, images=(data,)))
        assert (raised.value.cause, len(came)) == ("http_400", 1)
        assert b"iVBORw0KGgo=" in came[0]
        with pytest.raises(Rejected, match="litellm takes images as files or data: URLs"):
            await adapter.send(body_of(adapter, images=(address,)))
    assert len(came) == 1


@installed
@pytest.mark.parametrize("route", ROUTES)
async def test_every_route_sends_once_to_one_server_and_its_key_to_no_other(
    monkeypatch: pytest.MonkeyPatch, route: str
) -> None:
    model = "anthropic.claude-3-haiku-20240307-v1:0" if route == "bedrock" else "m"
    for name in ("OPENAI_API_KEY", "OPENAI_ORG_ID", "ANTHROPIC_API_KEY", f"{route.upper()}_API_KEY"):
        monkeypatch.setenv(name, "sk-of-the-environment")
    monkeypatch.setenv("THE_KEY", KEY)
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    async with (
        answering("200 OK") as (elsewhere, reached),
        answering("307 Temporary Redirect", f"location: {elsewhere}/v1") as (url, came),
    ):
        for variable in ("THE_KEY", None):
            came.clear()
            async with asking(f"{route}/{model}", url, api_key_env=variable) as adapter:
                with pytest.raises(Rejected) as raised:
                    await adapter.send(body_of(adapter))
            assert (raised.value.status, len(came), reached) == (307, 1, [])
            assert PROMPT.encode() in came[0]
            assert (KEY.encode() in came[0]) is (variable is not None)
            assert b"sk-of-the-environment" not in came[0]


@installed
@every_dialect
@pytest.mark.parametrize("status", ["429 Too Many Requests", "500 Internal Server Error"])
async def test_a_failure_is_what_the_server_said_and_holds_no_key_and_no_prompt(
    monkeypatch: pytest.MonkeyPatch, model: str, status: str
) -> None:
    monkeypatch.setenv("THE_KEY", KEY)
    error = json.dumps({"error": {"message": f"the key {KEY} may not"}}).encode()
    async with (
        answering(status, "retry-after: 7", body=error) as (url, came),
        asking(model, url, api_key_env="THE_KEY", headers={"X-Team": "eval"}) as adapter,
    ):
        with pytest.raises(Rejected, match=r"the key \*\*\* may not") as raised:
            await adapter.send(body_of(adapter))
    assert (raised.value.status, raised.value.retry_after_s, len(came)) == (int(status[:3]), 7.0, 1)
    assert b"x-team: eval" in came[0].lower()
    assert b"accept-encoding: identity" in came[0].lower()
    told = "".join(traceback.format_exception(raised.value))
    assert KEY not in told
    assert PROMPT not in told


@installed
@every_dialect
@pytest.mark.parametrize("mode", ["reset", "cut_stream"])
async def test_an_answer_that_breaks_off_is_lost_and_not_asked_for_again(
    shared_stub: Any, model: str, mode: str
) -> None:
    shared_stub.reset()
    shared_stub.behave(mode)
    async with asking(model, shared_stub.url + MODELS[model]) as adapter:
        with pytest.raises(AnswerLost, match="broke before the answer came"):
            await adapter.send(body_of(adapter))
    assert shared_stub.stats()["requests"] == 1


@installed
@every_dialect
async def test_a_server_that_is_not_there_was_sent_nothing(model: str) -> None:
    async with asking(model, NOWHERE) as adapter:
        with pytest.raises(NotSent, match=r"no connection to 127\.0\.0\.1"):
            await adapter.send(body_of(adapter))


@installed
@every_dialect
async def test_the_proxy_is_the_judges_own(monkeypatch: pytest.MonkeyPatch, model: str) -> None:
    monkeypatch.setenv("HTTP_PROXY", NOWHERE)
    async with answering("418 I'm a teapot") as (url, came):
        for base_url, proxy in ((url, None), ("http://judge.example", url)):
            async with asking(model, base_url, proxy=proxy) as adapter:
                with pytest.raises(Rejected):
                    await adapter.send(body_of(adapter))
    assert [request.partition(b" ")[2].startswith(b"http://judge.example/") for request in came] == [False, True]


@installed
@every_dialect
async def test_a_certificate_is_trusted_where_the_judge_names_it_and_nowhere_else(model: str) -> None:
    async with answering("418 I'm a teapot", tls=True) as (url, came):
        async with asking(model, url) as adapter:
            with pytest.raises(NotSent, match=r"(?i)certificate"):
                await adapter.send(body_of(adapter))
        assert came == []
        async with asking(model, url, ca_file=str(PEM)) as adapter:
            with pytest.raises(Rejected):
                await adapter.send(body_of(adapter))
    assert len(came) == 1


@installed
@every_dialect
async def test_no_prompt_is_written_down_however_much_is_logged(
    shared_stub: Any, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], model: str
) -> None:
    caplog.set_level(logging.DEBUG)
    shared_stub.reset()
    async with asking(model, shared_stub.url + MODELS[model]) as adapter:
        await adapter.send(body_of(adapter))
        shared_stub.behave("status", status=400)
        with pytest.raises(Rejected):
            await adapter.send(body_of(adapter))
    assert PROMPT not in caplog.text
    assert "".join(capfd.readouterr()) == ""  # nor is anything said that is meant for people


@installed
async def test_a_library_that_retries_sends_once_all_the_same() -> None:
    import httpx
    import openai

    carrier = Carrier({}, None, True, 5.0)
    async with answering("500 Internal Server Error") as (url, came):
        http = httpx.AsyncClient(transport=carrier, follow_redirects=True)
        async with openai.AsyncOpenAI(api_key="k", base_url=url, max_retries=2, http_client=http) as client:
            with exchange() as made, pytest.raises((AnswerLost, openai.APIConnectionError)):
                await client.post("/x", cast_to=bytes, body={})
    assert (made.status, len(came)) == (500, 1)


@installed
@pytest.mark.parametrize(("route", "completion"), [("openai/m", 10), ("xai/grok-4", 15)])
async def test_tokens_that_a_server_counts_in_its_own_way_are_counted_as_litellm_does(
    route: str, completion: int
) -> None:
    """xAI counts what a model thought beside its answer, and bills both."""
    message = {"role": "assistant", "content": '{"a": {"reason": "so"}}'}
    details = {"completion_tokens_details": {"reasoning_tokens": 5}}
    usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 115, **details}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    reply = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": choices, "usage": usage}
    async with (
        answering("200 OK", body=json.dumps(reply).encode()) as (url, _),
        asking(route, f"{url}/v1") as adapter,
    ):
        reading = adapter.read(await adapter.send(body_of(adapter)))
    assert (reading.prompt_tokens, reading.completion_tokens, reading.text) == (100, completion, message["content"])
