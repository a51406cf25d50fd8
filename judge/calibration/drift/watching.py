"""A judge that is watched for changes that nobody announced: each check goes on from where the last one ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict

from judge.calibration.bound import Bound
from judge.calibration.drift.anchors import Pair, Stream, one_a_group
from judge.calibration.drift.changes import MARGIN
from judge.calibration.drift.checking import (
    ALPHA,
    CriterionCheck,
    Verdict,
    first,
    share_scored,
    stability,
)
from judge.calibration.drift.stability import Stability
from judge.calibration.drift.verdict import Drift, verdict
from judge.calibration.drift.watch import Watch, part
from judge.calibration.judgements import Judgements, of_run
from judge.calibration.statistics.bootstrap import Floats
from judge.errors import InputError

if TYPE_CHECKING:
    from judge.store.results import RunInfo
    from judge.store.store import Store


class Kept(BaseModel):
    """How one stream stands between checks.

    Attributes
    ----------
    runs, production
        The runs that graded the anchors, and those of production, that it has been through.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    watch: Watch
    checks: int
    runs: tuple[str, ...] = ()
    production: tuple[str, ...] = ()


#: By criterion and label.
States = Mapping[tuple[str, int], Kept]


@dataclass(frozen=True, slots=True)
class Production:
    """Fresh items that the calibrated judge graded."""

    run: str
    judgements: Judgements


def states(store: Store, calibration: str) -> dict[tuple[str, int], Kept]:
    """How all streams of a calibration stand."""
    found = store.ask(store.watches.of_calibration, calibration)
    return {(one.criterion, one.label): Kept.model_validate_json(one.body) for one in found}


def keep(store: Store, calibration: str, after: States) -> None:
    """Writes down how they stand after another check. Raises StoreError where another check came between."""
    rows = [
        store.watches.Watched(criterion, label, one.checks, one.model_dump_json())
        for (criterion, label), one in after.items()
    ]
    store.change(store.watches.keep, calibration, rows)


def production_of(store: Store, bound: Bound, info: RunInfo, before: States) -> Production:
    """A run of fresh items, to be held against the calibrated run.

    Raises
    ------
    InputError
        For a run by another rubric or judge, of the calibrated items, or that an earlier check has counted.
    """
    binding = bound.made.binding
    differs = []
    if info.rubric.hash != binding.rubric.hash:
        differs.append(f"rubric ({info.rubric.name} {info.rubric.hash[:8]}, not {binding.rubric.hash[:8]})")
    if info.judge.fingerprint != binding.judge.fingerprint:
        differs.append(f"judge ({info.judge.name} {info.judge.fingerprint[:8]}, not {binding.judge.fingerprint[:8]})")
    if differs:
        raise InputError(f"run {info.id} has another {' and '.join(differs)} than {bound.name} was made for")
    anchors = {run for one in before.values() for run in one.runs}
    if (bound.run is not None and info.dataset_hash == bound.run.dataset_hash) or info.id in anchors:
        raise InputError(f"run {info.id} holds items of {bound.name} itself; production is of fresh ones")
    if any(info.id in one.production for one in before.values()):
        raise InputError(f"run {info.id} was taken into account by an earlier check; its scores count once")
    group = None if bound.named else binding.group
    return Production(info.id, of_run(store, info, group))


def silent(
    bound: Bound,
    among: Sequence[Stream],
    pairs: Mapping[str, Pair],
    run: str,
    production: Production | None,
    before: States,
    seed: int = 0,
) -> tuple[dict[str, CriterionCheck], dict[tuple[str, int], Kept]]:
    """Every criterion after another pass over the anchors, and how its streams stand then.

    Production comes first, so that the anchors of this check count as graded since. The probability of a false alarm,
    over all checks and all streams, is ALPHA for each: of scores of anchors, of production, and of the share scored.
    """
    alpha = ALPHA / len(among)
    after: dict[tuple[str, int], Kept] = {}
    drifts: dict[str, dict[str, Drift]] = {}
    untold: dict[str, list[str]] = {}
    for stream in among:
        key = stream.criterion, stream.label
        try:
            kept = _after(bound, stream, pairs[stream.criterion].both, run, production, before.get(key), alpha, seed)
        except TooFew as few:
            untold.setdefault(stream.criterion, []).append(f"{stream.name}: {few}")
            continue
        after[key] = kept
        drifts.setdefault(stream.criterion, {})[stream.name] = verdict(kept.watch)
    passes = max((one.checks for one in after.values()), default=1)
    found = {}
    for id_, pair in pairs.items():
        scored = share_scored(pair, MARGIN, part(alpha, passes))
        verdicts: list[Verdict] = [one.verdict for one in drifts.get(id_, {}).values()]
        verdicts += ["judge"] * (scored is not None and scored.verdict == "changed")
        check = CriterionCheck.of(id_, pair, first(iter(verdicts)), scored, _moved(bound, id_, pair, production, seed))
        found[id_] = check.model_copy(update={"drifts": drifts.get(id_, {}), "untold": tuple(untold.get(id_, []))})
    return found, after


class TooFew(Exception):
    """There is nothing to watch by."""


def _after(
    bound: Bound,
    stream: Stream,
    both: Pair,
    run: str,
    production: Production | None,
    before: Kept | None,
    alpha: float,
    seed: int,
) -> Kept:
    if before is None:
        calibrated = _scores(bound.judgements, stream, seed)
        if len(calibrated) < 2:
            raise TooFew("fewer than two items of the calibrated run have a score")
        watch = Watch.begin(calibrated, stream.low, stream.high, alpha=alpha, seed=seed)
        before = Kept(watch=watch, checks=0)
    else:
        watch = before.watch.again()
    if production is not None:
        watch = watch.after_production(_scores(production.judgements, stream, seed))
    old, new, y = (stream.of(scores) for scores in (both.labelled.score, both.new, both.labelled.target))
    # By chance: of items that were drawn by score, only weights and any order together leave the next one's mean at 0.
    order = np.random.default_rng([seed, before.checks]).permutation(len(new))
    watch = watch.after_anchors(old[order], new[order], y[order], both.w[order])
    counted = before.production if production is None else (*before.production, production.run)
    return Kept(watch=watch, checks=before.checks + 1, runs=(*before.runs, run), production=counted)


def _scores(judgements: Judgements, stream: Stream, seed: int) -> Floats:
    """The scores of one item of each group."""
    scores = stream.of(judgements.said[stream.criterion].score[one_a_group(judgements, seed)])
    return scores[~np.isnan(scores)]


def _moved(bound: Bound, id_: str, pair: Pair, production: Production | None, seed: int) -> Stability | str:
    """Of production beside the calibrated run, one item of each group; without production of the anchors."""
    scale = pair.labelled.scale
    if production is None:
        return stability(scale, pair.both.labelled.score, pair.both.new)
    old, new = (one.said[id_].score[one_a_group(one, seed)] for one in (bound.judgements, production.judgements))
    return stability(scale, old, new)
