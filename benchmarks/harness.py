"""What the benchmarks share: the stub judge, runners as processes of their own, checks, tables and result files."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.work import Work

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
#: The command line, from the same environment as this process.
JUDGE = str(Path(sys.executable).with_name("judge"))
MARKERS = r"ITEM-\d{4,}|CRIT-[A-Z]+"
ITEMS = r"ITEM-\d{4,}"
RUNNER_TIMEOUT_S = 600.0


def grade_command(work: Work, judge: str) -> list[str]:
    """`judge grade`, to be run in the work's folder; `judge` is a name or a file there."""
    given = [work.items.name, "--rubric", work.rubric.name, "--judge", judge]
    return [JUDGE, "grade", *given, "--yes", "--quiet"]


class Stub:
    """A stub judge on a free port, for as long as the block lasts."""

    def __init__(self, **flags: float | str | bool) -> None:
        command = [
            sys.executable,
            str(ROOT / "tests" / "stub_judge.py"),
            "--seed-regex",
            MARKERS,
            "--item-regex",
            ITEMS,
        ]
        for name, value in flags.items():
            command += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout
        self.url = self._process.stdout.readline().split()[-1]

    def __enter__(self) -> Stub:
        return self

    def __exit__(self, *_: object) -> None:
        with self._process as process:
            process.terminate()

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=60) as reply:
            return json.load(reply)

    def reset(self) -> None:
        urllib.request.urlopen(self.url + "/reset", data=b"", timeout=60).close()


@dataclass(frozen=True, slots=True)
class Ran:
    """What one runner came to. `stats` and `requests` are the stub's; a probe is not among the requests."""

    wall_s: float
    cpu_s: float
    scores: list[list[float] | None]
    errors: dict[str, int]
    stats: dict[str, Any]
    requests: int
    totals: dict[str, Any]


def run(name: str, stub: Stub, work: Work, n: int, concurrency: int, *more: str) -> Ran:
    """Resets the stub, runs one runner with `more` arguments, and reads its result and the stub's counts."""
    stub.reset()
    module = ["benchmarks.ours"] if name == "ours" else ["benchmarks.raw", name]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "result.json"
        given = ["--url", stub.url, "--work", str(work.folder), "--n", str(n), "--concurrency", str(concurrency)]
        command = [sys.executable, "-m", *module, *given, *more, "--out", str(out)]
        subprocess.run(command, cwd=ROOT, check=True, timeout=RUNNER_TIMEOUT_S)
        found = json.loads(out.read_text(encoding="utf-8"))
    requests = sum(1 for call in stub.get("/calls") if call["items"])
    fields = (found["wall_s"], found["cpu_s"], found["scores"], found["errors"])
    return Ran(*fields, stub.get("/stats"), requests, found.get("totals", {}))


def middle(values: Sequence[Ran], field: str) -> float:
    """The median of one field over runs."""
    return float(median(getattr(value, field) for value in values))


@dataclass(frozen=True, slots=True)
class Check:
    """A figure beside its target: at most `most`, or exactly `exactly`."""

    name: str
    value: float
    most: float | None = None
    exactly: float | None = None

    @property
    def ok(self) -> bool:
        return self.value <= self.most if self.most is not None else self.value == self.exactly

    @property
    def row(self) -> tuple[str, str, str, str]:
        target = f"<= {self.most:g}" if self.most is not None else f"= {self.exactly:g}"
        return self.name, f"{self.value:.4g}", target, "ok" if self.ok else "MISS"


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Prints columns: the first to the left, the others to the right."""
    cells = [list(head), *([f"{c:.3f}" if isinstance(c, float) else str(c) for c in row] for row in rows)]
    widths = [max(len(row[at]) for row in cells) for at in range(len(head))]
    for row in cells:
        print(row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)))
    print(flush=True)


def report(name: str, checks: Sequence[Check], **details: object) -> None:
    """Prints the checks and writes them, with details, to results/NAME.json."""
    table(("check", "value", "target", ""), [check.row for check in checks])
    RESULTS.mkdir(exist_ok=True)
    machine = {"python": platform.python_version(), "machine": platform.machine(), "cores": os.cpu_count()}
    written = [{**asdict(check), "ok": check.ok} for check in checks]
    result = {"at": time.strftime("%Y-%m-%dT%H:%M:%S%z"), **machine, "checks": written, **details}
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(result, indent=1), encoding="utf-8")
    print(f"wrote {path.relative_to(ROOT)}")
