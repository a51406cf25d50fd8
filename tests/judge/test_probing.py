"""How a judge can be asked is found out once, against a stub."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from judge import Judge, Paused, SetupError, attempts
from judge.calling import Caller
from judge.endpoint import Endpoint
from judge.judges import Asking
from judge.ledger import Ledger
from judge.probing import probe, round_of_probe
from judge.providers import Rejected
from judge.providers.openai import OpenAI
from judge.session import Session
from judge.store.store import Store

pytestmark = pytest.mark.anyio


@pytest.fixture
def session(store: Store, judge_at: Callable[..., Judge]) -> Callable[..., Any]:
    """How a session for a judge at an address is opened; it is closed at once."""

    async def opened(base_url: str, fresh: bool = False, **fields: Any) -> Session:
        made = await Session.open(store, judge_at(base_url, **{"mode": None, **fields}), fresh=fresh)
        await made.close()
        return made

    return opened


@pytest.mark.parametrize(
    ("behaviour", "mode", "requests"),
    [("normal", "json_schema", 1), ("no_json_schema", "tool", 2), ("no_tools_no_schema", "json_prompt", 3)],
)
async def test_the_first_mode_that_works(stub: Any, session: Any, behaviour: str, mode: str, requests: int) -> None:
    server = stub()
    server.behave(behaviour)
    asking = (await session(server.base_url)).asking
    assert asking == Asking(mode, (), "max_completion_tokens", "m")
    assert server.stats()["requests"] == requests


@pytest.mark.parametrize(
    ("behaviour", "mode", "requests"),
    [("normal", "json_schema", 1), ("no_json_schema", "tool", 2), ("no_tools_no_schema", "json_prompt", 3)],
)
@pytest.mark.parametrize("provider", ["anthropic", "openai-responses"])
async def test_other_providers_are_probed_alike(
    stub: Any, session: Any, provider: str, behaviour: str, mode: str, requests: int
) -> None:
    server = stub()
    server.behave(behaviour)
    url = server.url if provider == "anthropic" else server.base_url
    assert (await session(url, provider=provider)).asking == Asking(mode, (), reported_model="m")
    assert server.stats()["requests"] == requests


async def test_a_mode_without_a_usable_answer_is_tried_twice_and_left(stub: Any, session: Any) -> None:
    server = stub()
    server.behave("prose", count=2)
    assert (await session(server.base_url)).asking.mode == "tool"
    assert server.stats()["requests"] == 3
    server.behave("out_of_range", count=1)
    assert (await session(server.base_url, fresh=True)).asking.mode == "json_schema"


async def test_a_mode_that_was_described_is_the_only_one(stub: Any, session: Any) -> None:
    server = stub()
    server.behave("no_json_schema")
    with pytest.raises(SetupError, match=r"gives no structured answer .*json_schema"):
        await session(server.base_url, mode="json_schema")
    assert (await session(server.base_url, mode="tool")).asking.mode == "tool"


async def test_a_parameter_that_the_model_refuses_is_dropped_and_not_in_the_fingerprint(
    stub: Any, session: Any
) -> None:
    server = stub("--bodies")
    server.behave("no_temperature")
    dropped = await session(server.base_url, temperature=0.5, reasoning_effort="low")
    assert dropped.asking.parameters == (("reasoning_effort", "low"),)
    sent = [json.loads(call["body"]) for call in server.calls()]
    assert [body.get("temperature") for body in sent] == [0.5, None]
    server.behave("normal")
    kept = await session(server.base_url, fresh=True, temperature=0.5, reasoning_effort="low")
    assert kept.asking.parameters == (("temperature", 0.5), ("reasoning_effort", "low"))
    assert kept.fingerprint != dropped.fingerprint


@pytest.mark.parametrize("provider", ["anthropic", "openai-responses"])
@pytest.mark.parametrize(("behaviour", "left"), [("no_temperature", "reasoning_effort"), ("no_effort", "temperature")])
async def test_a_parameter_is_dropped_whatever_its_field_is_called(
    stub: Any, session: Any, provider: str, behaviour: str, left: str
) -> None:
    server = stub()
    server.behave(behaviour)
    url = server.url if provider == "anthropic" else server.base_url
    found = await session(url, provider=provider, temperature=0.5, reasoning_effort="low")
    assert [name for name, _ in found.asking.parameters] == [left]
    assert found.asking.mode == "json_schema"


@pytest.mark.parametrize("provider", ["openai", "openai-responses"])
@pytest.mark.parametrize(
    "behaviour",
    [
        {"mode": "no_logprobs"},
        {"mode": "status", "status": 403, "message": "You are not allowed to request logprobs", "count": 1},
    ],
)
async def test_log_probabilities_that_the_model_refuses_are_dropped(
    stub: Any, session: Any, provider: str, behaviour: dict[str, Any]
) -> None:
    server = stub("--bodies")
    server.behave(**behaviour)
    dropped = await session(server.base_url, provider=provider, logprobs=True)
    assert (dropped.asking.mode, dropped.asking.logprobs) == ("json_schema", False)
    assert ["logprobs" in call["body"] for call in server.calls()] == [True, False]
    server.behave("normal")
    kept = await session(server.base_url, fresh=True, provider=provider, logprobs=True)
    assert kept.asking.logprobs
    assert kept.fingerprint != dropped.fingerprint


async def test_log_probabilities_that_do_not_come_are_not_asked_for_again(stub: Any, session: Any) -> None:
    found = await session(stub().base_url, mode="tool", logprobs=True)
    assert found.asking == Asking("tool", (), reported_model="m")


class Older(OpenAI):
    """A server that knows the token limit by its old name only; what else it does is the stub's doing."""

    async def send(self, body: bytes) -> bytes:
        if b'"max_completion_tokens"' in body:
            raise Rejected("http_400", "Unrecognized request argument: `max_completion_tokens`", 400)
        return await super().send(body)


async def test_a_server_that_knows_max_tokens_only(stub: Any, store: Store, judge_at: Callable[..., Judge]) -> None:
    judge = judge_at(stub().base_url, mode=None)
    provider = Older(judge)
    caller = Caller(provider, judge, Ledger(store, round_=round_of_probe()), Endpoint(1), judge.price)
    asking = await probe(judge, provider, caller)
    await provider.close()
    assert asking == Asking("json_schema", (), "max_tokens", "m")


async def test_an_answer_is_remembered_for_a_description_and_asked_anew_when_told(stub: Any, session: Any) -> None:
    server = stub()
    first = await session(server.base_url)
    again = await session(server.base_url, name="renamed", concurrency=2)
    assert (first.probe_usd > 0, again.probe_usd, again.asking) == (True, 0, first.asking)
    assert server.stats()["requests"] == 1
    server.behave("model", model="m-2")
    fresh = await session(server.base_url, fresh=True)
    assert (fresh.probe_usd > 0, fresh.asking.reported_model) == (True, "m-2")
    assert fresh.fingerprint == first.fingerprint  # the model reported is kept beside the fingerprint
    assert (await session(server.base_url)).asking == fresh.asking
    await session(server.base_url, temperature=0.0)
    assert server.stats()["requests"] == 3


@pytest.mark.parametrize(
    ("behaviour", "told"),
    [
        ({"mode": "status", "status": 403}, "access"),
        ({"mode": "status", "status": 404}, "model"),
        ({"mode": "prose"}, "gives no structured answer"),
        ({"mode": "html"}, "did not answer the probe"),
    ],
)
async def test_a_judge_that_cannot_be_asked_is_no_start(
    stub: Any, session: Any, store: Store, monkeypatch: pytest.MonkeyPatch, behaviour: dict[str, Any], told: str
) -> None:
    monkeypatch.setattr(attempts, "FIRST_BACKOFF_S", 0.001)
    server = stub()
    server.behave(**behaviour)
    with pytest.raises(SetupError, match=told) as raised:
        await session(server.base_url)
    assert "\n" not in str(raised.value)
    server.reset()
    monkeypatch.setattr("judge.endpoint.BREAKER_COOLS_S", 0.0)
    assert (await session(server.base_url)).probe_usd > 0  # a failure is not remembered


async def test_a_judge_that_does_not_answer_may_be_asked_later(
    stub: Any, session: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "FIRST_BACKOFF_S", 0.001)
    server = stub()
    server.behave("status", status=500)
    with pytest.raises(Paused, match="did not answer the probe"):
        await session(server.base_url)
    server.reset()
    assert (await session(server.base_url)).probe_usd > 0


async def test_a_server_that_is_not_asked_for_now_is_no_fault_of_the_judge(
    stub: Any, session: Any, store: Store, judge_at: Callable[..., Judge]
) -> None:
    server = stub()
    other = await Session.open(store, judge_at(server.base_url))
    server.behave("status", status=401, count=1)
    # Who asked first has a judge to mend; whoever comes meanwhile is not asked for at all.
    for error in (SetupError, Paused):
        with pytest.raises(error, match="refused the key"):
            await session(server.base_url, model="another")
    assert server.stats()["requests"] == 2
    await other.close()
