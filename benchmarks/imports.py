"""What it costs to start: `python -m benchmarks.imports`. Process starts in turn, everything compiled before."""

from __future__ import annotations

import argparse
import compileall
import subprocess
import sys
import time
from statistics import median

from benchmarks.harness import JUDGE, ROOT, Check, report, table

COMMANDS = {
    "import pydantic": [sys.executable, "-c", "import pydantic"],
    "from judge import Rubric, Judge, grade": [sys.executable, "-c", "from judge import Rubric, Judge, grade"],
    "judge --help": [JUDGE, "--help"],
}


def start_s(command: list[str]) -> float:
    """Seconds from the start of a process to its end."""
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=15)
    starts = parser.parse_args().starts
    for package in ("rubrics", "judge", "api"):
        compileall.compile_dir(ROOT / package, quiet=1)
    for command in COMMANDS.values():
        start_s(command)  # what is installed gets compiled, and read from disk
    took: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(starts):
        for name, command in COMMANDS.items():
            took[name].append(start_s(command))
    base, library, line = (median(seconds) for seconds in took.values())
    table(("start", "median ms", "ratio"), [(n, f"{median(s) * 1000:.0f}", median(s) / base) for n, s in took.items()])
    checks = [
        Check("library / import pydantic", library / base, most=2.5),
        Check("judge --help / import pydantic", line / base, most=3.0),
    ]
    report("imports", checks, seconds=took)


if __name__ == "__main__":
    main()
