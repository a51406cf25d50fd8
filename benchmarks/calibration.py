"""What a calibration costs: `python -m benchmarks.calibration`.

The whole of one on SummEval (1600 summaries, 4 criteria, 3 experts, gpt-4o, 2000 resamples of the documents) as the
command line does it, on one core, its report included; it needs the set beside this project. And the memory that
fitting and measuring take for many labelled items, beside the arrays that they are given.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import JUDGE, ROOT, Check, report, table

DATA = ROOT.parent / "shared" / "data" / "summeval"
CRITERIA = ("coherence", "consistency", "fluency", "relevance")
MANY = 100_000
#: Resamples for the memory: they come in chunks of one size, however many there are.
FEW_DRAWS = 40


def rows(name: str) -> Iterator[dict[str, Any]]:
    with gzip.open(DATA / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def prepared(folder: Path) -> None:
    """SummEval as files of ours: a recorded judge, its rubric, and the labels."""
    judged = (row for row in rows("judge") if row["judge"] == "alttest/gpt-4o")
    kept = [{"item": r["item"], "criterion": r["criterion"], "score": r["samples"][0]} for r in judged]
    (folder / "judge.jsonl").write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")
    experts = (row for row in rows("human") if row["annotator"].startswith("expert"))
    labels = [{**row, "document": row["item"].partition("__")[0]} for row in experts]
    (folder / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in labels), encoding="utf-8")
    asked = [
        {"id": id_, "scale": "ordinal", "question": f"How is the {id_}?", "levels": [1, 2, 3, 4, 5]} for id_ in CRITERIA
    ]
    (folder / "rubric.json").write_text(json.dumps({"name": "summeval", "criteria": asked}), encoding="utf-8")
    judge = {"name": "gpt-4o", "provider": "recorded", "options": {"file": "judge.jsonl"}}
    (folder / "judge.json").write_text(json.dumps(judge), encoding="utf-8")


def on_summeval() -> tuple[float, float]:
    """Wall and CPU seconds of `judge calibrate` and its report, on one core."""
    with tempfile.TemporaryDirectory() as place:
        prepared(Path(place))
        given = [
            "--recorded",
            "judge.json",
            "--rubric",
            "rubric.json",
            "--labels",
            "labels.jsonl",
            "--group",
            "document",
        ]
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        for command in (
            ["calibrate", *given, "--name", "s", "--quiet"],
            ["calibrations", "report", "s", "-o", "s.html"],
        ):
            subprocess.run([JUDGE, *command], cwd=place, check=True, preexec_fn=_one_core, stderr=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - began, cpu


def _one_core() -> None:
    os.sched_setaffinity(0, {next(iter(os.sched_getaffinity(0)))})


def with_many(n: int) -> tuple[float, float]:
    """MB of the arrays of n labelled items, and the most that fitting and measuring took above them."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.calibration", "--measure", str(n)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    arrays, peak = map(float, done.stdout.split())
    return arrays, peak


def measured(n: int) -> None:
    """Prints the MB of the arrays, and the peak above what was taken before."""
    from judge.calibration.correction import Promise, correct
    from judge.calibration.labelled import Labelled, divide
    from judge.calibration.measuring import measure
    from judge.calibration.scale import Scale
    from judge.calibration.splits import SHARES, part_of

    rng = np.random.default_rng(0)
    quality = rng.normal(3, 1, n)
    people = np.clip(np.rint(quality[:, None] + rng.normal(0, 0.6, (n, 3))), 1, 5)
    judged = np.clip(np.rint(quality[:, None] + rng.normal(0.3, 0.7, (n, 4))), 1, 5)
    scale = Scale("ordinal", 1.0, 5.0, np.arange(1.0, 6.0), tuple("12345"))
    cluster = np.arange(n) // 5
    one = Labelled(
        criterion="clear",
        scale=scale,
        items=np.array([f"i{k}" for k in range(n)], dtype=object),
        annotators=("a", "b", "c"),
        ratings=people,
        score=judged[:, 0],
        inputs=judged,
        shares=None,
        confidence=rng.uniform(0.4, 1.0, n),
        cluster=cluster,
        stratum=np.zeros(n, dtype=np.int64),
        w=np.ones(n),
        length=rng.integers(20, 2000, n).astype(np.float64),
    )
    arrays = sum(value.nbytes for value in vars(one).values() if isinstance(value, np.ndarray))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    divided = divide(one, [part_of(str(code), 0, SHARES) for code in cluster], lambda _: 1)
    made = correct(divided.fit, divided.hold, ("clear", "b", "c", "d"), Promise())
    measure(divided.test.open("benchmark"), made, draws=FEW_DRAWS)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(arrays / 1e6, peak * 1024 / 1e6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--measure", type=int, help="of a process of its own: measure the memory of so many items")
    parser.add_argument("--many", type=int, default=MANY)
    given = parser.parse_args()
    if given.measure:
        return measured(given.measure)
    checks, shown = [], []
    if DATA.exists():
        wall, cpu = on_summeval()
        shown.append(("SummEval, calibrated and reported", wall, cpu))
        checks.append(Check("s for SummEval on one core", wall, most=30))
    else:
        print(f"SummEval is not here ({DATA.relative_to(ROOT.parent)}): its time is not measured")
    arrays, peak = with_many(given.many)
    table(("what", "wall s", "CPU s"), shown)
    checks.append(
        Check(f"MB for {given.many} labelled items, whose arrays take {arrays:.1f}", peak, most=60 + 10 * arrays)
    )
    report("calibration", checks, rows=shown, arrays_mb=arrays, peak_mb=peak)
    return None


if __name__ == "__main__":
    main()
