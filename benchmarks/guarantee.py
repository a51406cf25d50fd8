"""Whether accepted grades keep the promise made for them: `python -m benchmarks.guarantee`.

Panels of judges on public sets, split by group over and over: a threshold is fitted on one part, and its true risk is
that of all items of the set that it accepts. Beside it the threshold that merely looks best on the labels, and
simulations whose true risk at the threshold is the promised one exactly, with items in groups and on their own.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.harness import ROOT, Check, report, table
from judge.calibration.statistics.bootstrap import Codes, Floats
from judge.calibration.statistics.thresholds import Flags, errors, fit, majority, risk_curve

DATA = ROOT.parent / "shared" / "data"
DELTA = 0.10
#: The promised risk, as a share of the panel's own.
EASED = 0.75
GROUPS = 500
#: Share of splits that may break the promise.
MOST_BROKEN = 0.12
#: A tenth less than the acceptance looked for is about that.
ABOUT = 0.9
LEVELS = np.array([0.0, 1.0])
#: Confidences of the simulations. The most confident answers are right, the middle ones wrong so often that the risk
#: from there on is alpha.
SURE, MIDDLE, UNSURE = 0.9, 0.7, 0.5
ALPHA = 0.15


@dataclass(frozen=True, slots=True)
class Panel:
    """Votes of judges against people. `worth` is the acceptance that was looked for."""

    name: str
    confidence: Floats
    error: Flags
    cluster: Codes
    worth: float


@dataclass(frozen=True, slots=True)
class Setting:
    """Simulated labels: groups of sizes, and the share of errors among each group's middling answers."""

    name: str
    sizes: Callable[[np.random.Generator], Codes]
    rates: Callable[[np.random.Generator, int], Floats]


def rows(name: str) -> Iterator[dict[str, Any]]:
    """The rows of a file of JSON lines, plain or gzipped."""
    packed = DATA / f"{name}.jsonl.gz"
    with gzip.open(packed, "rt", encoding="utf-8") if packed.exists() else (DATA / f"{name}.jsonl").open() as lines:
        yield from map(json.loads, lines)


def panel(
    name: str, worth: float, votes: dict[str, list[float]], people: dict[str, list[float]], group: dict[str, str]
) -> Panel:
    """A panel whose answer is that of most votes and whose confidence is their share; answers are 0 or 1."""
    items = [item for item in people if votes.get(item)]
    table_of_votes = np.full((len(items), max(map(len, votes.values()))), np.nan)
    for at, item in enumerate(items):
        table_of_votes[at, : len(votes[item])] = votes[item]
    answer, confidence = majority(table_of_votes)
    error = errors(answer, np.array([np.mean(people[item]) for item in items]), LEVELS)
    cluster = np.unique([group[item] for item in items], return_inverse=True)[1].astype(np.int64)
    return Panel(name, confidence, error, cluster, worth)


def triviaqa() -> Panel:
    """All judges of the first release on answers of nine systems, by question."""
    group = {row["id"]: row["input"] for row in rows("triviaqa_judges/items") if row["meta"]["release"] == "V1"}
    people = {row["item"]: [float(row["label"])] for row in rows("triviaqa_judges/human") if row["item"] in group}
    votes: dict[str, list[float]] = defaultdict(list)
    for row in rows("triviaqa_judges/judge"):
        if row["item"] in group and row.get("verdict") is not None:
            votes[row["item"]].append(float(row["verdict"]))
    return panel("TriviaQA V1", 0.80, votes, people, group)


def llmbar(model: str, worth: float) -> Panel:
    """All prompts of one model in both orders, by instruction."""
    code = {"a": 0.0, "b": 1.0}
    group = {row["id"]: row["input"] for row in rows("llmbar/items")}
    people = {row["item"]: [code[row["verdict"]]] for row in rows("llmbar/human")}
    votes: dict[str, list[float]] = defaultdict(list)
    for row in rows("llmbar/judge"):
        if row["judge"].split("/")[0] == model:
            votes[row["item"]] += [code[row[o]] for o in ("verdict_ab", "verdict_ba") if row.get(o) in code]
    return panel(f"LLMBar {model}", worth, votes, people, group)


def framing() -> Panel:
    """Six judges on 22 questions about each article, as one criterion, by article."""
    code = {"no": 0.0, "yes": 1.0}
    people: dict[str, list[float]] = defaultdict(list)
    votes: dict[str, list[float]] = defaultdict(list)
    for name, field, into in (("human", "score", people), ("judge", "verdict", votes)):
        for row in rows(f"alttest/{name}"):
            if row["criterion"].startswith("framing:") and row.get(field) in code:
                into[row["item"]].append(code[row[field]])
    return panel("alt-test framing", 0.40, votes, people, {item: item.rsplit("__", 1)[0] for item in people})


def looks_best(confidence: Floats, error: Flags, alpha: float) -> float:
    """The control: the lowest confidence from which on the labels themselves show a risk of alpha or less."""
    thresholds, _, risk = risk_curve(confidence, error)
    return float(thresholds[risk <= alpha].min(initial=np.inf))


def judged(one: Panel, seeds: int) -> dict[str, Any]:
    """How often the promise was broken over splits by group, and how much was accepted."""
    alpha = EASED * float(one.error.mean())
    groups = int(one.cluster.max()) + 1
    found: dict[str, list[tuple[bool, float]]] = {"ours": [], "control": []}
    for seed in range(seeds):
        drawn = np.zeros(groups, dtype=bool)
        drawn[np.random.default_rng(seed).permutation(groups)[: min(GROUPS, groups // 2)]] = True
        part = drawn[one.cluster]
        confidence, error = one.confidence[part], one.error[part]
        threshold = fit(confidence, error, one.cluster[part], alpha=alpha, delta=DELTA)
        best = looks_best(confidence, error, alpha)
        for name, kept in (("ours", threshold.accepts(one.confidence)), ("control", one.confidence >= best)):
            found[name].append((bool(kept.any() and one.error[kept].mean() > alpha), float(kept.mean())))
    broken, accepted = ({name: float(np.mean([f[at] for f in fs])) for name, fs in found.items()} for at in (0, 1))
    never = float(np.mean([share == 0 for _, share in found["ours"]]))
    return {"alpha": alpha, "groups": groups, "broken": broken, "accepted": accepted, "never": never}


def in_groups(count: int, low: int, high: int) -> Callable[[np.random.Generator], Codes]:
    """`count` groups of `low` to `high` items."""
    return lambda rng: np.repeat(np.arange(count), rng.integers(low, high + 1, count)).astype(np.int64)


def alike(share: float) -> Callable[[np.random.Generator, int], Floats]:
    """Error rates of groups, beta-distributed around 2 alpha, such that two items of one correlate as given."""
    spread = 1 / share - 1 if share else 0.0

    def rates(rng: np.random.Generator, count: int) -> Floats:
        if share == 1:
            return (rng.random(count) < 2 * ALPHA).astype(np.float64)
        mean = np.full(count, 2 * ALPHA)
        return rng.beta(mean * spread, (1 - mean) * spread) if share else mean

    return rates


def some_lost(rng: np.random.Generator, count: int) -> Floats:
    """Few groups wrong as a whole, the others at nine tenths of the mean rate."""
    usual = 2 * ALPHA * 0.9
    return np.where(rng.random(count) < (2 * ALPHA - usual) / (1 - usual), 1.0, usual)


SETTINGS = (
    Setting("500 items on their own", in_groups(500, 1, 1), alike(0)),
    Setting("58 groups of 22, alike .05", in_groups(58, 22, 22), alike(0.05)),
    Setting("58 groups of 22, alike .3", in_groups(58, 22, 22), alike(0.3)),
    Setting("58 groups of 22, each right or wrong", in_groups(58, 22, 22), alike(1)),
    Setting("58 groups of 22, few all wrong", in_groups(58, 22, 22), some_lost),
    Setting("200 groups of 9, each right or wrong", in_groups(200, 9, 9), alike(1)),
    Setting("200 groups of 1 to 20, alike .3", in_groups(200, 1, 20), alike(0.3)),
    Setting("25 groups of 16, alike .3", in_groups(25, 16, 16), alike(0.3)),
)


def simulated(one: Setting, draws: int, seed: int) -> dict[str, float]:
    """How often a threshold is accepted from which on the true risk is alpha: as if it were a hair above."""
    rng = np.random.default_rng(seed)
    broken = {"ours": 0, "groups ignored": 0, "control": 0}
    for _ in range(draws):
        cluster = one.sizes(rng)
        rate = one.rates(rng, int(cluster[-1]) + 1)[cluster]
        confidence = rng.choice([SURE, MIDDLE, UNSURE], len(cluster), p=[0.35, 0.35, 0.3])
        chance = np.select([confidence == SURE, confidence == MIDDLE], [0.0, rate], 0.5)
        error = rng.random(len(cluster)) < chance
        for name, groups in (("ours", cluster), ("groups ignored", np.arange(len(cluster)))):
            threshold = fit(confidence, error, groups, alpha=ALPHA, delta=DELTA).threshold
            broken[name] += threshold is not None and threshold <= MIDDLE
        broken["control"] += looks_best(confidence, error, ALPHA) <= MIDDLE
    return {name: count / draws for name, count in broken.items()}


def _shown(found: dict[str, Any]) -> tuple[object, ...]:
    ours, control = ((found["broken"][name], found["accepted"][name]) for name in ("ours", "control"))
    return found["groups"], found["alpha"], *ours, found["never"], *control


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=300, help="splits of each set")
    parser.add_argument("--draws", type=int, default=2000, help="of each simulation")
    given = parser.parse_args()
    began = time.perf_counter()
    checks: list[Check] = []
    simulations = {one.name: simulated(one, given.draws, at) for at, one in enumerate(SETTINGS)}
    head = ("simulated, true risk = alpha", "broken", "groups ignored", "control")
    table(head, [(name, *found.values()) for name, found in simulations.items()])
    checks += [Check(f"{name}: broken", found["ours"], most=DELTA) for name, found in simulations.items()]
    kept = max(1 - found["control"] for found in simulations.values())
    checks.append(Check("simulated: control keeps it at most", kept, most=0.75))
    missing = [name for name in ("triviaqa_judges", "llmbar", "alttest") if not (DATA / name).exists()]
    if missing:
        report("guarantee", checks, simulations=simulations)
        sys.exit(f"{', '.join(missing)}: not in {DATA}; nothing was measured on the public sets")
    panels = [triviaqa(), llmbar("GPT-4", 0.60), llmbar("ChatGPT", 0.20), framing()]
    sets = {one.name: judged(one, given.seeds) for one in panels}
    head = ("set", "groups", "alpha", "broken", "accepted", "never", "control broken", "control accepted")
    table(head, [(name, *_shown(found)) for name, found in sets.items()])
    for one, found in zip(panels, sets.values(), strict=True):
        checks.append(Check(f"{one.name}: broken", found["broken"]["ours"], most=MOST_BROKEN))
        left = Check(f"{one.name}: left to people", 1 - found["accepted"]["ours"], most=round(1 - ABOUT * one.worth, 3))
        checks.append(left)
    holds = sum(found["broken"]["control"] <= MOST_BROKEN for found in sets.values())
    checks.append(Check("sets on which the control keeps it", float(holds), most=len(sets) - 1.0))
    report("guarantee", checks, simulations=simulations, sets=sets)
    print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
