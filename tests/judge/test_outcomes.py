"""What becomes of every fault, for every provider: docs/outcomes.md, held against the real SDKs and a stub judge.

Each cell of the tables is what one item's grade really came to. A fault, a provider or a mode that only one side knows
fails.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import Any

import pytest

from judge import Judge, Paused, attempts
from judge.judges import OUTPUT_MODES, OutputMode
from judge.store import open_store
from judge.store.store import Store
from judge.verdicts import Outcome
from rubrics import Rubric
from tests.outcomes import PROVIDERS, ROUTED, counted, graded, table, worst_of
from tests.stub.listeners import PEM, answering, proxying

pytestmark = pytest.mark.anyio

KEY = "sk-secret-0123456789"
NOWHERE = "http://127.0.0.1:9"
RUBRIC = Rubric.loads("""
name: small
criteria:
  - {id: clear, scale: ordinal, question: How clear is it, levels: [1, 2, 3]}
  - {id: polite, scale: binary, question: Is it polite}
""")
RIGHT = json.dumps({"clear": {"reason": "r", "score": 2}, "polite": {"reason": "r", "score": "yes"}})

#: The rows: what is between the judge and its server.
UNREACHED = (
    "no connection",
    "a certificate that nobody trusts",
    "https, where the server speaks http",
    "a proxy that is not there",
    "a proxy that lets nobody through",
)
#: How the stub behaves. A fault that a provider does not know has no cell.
FAULTS: dict[str, dict[str, Any]] = {
    "400 bad request": {"status": 400},
    "401 bad key": {"status": 401},
    "402 payment required": {"status": 402},
    "403 no access": {"status": 403},
    "404 no such model": {"status": 404},
    "408 request timeout": {"status": 408},
    "409 conflict": {"status": 409},
    "413 too large": {"status": 413},
    "422 unprocessable": {"status": 422},
    "425 too early": {"status": 425},
    "429 rate": {"status": 429, "code": "rate_limit_exceeded"},
    "429 rate, a wait is named": {"status": 429, "code": "rate_limit_exceeded", "retry_after": 0.01, "count": 6},
    "429 use grew too fast": {"status": 429, "code": "slow_down"},
    "429 out of money": {"status": 429, "code": "insufficient_quota", "retry_after": 1},
    "500 server error": {"status": 500},
    "500 server error, once": {"status": 500, "count": 1},
    "503 unavailable": {"status": 503},
    "503 use grew too fast, a wait is named": {"status": 503, "code": "slow_down", "retry_after": 0.01, "count": 6},
    "529 overloaded": {"status": 529},
    "context too long": {"status": 400, "code": "context_length_exceeded"},
    "prompt refused by a filter": {"status": 400, "code": "content_filter"},
    "prompt flagged by a gateway": {"status": 403, "metadata": {"reasons": ["violence"], "flagged_input": "..."}},
    "redirect": {"status": 307},
    "timeout": {"mode": "hang"},
    "connection reset": {"mode": "reset"},
    "body cut off": {"mode": "cut_stream"},
    "200 with broken JSON": {"mode": "cut_body"},
    "200 with HTML": {"mode": "html"},
    "200 with `{}`": {"mode": "empty_object"},
    "response failed": {"mode": "failed"},
    "response failed: rate": {"mode": "failed", "code": "rate_limit_exceeded"},
    "response failed, without a code": {"mode": "failed", "code": ""},
    "response failed: a policy": {"mode": "failed", "code": "bio_policy"},
    "response failed: the prompt": {"mode": "failed", "code": "invalid_prompt"},
}
#: Faults of an answer, however it was asked for.
ANSWERS: dict[str, dict[str, Any]] = {
    "context full in mid-answer": {"mode": "context"},
    "truncated": {"mode": "length"},
    "truncated, once": {"mode": "length", "count": 1},
    "answer stopped by a filter": {"mode": "content_filter"},
    "refusal": {"mode": "refusal"},
    "empty": {"mode": "say", "text": ""},
    "no text at all": {"mode": "silent"},
    "prose": {"mode": "prose"},
    "prose, once": {"mode": "prose", "count": 1},
    "two objects": {"mode": "two_objects"},
    "fenced as Markdown": {"mode": "say", "text": f"```json\n{RIGHT}\n```"},
    "score out of range": {"mode": "out_of_range"},
    "NaN": {"mode": "nan"},
    "1e400": {"mode": "say", "text": RIGHT.replace("2", "1e400")},
    "criterion missing": {"mode": "missing"},
    "criterion too many": {"mode": "extra"},
    "duplicate key": {"mode": "duplicate_key"},
    "two scores": {"mode": "say", "text": RIGHT.replace("2", '3, "score": 2')},
}

(_, *COLUMNS), *ROWS = table("fault | openai")
CELLS = {fault: dict(zip(COLUMNS, cells, strict=True)) for fault, *cells in ROWS}
OTHERWISE = {(fault, provider, mode): cell for fault, provider, mode, cell in table("fault | provider")[1:]}
CASES = [
    (fault, provider, mode, OTHERWISE.get((fault, provider, mode), cell))
    for fault, cells in CELLS.items()
    for provider, cell in cells.items()
    for mode in (OUTPUT_MODES if fault in ANSWERS else OUTPUT_MODES[:1])
]


@pytest.fixture(scope="module")
def ledger_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """One store for all cases: the items differ, so that none is answered from another's call."""
    with open_store(f"sqlite:///{tmp_path_factory.mktemp('outcomes')}/judge.db") as opened:
        yield opened


@asynccontextmanager
async def listening(said: bytes = b"") -> AsyncIterator[tuple[str, list[bytes]]]:
    """Another server, that says the same to whatever comes: its address, and what reached it."""
    reached: list[bytes] = []

    async def caught(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.append(await reader.read(4096))
        writer.write(said)
        writer.close()

    server = await asyncio.start_server(caught, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", reached


@asynccontextmanager
async def placed(fault: str, url: str) -> AsyncIterator[dict[str, Any]]:
    """Where a judge is, as far as a fault decides it: fields of its description. No request comes through."""
    if fault not in UNREACHED:
        yield {"base_url": url}
        return
    async with (
        answering(tls=True) as (secret, heads),
        listening(b"HTTP/1.1 400 Bad Request\r\n\r\n") as (plain, _),
        proxying(refusing=True) as (proxy, _),
    ):
        ways: tuple[dict[str, Any], ...] = (
            {"base_url": NOWHERE},
            {"base_url": secret},
            {"base_url": plain.replace("http", "https").rstrip("/")},
            {"base_url": secret, "proxy": NOWHERE, "ca_file": str(PEM)},
            {"base_url": secret, "proxy": proxy, "ca_file": str(PEM)},
        )
        yield dict(zip(UNREACHED, ways, strict=True))[fault]
    assert heads == []


async def came_to(store: Store, judge: Judge, text: str, mode: OutputMode) -> str:
    """What one item came to, without the calls that it took."""
    try:
        return worst_of(await graded(store, judge, RUBRIC, text, mode))
    except Paused as pause:
        return f"paused: {str(pause).partition(' (')[0]}"


def test_the_table_has_every_fault_and_no_other() -> None:
    assert list(CELLS) == [*UNREACHED, *FAULTS, *ANSWERS]


def test_the_table_has_every_provider_and_no_other() -> None:
    assert list(PROVIDERS) == COLUMNS


def test_the_table_of_modes_has_what_differs_and_nothing_else() -> None:
    for (fault, provider, mode), cell in OTHERWISE.items():
        assert fault in ANSWERS
        assert mode in OUTPUT_MODES[1:]
        assert cell != CELLS[fault][provider]


@pytest.mark.parametrize(
    ("fault", "provider", "mode", "cell"), CASES, ids=[f"{case[0]}: {case[1]}, {case[2]}" for case in CASES]
)
async def test_what_becomes_of_a_fault(
    shared_stub: Any,
    ledger_store: Store,
    judge_at: Callable[..., Judge],
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
    provider: str,
    mode: OutputMode,
    cell: str,
) -> None:
    if provider in ROUTED and find_spec("litellm") is None:
        pytest.skip("litellm is not installed here; make test-litellm has it")
    monkeypatch.setattr(attempts, "FIRST_BACKOFF_S", 0.001)
    monkeypatch.setenv("THE_KEY", KEY)
    shared_stub.reset()
    how = {**FAULTS, **ANSWERS}.get(fault, {})
    async with listening() as (elsewhere, reached), placed(fault, shared_stub.url) as fields:
        shared_stub.behave(**{"mode": "status" if "status" in how else "normal", "location": elsewhere, **how})
        fields["base_url"] += PROVIDERS[provider]
        given = {"provider": provider.partition(",")[0], "model": ROUTED.get(provider, "m"), **fields}
        limit = 20.0 if fault != "timeout" else 2.0 if provider in ROUTED else 0.5  # litellm begins slowly
        judge = judge_at(**given, api_key_env="THE_KEY", timeout_s=limit)
        found = await came_to(ledger_store, judge, f"{fault} {provider} {mode}", mode)
    calls = shared_stub.stats()["requests"]
    if cell == "-":
        assert found == "`scored`", "the provider knows this fault: it needs a cell of its own"
    else:
        assert counted(found, calls) == cell
    assert reached == []  # no redirect is followed, and no key goes with it
    assert KEY not in found


async def test_an_answer_that_filled_the_context_is_paid_by_its_tokens_and_not_used_again(
    shared_stub: Any, ledger_store: Store, judge_at: Callable[..., Judge]
) -> None:
    shared_stub.reset()
    shared_stub.behave("context")
    judge = judge_at(shared_stub.base_url)
    full = await graded(ledger_store, judge, RUBRIC, "long")
    stats = shared_stub.stats()
    shared_stub.reset()
    assert (await graded(ledger_store, judge, RUBRIC, "long")).outcome is Outcome.SCORED
    assert judge.price is not None
    assert full.usage.cost_usd == judge.price.cost(stats["prompt_tokens"], stats["completion_tokens"])
    assert (full.usage.calls, full.usage.lost) == (1, 0)
