"""A service whose processes and database are killed at random: `python -m benchmarks.chaos`.

Runs are submitted over HTTP while it goes on, and what the service says of their grades is written down. When all is
over nobody helps: every run must end by itself. Then the ledger is compared with what the stub judge saw, and what is
lost is asked for again. PostgreSQL is a server of this benchmark's own.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import signal
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import psycopg
from sqlalchemy.engine import make_url

from benchmarks.cluster import Cluster, cluster, programs
from benchmarks.fleet import Fleet, wait
from benchmarks.harness import Check, Stub, report, table
from benchmarks.kill import TENANT, compare
from benchmarks.work import Work, plain_items
from judge.ledger import call_key

RUN_ITEMS, SMALL_ITEMS = 50, 5
EACH = 3  #: calls at a time of every process
END_S = 600.0
FROZEN_S = 10.0
#: How often what the service says of one run is looked at, and whether an act is due.
LOOK_S, STEP_S = 0.2, 0.05
OPEN_RUNS = 6  #: that are wanted at a time
RUNS = "SELECT id FROM run"
CALLS = "SELECT key, attempt, state FROM call WHERE run IS NOT NULL"
#: What a judge's body begins with where it is to keep the answer: no two attempts have the same.
ORDER = re.compile(r'(?<=^{)"store":true,"metadata":{"judge_call":"([^"]+)","judge_attempt":"(\d+)"},')
Outcome = tuple[list[Check], dict[str, object]]
#: Services and workers of each scene.
SCENES = {"sqlite": (1, 0), "kills": (2, 3), "restarts": (2, 2), "kills-and-restarts": (2, 3), "freezes": (1, 3)}
#: Those in which the judge keeps its answers, and what is lost is looked up.
KEPT = ("sqlite-kept", "kept")
SCENES |= {"sqlite-kept": SCENES["sqlite"], "kept": SCENES["kills"]}
SCENES |= {"identical-at-one": (1, 1), "identical-at-two": (2, 1)}


@dataclass(slots=True)
class Told:
    """What the service said of grades, by run and item: what was scored stands."""

    runs: list[str] = field(default_factory=list)
    grades: dict[tuple[str, str], object] = field(default_factory=dict)
    changed: set[tuple[str, str]] = field(default_factory=set)

    def look(self, fleet: Fleet, run: str) -> None:
        """Compares what is said of a run with what was said before."""
        page = fleet.ask("GET", f"/v1/runs/{run}/grades?limit=500")["data"]
        said = {(run, one["item"]): one["criteria"] for one in page if one["outcome"] == "scored"}
        before = {place: what for place, what in self.grades.items() if place[0] == run}
        self.changed |= {place for place, what in before.items() if said.get(place) != what}
        self.grades.update(said)

    def checks(self, url: str) -> list[Check]:
        """Whether all that was said holds in a database."""
        made = {id_ for (id_,) in query(url, RUNS)}
        return [
            Check("runs accepted and not made", len(set(self.runs) ^ made), exactly=0),
            Check("grades told that were lost or changed", len(self.changed), exactly=0),
        ]


@dataclass(slots=True)
class Acts:
    """What is done while work goes on, and how often calls were under way then.

    Where one process does all the work, it is told too how long after each start the first call comes.
    """

    do: Callable[[], None]
    due: Iterator[Callable[[int, float], bool]]  #: of each: whether, after so many answers and seconds since the last
    alone: bool = False
    beside: Acts | None = None  #: of another kind, at moments of their own
    done: int = 0
    met: int = 0
    rests_s: list[float] = field(default_factory=list)

    def play(self, stub: Stub, over: threading.Event) -> None:
        """Does what is due, until the work is over."""
        since, due = time.monotonic(), next(self.due, None)
        while due is not None and not over.wait(STEP_S):
            stats = stub.get("/stats")
            if due(stats["status"].get("200", 0), time.monotonic() - since):
                self.do()
                if self.alone:
                    self.rests_s.append(rest_s(stub, over))
                self.done, self.met = self.done + 1, self.met + (stats["in_flight"] > 0)
                since, due = time.monotonic(), next(self.due, None)

    @property
    def figures(self) -> dict[str, object]:
        """What is told of them."""
        told: dict[str, object] = {"acts": self.done, "met calls under way": self.met}
        rest = {"seconds from a start to its first call, median": median(self.rests_s)} if self.alone else {}
        return told | rest | ({"acts beside them": self.beside.done} if self.beside else {})


def rest_s(stub: Stub, over: threading.Event) -> float:
    """How long nothing is asked of the judge from now on."""
    since, before = time.monotonic(), stub.get("/stats")["requests"]
    while stub.get("/stats")["requests"] == before and not over.wait(STEP_S):
        pass
    return time.monotonic() - since


def by_answers(draw: random.Random, count: int, items: int) -> Iterator[Callable[[int, float], bool]]:
    """So many acts, at random moments of work of so many items, all of them before its end: some answers are lost."""
    for moment in sorted(draw.sample(range(items * 9 // 10), count)):
        yield lambda answers, _, moment=moment: answers > moment


def by_time(draw: random.Random, shortest_s: float, longest_s: float) -> Iterator[Callable[[int, float], bool]]:
    """Acts after random waits, as long as work goes on."""
    while True:
        wait_s = draw.uniform(shortest_s, longest_s)
        yield lambda _, passed_s, wait_s=wait_s: passed_s > wait_s


def query(url: str, statement: str) -> list[tuple[Any, ...]]:
    """The rows of one statement."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(make_url(url).database or "")) as file:
            return file.execute(statement).fetchall()
    with psycopg.connect(url) as server:
        return server.execute(statement).fetchall()


def submission(work: Work, count: int, name: str) -> bytes:
    """The body of a run of items that no run of another name has."""
    told = [{**item, "input": f"{item['input']} {name}"} for item in plain_items(count)]
    return json.dumps({"items": told, "rubric": work.rubric.stem, "judge": "stub", "name": name}).encode()


def play(name: str, acts: Acts, runs: int, fleet: Fleet, work: Work, stub: Stub) -> Told:
    """Submits runs, a few at a time, while acts are done, and waits until all runs are over. Returns what was said."""
    told, over = Told(), threading.Event()

    def submit() -> None:
        for n in range(runs):
            earlier = told.runs[: n - OPEN_RUNS + 1][-1:] if n >= OPEN_RUNS else []
            wait("a run to end", lambda earlier=earlier: not open_runs(fleet, earlier), END_S)
            told.runs.append(fleet.ask("POST", "/v1/runs", submission(work, RUN_ITEMS, f"{name} {n}"))["id"])

    def look() -> None:
        while not over.wait(LOOK_S):
            fleet.tend()
            if told.runs:
                told.look(fleet, random.choice(told.runs[-2 * OPEN_RUNS :]))

    with ThreadPoolExecutor() as threads:
        others = [threads.submit(look), threads.submit(acts.play, stub, over)]
        others += [threads.submit(acts.beside.play, stub, over)] if acts.beside else []
        try:
            threads.submit(submit).result()
            wait("all runs to end", lambda: not open_runs(fleet, told.runs), END_S)
        finally:
            over.set()
        for one in others:
            one.result()
    for run in told.runs:
        told.look(fleet, run)
    return told


def open_runs(fleet: Fleet, runs: list[str]) -> list[str]:
    """What is left of runs when those at their end that are completed are taken off."""
    while runs and fleet.ask("GET", f"/v1/runs/{runs[-1]}")["status"] == "completed":
        runs = runs[:-1]
    return runs


def judged(name: str, acts: Acts, runs: int, loses: bool, fleet: Fleet, work: Work, stub: Stub, url: str) -> Outcome:
    """Plays a scene. `loses` says whether an act may cost the answers of calls under way."""
    began = time.monotonic()
    told = play(name, acts, runs, fleet, work, stub)
    took_s, items = time.monotonic() - began, runs * RUN_ITEMS
    states: dict[str, list[str]] = {}
    for key, state in query(url, "SELECT key, state FROM call WHERE run IS NOT NULL ORDER BY key, attempt"):
        states.setdefault(key, []).append(state)
    calls = [call for call in stub.get("/calls") if call["items"]]
    lost = sum(one[-1] == "lost" for one in states.values())
    scored = count_scored(url)
    checks = [
        *told.checks(url),
        *compare(states, calls, f"{stub.url}/v1/chat/completions", items, scored),
    ]
    if not loses:
        checks.append(Check("answers lost", lost, exactly=0))
    if acts.alone:
        checks.append(Check("seconds from a start to its first call, longest", max(acts.rests_s), most=5))
    for run in told.runs:
        if fleet.ask("GET", f"/v1/runs/{run}")["held"]:
            fleet.ask("POST", f"/v1/runs/{run}/resume", b'{"resend_lost": true}')
    wait("all runs to end", lambda: not open_runs(fleet, told.runs), END_S)
    for run in told.runs:
        told.look(fleet, run)
    checks += [
        Check("graded after resend_lost", count_scored(url), exactly=items),
        Check("grades told that were lost or changed after it", len(told.changed), exactly=0),
        Check("lines of surprise in the logs", fleet.surprises, exactly=0),
    ]
    figures = acts.figures | {"items": items, "calls": len(calls), "grades told meanwhile": len(told.grades)}
    figures |= {"lost": lost, "seconds": round(took_s)}
    return named(name, checks), figures


def looked_up(name: str, acts: Acts, runs: int, fleet: Fleet, work: Work, stub: Stub, url: str) -> Outcome:
    """Plays a scene whose judge keeps its answers: nothing is lost, and nobody has to ask for anything again."""
    began = time.monotonic()
    told = play(name, acts, runs, fleet, work, stub)
    took_s, items = time.monotonic() - began, runs * RUN_ITEMS
    rows = {(key, attempt): state for key, attempt, state in query(url, CALLS)}
    calls = [call for call in stub.get("/calls") if call["items"]]
    orders = [(found[1], int(found[2])) for call in calls if (found := ORDER.search(call["body"]))]
    endpoint, bodies = f"{stub.url}/v1/chat/completions", [ORDER.sub("", call["body"]) for call in calls]
    keys = [call_key(TENANT, endpoint, body.encode(), 0, 0) for body in bodies]
    strange = sum(key != told_key for key, (told_key, _) in zip(keys, orders, strict=True))
    answered = [place for place, state in rows.items() if state == "answered"]
    unheard = {place for place, call in zip(orders, calls, strict=True) if call["answered"] is None}
    checks = [
        *told.checks(url),
        Check("calls at the judge without a row", len(set(orders) - rows.keys()), exactly=0),
        Check("calls of another key than their body's", strange, exactly=0),
        Check("bodies sent more than once", len(bodies) - len(set(bodies)), exactly=0),
        Check("calls that came and were held not to have", sum(rows[o] == "rejected" for o in orders), exactly=0),
        Check("answers lost, or left as sent", sum(one in ("lost", "sent") for one in rows.values()), exactly=0),
        Check("answers of an item beyond one", len(answered) - len({key for key, _ in answered}), exactly=0),
        Check("graded without a word", count_scored(url), exactly=items),
        Check("lines of surprise in the logs", fleet.surprises, exactly=0),
    ]
    figures = acts.figures | {"items": items, "calls": len(calls), "grades told meanwhile": len(told.grades)}
    figures |= {"answers found": len(unheard.intersection(answered))}
    figures |= {"calls that never came": len(rows) - len(calls), "seconds": round(took_s)}
    return named(name, checks), figures


def named(name: str, checks: list[Check]) -> list[Check]:
    """Checks of a scene."""
    return [Check(f"{name}: {one.name}", one.value, one.most, one.exactly) for one in checks]


def count_scored(url: str) -> int:
    """Items with an overall score."""
    scored = "SELECT DISTINCT run, seq FROM grade WHERE criterion = 'overall' AND outcome = 'scored'"
    return int(query(url, f"SELECT count(*) FROM ({scored}) AS scored")[0][0])


def freeze(fleet: Fleet, draw: random.Random) -> None:
    """One worker stands still for a while."""
    one = draw.choice(fleet.workers)
    one.signal(signal.SIGSTOP)
    time.sleep(FROZEN_S)
    one.signal(signal.SIGCONT)


def restart(server: Cluster, ways: Iterator[tuple[signal.Signals, float]]) -> None:
    """The database ends in one way or another, and starts again."""
    server.restart(*next(ways))


def ways(draw: random.Random, kills: int, away_s: float) -> Iterator[tuple[signal.Signals, float]]:
    """Fast and immediate shutdowns, among the first of them some SIGKILLs and one after which it is long away."""
    first = [(signal.SIGKILL, 0.0)] * kills + [(signal.SIGQUIT, away_s), (signal.SIGINT, 0.0)]
    draw.shuffle(first)
    yield from first
    while True:
        yield draw.choice((signal.SIGINT, signal.SIGQUIT)), 0.0


def identical(name: str, times: int, at_once: int, fleet: Fleet, work: Work, stub: Stub, url: str) -> Outcome:
    """The same submission many times at once, to all services of the fleet."""
    several, ids, began = 0, [], time.monotonic()
    with ThreadPoolExecutor(at_once) as threads:
        for n in range(times):
            body, together = submission(work, SMALL_ITEMS, f"{name} {n}"), threading.Barrier(at_once)

            def submit(place: int, body: bytes = body, together: threading.Barrier = together) -> str:
                together.wait()
                by = [fleet.services[place % len(fleet.services)]]
                return str(fleet.ask("POST", "/v1/runs", body, by)["id"])

            made = set(threads.map(submit, range(at_once)))
            several += len(made) - 1
            ids.append(made.pop())
    took_s = time.monotonic() - began
    wait("all runs to end", lambda: not open_runs(fleet, ids), END_S)
    calls = [call["body_sha256"] for call in stub.get("/calls") if call["items"]]
    checks = [
        Check("runs beyond one of a submission", several, exactly=0),
        Check(f"runs of {times} submissions", len(query(url, RUNS)), exactly=times),
        Check("calls sent twice", len(calls) - len(set(calls)), exactly=0),
        Check("graded", count_scored(url), exactly=times * SMALL_ITEMS),
        Check("lines of surprise in the logs", fleet.surprises, exactly=0),
    ]
    figures = {"submissions": times * at_once, "runs": len(ids), "calls": len(calls), "seconds": round(took_s)}
    return named(name, checks), figures


@contextmanager
def staged(folder: Path, url: str, services: int, workers: int, keeping: bool) -> Iterator[tuple[Fleet, Work, Stub]]:
    """A stub judge of 50 to 200 ms, and a fleet at a database."""
    with Stub(latency_ms=50, latency_max_ms=200, bodies=True) as stub:
        folder.mkdir()
        work = Work.write(folder, plain_items(1))
        with Fleet(work, stub, url, folder, services, workers, EACH, keeping=keeping) as fleet:
            yield fleet, work, stub


def scene(name: str, given: argparse.Namespace, server: Cluster, folder: Path) -> Outcome:
    """The checks and figures of one scene."""
    draw, runs = random.Random(given.seed), given.items // RUN_ITEMS
    url = f"sqlite:///{folder}/{name}.db" if "sqlite" in name else server.database(name.replace("-", "_"))
    with staged(folder / name, url, *SCENES[name], keeping=name in KEPT) as stage:
        fleet = stage[0]
        if name.startswith("identical"):
            return identical(name, given.submissions, given.at_once, *stage, url)
        kills = Acts(lambda: fleet.kill(draw), by_answers(draw, given.kills, given.items), name == "sqlite")
        how = ways(draw, given.postmaster_kills, given.away_s)
        restarts = Acts(lambda: restart(server, how), by_time(draw, given.shortest_s, given.longest_s))
        freezes = Acts(lambda: freeze(fleet, draw), by_time(draw, 0.0, FROZEN_S))
        kills.beside = restarts if name == "kills-and-restarts" else None
        acts = {"restarts": restarts, "freezes": freezes}.get(name, kills)
        if name in KEPT:
            return looked_up(name, acts, runs, *stage, url)
        return judged(name, acts, runs, acts is kills, *stage, url)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=SCENES, default=list(SCENES))
    parser.add_argument("--items", type=int, default=10_000, help="of all runs of a scene")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--shortest-s", type=float, default=5.0, help="between two restarts of the database")
    parser.add_argument("--longest-s", type=float, default=40.0, help="between two restarts of the database")
    parser.add_argument("--postmaster-kills", type=int, default=2)
    parser.add_argument("--away-s", type=float, default=40.0, help="for how long the database is away once")
    parser.add_argument("--submissions", type=int, default=100)
    parser.add_argument("--at-once", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    checks: list[Check] = []
    found: dict[str, object] = {}
    if (installed := programs()) is None:
        raise SystemExit("there is no PostgreSQL server here to start: install postgresql")
    with tempfile.TemporaryDirectory() as folder, cluster(installed) as server:
        for name in given.only:
            more, figures = scene(name, given, server, Path(folder))
            table((name, "value"), list(figures.items()))
            checks += more
            found[name] = figures
    report("chaos", checks, figures=found)


if __name__ == "__main__":
    main()
