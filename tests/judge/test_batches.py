"""What adapters make of batches: as providers describe them, and as no provider should."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

import pytest

from judge.judges import Asking
from judge.providers import NotSent, Provider, Rejected, Request, Unreadable
from judge.providers.anthropic_batches import AnthropicBatches
from judge.providers.batches import Batched, Line, Result, results_of
from judge.providers.openai_batches import OpenAIBatches
from rubrics import Rubric, answer_schema
from tests.stub.listeners import answering

if TYPE_CHECKING:
    from tests.conftest import Stub

pytestmark = pytest.mark.anyio
Adapter = Callable[..., AbstractAsyncContextManager[Provider]]
PROVIDERS = ("openai", "openai-responses", "anthropic")


async def nobody(_: Collection[str]) -> Collection[str]:
    return ()


def lines(adapter: Provider, rubric: Rubric, count: int = 5) -> list[Line]:
    body = adapter.compile(Request(Asking("json_schema", ()), "Grade.", answer_schema(rubric)))
    return [Line(f"call-{n}", body(f"ITEM-{n}", 100)) for n in range(count)]


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_batch_brings_what_live_calls_would_have(
    shared_stub: Stub, adapter_at: Adapter, rubric: Rubric, provider: str
) -> None:
    shared_stub.reset()
    async with adapter_at(provider, shared_stub.url) as adapter:
        assert isinstance(adapter, Batched)
        batches, asked = adapter.batches(), lines(adapter, rubric)
        id = await batches.create("ours", asked)
        status = await batches.status(id)
        results = await batches.results(id)
        sent = {call["body"] for call in shared_stub.calls()}
        assert sent == {one.body.decode() for one in asked}  # byte for byte
        live = {one.custom_id: adapter.read(await adapter.send(one.body)) for one in asked}
    assert (status.ended, status.answered, status.refusal) == (True, 5, None)
    assert [one.custom_id for one in results] != [one.custom_id for one in asked]
    for one in results:
        assert one.raw is not None
        said, would = adapter.read(one.raw), live[one.custom_id]
        assert (said.text, said.prompt_tokens, said.completion_tokens) == (
            would.text,
            would.prompt_tokens,
            would.completion_tokens,
        )


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_batch_is_found_by_its_mark_or_its_calls(
    shared_stub: Stub, adapter_at: Adapter, rubric: Rubric, provider: str
) -> None:
    shared_stub.reset()
    async with adapter_at(provider, shared_stub.url) as adapter:
        assert isinstance(adapter, Batched)
        batches, asked = adapter.batches(), lines(adapter, rubric)
        names = {one.custom_id for one in asked}
        assert await batches.find("ours", names, 0.0, nobody) is None
        others = [Line(f"other-{n}", one.body) for n, one in enumerate(asked)]
        await batches.create("theirs", others)
        assert await batches.find("ours", names, 0.0, nobody) is None
        id = await batches.create("ours", asked)
        for n in range(120):  # more than one page of a list
            await batches.create(f"later-{n}", others[:1])
        assert await batches.find("ours", names, 0.0, nobody) == id
        if provider == "anthropic":

            async def known(ids: Collection[str]) -> Collection[str]:
                return {id} & set(ids)

            assert await batches.find("ours", names, 0.0, known) is None


async def test_refusals_and_lost_connections_are_told_apart(shared_stub: Stub, adapter_at: Adapter) -> None:
    shared_stub.reset()
    async with adapter_at("anthropic", shared_stub.url) as adapter:
        assert isinstance(adapter, Batched)
        with pytest.raises(Rejected) as refused:
            await adapter.batches().status("msgbatch_none")
        assert refused.value.status == 404
    async with adapter_at("openai", "http://127.0.0.1:1") as adapter:
        assert isinstance(adapter, Batched)
        with pytest.raises(NotSent):
            await adapter.batches().create("ours", [Line("a", b"{}")])


@pytest.mark.parametrize("body", [b"[]", b"<html>", b"{}", b'{"id": "../../keys"}', b'{"id": 5}', b'{"id": ""}'])
@pytest.mark.parametrize("provider", ["openai", "anthropic"])
async def test_an_id_that_is_none_is_not_asked_for(adapter_at: Adapter, provider: str, body: bytes) -> None:
    async with answering("200 OK", body) as (url, _), adapter_at(provider, url) as adapter:
        assert isinstance(adapter, Batched)
        with pytest.raises(Unreadable):
            await adapter.batches().create("ours", [Line("a", b"{}")])


OPENAI: list[tuple[dict[str, Any], Result | None]] = [
    ({"custom_id": "a", "response": {"status_code": 200, "body": {"x": 1}}}, Result("a", b'{"x": 1}')),
    ({"custom_id": "a", "response": {"status_code": 429, "body": {}}}, Result("a", None, "http_429")),
    ({"custom_id": "a", "response": None, "error": {"code": "batch_expired"}}, Result("a", None, "batch_expired")),
    ({"custom_id": "a", "error": {"message": "?"}}, Result("a", None, "batch_error")),
    ({"custom_id": "a"}, None),
    ({"custom_id": 5, "response": {"status_code": 200, "body": {}}}, None),
]
ANTHROPIC: list[tuple[dict[str, Any], Result | None]] = [
    ({"custom_id": "a", "result": {"type": "succeeded", "message": {"x": 1}}}, Result("a", b'{"x": 1}')),
    ({"custom_id": "a", "result": {"type": "expired"}}, Result("a", None, "batch_expired")),
    ({"custom_id": "a", "result": {"type": "canceled"}}, Result("a", None, "batch_cancelled")),
    (
        {"custom_id": "a", "result": {"type": "errored", "error": {"type": "error", "error": {"type": "api_error"}}}},
        Result("a", None, "api_error"),
    ),
    ({"custom_id": "a", "result": None}, None),
]


@pytest.mark.parametrize(("line", "result"), OPENAI)
async def test_a_line_of_openai(adapter_at: Adapter, line: dict[str, Any], result: Result | None) -> None:
    async with adapter_at("openai", "http://127.0.0.1:1") as adapter:
        assert isinstance(adapter, Batched)
        batches = adapter.batches()
        assert isinstance(batches, OpenAIBatches)
        assert results_of(json.dumps(line).encode() + b"\n\n{broken", batches._result) == ([result] if result else [])


@pytest.mark.parametrize(("line", "result"), ANTHROPIC)
async def test_a_line_of_anthropic(adapter_at: Adapter, line: dict[str, Any], result: Result | None) -> None:
    async with adapter_at("anthropic", "http://127.0.0.1:1") as adapter:
        assert isinstance(adapter, Batched)
        batches = adapter.batches()
        assert isinstance(batches, AnthropicBatches)
        assert results_of(json.dumps(line).encode() + b"\n\n{broken", batches._result) == ([result] if result else [])
