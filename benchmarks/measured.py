"""What every runner shares: its arguments, the clock, and the file it leaves."""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Sequence
from pathlib import Path

#: One item's scores in the order of the criteria; None where no grade came back.
Scores = Sequence[float] | None


def arguments(*first: str) -> argparse.Namespace:
    """The arguments of a runner; `first` are the choices of a leading name."""
    parser = argparse.ArgumentParser()
    if first:
        parser.add_argument("name", choices=first)
    parser.add_argument("--url", required=True, help="of the stub judge, without /v1")
    parser.add_argument("--work", type=Path, required=True, help="a folder with work.jsonl and bench.yaml")
    parser.add_argument("--n", type=int, required=True, help="outputs to grade")
    parser.add_argument("--concurrency", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--provider", default="openai", help="that `ours` asks through")
    parser.add_argument("--database-url", help="of an empty database for `ours`; a SQLite file of its own without")
    return parser.parse_args()


class Stopwatch:
    """Wall and CPU seconds of a block, of this process and its ended children."""

    def __enter__(self) -> Stopwatch:
        self._wall, self._cpu = time.perf_counter(), _cpu()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall_s, self.cpu_s = time.perf_counter() - self._wall, _cpu() - self._cpu


def write(out: Path, watch: Stopwatch, scores: Sequence[Scores], errors: dict[str, int], **more: object) -> None:
    """The result file that the harness reads."""
    result = {"wall_s": watch.wall_s, "cpu_s": watch.cpu_s, "scores": scores, "errors": errors, **more}
    out.write_text(json.dumps(result), encoding="utf-8")


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)
