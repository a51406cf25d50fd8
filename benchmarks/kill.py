"""A run killed again and again: `python -m benchmarks.kill`.

The same command is started, and its whole process group killed at a random moment after its first call. In the end it
may finish; then the ledger is compared with what the stub judge saw.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sqlite3
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness import Check, Stub, grade_command, report, table
from benchmarks.work import Work, prose_items
from judge.ledger import call_key

TENANT = "local"
POLL_S = 0.002
Call = dict[str, Any]  #: as the stub lists it
START_TIMEOUT_S, FINISH_TIMEOUT_S = 60.0, 1800.0


@dataclass(slots=True)
class Kills:
    """How the killed starts went."""

    done: int = 0
    in_flight: int = 0  #: kills with calls at the judge
    ended: int = 0  #: starts that ended before they could be killed


@contextmanager
def started(command: list[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process group, dead in the end. Its output is appended to a log in the folder."""
    with (folder / "log.txt").open("ab") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def kill(command: list[str], folder: Path, stub: Stub, delay_s: float, kills: Kills) -> None:
    """Starts the command, waits for its first call and `delay_s` more, and kills it."""
    before, limit = stub.get("/stats")["requests"], time.monotonic() + START_TIMEOUT_S
    with started(command, folder) as process:
        while stub.get("/stats")["requests"] == before:
            if process.poll() == 0:
                kills.ended += 1
                return
            if process.poll() is not None or time.monotonic() > limit:
                raise SystemExit(f"a start made no call: {(folder / 'log.txt').read_text(encoding='utf-8')[-2000:]}")
            time.sleep(POLL_S)
        time.sleep(delay_s)
        in_flight = stub.get("/stats")["in_flight"]
        if process.poll() is not None:
            kills.ended += 1
            return
    kills.done += 1
    kills.in_flight += in_flight > 0


def finish(command: list[str], folder: Path) -> int:
    """Lets the command end by itself. Returns its exit status."""
    with started(command, folder) as process:
        return process.wait(FINISH_TIMEOUT_S)


def ledger(folder: Path) -> dict[str, list[str]]:
    """The states of a run's calls, by key, in the order of their attempts."""
    found: dict[str, list[str]] = {}
    with closing(sqlite3.connect(folder / ".judge" / "judge.db")) as db:
        rows = db.execute("SELECT key, state FROM call WHERE run IS NOT NULL ORDER BY key, attempt")
        for key, state in rows:
            found.setdefault(key, []).append(state)
    return found


def scored(folder: Path) -> int:
    """Items with an overall score."""
    with closing(sqlite3.connect(folder / ".judge" / "judge.db")) as db:
        query = "SELECT count(DISTINCT seq) FROM grade WHERE criterion = 'overall' AND outcome = 'scored'"
        return int(db.execute(query).fetchone()[0])


def compare(
    rows: dict[str, list[str]], calls: list[dict[str, Any]], endpoint: str, items: int, graded: int
) -> list[Check]:
    """The ledger beside the stub's record, before anything lost is asked for again."""
    keys = [call_key(TENANT, endpoint, call["body"].encode(), 0, 0) for call in calls]
    deliveries = Counter(call["body_sha256"] for call in calls if call["answered"] == 200)
    sendings = Counter(call["body_sha256"] for call in calls)
    lost = {key for key, states in rows.items() if states[-1] == "lost"}
    answered = {key for key, states in rows.items() if "answered" in states}
    unanswered = {key for key, call in zip(keys, calls, strict=True) if call["answered"] is None}
    return [
        Check("calls at the judge without a row", sum(key not in rows for key in keys), exactly=0),
        Check("bodies answered more than once", sum(count > 1 for count in deliveries.values()), exactly=0),
        Check("bodies sent more than once", sum(count > 1 for count in sendings.values()), exactly=0),
        Check("rows without a call at the judge that are not lost", len(rows.keys() - set(keys) - lost), exactly=0),
        Check("rows left as sent", sum("sent" in states for states in rows.values()), exactly=0),
        Check("rows answered that the judge did not answer", len(answered & unanswered), exactly=0),
        Check("unanswered calls not listed as lost", len(unanswered - lost), exactly=0),
        Check(f"items neither graded nor lost, of {items}", items - graded - len(lost), exactly=0),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--items", type=int, default=2000)
    parser.add_argument("--longest-s", type=float, default=0.25, help="the latest kill after a first call")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    draw, kills = random.Random(given.seed), Kills()
    with tempfile.TemporaryDirectory() as place, Stub(latency_ms=50, latency_max_ms=200, bodies=True) as stub:
        folder = Path(place)
        work = Work.write(folder, prose_items(given.items))
        judge = work.judge(stub.url, concurrency=8)
        command = grade_command(work, judge.name)
        while kills.done < given.kills and not kills.ended:
            kill(command, folder, stub, draw.uniform(0, given.longest_s), kills)
        status = finish(command, folder)
        rows, calls = ledger(folder), [call for call in stub.get("/calls") if call["items"]]
        lost = sum("lost" in states for states in rows.values())
        attempts = sum(len(states) for states in rows.values())
        checks = [
            Check("kills", kills.done, exactly=given.kills),
            Check("kills without a call in flight", kills.done - kills.in_flight, most=given.kills // 2),
            Check("starts that ended before their kill", kills.ended, exactly=0),
            *compare(rows, calls, f"{stub.url}/v1/chat/completions", given.items, scored(folder)),
        ]
        resent = finish([*command, "--resend-lost"], folder)
        checks += [
            Check("exit status after --resend-lost", resent, exactly=0),
            Check("graded after --resend-lost", scored(folder), exactly=given.items),
        ]
    table(
        ("kills", "with calls in flight", "rows", "calls at the judge", "rows lost", "exit status at the end"),
        [(kills.done, kills.in_flight, attempts, len(calls), lost, status)],
    )
    report("kill", checks, in_flight=kills.in_flight, rows=attempts, calls=len(calls), lost=lost, status=status)


if __name__ == "__main__":
    main()
