"""How fast a large run is read: `python -m benchmarks.scale`.

A run of 250,000 items by four criteria, a million grades, is made by `judge grade` with the simulated judge, on each
database. That judge makes no calls: one for each item is written beside it, as a judge's are. Then `judge serve` is
asked for pages of 100 items at random places, for the summary and for how far the run is, over one connection, with
nothing else to do.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import http.client
import json
import os
import random
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import psycopg

from benchmarks.harness import JUDGE, Check, grade_command, report, table
from benchmarks.postgres import SERVER, database
from benchmarks.work import Work, plain_items
from judge.ledger import CallState, Claim, Settlement, now
from judge.owner import this_process
from judge.store import open_store
from judge.store.store import Store

ITEMS, CRITERIA = 250_000, 4
PAGE, PAGES, SUMMARIES = 100, 300, 20
AT_ONCE = 256


def graded(work: Work, url: str) -> float:
    """Grades the work into a database. Returns seconds."""
    began = time.perf_counter()
    environment = os.environ | {"JUDGE_DATABASE_URL": url}
    command = grade_command(work, "simulated")
    subprocess.run(command, cwd=work.folder, env=environment, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


async def add_calls(store: Store, run: str, count: int) -> None:
    """Writes answered calls of a run, some hundred at a time, through the ledger's own statements."""
    raw = json.dumps({"id": "c", "choices": [{"message": {"content": "text " * 100}}]}).encode()

    async def one(number: int) -> None:
        key = hashlib.sha256(b"%d" % number).hexdigest()
        held = await store.claim(Claim(key, "https://judge.test/v1", this_process(), run, 0.002))
        answered = Settlement(key, held.attempt, CallState.ANSWERED, now(), True, None, raw, 900, 150, cost_usd=0.001)
        await store.settle(answered)

    for first in range(0, count, AT_ONCE):
        await asyncio.gather(*(one(number) for number in range(first, min(first + AT_ONCE, count))))


def made(work: Work, url: str, count: int) -> None:
    """The run, and its calls. A PostgreSQL then tidies up, which it would do by itself within a minute."""
    print(f"grading took {graded(work, url):.0f} s", flush=True)
    with open_store(url) as store:
        asyncio.run(add_calls(store, store.ask(store.results.latest).id, count))
    if url.startswith("postgresql"):
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")


@contextmanager
def serving(url: str) -> Iterator[http.client.HTTPConnection]:
    """A connection to `judge serve` on a free port."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = int(free.getsockname()[1])
    command = [JUDGE, "serve", "--no-keys", "--port", str(port)]
    quiet = {"stderr": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    with subprocess.Popen(command, env=os.environ | {"JUDGE_DATABASE_URL": url}, **quiet) as process:
        try:
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                except ConnectionRefusedError:
                    time.sleep(0.05)
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=120)) as connection:
                yield connection
        finally:
            process.terminate()


def ask(connection: http.client.HTTPConnection, path: str) -> tuple[float, Any]:
    """Seconds until all of an answer is there, and its JSON."""
    began = time.perf_counter()
    connection.request("GET", path)
    reply = connection.getresponse()
    raw = reply.read()
    took = time.perf_counter() - began
    assert reply.status == 200, raw
    return took, json.loads(raw)


def measure(name: str, url: str, items: int) -> tuple[list[Check], dict[str, float]]:
    """Checks and milliseconds of the one run in a database."""
    with serving(url) as connection:
        (made,) = ask(connection, "/v1/runs")[1]["data"]
        path = f"/v1/runs/{made['id']}"
        first, summary = ask(connection, f"{path}/summary")
        summaries = [ask(connection, f"{path}/summary")[0] for _ in range(SUMMARIES)]
        statuses = [ask(connection, path)[0] for _ in range(SUMMARIES)]
        places, pages = random.Random(7), []
        for _ in range(PAGES):
            took, page = ask(connection, f"{path}/grades?limit={PAGE}&after={places.randrange(items - PAGE) - 1}")
            pages.append(took)
            assert len(page["data"]) == PAGE, "a page with fewer grades than asked for"
    figures = {
        "page p50": median(pages) * 1000,
        "page p95": quantiles(pages, n=20)[18] * 1000,
        "first summary": first * 1000,
        "summary p50": median(summaries) * 1000,
        "status p50": median(statuses) * 1000,
    }
    table((f"{name}, ms", "value"), list(figures.items()))
    counted, calls = sum(one["n"] for one in summary["criteria"]), summary["totals"]["calls"]
    checks = [
        Check(f"{name}: grades that the summary counts", counted, exactly=items * CRITERIA),
        Check(f"{name}: calls that it counts", calls, exactly=items),
        Check(f"{name}: a page of {PAGE} items, p95, ms", figures["page p95"], most=50),
        Check(f"{name}: the summary, the slowest of all, ms", max(first, *summaries) * 1000, most=300),
    ]
    return checks, figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=ITEMS)
    parser.add_argument("--server", default=SERVER, help="a server on which databases may be created")
    given = parser.parse_args()
    checks: list[Check] = []
    found: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder, database(given.server) as on_server:
        work = Work.write(Path(folder), plain_items(given.items))
        for name, url in (("sqlite", f"sqlite:///{folder}/scale.db"), ("postgresql", on_server)):
            made(work, url, given.items)
            more, figures = measure(name, url, given.items)
            checks += more
            found[name] = figures
    report("scale", checks, items=given.items, figures=found)


if __name__ == "__main__":
    main()
