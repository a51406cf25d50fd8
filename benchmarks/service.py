"""What the service adds to grading: `python -m benchmarks.service`.

Runs of 100 items over HTTP, beside `judge grade` of as many items in the same run of this benchmark: as they come at
the rate of `judge grade`, which says what is reached, then at half of that, then at one and a half times it. Before all
that single grades, one after the other, beside the judge itself. A stub judge of 50 ms, and everything on the same
cores. On SQLite one process does all; on PostgreSQL a `judge worker` is beside it, and `judge serve` alone is told too.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from benchmarks.harness import JUDGE, Check, Stub, report, run, table
from benchmarks.postgres import SERVER, database
from benchmarks.work import Work, prose_items

LATENCY_MS, CONCURRENCY, ITEMS = 50.0, 64, 100
RUNS, SINGLE = 50, 100
#: At half the load that was reached, and at one and a half times it: until what waits is more than may.
HALF_S, BEYOND_S = 80.0, 90.0
#: How often a run is looked at that is waited for: its client does so each second.
LOOK_S = 0.25
#: What the processes are.
OF = ("judge serve", "the worker")
Items = list[dict[str, str]]
JSON = {"Content-Type": "application/json"}


class Client:
    """Asks one service, each time over a connection of its own."""

    def __init__(self, port: int, work: Work) -> None:
        self._port, self._rubric = port, work.rubric.stem

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, Any]:
        """Status and JSON."""
        with closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)) as connection:
            connection.request(method, path, body, JSON)
            reply = connection.getresponse()
            assert reply.status != 429 or int(reply.headers["Retry-After"]) > 0, "refused, and not told for how long"
            return reply.status, json.loads(reply.read())

    def there(self) -> bool:
        """Whether the service answers."""
        try:
            return self.ask("GET", "/healthz")[0] == 200
        except ConnectionRefusedError:
            return False

    def submitted(self, items: Items, name: str) -> bytes:
        """The body of a submission; its name makes the items others than those of another name."""
        told = [{**item, "metadata": {"of": name}, "input": f"{item['input']} {name}"} for item in items]
        return json.dumps({"items": told, "rubric": self._rubric, "judge": "stub", "name": name}).encode()

    def several(self, items: Items, count: float, name: str) -> list[bytes]:
        """The bodies of so many submissions."""
        return [self.submitted(items, f"{name} {n}") for n in range(round(count))]

    def wait(self, runs: list[str]) -> int:
        """How many grades the runs have in the end."""
        graded = 0
        for one in runs:
            while (found := self.ask("GET", f"/v1/runs/{one}")[1])["status"] != "completed":
                time.sleep(LOOK_S)
            graded += found["graded"]
        return graded


@contextmanager
def serving(work: Work, stub: Stub, url: str, workers: int = 0) -> Iterator[tuple[Client, list[int]]]:
    """`judge serve` on a free port, and workers beside it: the ids of their processes."""
    judges = work.folder / "judges"
    judges.mkdir(exist_ok=True)
    (judges / "bench.yaml").write_bytes(work.judge(stub.url, CONCURRENCY).read_bytes())
    rubrics = work.folder / "rubrics"
    rubrics.mkdir(exist_ok=True)
    (rubrics / work.rubric.name).write_bytes(work.rubric.read_bytes())
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = int(free.getsockname()[1])
    folders = {"JUDGE_JUDGES_DIR": str(judges), "JUDGE_RUBRICS_DIR": str(rubrics), "JUDGE_DATABASE_URL": url}
    command = [JUDGE, "serve", "--no-keys", "--port", str(port)]
    with ExitStack() as stack:

        def started(command: list[str]) -> int:
            quiet = {"stderr": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
            process = stack.enter_context(subprocess.Popen(command, env=os.environ | folders, **quiet))
            stack.callback(process.terminate)
            return process.pid

        client, processes = Client(port, work), [started(command)]
        while not client.there():
            time.sleep(0.05)
        processes += [started([JUDGE, "worker"]) for _ in range(workers)]
        yield client, processes


def single(client: Client, stub: Stub, items: Items, name: str) -> tuple[float, float]:
    """Seconds of a grade over HTTP, and of the judge's own answer, as a client has it: medians, in turns."""
    asked = {"model": "stub-judge", "messages": [{"role": "user", "content": items[0]["output"]}]}
    grades, answers = [], []
    judge = http.client.HTTPConnection(stub.url.removeprefix("http://"), timeout=60)
    with closing(judge):
        for place in range(SINGLE + 1):
            body = client.submitted(items[place % ITEMS : place % ITEMS + 1], f"{name} single {place}")
            body = json.dumps({key: value for key, value in json.loads(body).items() if key != "name"}).encode()
            began = time.perf_counter()
            status, told = client.ask("POST", "/v1/grades", body)
            grades.append(time.perf_counter() - began)
            assert (status, told["data"][0]["outcome"]) == (200, "scored"), told
            began = time.perf_counter()
            judge.request("POST", "/v1/chat/completions", json.dumps(asked), JSON)
            judge.getresponse().read()
            answers.append(time.perf_counter() - began)
    return median(grades[1:]), median(answers[1:])  # the first one makes the judge's connections


def sustained(client: Client, items: Items, a_second: float, name: str) -> float:
    """Grades a second, from the first submission to the last grade, where so many are asked for in a second."""
    client.wait([client.ask("POST", "/v1/runs", client.submitted(items[:1], f"{name} warm"))[1]["id"]])
    bodies = client.several(items, RUNS, name)
    begun = time.perf_counter()
    made = as_they_come(client, bodies, a_second / ITEMS)[2]
    graded = client.wait(made)
    assert graded == RUNS * ITEMS, f"{len(made)} of {RUNS} runs taken, {graded} items graded"
    return graded / (time.perf_counter() - begun)


def as_they_come(client: Client, bodies: list[bytes], a_second: float) -> tuple[list[float], int, list[str]]:
    """Seconds of each submission, how many were refused, and the runs that were accepted; so many a second are sent,
    whatever becomes of those before."""
    took, refused, made, lock = [], [0], [], threading.Lock()

    def submit(body: bytes) -> None:
        begun = time.perf_counter()
        status, told = client.ask("POST", "/v1/runs", body)
        with lock:
            took.append(time.perf_counter() - begun)
            refused[0] += status == 429
            made.extend([told["id"]] if status == 202 else [])

    began, threads = time.perf_counter(), []
    for n, body in enumerate(bodies):
        time.sleep(max(began + n / a_second - time.perf_counter(), 0))
        thread = threading.Thread(target=submit, args=(body,))
        thread.start()
        threads.append(thread)
    for thread in threads:
        thread.join()
    return took, refused[0], made


def resident_mb(pid: int) -> float:
    """Memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def plainly(stub: Stub, work: Work) -> float:
    """Grades a second of `judge grade`, on SQLite."""
    return RUNS * ITEMS / run("ours", stub, work, RUNS * ITEMS, CONCURRENCY).wall_s


def in_turns(client: Client, stub: Stub, work: Work, items: Items, reps: int, name: str) -> list[tuple[float, float]]:
    """Grades a second of `judge grade` and, asked for as many, of the service: both, so many times."""
    turns = []
    for rep in range(reps):
        plain = plainly(stub, work)
        turns.append((plain, sustained(client, items, plain, f"{name} {rep}")))
    return turns


def measure(
    name: str, url: str, work: Work, stub: Stub, reps: int, workers: int = 0
) -> tuple[list[Check], dict[str, float]]:
    """Checks and figures of the service on one database, in turns with `judge grade` on SQLite."""
    items = list(prose_items(ITEMS))
    with serving(work, stub, url, workers) as (client, processes):
        grade_s, answer_s = single(client, stub, items, name)
        turns = in_turns(client, stub, work, items, reps, name)
        plain, rate = (median(one) for one in zip(*turns, strict=True))
        before = [resident_mb(one) for one in processes]
        half = client.several(items, rate / 2 / ITEMS * HALF_S, f"{name} half")
        took, refused, made = as_they_come(client, half, rate / 2 / ITEMS)
        assert not refused, "refused at half the load"
        client.wait(made)
        p99 = quantiles(took, n=100)[98]
        beyond = client.several(items, rate * 1.5 / ITEMS * BEYOND_S, f"{name} beyond")
        _, refusals, accepted = as_they_come(client, beyond, rate * 1.5 / ITEMS)
        graded = client.wait(accepted)
        after = [resident_mb(one) for one in processes]
    figures = {
        "a single grade, ms": grade_s * 1000,
        "the judge's answer, ms": answer_s * 1000,
        "judge grade, grades a second": plain,
        "grades a second": rate,
        "submit p50, ms": median(took) * 1000,
        "submit p99, ms": p99 * 1000,
        "refused beyond": float(refusals),
        "accepted beyond": float(len(accepted)),
    }
    for place, (one, other) in enumerate(zip(before, after, strict=True)):
        figures |= {f"memory of {OF[place]} before, MB": one, f"memory of {OF[place]} after, MB": other}
    table((name, "value"), list(figures.items()))
    checks = [
        Check(f"{name}: a grade beyond the judge's answer, p50, ms", (grade_s - answer_s) * 1000, most=15),
        Check(f"{name}: judge grade beside it", median(one / other for one, other in turns), most=1 / 0.7),
        Check(f"{name}: submit p99 at half the load, ms", p99 * 1000, most=100),
        Check(f"{name}: nothing was refused beyond it", float(not refusals), exactly=0),
        Check(f"{name}: accepted and not graded beyond it", len(accepted) * ITEMS - graded, exactly=0),
    ]
    checks += [
        Check(f"{name}: memory that {OF[place]} gained beyond it, MB", other - one, most=50)
        for place, (one, other) in enumerate(zip(before, after, strict=True))
    ]
    return checks, figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reps", type=int, default=3)
    parser.add_argument("--server", default=SERVER, help="a server on which databases may be created")
    given = parser.parse_args()
    checks: list[Check] = []
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder, Stub(latency_ms=LATENCY_MS) as stub:
        work = Work.write(Path(folder), prose_items(RUNS * ITEMS))
        with database(given.server) as url:
            for name, at, workers in (("sqlite", f"sqlite:///{folder}/service.db", 0), ("postgresql", url, 1)):
                more, figures = measure(name, at, work, stub, given.reps, workers)
                checks += more
                found[name] = figures
            with serving(work, stub, url) as (client, _):
                turns = in_turns(client, stub, work, list(prose_items(ITEMS)), given.reps, "alone")
        plain, alone = (median(one) for one in zip(*turns, strict=True))
        found["postgresql alone"] = {"judge grade, grades a second": plain, "grades a second": alone}
        table(("postgresql, judge serve alone", "value"), list(found["postgresql alone"].items()))
    report("service", checks, figures=found)


if __name__ == "__main__":
    main()
