"""What a grade costs around the judge's own time: `python -m benchmarks.spine`.

Runners take turns on one stub judge of 200 ms. The ideal is ceil(outputs / concurrency) times that.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.harness import Check, Ran, Stub, middle, report, run, table
from benchmarks.work import Work, prose_items

LATENCY_MS = 200.0


@dataclass(frozen=True, slots=True)
class Case:
    outputs: int
    concurrency: int
    runners: tuple[str, ...]

    @property
    def ideal_s(self) -> float:
        return math.ceil(self.outputs / self.concurrency) * LATENCY_MS / 1000

    def __str__(self) -> str:
        return f"{self.outputs} at {self.concurrency}"


SMALL = Case(1000, 64, ("ours", "openai", "openai-bare"))
LONG = Case(4000, 64, ("ours", "openai-bare"))
WIDE = Case(4000, 256, ("ours", "openai-bare"))


def measure(case: Case, runners: tuple[str, ...], reps: int, stub: Stub, work: Work) -> dict[str, list[Ran]]:
    """Alternated runs: A B C A B C ..."""
    runs: dict[str, list[Ran]] = {name: [] for name in runners}
    for _ in range(reps):
        for name in runners:
            runs[name].append(run(name, stub, work, case.outputs, case.concurrency))
    rows = [
        (name, middle(ran, "wall_s"), middle(ran, "wall_s") / case.ideal_s, middle(ran, "cpu_s"), _same(ran))
        for name, ran in runs.items()
    ]
    table((f"{case}, ideal {case.ideal_s:.1f} s", "wall s", "wall / ideal", "cpu s", "grades"), rows)
    return runs


def _same(runs: list[Ran]) -> int:
    """Grades that came back, in the worst run."""
    return min(sum(one is not None for one in ran.scores) for ran in runs)


def _ratio(runs: dict[str, list[Ran]], field: str, other: str) -> float:
    return middle(runs["ours"], field) / middle(runs[other], field)


def checks(found: dict[Case, dict[str, list[Ran]]]) -> list[Check]:
    """Our figures beside their targets."""
    small, long, wide = (found[case] for case in (SMALL, LONG, WIDE))
    tokens = median(ran.stats["prompt_tokens"] / ran.stats["requests"] for ran in small["ours"])
    requests = median(ran.requests / SMALL.outputs for ran in small["ours"])
    unlike = sum(ran.scores != small["openai"][0].scores for runs in small.values() for ran in runs)
    return [
        Check(f"cpu / openai, {SMALL}", _ratio(small, "cpu_s", "openai"), most=1.0),
        Check(f"cpu / openai-bare, {SMALL}", _ratio(small, "cpu_s", "openai-bare"), most=1.35),
        Check(f"wall / ideal, {SMALL}", middle(small["ours"], "wall_s") / SMALL.ideal_s, most=1.25),
        Check(f"wall / ideal, {LONG}", middle(long["ours"], "wall_s") / LONG.ideal_s, most=1.25),
        Check(f"wall / openai-bare, {WIDE}", _ratio(wide, "wall_s", "openai-bare"), most=1.35),
        Check("prompt tokens an output", tokens, most=1420),
        Check("requests an output", requests, exactly=1),
        Check("runs with other grades than openai's", unlike, exactly=0),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reps", type=int, default=5)
    parser.add_argument("--runners", nargs="+", help="only these, on all cases, without checks")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Stub(latency_ms=LATENCY_MS) as stub:
        work = Work.write(Path(folder), prose_items(4000))
        cases = (SMALL, LONG, WIDE)
        chosen = tuple(given.runners) if given.runners else None
        found = {case: measure(case, chosen or case.runners, given.reps, stub, work) for case in cases}
    medians = {
        str(case): {name: {field: middle(ran, field) for field in ("wall_s", "cpu_s")} for name, ran in runs.items()}
        for case, runs in found.items()
    }
    report("spine", [] if chosen else checks(found), medians=medians)


if __name__ == "__main__":
    main()
