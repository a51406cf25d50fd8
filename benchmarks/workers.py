"""What more workers bring: `python -m benchmarks.workers`.

One run on one PostgreSQL, graded by one worker and by four, each with 32 calls at a time, of a stub judge that takes a
second for an answer. Timed from when the run was accepted to its end; how the judge can be asked is known before.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.fleet import Fleet, wait
from benchmarks.harness import Check, Stub, report, table
from benchmarks.postgres import SERVER, database
from benchmarks.work import Work, prose_items

ITEMS, EACH, LATENCY_MS, MANY = 4800, 32, 1000.0, 4
LONGEST_S = 1200.0
#: Who asks more often how far it is takes the time of those who grade.
LOOK_S = 0.25


def seconds(server: str, workers: int, items: int) -> float:
    """How long a run takes."""
    with (
        tempfile.TemporaryDirectory() as place,
        Stub(latency_ms=LATENCY_MS) as stub,
        database(server) as url,
    ):
        folder = Path(place)
        work = Work.write(folder, prose_items(items))
        with Fleet(work, stub, url, folder, services=1, workers=workers, each=EACH, grading=False) as fleet:
            asked: dict[str, Any] = {"items": list(prose_items(items)), "rubric": work.rubric.stem, "judge": "stub"}
            first = fleet.ask("POST", "/v1/runs", json.dumps(asked | {"items": asked["items"][:1]}).encode())["id"]
            wait("the judge", lambda: bool(fleet.ask("GET", f"/v1/runs/{first}")["graded"]), LONGEST_S)
            run = fleet.ask("POST", "/v1/runs", json.dumps(asked).encode())["id"]
            begun = time.perf_counter()

            def ended() -> bool:
                found = fleet.ask("GET", f"/v1/runs/{run}")
                return bool(found["status"] == "completed" and found["graded"] == items)

            wait("the end of the run", ended, LONGEST_S, LOOK_S)
            return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=ITEMS)
    parser.add_argument("--server", default=SERVER, help="a server on which databases may be created")
    given = parser.parse_args()
    took = {count: seconds(given.server, count, given.items) for count in (1, MANY)}
    ideal = {count: given.items / (EACH * count) * LATENCY_MS / 1000 for count in took}
    table(
        ("workers", "seconds", "at best"),
        [(str(count), took[count], ideal[count]) for count in took],
    )
    checks = [Check(f"{MANY} workers beside one, in seconds", took[MANY] / took[1], most=1 / 3.6)]
    report("workers", checks, seconds=took)


if __name__ == "__main__":
    main()
