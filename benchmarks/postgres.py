"""What PostgreSQL costs beside SQLite: `python -m benchmarks.postgres`.

The same run in turns on both, against a stub judge of 200 ms. Every run has an empty database; the server's own CPU is
its own, and is not counted.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from sqlalchemy.engine import make_url

from benchmarks.harness import Check, Ran, Stub, middle, report, run, table
from benchmarks.work import Work, prose_items

OUTPUTS, CONCURRENCY, LATENCY_MS = 1000, 64, 200.0
SERVER = "postgresql://postgres@127.0.0.1:5432/postgres"


@contextmanager
def database(server: str) -> Iterator[str]:
    """The URL of an empty database, dropped in the end."""
    name = f"judge_benchmark_{os.getpid()}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        try:
            yield make_url(server).set(database=name).render_as_string(hide_password=False)
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reps", type=int, default=5)
    parser.add_argument("--server", default=SERVER, help="a server on which databases may be created")
    given = parser.parse_args()
    runs: dict[str, list[Ran]] = {"sqlite": [], "postgresql": []}
    with tempfile.TemporaryDirectory() as folder, Stub(latency_ms=LATENCY_MS) as stub:
        work = Work.write(Path(folder), prose_items(OUTPUTS))
        for _ in range(given.reps):
            runs["sqlite"].append(run("ours", stub, work, OUTPUTS, CONCURRENCY))
            with database(given.server) as url:
                runs["postgresql"].append(run("ours", stub, work, OUTPUTS, CONCURRENCY, "--database-url", url))
    medians = {name: {field: middle(ran, field) for field in ("wall_s", "cpu_s")} for name, ran in runs.items()}
    case = f"{OUTPUTS} at {CONCURRENCY}"
    table((case, "wall s", "cpu s"), [(name, found["wall_s"], found["cpu_s"]) for name, found in medians.items()])
    ratios = {field: medians["postgresql"][field] / medians["sqlite"][field] for field in ("wall_s", "cpu_s")}
    unlike = sum(ran.scores != runs["sqlite"][0].scores for several in runs.values() for ran in several)
    checks = [
        Check(f"wall / sqlite, {case}", ratios["wall_s"], most=1.25),
        Check(f"cpu / sqlite, {case}", ratios["cpu_s"], most=1.3),
        Check("runs with other grades", unlike, exactly=0),
    ]
    report("postgres", checks, medians=medians)


if __name__ == "__main__":
    main()
