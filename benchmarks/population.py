"""Whether intervals for a run cover: `python -m benchmarks.population`. Everything here is simulated, and seeded.

A pass rate of 0.95 nominal coverage, the procedure as it ships (`judge.calibration.populations.population.estimate`),
in settings where its assumptions hold. Beside them some harder ones, and where they do not hold and must be noticed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from benchmarks.harness import Check, report, table
from judge.calibration.labelling import sheets
from judge.calibration.labelling.planning import draw, inclusion, neyman
from judge.calibration.populations.population import Labels, Method, Population, Provenance, Run, estimate
from judge.calibration.statistics.bootstrap import Floats
from judge.calibration.statistics.figures import Figure
from judge.calibration.statistics.proportions import wilson

DRAWS, SEED = 4000, 20261126
MOST_MISSED, MOST_COVERED, LEAST_FLAGGED = 0.07, 0.985, 0.9


class Setting(NamedTuple):
    """A judge, a run of N items, and m labels."""

    theta: float
    tpr: float
    tnr: float
    items: int
    labels: int

    def __str__(self) -> str:
        return f"{self.theta:g} {self.tpr:.2f}/{self.tnr:.2f} N {self.items} m {self.labels}"


#: research: theta, TPR, TNR, N, m.
FIVE = [
    Setting(0.7, 0.90, 0.70, 1000, 200),
    Setting(0.7, 0.90, 0.70, 1000, 50),
    Setting(0.9, 0.95, 0.60, 1000, 100),
    Setting(0.5, 0.80, 0.80, 200, 100),
    Setting(0.7, 0.75, 0.60, 2000, 100),
]
#: Few labels, rare failures, good judges: where a normal interval misses most.
CORNERS = [
    Setting(0.95, 0.98, 0.95, 2000, 50),
    Setting(0.9, 0.98, 0.95, 2000, 30),
    Setting(0.98, 0.98, 0.90, 2000, 150),
]
#: Labels from another population, of which people pass half; the run passes theta.
OTHER = [
    Setting(0.8, 0.90, 0.85, 50, 200),
    Setting(0.8, 0.90, 0.85, 100, 200),
    Setting(0.8, 0.90, 0.85, 100, 1000),
    Setting(0.8, 0.90, 0.85, 2000, 200),
    Setting(0.8, 0.65, 0.60, 200, 60),
]
#: Labels of another run alike, drawn by the judge's answer: of what people fail a part weighs far more than the rest.
SHEETS = [
    Setting(0.9, 0.95, 0.60, 1000, 100),
    Setting(0.95, 0.95, 0.60, 1000, 100),
    Setting(0.9, 0.98, 0.90, 1000, 100),
]


@dataclass
class Seen:
    """What came of all draws of one setting."""

    covered: int = 0
    intervals: int = 0
    width: float = 0.0
    labels_covered: int = 0
    labels_width: float = 0.0
    powered: int = 0
    flagged: int = 0
    warned: int = 0
    draws: int = 0

    def add(self, found: Population, truth: float) -> None:
        self.draws += 1
        self.warned += bool(found.warnings)
        self.powered += found.method in (Method.PPI, Method.STRATA)
        self.flagged += found.difference is not None and found.difference.flagged
        if found.figure.low is not None and found.figure.high is not None:
            self.intervals += 1
            self.covered += found.figure.low <= truth <= found.figure.high
            self.width += found.figure.high - found.figure.low
        if found.labels.low is not None and found.labels.high is not None:
            self.labels_covered += found.labels.low <= truth <= found.labels.high
            self.labels_width += found.labels.high - found.labels.low

    @property
    def missed(self) -> float:
        return 1 - self.covered / self.intervals

    @property
    def row(self) -> tuple[object, ...]:
        alone = (self.labels_covered / self.draws, self.labels_width / self.draws) if self.labels_width else ("", "")
        ways = self.intervals / self.draws, self.powered / self.draws, self.flagged / self.draws
        return (1 - self.missed, self.width / self.intervals, *alone, *ways)


def judged(rng: np.random.Generator, y: Floats, tpr: float, tnr: float) -> Floats:
    """A judge's verdicts."""
    u = rng.random(len(y))
    return np.where(y == 1, u < tpr, u >= tnr).astype(np.float64)


def passes(rng: np.random.Generator, n: int, rate: float) -> Floats:
    return (rng.random(n) < rate).astype(np.float64)


def only(y: Floats, at: np.ndarray) -> Floats:
    """People's labels of these items alone."""
    known = np.full(len(y), np.nan)
    known[at] = y[at]
    return known


def sampled(rng: np.random.Generator, s: Setting) -> tuple[Population, float]:
    """m labels drawn from the run."""
    y = passes(rng, s.items, s.theta)
    run = Run(judged(rng, y, s.tpr, s.tnr), only(y, np.arange(s.labels)), np.arange(s.items))
    return estimate(run, Provenance.SHEET), s.theta


def on_a_sheet(rng: np.random.Generator, s: Setting) -> tuple[Population, float]:
    """m labels drawn as `judge labels sheet` draws them, as many of what the judge passed as of what it failed.

    Beside them, as "labels only", Wilson's interval for m labels of a simple random sample.
    """
    y = passes(rng, s.items, s.theta)
    f = judged(rng, y, s.tpr, s.tnr)
    drawn = sheets.draw(f.astype(np.int64), s.labels, int(rng.integers(2**31)))
    run = Run(f, only(y, drawn.places), np.arange(s.items), drawn.probability, drawn.stratum)
    low, high = wilson(float(y[: s.labels].sum()), s.labels)
    alone = Figure(value=float(y[: s.labels].mean()), low=low, high=high, n=s.labels)
    return estimate(run, Provenance.SHEET).model_copy(update={"labels": alone}), s.theta


def elsewhere(rng: np.random.Generator, s: Setting, rate: float) -> tuple[Population, float]:
    """m labels from a population of which people pass `rate`."""
    y, there = passes(rng, s.items, s.theta), passes(rng, s.labels, rate)
    run = Run(judged(rng, y, s.tpr, s.tnr), np.full(s.items, np.nan), np.arange(s.items))
    labels = Labels(there, judged(rng, there, s.tpr, s.tnr), np.arange(s.labels), np.ones(s.labels))
    return estimate(run, Provenance.ELSEWHERE, labels), s.theta


def sheet_elsewhere(rng: np.random.Generator, s: Setting) -> tuple[Population, float]:
    """m labels that a sheet drew from another run alike, as many of what the judge passed as of what it failed."""
    y, there = passes(rng, s.items, s.theta), passes(rng, 1000, s.theta)
    said = judged(rng, there, s.tpr, s.tnr)
    drawn = sheets.draw(said.astype(np.int64), s.labels, int(rng.integers(2**31)))
    at = drawn.places
    run = Run(judged(rng, y, s.tpr, s.tnr), np.full(s.items, np.nan), np.arange(s.items))
    labels = Labels(there[at], said[at], np.arange(s.labels), 1 / drawn.probability[at])
    return estimate(run, Provenance.ELSEWHERE, labels), s.theta


def clustered(rng: np.random.Generator) -> tuple[Population, float]:
    """200 documents of 5 answers, their pass rates and the judge's slips their own; 40 documents labelled whole."""
    documents, size = 200, 5
    rate = np.repeat(rng.beta(2.8, 1.2, documents), size)
    slip = np.repeat(rng.beta(1.0, 4.0, documents), size)
    y = (rng.random(documents * size) < rate).astype(np.float64)
    f = np.where(rng.random(len(y)) < slip, 1 - y, y)
    cluster = np.repeat(np.arange(documents), size)
    return estimate(Run(f, only(y, np.flatnonzero(cluster < 40)), cluster), Provenance.SHEET), 0.7


def scores(rng: np.random.Generator, n: int) -> tuple[Floats, Floats, float]:
    """People's verdicts, a judge's scores in 0..1 that rise with their odds, and the true pass rate."""
    u = rng.random(n)
    chance = 0.05 + 0.93 * np.sqrt(u)
    f = np.clip(u + 0.1 * rng.standard_normal(n), 0, 1)
    return (rng.random(n) < chance).astype(np.float64), f, 0.05 + 0.93 * 2 / 3


def stratified(rng: np.random.Generator) -> tuple[Population, float]:
    """100 labels over four strata of the judge's score, the unsure ones drawn more often."""
    y, f, truth = scores(rng, 1000)
    stratum = np.digitize(f, [0.25, 0.5, 0.75])
    each = neyman(np.bincount(stratum, minlength=4), np.array([0.45, 0.48, 0.4, 0.25]), 100)
    at = np.concatenate([rng.permutation(np.flatnonzero(stratum == k))[: each[k]] for k in range(4)])
    pi = (each / np.bincount(stratum, minlength=4))[stratum]
    return estimate(Run(f, only(y, at), np.arange(1000), pi, stratum), Provenance.SHEET), truth


def by_uncertainty(rng: np.random.Generator) -> tuple[Population, float]:
    """100 labels drawn by the judge's uncertainty, with their probabilities."""
    y, f, truth = scores(rng, 1000)
    pi = inclusion(np.sqrt(f * (1 - f)), 100)
    return estimate(Run(f, only(y, draw(pi, int(rng.integers(2**31)))), np.arange(1000), pi), Provenance.SHEET), truth


def means(rng: np.random.Generator) -> tuple[Population, float]:
    """Scores of 1 to 5, most of them high, 60 labels."""
    quality = rng.normal(0, 1, 800)
    edges = np.array([-2.0, -1.3, -0.7, 0.1])
    f = 1.0 + np.digitize(quality + 0.7 * rng.standard_normal(800), edges)
    y = 1.0 + np.digitize(quality, edges)
    truth = 5 - sum(_below(edge) for edge in edges)
    run = Run(f, only(y, np.arange(60)), np.arange(800))
    return estimate(run, Provenance.SHEET, binary=False, scale=(1.0, 5.0)), truth


def scarce(rng: np.random.Generator) -> tuple[Population, float]:
    """Scores of 1 to 5, nine in ten of them 5, and 50 labels: too few that differ, and the figure's warning says so."""
    shares = np.array([0.02, 0.01, 0.02, 0.05, 0.9])
    y = 1.0 + rng.choice(5, 800, p=shares)
    f = np.where(rng.random(800) < 0.75, y, 1.0 + rng.choice(5, 800, p=shares))
    run = Run(f, only(y, np.arange(50)), np.arange(800))
    return estimate(run, Provenance.SHEET, binary=False, scale=(1.0, 5.0)), float(shares @ np.arange(1, 6))


def _below(edge: float) -> float:
    from scipy.special import ndtr

    return float(ndtr(edge))


def simulated(draws: int, make: Callable[[np.random.Generator], tuple[Population, float]], seed: int) -> Seen:
    rng, seen = np.random.default_rng([SEED, seed]), Seen()
    for _ in range(draws):
        seen.add(*make(rng))
    return seen


def settings() -> Iterable[tuple[str, str, Callable[[np.random.Generator], tuple[Population, float]]]]:
    """Group, name and maker of every setting."""
    for s in FIVE:
        yield "sampled", str(s), lambda rng, s=s: sampled(rng, s)
    for s in CORNERS:
        yield "corner", str(s), lambda rng, s=s: sampled(rng, s)
    for s in FIVE + CORNERS:
        yield "on a sheet", str(s), lambda rng, s=s: on_a_sheet(rng, s)
    for kind, make in (("clustered", clustered), ("stratified", stratified), ("by uncertainty", by_uncertainty)):
        yield "design", kind, make
    yield "design", "mean of 1 to 5", means
    yield "warned of", "mean of 1 to 5, nine in ten 5, m 50", scarce
    for s in FIVE:
        yield "Lee", str(s), lambda rng, s=s: elsewhere(rng, s, s.theta)
    for s in SHEETS:
        yield "sheet of another run", str(s), partial(sheet_elsewhere, s=s)
    for at, s in enumerate(OTHER, 1):
        yield "Lee elsewhere", f"row {at}: {s}", lambda rng, s=s: elsewhere(rng, s, 0.5)


def checks(group: str, name: str, seen: Seen) -> list[Check]:
    if group == "warned of":
        return [Check(f"{group}, {name}: without warning", 1 - seen.warned / seen.draws, most=0.05)]
    made = [Check(f"{group}, {name}: missed", seen.missed, most=MOST_MISSED)]
    if group == "sampled":
        made.append(Check(f"{group}, {name}: falsely flagged", seen.flagged / seen.draws, most=0.02))
    if group in ("sampled", "corner", "on a sheet"):
        made.append(Check(f"{group}, {name}: width / labels only", seen.width / seen.labels_width, most=1.0))
    if group.startswith("Lee"):
        made.append(Check(f"{group}, {name}: covered", 1 - seen.missed, most=MOST_COVERED))
    if group == "Lee elsewhere":
        made.append(Check(f"{group}, {name}: PPI++ used", seen.powered, exactly=0))
        if name.startswith(("row 2", "row 3", "row 4")):
            made.append(Check(f"{group}, {name}: not flagged", 1 - seen.flagged / seen.draws, most=1 - LEAST_FLAGGED))
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=DRAWS)
    draws = parser.parse_args().draws
    rows, found = [], []
    began = time.perf_counter()
    for at, (group, name, make) in enumerate(settings()):
        seen = simulated(draws, make, at)
        rows.append((f"{group}, {name}", *seen.row))
        found += checks(group, name, seen)
        print(f"{time.perf_counter() - began:4.0f} s  {group}, {name}", flush=True)
    head = ("simulated setting", "covered", "width", "labels only", "width", "intervals", "judge used", "flagged")
    table(head, rows)
    report("population", found, draws=draws, rows=rows)


if __name__ == "__main__":
    main()
