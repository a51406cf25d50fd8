"""What becomes of every fault, for every provider: docs/outcomes.md, held against the real SDKs and a stub judge.

Each cell of the table is what one item's grade really came to. A fault or a provider that only one side knows fails.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from judge import Judge, Paused, calling
from judge.calling import Caller
from judge.endpoint import Endpoint
from judge.grading import Grader
from judge.items import Item
from judge.judges import Asking
from judge.ledger import Ledger
from judge.providers import Source, connect
from judge.store import open_store
from judge.store.store import Store
from rubrics import Rubric

pytestmark = pytest.mark.anyio

DOCUMENT = Path(__file__).parents[2] / "docs" / "outcomes.md"
KEY = "sk-secret-0123456789"
RUBRIC = """
name: small
criteria:
  - {id: clear, scale: ordinal, question: How clear is it, levels: [1, 2, 3]}
  - {id: polite, scale: binary, question: Is it polite}
"""

#: The columns of the table: where each provider's server is, under the stub's address.
PROVIDERS = {
    "openai": "/v1",
    "openai-responses": "/v1",
    "anthropic": "",
    "litellm, `openai/`": "/v1",
    "litellm, `anthropic/`": "",
}
#: Models of litellm's routes.
ROUTED = {"litellm, `openai/`": "openai/m", "litellm, `anthropic/`": "anthropic/claude-sonnet-4-5"}

#: The rows: how the stub behaves. A fault that a provider does not know has no cell.
FAULTS: dict[str, dict[str, Any]] = {
    "no connection": {},
    "400 bad request": {"status": 400},
    "401 bad key": {"status": 401},
    "402 payment required": {"status": 402},
    "403 no access": {"status": 403},
    "404 no such model": {"status": 404},
    "408 request timeout": {"status": 408},
    "409 conflict": {"status": 409},
    "413 too large": {"status": 413},
    "422 unprocessable": {"status": 422},
    "429 rate": {"status": 429, "code": "rate_limit_exceeded"},
    "429 rate, a wait is named": {"status": 429, "code": "rate_limit_exceeded", "retry_after": 0.01, "count": 6},
    "429 out of money": {"status": 429, "code": "insufficient_quota", "retry_after": 1},
    "500 server error": {"status": 500},
    "500 server error, once": {"status": 500, "count": 1},
    "503 unavailable": {"status": 503},
    "529 overloaded": {"status": 529},
    "context too long": {"status": 400, "code": "context_length_exceeded"},
    "prompt refused by a filter": {"status": 400, "code": "content_filter"},
    "redirect": {"status": 307},
    "timeout": {"mode": "hang"},
    "connection reset": {"mode": "reset"},
    "body cut off": {"mode": "cut_stream"},
    "200 with broken JSON": {"mode": "cut_body"},
    "200 with HTML": {"mode": "html"},
    "200 with `{}`": {"mode": "empty_object"},
    "response failed": {"mode": "failed"},
    "truncated": {"mode": "length"},
    "truncated, once": {"mode": "length", "count": 1},
    "answer stopped by a filter": {"mode": "content_filter"},
    "refusal": {"mode": "refusal"},
    "prose": {"mode": "prose"},
    "prose, once": {"mode": "prose", "count": 1},
    "two objects": {"mode": "two_objects"},
    "score out of range": {"mode": "out_of_range"},
    "NaN": {"mode": "nan"},
    "criterion missing": {"mode": "missing"},
    "criterion too many": {"mode": "extra"},
    "duplicate key": {"mode": "duplicate_key"},
}


def table() -> tuple[list[str], dict[str, list[str]]]:
    """The document's columns, and its cells by fault."""
    text = DOCUMENT.read_text("utf-8")
    lines = text[text.index("| fault |") :].partition("\n\n")[0].splitlines()
    head, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return head[1:], {row[0]: row[1:] for row in rows}


COLUMNS, CELLS = table()
CASES = [
    (fault, provider, cell) for fault, cells in CELLS.items() for provider, cell in zip(COLUMNS, cells, strict=True)
]


@pytest.fixture(scope="module")
def ledger_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """One store for all cases: the items differ, so that none is answered from another's call."""
    with open_store(f"sqlite:///{tmp_path_factory.mktemp('outcomes')}/judge.db") as opened:
        yield opened


@asynccontextmanager
async def listening() -> AsyncIterator[tuple[str, list[bytes]]]:
    """Another server: its address, and what reached it."""
    reached: list[bytes] = []

    async def caught(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.append(await reader.read(4096))
        writer.close()

    server = await asyncio.start_server(caught, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", reached


async def graded(store: Store, judge: Judge, text: str) -> str:
    """What one item came to, in the words of the table."""
    provider = connect(judge)
    assert not isinstance(provider, Source)
    caller = Caller(provider, judge, Ledger(store), Endpoint(4), judge.price)
    grader = Grader(judge, Rubric.loads(RUBRIC), provider, "f", Asking("json_schema", ()), caller)
    try:
        done = await grader.grade(Item(id="1", output=text))
    except Paused as pause:
        return f"paused: {str(pause).partition(' (')[0]}"
    finally:
        await provider.close()
    grade = done.grade
    causes = [one.cause for one in grade.criteria.values() if one.outcome is grade.outcome and one.cause]
    return f"`{grade.outcome}`" + (f": {causes[0]}" if causes else "")


def test_the_table_has_every_fault_and_no_other() -> None:
    assert list(CELLS) == list(FAULTS)


def test_the_table_has_every_provider_and_no_other() -> None:
    assert list(PROVIDERS) == COLUMNS


@pytest.mark.parametrize(("fault", "provider", "cell"), CASES, ids=[f"{case[0]}: {case[1]}" for case in CASES])
async def test_what_becomes_of_a_fault(
    shared_stub: Any,
    ledger_store: Store,
    judge_at: Callable[..., Judge],
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
    provider: str,
    cell: str,
) -> None:
    if provider in ROUTED and find_spec("litellm") is None:
        pytest.skip("litellm is not installed here; make test-litellm has it")
    monkeypatch.setattr(calling, "FIRST_BACKOFF_S", 0.001)
    monkeypatch.setenv("THE_KEY", KEY)
    shared_stub.reset()
    how = FAULTS[fault]
    async with listening() as (elsewhere, reached):
        shared_stub.behave(**{"mode": "status" if "status" in how else "normal", "location": elsewhere, **how})
        url = shared_stub.url if how else "http://127.0.0.1:9"
        given = {"provider": provider.partition(",")[0], "model": ROUTED.get(provider, "m")}
        limit = 2.0 if provider in ROUTED else 0.3  # litellm loads a lot at its first call
        judge = judge_at(url + PROVIDERS[provider], **given, api_key_env="THE_KEY", timeout_s=limit)
        found = await graded(ledger_store, judge, f"{fault} {provider}")
    calls = shared_stub.stats()["requests"]
    if cell == "-":
        assert found == "`scored`", "the provider knows this fault: it needs a cell of its own"
    else:
        assert f"{found} ({calls} call{'s' * (calls != 1)})" == cell
    assert reached == []  # no redirect is followed, and no key goes with it
    assert KEY not in found
