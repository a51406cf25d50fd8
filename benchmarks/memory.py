"""The most memory that `judge grade` takes: `python -m benchmarks.memory`.

Peak resident memory must not grow with the number of items, and with their size only as far as they are in flight.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.harness import Check, Stub, grade_command, report, table
from benchmarks.work import Item, Work, plain_items

FEW, MANY = 1_000, 100_000
LARGE_ITEMS, LARGE_BYTES = 64, 2_000_000


def peak_mb(items: Iterator[Item], stub: Stub | None, concurrency: int) -> tuple[float, float]:
    """Peak resident MB and seconds of one `judge grade` in a fresh folder; without a stub, of the simulated judge."""
    with tempfile.TemporaryDirectory() as place:
        work = Work.write(Path(place), items)
        judge = work.judge(stub.url, concurrency).name if stub else "simulated"
        command = grade_command(work, judge)
        began = time.perf_counter()
        process = subprocess.Popen(command, cwd=place, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        took = time.perf_counter() - began
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    # A child begins with the peak of its parent: where that is higher, the child's own is not known.
    if usage.ru_maxrss <= resource.getrusage(resource.RUSAGE_SELF).ru_maxrss:
        raise SystemExit("this process takes more memory than the one it measures")
    return usage.ru_maxrss * 1024 / 1e6, took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--many", type=int, default=MANY)
    many = parser.parse_args().many
    rows, checks = [], []
    with Stub() as stub:
        for name, judge in (("simulated", None), ("stub", stub)):
            peaks = []
            for count in (FEW, many):
                peak, took = peak_mb(plain_items(count), judge, concurrency=64)
                rows.append((f"{name} judge, {count} items", peak, took))
                peaks.append(peak)
            checks.append(Check(f"MB more for {many} items than for {FEW}, {name} judge", peaks[1] - peaks[0], most=60))
        peak, took = peak_mb(plain_items(LARGE_ITEMS, LARGE_BYTES), stub, concurrency=16)
        rows.append((f"stub judge, {LARGE_ITEMS} items of {LARGE_BYTES // 10**6} MB", peak, took))
        checks.append(Check("MB for large items, 16 in flight", peak, most=400))
    table(("judge grade", "peak MB", "wall s"), rows)
    report("memory", checks, rows=rows)


if __name__ == "__main__":
    main()
