"""What the other providers cost: `python -m benchmarks.providers`. Each in turns with a plain loop over its library."""

from __future__ import annotations

import argparse
import tempfile
from importlib.util import find_spec
from pathlib import Path

from benchmarks.harness import Check, Ran, Stub, middle, report, run, table
from benchmarks.work import Work, prose_items

OUTPUTS, CONCURRENCY, LATENCY_MS = 1000, 64, 200.0
#: Each provider, and the package that its plain loop goes through.
PROVIDERS = {"anthropic": "anthropic", "litellm": "litellm"}


def measure(provider: str, reps: int, outputs: int, stub: Stub, work: Work) -> tuple[list[Ran], list[Ran]]:
    """Ours and the plain loop, alternated."""
    ours, plain = [], []
    for _ in range(reps):
        ours.append(run("ours", stub, work, outputs, CONCURRENCY, "--provider", provider))
        plain.append(run(provider, stub, work, outputs, CONCURRENCY))
    rows = [
        (name, middle(runs, "wall_s"), middle(runs, "cpu_s"), min(sum(map(bool, ran.scores)) for ran in runs))
        for name, runs in (("ours", ours), ("plain", plain))
    ]
    table((f"{provider}, {outputs} at {CONCURRENCY}", "wall s", "cpu s", "grades"), rows)
    return ours, plain


def checks(provider: str, ours: list[Ran], plain: list[Ran], outputs: int) -> list[Check]:
    """Our figures beside their targets."""
    unlike = sum(ran.scores != plain[0].scores for ran in (*ours, *plain))
    return [
        Check(f"cpu / plain loop, {provider}", middle(ours, "cpu_s") / middle(plain, "cpu_s"), most=1.15),
        Check(f"requests an output, {provider}", max(ran.requests for ran in ours) / outputs, exactly=1),
        Check(f"runs with other grades than the plain loop's, {provider}", unlike, exactly=0),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reps", type=int, default=5)
    parser.add_argument("--outputs", type=int, default=OUTPUTS)
    given = parser.parse_args()
    found: list[Check] = []
    with tempfile.TemporaryDirectory() as folder, Stub(latency_ms=LATENCY_MS) as stub:
        work = Work.write(Path(folder), prose_items(given.outputs))
        for provider, package in PROVIDERS.items():
            if find_spec(package) is None:
                print(f"{provider} is left out: {package} is not installed here; see `make test-litellm`\n")
                continue
            found += checks(provider, *measure(provider, given.reps, given.outputs, stub, work), given.outputs)
    report("providers", found)


if __name__ == "__main__":
    main()
