"""Whether the calibrator that is chosen is as good as the best one: `python -m benchmarks.calibrators`.

On SummEval (100 documents x 16 summaries, 4 criteria), where people's score is the mean of three experts. The judge is
gpt-4o; it has its own three other criteria and four other judges beside it. For each seed half of the documents give
the labels: n items, one from each document in turn, so that 15 labels come from 15 documents and 400 from 50. The other
half is held out. Beside the chosen calibrator stand single kinds that are fitted on the same labels whatever they come
to: those that n labels are enough for by the rules of `judge.calibration.calibrators.selection`. The best of them is
the one with the least error over all seeds, in hindsight.

A difference is that of two held-out RMSEs, each from the squared errors of all seeds. What it is held against is the
standard error of the paired difference in one draw of labels and held-out documents: the standard deviation of that
difference over the seeds, which is what somebody meets who labels once. The mean over all seeds is known far better.
Its standard error over documents, paired, stands in brackets in the first table: by that one no choice that depends on
labels can be level with what was best in hindsight, as it must err now and then.

The rules of choice were set on seeds 0 to 59; the seeds taken here are others, unless `--first` says otherwise.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.harness import ROOT, Check, report, table
from judge.calibration.calibrators import Identity, Isotonic, Linear, Ordinal, Ridge, Shift
from judge.calibration.calibrators.fitted import Fitted
from judge.calibration.calibrators.selection import LEAST_LABELS, choose
from judge.calibration.statistics.bootstrap import Codes, Floats

DATA = ROOT.parent / "shared" / "data" / "summeval"
CRITERIA = ("coherence", "consistency", "fluency", "relevance")
JUDGE = "alttest/gpt-4o"
OTHERS = ("alttest/gpt-4o-mini", "alttest/gemini_pro", "alttest/gemini_flash", "alttest/llama-31")
LEVELS = np.arange(1.0, 6.0)
SIZES = (15, 30, 100, 400)
#: Two fits of the same labels may differ by this much.
ROUNDING = 1e-9
#: Columns of X: the judge on this criterion, on the three others, then the other judges on this one.
ONE, FOUR, FIVE, ALL = [0], [0, 1, 2, 3], [0, 4, 5, 6, 7], list(range(8))
Fit = Callable[[Floats, Floats, Codes], Fitted]


def _constant(X: Floats, y: Floats, group: Codes) -> Fitted:
    return Linear(levels=tuple(LEVELS.tolist()), intercept=float(y.mean()), slope=0.0)


#: What is fitted whatever it comes to: the columns it reads, the kind whose least number of labels holds, and the fit.
SINGLE: dict[str, tuple[list[int], str, Fit]] = {
    "identity": (ONE, "identity", lambda X, y, group: Identity.fit(X, y, None, LEVELS)),
    "constant": (ONE, "constant", _constant),
    "shift": (ONE, "shift", lambda X, y, group: Shift.fit(X, y, None, LEVELS)),
    "linear": (ONE, "linear", lambda X, y, group: Linear.fit(X, y, None, LEVELS)),
    "isotonic": (ONE, "isotonic", lambda X, y, group: Isotonic.fit(X, y, None, LEVELS)),
    "ordinal, 1 score": (ONE, "ordinal", lambda X, y, group: Ordinal.fit(X, y, None, LEVELS)),
    "ridge, 4 criteria": (FOUR, "ridge", lambda X, y, group: Ridge.fit(X, y, None, LEVELS, group)),
    "ridge, 5 judges": (FIVE, "ridge", lambda X, y, group: Ridge.fit(X, y, None, LEVELS, group)),
    "ridge, all": (ALL, "ridge", lambda X, y, group: Ridge.fit(X, y, None, LEVELS, group)),
    "ordinal, all": (ALL, "ordinal", lambda X, y, group: Ordinal.fit(X, y, None, LEVELS)),
}


@dataclass(frozen=True, slots=True)
class Labelled:
    """One criterion of all items: scores (n, 8), people's mean (n,), document codes (n,)."""

    X: Floats
    y: Floats
    document: Codes


def rows(name: str) -> Iterator[dict[str, Any]]:
    with gzip.open(DATA / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def labelled() -> dict[str, Labelled]:
    """Every criterion, the items in one order."""
    people: dict[tuple[str, str], list[float]] = defaultdict(list)
    for row in rows("human"):
        if row["annotator"].startswith("expert"):
            people[row["item"], row["criterion"]].append(row["score"])
    judged = {(row["judge"], row["item"], row["criterion"]): row["samples"][0] for row in rows("judge")}
    items = sorted({item for item, _ in people})
    document = np.unique([item.split("__")[0] for item in items], return_inverse=True)[1].astype(np.int64)
    found = {}
    for criterion in CRITERIA:
        others = [other for other in CRITERIA if other != criterion]
        asked = [(JUDGE, criterion), *((JUDGE, other) for other in others), *((judge, criterion) for judge in OTHERS)]
        X = np.array([[judged[judge, item, on] for judge, on in asked] for item in items], dtype=np.float64)
        found[criterion] = Labelled(X, np.array([np.mean(people[item, criterion]) for item in items]), document)
    return found


def drawn(document: Codes, n: int, rng: np.random.Generator) -> tuple[Codes, Codes]:
    """The items to label, one from each of half of the documents in turn, and all items of the other half."""
    order = rng.permutation(int(document.max()) + 1)
    ours = order[: len(order) // 2]
    turns = np.array([rng.permutation(np.flatnonzero(document == one)) for one in ours])
    return turns.T.ravel()[:n], np.flatnonzero(~np.isin(document, ours))


@dataclass(slots=True)
class Tally:
    """Squared errors (seeds, documents) of what was tried, and how many items they are of; what was chosen."""

    squared: dict[str, Floats]
    items: Floats
    chosen: dict[str, int]


def tally(found: Labelled, n: int, seeds: range) -> Tally:
    """Fits everything on n labels of every seed, and adds up its squared errors on the documents held out."""
    documents = int(found.document.max()) + 1
    single = {name: one for name, one in SINGLE.items() if enough(name, n)}
    squared = {name: np.zeros((len(seeds), documents)) for name in [*single, "chosen"]}
    items, chosen = np.zeros((len(seeds), documents)), dict.fromkeys(("identity", "shift"), 0)
    for at, seed in enumerate(seeds):
        ours, out = drawn(found.document, n, np.random.default_rng(seed))
        X, y, group = found.X[ours], found.y[ours], found.document[ours]
        selection = choose(X, y, group, None, LEVELS, seed=seed)
        kind = selection.chosen.kind
        chosen[kind] = chosen.get(kind, 0) + 1
        predicted = {"chosen": selection.chosen.predict(found.X[out])}
        for name, (columns, _, fit) in single.items():
            predicted[name] = fit(X[:, columns], y, group).predict(found.X[out][:, columns])
        items[at] = np.bincount(found.document[out], minlength=documents)
        for name, one in predicted.items():
            squared[name][at] = np.bincount(found.document[out], (found.y[out] - one) ** 2, documents)
    return Tally(squared, items, chosen)


def rmse(tallied: Tally, name: str) -> float:
    return float(np.sqrt(tallied.squared[name].sum() / tallied.items.sum()))


def apart(tallied: Tally, one: str, other: str) -> tuple[float, float, float]:
    """How far one RMSE is above another; the standard error of one draw, and that of the mean of all over documents."""
    weight = tallied.items.sum(axis=0)
    missed = (tallied.squared[one] - tallied.squared[other]).sum(axis=0)
    away = missed - missed.sum() / weight.sum() * weight
    count = len(weight)
    both = rmse(tallied, one) + rmse(tallied, other)
    of_mean = np.sqrt(count / (count - 1) * (away @ away)) / weight.sum() / both
    drawn_one, drawn_other = (
        np.sqrt(tallied.squared[name].sum(axis=1) / tallied.items.sum(axis=1)) for name in (one, other)
    )
    return rmse(tallied, one) - rmse(tallied, other), float(np.std(drawn_one - drawn_other, ddof=1)), float(of_mean)


def enough(name: str, n: int) -> bool:
    """Whether n labels are enough for this kind."""
    return n >= LEAST_LABELS.get(SINGLE[name][1], 0)


def optimism(found: Labelled, seeds: range) -> tuple[float, float]:
    """RMSE of isotonic regression on its own 30 labels and on other documents, averaged over seeds."""
    both = []
    for seed in seeds:
        ours, out = drawn(found.document, 30, np.random.default_rng(seed))
        fitted = Isotonic.fit(found.X[ours], found.y[ours], None, LEVELS)
        both.append([np.sqrt(np.mean((found.y[at] - fitted.predict(found.X[at])) ** 2)) for at in (ours, out)])
    own, other = np.mean(both, axis=0).tolist()
    return own, other


def compared(criterion: str, n: int, tallied: Tally) -> tuple[list[Check], list[object], dict[str, float]]:
    """The three checks of one criterion and number of labels, a row that says more, and all errors."""
    errors = {name: rmse(tallied, name) for name in tallied.squared}
    best = min((name for name in SINGLE if name in errors and name != "constant"), key=lambda name: errors[name])
    checks, of_means = [], []
    for other, said in ((best, f"the best, {best}"), ("identity", "identity"), ("constant", "constant")):
        above, of_draw, of_mean = apart(tallied, "chosen", other)
        checks.append(Check(f"{criterion}, {n} labels: RMSE above {said}", above, most=max(of_draw, ROUNDING)))
        of_means.append(f"{above:+.3f} ({of_mean:.3f})")
    kinds = ", ".join(f"{kind} {times}" for kind, times in tallied.chosen.items() if times)
    return checks, [criterion, n, errors["chosen"], best, errors[best], *of_means, kinds], errors


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--first", type=int, default=1000, help="the first seed")
    given = parser.parse_args()
    if not DATA.exists():
        sys.exit(f"SummEval is not at {DATA}: nothing was measured")
    found, seeds = labelled(), range(given.first, given.first + given.seeds)
    checks: list[Check] = []
    lines: list[list[object]] = []
    details: dict[str, dict[str, float]] = {}
    for criterion in CRITERIA:
        for n in SIZES:
            made, line, details[f"{criterion} {n}"] = compared(criterion, n, tally(found[criterion], n, seeds))
            checks += made
            lines.append(line)
            print(f"{criterion}, {n} labels: done", file=sys.stderr)
    own, other = optimism(found["consistency"], seeds)
    print(
        f"Held-out RMSE over {len(seeds)} seeds from {given.first}; differences with the standard error of their mean"
    )
    head = (
        "criterion",
        "n",
        "chosen",
        "best single",
        "its RMSE",
        "above best",
        "above identity",
        "above constant",
        "kinds",
    )
    table(head, lines)
    print(f"isotonic, consistency, 30 labels: RMSE {own:.2f} on its own labels, {other:.2f} on other documents\n")
    report("calibrators", checks, seeds=[seeds.start, seeds.stop], rmse=details, optimism=[own, other])


if __name__ == "__main__":
    main()
