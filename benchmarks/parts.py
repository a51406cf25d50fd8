"""What a large rubric costs: `python -m benchmarks.parts`.

A tree of 2000 leaves is asked for in calls of a few criteria each, in turns with a plain loop that sends the same
bodies.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from pathlib import Path

from benchmarks.harness import Check, Ran, Stub, middle, report, run, table
from benchmarks.rubrics import ASKED_AT_ONCE, LEAVES, tree
from benchmarks.work import Work, prose_items

ITEMS, CONCURRENCY, LATENCY_MS = 10, 64, 200.0


def keep_bodies(stub: Stub, work: Work) -> int:
    """Writes down what the stub was last sent. Returns how many bodies there are."""
    bodies = [call["body"] for call in stub.get("/calls") if call["items"]]  # a probe has no item of the work
    work.bodies.write_text("\n".join(bodies), encoding="utf-8")
    return len(bodies)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reps", type=int, default=5)
    parser.add_argument("--items", type=int, default=ITEMS)
    given = parser.parse_args()
    runs: dict[str, list[Ran]] = {"ours": [], "openai-bodies": []}
    with tempfile.TemporaryDirectory() as folder, Stub(latency_ms=LATENCY_MS, bodies=True) as stub:
        work = Work.write(Path(folder), prose_items(given.items))
        work.rubric.write_text(tree(0), encoding="utf-8")
        run("ours", stub, work, given.items, CONCURRENCY)
        calls = keep_bodies(stub, work)
        for _ in range(given.reps):
            runs["ours"].append(run("ours", stub, work, given.items, CONCURRENCY))
            runs["openai-bodies"].append(run("openai-bodies", stub, work, calls, CONCURRENCY))
    rows = [(name, middle(ran, "wall_s"), middle(ran, "cpu_s")) for name, ran in runs.items()]
    table((f"{given.items} items, {calls} calls at {CONCURRENCY}", "wall s", "cpu s"), rows)
    leaves = min(len(scores or ()) for ran in runs["ours"] for scores in ran.scores)
    answers = min(sum(map(bool, ran.scores)) for ran in runs["openai-bodies"])
    checks = [
        Check("cpu / plain loop with the same bodies", rows[0][2] / rows[1][2], most=2.0),
        Check("calls an item", calls / given.items, exactly=math.ceil(LEAVES / ASKED_AT_ONCE)),
        Check("answers that the plain loop got", answers, exactly=calls),
        Check("leaves that are scored, worst item", leaves, exactly=LEAVES),
    ]
    report("parts", checks, calls=calls)


if __name__ == "__main__":
    main()
