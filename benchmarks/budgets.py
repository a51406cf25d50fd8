"""What budgets cost a call: `python -m benchmarks.budgets`.

Calls are claimed and settled, nothing is sent: with no budget, and with two of their key and two of its tenant, in
turns on one database. CPU is that of this process; a server's own is not counted.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from contextlib import ExitStack
from statistics import median
from uuid import uuid4

from benchmarks.harness import Check, report, table
from benchmarks.postgres import SERVER, database
from judge.budgets import Period
from judge.ledger import CallState, Ledger, Settlement, now
from judge.store import open_store
from judge.store.budgets import BELIEVED_S, RECOUNTED_S
from judge.store.store import Store

CALLS, CONCURRENCY = 2000, 64
KEY = "0123456789ab"


async def spend(store: Store, calls: int) -> tuple[float, float]:
    """Calls a second, and microseconds of CPU a call."""
    ledger, room, prefix = Ledger(store, paid_by=KEY), asyncio.Semaphore(CONCURRENCY), uuid4().hex

    async def one(number: int) -> None:
        async with room:
            key = f"{prefix}-{number}"
            held = await ledger.claim(key, "e", 0.01)
            told = {"usable": True, "raw": b"{}", "reserved_usd": 0.01, "cost_usd": 0.002}
            await ledger.settle(Settlement(key, held.attempt, CallState.ANSWERED, now(), **told))

    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*map(one, range(calls)))
    return calls / (time.perf_counter() - began), (time.process_time() - cpu) / calls * 1e6


def limited(store: Store, limit_usd: float | None) -> None:
    """Sets all four budgets, or none, and waits until they are kept up with."""
    for key in (KEY, None):
        for period in Period:
            store.change(store.budgets.put, key, period, limit_usd)
    time.sleep(BELIEVED_S if limit_usd is None else BELIEVED_S + RECOUNTED_S)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reps", type=int, default=5)
    parser.add_argument("--calls", type=int, default=CALLS)
    parser.add_argument("--server", default=SERVER, help="a server on which databases may be created")
    given = parser.parse_args()
    rows, checks = [], []
    with ExitStack() as places:
        folder = places.enter_context(tempfile.TemporaryDirectory())
        urls = {"sqlite": f"sqlite:///{folder}/b.db", "postgresql": places.enter_context(database(given.server))}
        for name, url in urls.items():
            with open_store(url) as store:
                asyncio.run(spend(store, 200))
                found: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
                for _ in range(given.reps):
                    for budgets in (False, True):
                        limited(store, 1e6 if budgets else None)
                        found[budgets].append(asyncio.run(spend(store, given.calls)))
            rate = {budgets: median(one for one, _ in several) for budgets, several in found.items()}
            cpu = {budgets: median(one for _, one in several) for budgets, several in found.items()}
            rows += [
                (f"{name}, {'4 budgets' if with_ else 'none'}", rate[with_], cpu[with_]) for with_ in (False, True)
            ]
            checks.append(Check(f"cpu a call with 4 budgets / with none, {name}", cpu[True] / cpu[False], most=1.5))
    table(("claimed and settled", "calls/s", "cpu us a call"), rows)
    report("budgets", checks)


if __name__ == "__main__":
    main()
