"""What faults of the judge do to grades: `python -m benchmarks.faults`.

Against a robust plain loop, with faults that retries can mend; then alone, with answers that get lost on the way,
which are held and never asked for again unasked.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks.harness import Check, Ran, Stub, report, run, table
from benchmarks.work import Work, prose_items

OUTPUTS, CONCURRENCY, LATENCY_MS = 1000, 64, 200.0
MENDABLE = {"rate_429": 0.20, "retry_after": 1, "rate_500": 0.05, "rate_truncated": 0.03}
LOSSES = {"rate_reset": 0.01, "rate_badbody": 0.01}
RUNNERS = ("ours", "openai-robust")


def compared(ran: Ran, truth: Ran) -> tuple[int, int, int]:
    """How many grades are right, wrong and missing."""
    missing = sum(one is None for one in ran.scores)
    right = sum(one is not None and one == true for one, true in zip(ran.scores, truth.scores, strict=True))
    return right, OUTPUTS - right - missing, missing


def row(name: str, ran: Ran, truth: Ran) -> tuple[object, ...]:
    faults, causes = (
        " ".join(f"{name}:{count}" for name, count in sorted(counts.items()))
        for counts in (ran.stats["faults"], ran.errors)
    )
    return name, *compared(ran, truth), ran.requests, ran.wall_s, ran.cpu_s, faults, causes


HEAD = ("", "right", "wrong", "missing", "requests", "wall s", "cpu s", "faults", "causes of what is missing")


def mendable(seeds: range, work: Work, truth: Ran) -> list[Check]:
    """Ours beside the robust loop, for each seed of the faults."""
    runs: dict[str, list[Ran]] = {name: [] for name in RUNNERS}
    for seed in seeds:
        with Stub(latency_ms=LATENCY_MS, fault_seed=seed, **MENDABLE) as stub:
            for name in RUNNERS:
                runs[name].append(run(name, stub, work, OUTPUTS, CONCURRENCY))
        table(HEAD, [row(f"{name}, seed {seed}", ran[-1], truth) for name, ran in runs.items()])
    ours, robust = (runs[name] for name in RUNNERS)
    compare = [compared(ran, truth) for ran in ours]
    return [
        Check("wrong, worst seed", max(wrong for _, wrong, _ in compare), exactly=0),
        Check("missing, worst seed", max(missing for _, _, missing in compare), exactly=0),
        Check("requests / openai-robust, worst seed", worst(ours, robust, "requests"), most=1.02),
        Check("wall / openai-robust, worst seed", worst(ours, robust, "wall_s"), most=1.3),
    ]


def worst(ours: list[Ran], others: list[Ran], figure: str) -> float:
    """The largest ratio between two runs on one seed."""
    return max(getattr(one, figure) / getattr(other, figure) for one, other in zip(ours, others, strict=True))


def losses(seeds: range, work: Work, truth: Ran) -> list[Check]:
    """Ours alone: what is lost is known to be lost, and nothing else is missing."""
    checks = []
    for seed in seeds:
        with Stub(latency_ms=LATENCY_MS, fault_seed=seed, **MENDABLE, **LOSSES) as stub:
            ran = run("ours", stub, work, OUTPUTS, CONCURRENCY)
        table(HEAD, [row(f"ours, lossy, seed {seed}", ran, truth)])
        resets = ran.stats["faults"].get("reset", 0)
        _, wrong, missing = compared(ran, truth)
        checks += [
            Check(f"wrong, lossy, seed {seed}", wrong, exactly=0),
            Check(f"lost calls of {resets} resets, seed {seed}", ran.totals["lost"], exactly=resets),
            Check(f"missing of {resets} resets, seed {seed}", missing, exactly=resets),
        ]
    return checks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds of the faults")
    seeds = range(1, parser.parse_args().seeds + 1)
    with tempfile.TemporaryDirectory() as folder:
        work = Work.write(Path(folder), prose_items(OUTPUTS))
        with Stub(latency_ms=LATENCY_MS) as stub:
            truth = run("openai", stub, work, OUTPUTS, CONCURRENCY)
        if None in truth.scores:
            raise SystemExit("the fault-free run has no grade for every output: there is no truth to compare with")
        checks = mendable(seeds, work, truth) + losses(seeds, work, truth)
    report("faults", checks)


if __name__ == "__main__":
    main()
