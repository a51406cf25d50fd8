"""How often the intervals of agreement cover: `python -m benchmarks.agreement_coverage`.

Simulated labels whose true figures are known: people and a judge answer items in groups that are alike. Every interval
is the one that the calibration report prints.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import stats

from benchmarks.harness import Check, report, table
from judge.calibration.labelling import sheets
from judge.calibration.paired import difference
from judge.calibration.scale import Scale
from judge.calibration.statistics import bootstrap
from judge.calibration.statistics.agreement import agreement, metrics
from judge.calibration.statistics.bootstrap import Codes, Floats
from judge.calibration.statistics.correlation import pearson, spearman
from judge.calibration.statistics.documents import by_document, by_system, of_documents
from judge.calibration.statistics.figures import Figure
from judge.calibration.statistics.pairs import kendall, pairwise_accuracy

#: Share of the intervals that may miss the true figure: 93% are to hold it.
MOST_MISSED = 0.07
#: Items of which the true figures are computed where no formula gives them.
POPULATION = 1_000_000
BINARY = Scale("binary", 0, 1, np.array([0.0, 1.0]), ("no", "yes"))
ORDINAL = Scale("ordinal", 1, 5, np.arange(1.0, 6.0), ("1", "2", "3", "4", "5"))
RANKED = {"spearman": spearman, "pearson": pearson, "kendall": kendall, "pairwise_accuracy": pairwise_accuracy()}
Data = tuple[Floats, Floats, Codes]


@dataclass(frozen=True, slots=True)
class Setting:
    """One population, how labels are drawn from it, and which intervals they are given."""

    name: str
    draw: Callable[[np.random.Generator], Data]
    interval: Callable[[Data, int], dict[str, Figure]]
    truth: dict[str, float]


def binary(
    count: int, size: int, balance: float, tpr: float, tnr: float, alike: float, draws: int, hard: bool = False
) -> Setting:
    """Verdicts in `count` groups of `size`; a group's balance and error rates are beta-distributed around the whole's.

    `alike` is the correlation of two verdicts within a group; `hard`: groups of low TPR are those of low TNR.
    """

    def of_group(mean: float, at: Floats, alike: float) -> Floats:
        spread = 1 / alike - 1
        return np.repeat(stats.beta.ppf(at, mean * spread, (1 - mean) * spread), size)

    def draw(rng: np.random.Generator) -> Data:
        first, second, third = rng.random((3, count))
        y = (rng.random(count * size) < of_group(balance, first, 0.2)).astype(np.float64)
        hit, passed = of_group(tpr, second, alike), 1 - of_group(tnr, second if hard else third, alike)
        f = (rng.random(count * size) < np.where(y == 1, hit, passed)).astype(np.float64)
        return y, f, np.repeat(np.arange(count), size)

    cells = np.array([(1 - balance) * tnr, (1 - balance) * (1 - tnr), balance * (1 - tpr), balance * tpr])
    y, f, w = np.array([0.0, 0, 1, 1]), np.array([0.0, 1, 0, 1]), cells[None, :]
    truth = {name: float(metric(y, f, w)[0]) for name, metric in metrics(BINARY).items()}
    groups = f"{count} {'hard and easy ' * hard}groups of {size}"
    name = f"binary, {groups}, balance {balance}, TPR {tpr}, TNR {tnr}, alike {alike}"
    return Setting(name, draw, lambda data, seed: agreement(BINARY, *data, draws=draws, seed=seed), truth)


def on_a_sheet(labels: int, balance: float, tpr: float, tnr: float, draws: int, size: int = 1) -> Setting:
    """Verdicts of a run of 1000 items in groups of `size`, drawn as many of what the judge passed as of what it failed.

    Figures are of the half of the labels that is kept to measure. Groups are alike as in `binary`.
    """

    def draw(rng: np.random.Generator) -> Data:
        share = np.full(1000, balance)
        if size > 1:
            share = np.repeat(rng.beta(balance * 4, (1 - balance) * 4, 1000 // size), size)
        y: Floats = (rng.random(1000) < share).astype(np.float64)
        f: Floats = (rng.random(1000) < np.where(y == 1, tpr, 1 - tnr)).astype(np.float64)
        drawn = sheets.draw(f.astype(np.int64), labels, int(rng.integers(2**31)))
        group = np.arange(1000) // size
        at = drawn.places[(rng.random(1000 // size) < 0.5)[group[drawn.places]]]
        both = np.stack([y[at], 1 / drawn.probability[at]]).astype(np.float64)
        return both, f[at], np.unique(group[at], return_inverse=True)[1].astype(np.int64)

    def interval(data: Data, seed: int) -> dict[str, Figure]:
        (y, w), f, cluster = data
        return agreement(BINARY, y, f, cluster, w, draws=draws, seed=seed)

    cells = np.array([(1 - balance) * tnr, (1 - balance) * (1 - tnr), balance * (1 - tpr), balance * tpr])
    y, f = np.array([0.0, 0, 1, 1]), np.array([0.0, 1, 0, 1])
    truth = {name: float(metric(y, f, cells[None, :])[0]) for name, metric in metrics(BINARY).items()}
    name = f"on a sheet of {labels}, groups of {size}, balance {balance}, TPR {tpr}, TNR {tnr}"
    return Setting(name, draw, interval, truth)


def two_judges(count: int, size: int, first: float, other: float, same: float) -> Setting:
    """Differences of two judges, right on shares `first` and `other` of all items, who err together on `same` of those.

    Items are in groups whose judges are alike: a group is easier or harder for both.
    """

    def draw(rng: np.random.Generator) -> Data:
        spread = 9.0
        y = (rng.random(count * size) < 0.5).astype(np.float64)
        at = rng.random(count)
        harder = [np.repeat(stats.beta.ppf(at, share * spread, (1 - share) * spread), size) for share in (first, other)]
        u, v = rng.random((2, count * size))
        v = np.where(rng.random(count * size) < same, u, v)
        judges = [np.where(x < right, y, 1 - y) for x, right in zip((u, v), harder, strict=True)]
        return np.stack([y, *judges]), np.zeros(0), np.repeat(np.arange(count), size)

    def interval(data: Data, seed: int) -> dict[str, Figure]:
        (y, one, two), _, cluster = data
        found = {}
        for name in ("accuracy", "tpr", "balanced_accuracy"):
            apart = difference(metrics(BINARY)[name], y, two, one, cluster, np.ones(len(y)))
            assert apart is not None
            found[name] = apart
        return found

    truth = dict.fromkeys(("accuracy", "tpr", "balanced_accuracy"), other - first)
    return Setting(f"two judges, {count} groups of {size}, right on {first} and {other}", draw, interval, truth)


def scores(count: int, size: int, skill: float, high: float, rng: np.random.Generator) -> Data:
    """Scores from 1 to 5 of items in groups: people's the mean of three, the judge's one number; `high` shifts both."""
    group = rng.normal(size=(count, 1)) * 0.6
    quality = group + rng.normal(size=(count, size)) * 0.8
    people = quality[..., None] + rng.normal(size=(count, size, 3)) * 0.7
    taste = rng.normal(size=(count, 1)) * 0.4
    judge = skill * quality + taste + rng.normal(size=(count, size)) * np.sqrt(1 - skill**2)
    y = np.clip(np.round(people * 1.2 + 3 + high), 1, 5).mean(axis=2)
    f = np.clip(np.round(judge * 1.2 + 3 + high), 1, 5)
    return y.ravel(), f.ravel(), np.repeat(np.arange(count), size)


def items(count: int, size: int, skill: float, high: float, draws: int) -> Setting:
    """Agreement and correlation at item level."""

    def interval(data: Data, seed: int) -> dict[str, Figure]:
        found = agreement(ORDINAL, *data, draws=draws, seed=seed)
        return found | bootstrap.figures(RANKED, *data, draws=draws, seed=seed)

    y, f, _ = scores(POPULATION // size, size, skill, high, np.random.default_rng(1))
    every = np.ones((1, len(y)))
    truth = {name: float(metric(y, f, every)[0]) for name, metric in (metrics(ORDINAL) | RANKED).items()}
    name = f"scores, {count} groups of {size}, skill {skill}, raised by {high}"
    return Setting(name, lambda rng: scores(count, size, skill, high, rng), interval, truth)


def nearly_right(count: int, missed: float, draws: int) -> Setting:
    """Scores from 1 to 5 by a judge that is right, but for a share `missed` of the items, on which it is off by one."""

    def draw(rng: np.random.Generator, n: int = count) -> Data:
        y: Floats = rng.integers(1, 6, n).astype(np.float64)
        step = np.where(y == 1, 1.0, np.where(y == 5, -1.0, rng.choice([-1.0, 1.0], n)))
        return y, (y + step * (rng.random(n) < missed)).astype(np.float64), np.arange(n)

    def interval(data: Data, seed: int) -> dict[str, Figure]:
        return bootstrap.figures(kept, *data, draws=draws, seed=seed)

    kept = {"quadratic_kappa": metrics(ORDINAL)["quadratic_kappa"], "spearman": spearman, "pearson": pearson}
    y, f, _ = draw(np.random.default_rng(1), POPULATION)
    truth = {name: float(metric(y, f, np.ones((1, len(y))))[0]) for name, metric in kept.items()}
    return Setting(f"nearly right, {count} items, {missed} missed", draw, interval, truth)


def uneven_documents(count: int, size: int, draws: int) -> Setting:
    """Correlation within documents, drawn whole: of the hard half, on which the judge is poor, five times as many."""

    def draw(rng: np.random.Generator, drawn: int = count, often: float = 5 / 6) -> Data:
        hard = round(drawn * often)
        poor, good = scores(hard, size, 0.3, 0.0, rng), scores(drawn - hard, size, 0.9, 0.0, rng)
        w = np.repeat([1 / often, 1 / (1 - often)], [hard * size, (drawn - hard) * size])
        y, f = (np.concatenate([poor[of], good[of]]) for of in (0, 1))
        return np.stack([y, w]), f, np.arange(drawn * size) // size

    def interval(data: Data, seed: int) -> dict[str, Figure]:
        (y, w), f, document = data
        return by_document(RANKED, y, f, document, w, draws=draws, seed=seed)

    (y, _), f, document = draw(np.random.default_rng(1), 20_000, 0.5)
    truth = {name: float(np.nanmean(of_documents(metric, y, f, document))) for name, metric in RANKED.items()}
    return Setting(f"documents drawn unevenly, {count} of {size}", draw, interval, truth)


def documents(count: int, size: int, skill: float, draws: int) -> Setting:
    """Correlation within documents, averaged."""
    y, f, document = scores(20_000, size, skill, 0.0, np.random.default_rng(1))
    truth = {name: float(np.nanmean(of_documents(metric, y, f, document))) for name, metric in RANKED.items()}
    return Setting(
        f"documents, {count} of {size}, skill {skill}",
        lambda rng: scores(count, size, skill, 0.0, rng),
        lambda data, seed: by_document(RANKED, *data, draws=draws, seed=seed),
        truth,
    )


def expected_spearman(correlation: float, count: int) -> float:
    """What Spearman's of `count` normal pairs is on average; Moran (1948), Rank correlation and product-moment
    correlation, Biometrika 35."""
    within = (count - 2) * np.arcsin(correlation / 2) + np.arcsin(correlation)
    return float(6 / np.pi / (count + 1) * within)


def systems(count: int, skill: float, draws: int) -> Setting:
    """Correlation of the means of systems, each of a single item here: what is drawn is the systems."""

    def draw(rng: np.random.Generator) -> Data:
        y = rng.normal(size=count)
        return y, skill * y + np.sqrt(1 - skill**2) * rng.normal(size=count), np.arange(count)

    truth = {
        "spearman": expected_spearman(skill, count),
        "pearson": skill,
        "kendall": 2 / np.pi * np.arcsin(skill),
        "pairwise_accuracy": 0.5 + np.arcsin(skill) / np.pi,
    }
    name = f"systems, {count}, correlation {skill}"
    return Setting(name, draw, lambda data, seed: by_system(RANKED, *data, draws=draws, seed=seed), truth)


def settings(draws: int) -> list[Setting]:
    return [
        binary(50, 2, 0.7, 0.9, 0.7, 0.1, draws),
        binary(25, 4, 0.5, 0.95, 0.6, 0.1, draws),
        binary(20, 5, 0.7, 0.95, 0.9, 0.2, draws),
        binary(40, 5, 0.9, 0.9, 0.7, 0.1, draws),
        binary(100, 4, 0.7, 0.95, 0.95, 0.1, draws),
        binary(40, 10, 0.5, 0.9, 0.7, 0.2, draws),
        binary(50, 2, 0.5, 0.98, 0.98, 0.1, draws),
        binary(40, 5, 0.7, 0.9, 0.8, 0.2, draws, hard=True),
        on_a_sheet(200, 0.9, 0.95, 0.6, draws),
        on_a_sheet(100, 0.95, 0.95, 0.6, draws),
        on_a_sheet(200, 0.9, 0.98, 0.9, draws),
        on_a_sheet(300, 0.9, 0.95, 0.6, draws, size=2),
        two_judges(100, 1, 0.98, 0.98, 0.5),
        two_judges(50, 4, 0.9, 0.8, 0.5),
        two_judges(25, 4, 0.95, 0.9, 0.8),
        items(25, 4, 0.7, 0.0, draws),
        items(50, 4, 0.5, 1.2, draws),
        items(100, 4, 0.7, 0.0, draws),
        items(25, 16, 0.9, 0.0, draws),
        nearly_right(60, 0.05, draws),
        nearly_right(60, 0.02, draws),
        nearly_right(200, 0.01, draws),
        uneven_documents(60, 8, draws),
        documents(25, 8, 0.7, draws),
        documents(50, 8, 0.9, draws),
        systems(12, 0.9, draws),
        systems(16, 0.7, draws),
    ]


def covered(setting: Setting, sets: int) -> dict[str, tuple[float, ...]]:
    """For each figure: the share of intervals that hold the truth, those too low and too high, and the mean width."""
    held: dict[str, list[tuple[bool, bool, float]]] = {name: [] for name in setting.truth}
    for seed in range(sets):
        found = setting.interval(setting.draw(np.random.default_rng([7, seed])), seed)
        for name, truth in setting.truth.items():
            one = found[name]
            if one.low is not None and one.high is not None:
                held[name].append((one.high < truth - 1e-12, one.low > truth + 1e-12, one.high - one.low))
    told: dict[str, tuple[float, ...]] = {}
    for name, all_of_it in held.items():
        missed = np.array(all_of_it, dtype=np.float64).reshape(-1, 3)
        below, above, width = missed.mean(axis=0) if len(missed) else (np.nan, np.nan, np.nan)
        told[name] = (float(1 - below - above), float(below), float(above), float(width), len(missed) / sets)
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=1000, help="simulated sets of labels in each setting")
    parser.add_argument("--draws", type=int, default=600, help="resamples of each")
    parser.add_argument("--only", default="", help="settings whose name holds this")
    given = parser.parse_args()
    checks, lines, results = [], [], {}
    for setting in settings(given.draws):
        if given.only not in setting.name:
            continue
        began = time.perf_counter()
        found = covered(setting, given.sets)
        print(f"{setting.name}: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
        results[setting.name] = found
        for name, (held, below, above, width, shown) in found.items():
            lines.append(
                (
                    setting.name,
                    name,
                    *(f"{share:.3f}" for share in (setting.truth[name], held, below, above, width, shown)),
                )
            )
            checks.append(Check(f"{setting.name}: {name}, missed", 1 - held, most=MOST_MISSED))
    table(("setting", "figure", "truth", "coverage", "too low", "too high", "width", "with interval"), lines)
    report("agreement_coverage", checks, coverage=results)


if __name__ == "__main__":
    main()
