"""What it costs to watch: `python -m benchmarks.watching`. CPU of one call and its grade, where they are told."""

from __future__ import annotations

import argparse
import logging
import os
import time
from statistics import median

from benchmarks.harness import Check, report, table
from judge import Judge, Rubric
from judge.costs import Receipt
from judge.events import Events
from judge.grades import Grade, Graded
from judge.journal import Journal
from judge.ledger import CallState, Settlement
from judge.metrics import Metrics
from judge.telemetry import NOBODY, Observer, Observers

#: CPU of one output in `spine`, on the machine that the figures in README.md were taken on.
OUTPUT_S = 1.67e-3


def graded(rubric: Rubric) -> Graded:
    """A grade by all criteria of a rubric."""
    told = {id_: {"outcome": "scored", "score": 1.0, "level": 1, "reason": "It does."} for id_ in rubric.ids}
    whole = {
        "item": "1", "outcome": "scored", "score": 1.0, "low": 1.0, "high": 1.0, "passed": True, "criteria": told,
        "rubric": {"name": rubric.name, "hash": rubric.hash}, "usage": {}, "metadata": {}, "run": "r",
        "judge": {"name": "j", "fingerprint": "f" * 64, "kind": "model"},
    }  # fmt: skip
    return Graded(Grade.model_validate(whole), (), Receipt(calls=1))


def took_s(observer: Observer, rubric: Rubric, times: int) -> float:
    """Seconds of the thread that grades, for one call and one grade."""
    judge, grade = Judge.load("simulated"), graded(rubric)
    settlement = Settlement(
        "k", 1, CallState.ANSWERED, 0.0, usable=True, prompt_tokens=1300, completion_tokens=200, cost_usd=0.001
    )
    began = time.thread_time()
    for _ in range(times):
        observer.sent(judge)
        observer.settled(judge, settlement, 0.2)
        observer.graded(judge, rubric, grade)
    return (time.thread_time() - began) / times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=5_000)
    parser.add_argument("--reps", type=int, default=9)
    given = parser.parse_args()
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # nobody collects here
    os.environ |= {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_TIMEOUT": "0.1"}
    rubric, events = Rubric.load("support-reply"), Events(explanations=False)
    observers = {
        "nobody": NOBODY,
        "the log and metrics, as in `judge serve`": Observers(Journal(), Metrics(lambda judge: judge.name)),
        "the same and events": Observers(Journal(), Metrics(lambda judge: judge.name), events),
    }
    took: dict[str, list[float]] = {name: [] for name in observers}
    for _ in range(given.reps):
        for name, observer in observers.items():
            took[name].append(took_s(observer, rubric, given.times))
    events.close()
    figures = {name: median(seconds) for name, seconds in took.items()}
    table(("watched by", "us"), [(name, f"{seconds * 1e6:.1f}") for name, seconds in figures.items()])
    served, sent = list(figures.values())[1:]
    checks = [
        Check("the log and metrics, of the CPU of an output", served / OUTPUT_S, most=0.02),
        Check("the same and events, of the CPU of an output", sent / OUTPUT_S, most=0.25),
    ]
    report("watching", checks, seconds=figures)


if __name__ == "__main__":
    main()
