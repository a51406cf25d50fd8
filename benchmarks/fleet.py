"""The processes of a service, each with a log; any of them may be killed and is started again."""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.harness import JUDGE, Stub
from benchmarks.work import Work

JSON = {"Content-Type": "application/json"}
#: What a worker says when it begins, and what a service says.
BEGUN = (b"grading what is wanted", b"Uvicorn running on")
#: Said by a program that did not expect what happened.
SURPRISED = ("Traceback", "never retrieved", "never awaited")
ANSWER_S, END_S, STEP_S = 120.0, 30.0, 0.05
#: Of a judge that keeps its answers. What it denies counts after the time of a call.
KEPT = "store: true\ntimeout_s: 3\n"


class Member:
    """One process: a service where it has a port, else a worker."""

    def __init__(self, name: str, command: list[str], environment: dict[str, str], folder: Path, port: int = 0) -> None:
        self.name, self.port, self.log = name, port, folder / f"{name}.log"
        self._command, self._environment, self._folder = command, environment, folder
        self.log.touch()
        self.start()

    def start(self) -> None:
        """Starts it, and does not wait for it."""
        self._said = self.log.stat().st_size
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command, cwd=self._folder, env=os.environ | self._environment, stdout=log, stderr=log
            )

    @property
    def begun(self) -> bool:
        """Whether it has said that it is at work."""
        with self.log.open("rb") as log:
            log.seek(self._said)
            said = log.read()
        return any(one in said for one in BEGUN)

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal. It must not have ended by itself."""
        if self.process.poll() is not None:
            raise SystemExit(f"{self.name} ended by itself: {self.log.read_text(encoding='utf-8')[-2000:]}")
        self.process.send_signal(number)

    def ask(self, method: str, path: str, body: bytes | None) -> tuple[int, Any]:
        """Status and JSON of an answer. Raises OSError or HTTPException where none comes."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            connection.request(method, path, body, JSON)
            reply = connection.getresponse()
            return reply.status, json.loads(reply.read())


class Fleet:
    """Services and workers at one database, as long as the block lasts."""

    def __init__(
        self,
        work: Work,
        stub: Stub,
        url: str,
        folder: Path,
        services: int,
        workers: int,
        each: int,
        grading: bool = True,
        keeping: bool = False,
    ) -> None:
        """`each` calls at a time of every process. The first service grades too, unless none is to.

        `keeping` tells the judge to keep its answers, so that what is lost can be looked up, soon.
        """
        judges, rubrics = folder / "judges", folder / "rubrics"
        judges.mkdir()
        rubrics.mkdir()
        (judges / "stub.yaml").write_bytes(work.judge(stub.url, each, more=KEPT if keeping else "").read_bytes())
        (rubrics / work.rubric.name).write_bytes(work.rubric.read_bytes())
        environment = {"JUDGE_JUDGES_DIR": "judges", "JUDGE_RUBRICS_DIR": "rubrics", "JUDGE_DATABASE_URL": url}
        environment |= {"JUDGE_LOOKUP_LAG_S": "1"} if keeping else {}
        self.services, self.workers, self._starting = [], [], threading.Lock()
        for n in range(services):
            with closing(socket.create_server(("127.0.0.1", 0))) as free:
                port = int(free.getsockname()[1])
            command = [JUDGE, "serve", "--no-keys", "--port", str(port), *(["--no-worker"] if n or not grading else [])]
            self.services.append(Member(f"service-{n}", command, environment, folder, port))
        for n in range(workers):
            self.workers.append(Member(f"worker-{n}", [JUDGE, "worker", "--chunks", "4"], environment, folder))

    def __enter__(self) -> Fleet:
        wait("every process to begin", lambda: all(one.begun for one in self.members))
        return self

    def __exit__(self, *_: object) -> None:
        for one in self.members:
            one.process.send_signal(signal.SIGCONT)
            one.process.terminate()
        for one in self.members:
            try:
                one.process.wait(END_S)
            except subprocess.TimeoutExpired:
                one.process.kill()
                one.process.wait()
                print(f"{one.name} did not end when it was told to")

    @property
    def members(self) -> list[Member]:
        """All of them."""
        return [*self.services, *self.workers]

    def kill(self, draw: random.Random) -> None:
        """SIGKILL to one that is at work; it is started again at once."""
        wait("a process that is at work", lambda: any(one.begun for one in self.members))
        with self._starting:
            one = draw.choice([one for one in self.members if one.begun])
            one.signal(signal.SIGKILL)
            one.process.wait()
            one.start()

    def tend(self) -> None:
        """Starts again what ended before it was at work, since it found no database: as a supervisor does."""
        with self._starting:
            for one in self.members:
                if one.process.poll() is not None and not one.begun:
                    one.start()

    def ask(self, method: str, path: str, body: bytes | None = None, by: Sequence[Member] = ()) -> Any:
        """The JSON of whichever service answers; they are asked until one does."""
        until, last = time.monotonic() + ANSWER_S, "nobody listens"
        while time.monotonic() < until:
            for one in random.sample(by or self.services, len(by or self.services)):
                try:
                    status, told = one.ask(method, path, body)
                except (OSError, http.client.HTTPException, ValueError) as error:
                    last = f"{type(error).__name__}: {error}"
                    continue
                if status < 300:
                    return told
                if status not in (429, 503):
                    raise SystemExit(f"{method} {path}: {status} {told}")
                last = str(told)
            time.sleep(STEP_S)
        raise SystemExit(f"{method} {path}: no answer in {ANSWER_S:.0f} s: {last}")

    @property
    def surprises(self) -> int:
        """Lines of the logs that no operator should see."""
        logs = (one.log.read_text(encoding="utf-8", errors="replace") for one in self.members)
        return sum(word in line for log in logs for line in log.splitlines() for word in SURPRISED)


def wait(what: str, holds: Callable[[], bool], within_s: float = ANSWER_S, step_s: float = STEP_S) -> None:
    """Waits until something holds. Raises SystemExit where it does not in time."""
    until = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > until:
            raise SystemExit(f"waited in vain for {what}")
        time.sleep(step_s)
