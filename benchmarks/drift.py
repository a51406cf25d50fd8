"""Whether a drift of the judge is found and told from one of the data: `python -m benchmarks.drift`. All simulated.

Streams in which nothing changes, watched by betting and by the rolling z test that is usual; how long a shift takes to
be found; which of the two drifted; and whether a change made on purpose is told from none.
"""

from __future__ import annotations

import argparse
import math
from collections import Counter

import numpy as np

from benchmarks.harness import Check, report, table
from judge.calibration.drift import changes
from judge.calibration.drift.betting import paths
from judge.calibration.drift.verdict import verdict as verdict_of
from judge.calibration.drift.watch import Watch, differences, part, ranks
from judge.calibration.statistics.bootstrap import Floats

ALPHA = 0.05
ITEMS = 2000
WINDOW = 100
#: Anchors that a shift has to be found in.
LONGEST = 1500
#: Judges by their noise; or by how sharply they pass and fail, where 0 passes each item by a coin weighted by quality.
JUDGES: dict[str, tuple[float | None, float]] = {
    "noise .05": (0.05, 0),
    "noise .10": (0.10, 0),
    "noise .20": (0.20, 0),
    "pass/fail": (None, 20),
    "pass/fail by coin": (None, 0),
}
KINDS = ("none", "judge", "data", "both")
VERDICTS = (*KINDS, "waiting")


def quality(rng: np.random.Generator, size: int | tuple[int, int], shift: float = 0.0) -> Floats:
    """How good items are, away from the ends of the scale so that shifts are what they are said to be."""
    return 0.2 + 0.6 * rng.beta(2, 1.5, size) + shift


def grade(q: Floats, rng: np.random.Generator, noise: float | None, shift: float = 0.0, sharp: float = 0.0) -> Floats:
    """A judge: quality, its shift and its noise; without noise, passes and fails, with its pass rate shifted."""
    if noise is None:
        passes = 1 / (1 + np.exp(-sharp * (q - 0.5))) if sharp else q
        return (rng.random(q.shape) < passes * (1 + shift / passes.mean())).astype(np.float64)
    return np.clip(q + shift + noise * rng.standard_normal(q.shape), 0, 1)


def people(q: Floats, rng: np.random.Generator, noise: float | None) -> Floats:
    return np.round(q) if noise is None else np.clip(q + 0.1 * rng.standard_normal(q.shape), 0, 1)


def anchors(rng: np.random.Generator, streams: int, items: int, judge: str, shift: float = 0.0) -> Floats:
    """What is bet on of many streams of anchors, (B, T, 2)."""
    noise, sharp = JUDGES[judge]
    q = quality(rng, (streams, items))
    old, new = grade(q, rng, noise, 0.0, sharp), grade(q, rng, noise, shift, sharp)
    return differences(old.ravel(), new.ravel(), people(q, rng, noise).ravel(), 1.0).reshape(streams, items, 2)


def rolling(gap: Floats, baseline: Floats, limit: float) -> Floats:
    """Whether a rolling z test ever alarms: the mean of WINDOW gaps against the baseline's mean and spread."""
    sums = np.cumsum(gap, axis=1)
    means = (sums[:, WINDOW:] - sums[:, :-WINDOW]) / WINDOW
    centre, spread = baseline.mean(axis=1, keepdims=True), baseline.std(axis=1, ddof=1, keepdims=True)
    return (np.abs(means - centre) / (spread / math.sqrt(WINDOW)) > limit).any(axis=1)


def quiet(rng: np.random.Generator, streams: int) -> list[Check]:
    """False alarms where nothing changes."""
    rows, checks = [], []
    for name, (noise, sharp) in JUDGES.items():
        betting = float((paths(anchors(rng, streams, ITEMS, name)).max(axis=1) >= -math.log(ALPHA)).mean())
        q = quality(rng, (streams, ITEMS + 200))
        gap = grade(q, rng, noise, 0.0, sharp) - people(q, rng, noise)
        rows.append((name, betting, *(float(rolling(gap[:, 200:], gap[:, :200], z).mean()) for z in (1.96, 3))))
        checks.append(Check(f"false alarms in {ITEMS} anchors, {name}", betting, most=ALPHA))
    fresh = []
    for _ in range(streams // 2):
        cell = np.floor(20 * grade(quality(rng, 500 + ITEMS), rng, 0.1).clip(0, 0.999)).astype(np.int64)
        fresh.append(ranks(np.bincount(cell[:500], minlength=20), cell[500:], rng.random(ITEMS))[0])
    data = float((paths(np.array(fresh)).max(axis=1) >= -math.log(ALPHA)).mean())
    checks.append(Check(f"false alarms in {ITEMS} scores of production", data, most=ALPHA))
    print(f"share of streams of {ITEMS} without drift that ever alarm, {streams} streams")
    table(("judge", "betting", f"rolling |z| > 1.96 of {WINDOW}", "|z| > 3"), rows)
    return checks


def passes(rng: np.random.Generator, streams: int, count: int = 20) -> list[Check]:
    """The same 100 anchors and old grades in every pass: each pass with its part of alpha, and all as one stream."""
    spent = reused = 0
    levels = -np.log([part(ALPHA, r) for r in range(1, count + 1)])
    for _ in range(streams):
        q = quality(rng, 100)
        y, old = people(q, rng, 0.15), grade(q, rng, 0.15)
        z = np.stack([differences(old, grade(q, rng, 0.15), y, 1.0) for _ in range(count)])
        spent += bool((paths(z).max(axis=1) >= levels).any())
        reused += bool(paths(z.reshape(1, -1, 2)).max() >= -math.log(ALPHA))
    print(f"{count} passes over 100 anchors without drift: {spent / streams:.3f} alarm with parts of alpha,")
    print(f"{reused / streams:.3f} if they were one stream\n")
    return [Check(f"false alarms in {count} passes over the same anchors", spent / streams, most=ALPHA)]


def delays(rng: np.random.Generator, streams: int) -> list[Check]:
    """Anchors until a shift from the first anchor on is found, in the first pass and in the tenth."""
    rows = []
    found: dict[tuple[str, float], float] = {}
    fixed: dict[tuple[str, float], float] = {}
    for name in JUDGES:
        for shift in (0.05, 0.1, 0.2):
            z = anchors(rng, streams, LONGEST, name, -shift)
            path, moved = paths(z), z[..., 0]
            # What one paired test at alpha = .05 would need to find it in 95 of 100, looked at once.
            fixed[name, shift] = (1.96 + 1.645) ** 2 * float(moved.var()) / float(moved.mean()) ** 2
            row: list[object] = [name, f"{shift:.2f}"]
            for r in (1, 10):
                reached = path >= -math.log(part(ALPHA, r))
                first = np.where(reached.any(axis=1), reached.argmax(axis=1) + 1, np.inf)
                middle, most = np.quantile(first, (0.5, 0.95), method="higher")
                row += [f"{end:.0f}" if end < math.inf else f"> {LONGEST}" for end in (middle, most)]
                found[name, shift] = float(most) if r == 1 else found[name, shift]
            rows.append([*row, f"{fixed[name, shift]:.0f}"])
    print("anchors until the alarm: median and 95 of 100, in pass 1 and in pass 10; and of one test, looked at once")
    table(("judge", "shift", "median", "95%", "pass 10", "95%", "one test"), rows)
    once = found["pass/fail", 0.1] / fixed["pass/fail", 0.1]
    return [
        Check("anchors until a shift of .1 is found, 95 of 100, noise .05", found["noise .05", 0.1], most=60),
        Check("the same, noise .10", found["noise .10", 0.1], most=100),
        Check("the same, noise .20", found["noise .20", 0.1], most=300),
        Check("the same, pass/fail, times what one test needs", once, most=2.5),
    ]


def attribution(rng: np.random.Generator, runs: int) -> list[Check]:
    """Which drifted, by verdict, in a check of 400 fresh scores and 200 anchors after a run of 1000."""
    counted: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
    for kind in KINDS:
        for _ in range(runs):
            judge = rng.choice((-0.12, 0.12)) if kind in ("judge", "both") else 0.0
            data = rng.choice((-0.12, 0.12)) if kind in ("data", "both") else 0.0
            q = quality(rng, 200)
            watch = Watch.begin(grade(quality(rng, 1000), rng, 0.1), 0, 1, alpha=ALPHA)
            watch = watch.after_production(grade(quality(rng, 400, data), rng, 0.1, judge))
            watch = watch.after_anchors(grade(q, rng, 0.1), grade(q, rng, 0.1, judge), people(q, rng, 0.1))
            counted[kind][verdict_of(watch).verdict] += 1
    print("what drifted (rows) and the verdict, shares")
    table(("", *VERDICTS), [(kind, *(counted[kind][told] / runs for told in VERDICTS)) for kind in KINDS])
    # The data's alarm may still wait for anchors, which is no mistake.
    right = {kind: counted[kind][kind] + (counted[kind]["waiting"] if kind == "data" else 0) for kind in KINDS}
    wrong = {kind: 1 - right[kind] / runs for kind in KINDS}
    blamed = max(counted["judge"]["data"], counted["data"]["judge"]) / runs
    return [
        Check("drift of the judge put down to the data alone, or the reverse", blamed, most=ALPHA),
        Check("any verdict where nothing drifted", wrong["none"], most=2 * ALPHA),
        # Its z test has alpha, to which the anchors that did not alarm in time are added.
        *(Check(f"verdict not `{kind}` where it is", wrong[kind], most=0.1) for kind in KINDS[1:]),
    ]


def purpose(rng: np.random.Generator, runs: int) -> list[Check]:
    """A change on purpose: 300 pairs in 150 groups, the true difference 0, the margin, and twice the margin."""
    cluster = np.repeat(np.arange(150), 2)
    rows = []
    shares: dict[tuple[str, float], Counter[str]] = {}
    for shift in (0.0, 0.05, 0.1):
        score, counted = shares["score", shift], shares["pass rate", shift] = Counter[str](), Counter[str]()
        for _ in range(runs):
            q = np.repeat(quality(rng, 150), 2)
            push = np.repeat(0.1 * rng.standard_normal(150), 2) - shift
            old, new = np.clip(q + 0.1 * rng.standard_normal(300), 0, 1), q + push + 0.1 * rng.standard_normal(300)
            score[changes.scores(old, np.clip(new, 0, 1), cluster, 0, 1, draws=20).verdict] += 1
            # Groups that pass or fail together; lost in a share of .02 + shift of them, gained in .02.
            u = np.repeat(rng.random(150), 2)
            before = (u > 0.3).astype(np.float64)
            after = np.where(u > 0.98 - shift, 0.0, np.where(u < 0.02, 1.0, before))
            counted[changes.pass_rates(before, after, cluster).verdict] += 1
        for what in ("score", "pass rate"):
            told = shares[what, shift]
            rows.append((what, f"{shift:.2f}", *(told[v] / runs for v in ("equivalent", "cannot tell", "changed"))))
    print("a change on purpose, margin .05: shares of verdicts by the true difference")
    table(("compared", "difference", "equivalent", "cannot tell", "changed"), rows)
    limit = ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / runs)
    return [
        check
        for what in ("score", "pass rate")
        for check in (
            Check(f"{what}: called equivalent at the margin", shares[what, 0.05]["equivalent"] / runs, most=limit),
            Check(f"{what}: called changed without a change", shares[what, 0.0]["changed"] / runs, most=limit),
        )
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=600)
    parser.add_argument("--runs", type=int, default=200, help="of each kind of drift")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)
    checks = quiet(rng, given.streams)
    checks += passes(rng, given.streams // 2)
    checks += delays(rng, given.streams // 2)
    checks += attribution(rng, given.runs)
    checks += purpose(rng, 3 * given.runs)
    report("drift", checks, seed=given.seed, streams=given.streams, runs=given.runs)


if __name__ == "__main__":
    main()
