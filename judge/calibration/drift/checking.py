"""Whether a judge is still the one that was calibrated, by anchors that it graded again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict

from judge.calibration.drift import changes
from judge.calibration.drift.anchors import Pair
from judge.calibration.drift.changes import Change
from judge.calibration.drift.stability import Stability, population_stability, self_agreement
from judge.calibration.drift.verdict import Drift
from judge.calibration.scale import Scale
from judge.calibration.statistics.bootstrap import Floats
from judge.calibration.statistics.figures import Figure, Undefined
from judge.calibration.statistics.moments import Flags
from judge.grades import JudgeRef

#: The probability of a false alarm: of each comparison of a known change; of a silent one over all checks and criteria.
ALPHA = 0.05
#: Bins of a scale without levels.
BINS = 10

Verdict = Literal["equivalent", "changed", "cannot tell", "judge", "data", "both", "none", "waiting"]
#: The verdict that stands for several comparisons: the first of these that one of them came to.
FIRST: tuple[Verdict, ...] = ("changed", "both", "judge", "waiting", "data", "cannot tell", "none", "equivalent")
#: Verdicts that say that the calibration no longer holds.
ALARMS: frozenset[Verdict] = frozenset({"changed", "judge", "both"})


class CriterionCheck(BaseModel):
    """What a check found on one criterion.

    Attributes
    ----------
    anchors
        Anchors with a score before and now.
    unscored_before, unscored_now
        Anchors without one.
    scored
        Whether the share with a score changed; None where every anchor has one before and now.
    changes
        Of a known change: the mean score or pass rate, or the share of every label; and how near it is to people.
    drifts
        Of a silent one, by stream: the criterion, or one label of it.
    untold
        Why a comparison was not made.
    stability
        Of the histogram of scores: of production beside the calibrated run where production was given, else of the
        anchors. `unstable` says why there is none.
    itself_before, itself_now
        How often two samples of the judge agree on an anchor; None where it was asked once.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    criterion: str
    verdict: Verdict
    anchors: int
    unscored_before: int
    unscored_now: int
    scored: Change | None = None
    changes: tuple[Change, ...] = ()
    drifts: dict[str, Drift] = {}
    untold: tuple[str, ...] = ()
    stability: Stability | None = None
    unstable: str | None = None
    itself_before: Figure | None = None
    itself_now: Figure | None = None

    @classmethod
    def of(cls, id_: str, pair: Pair, verdict: Verdict, scored: Change | None, moved: Stability | str) -> Self:
        """Without what was compared."""
        before, now = np.isnan(pair.labelled.score), np.isnan(pair.new)
        return cls(
            criterion=id_,
            verdict=verdict,
            anchors=int((~before & ~now).sum()),
            unscored_before=int(before.sum()),
            unscored_now=int(now.sum()),
            scored=scored,
            stability=None if isinstance(moved, str) else moved,
            unstable=moved if isinstance(moved, str) else None,
        )


class Check(BaseModel):
    """What a check found.

    Attributes
    ----------
    known
        Whether the change was made on purpose: then old and new were compared once. Else the judge is watched.
    checks
        How many checks its watch has been through, this one included; 0 for a known change.
    run
        The run that graded the anchors.
    judge
        That graded them.
    models_before, models_now
        What the provider said that it ran.
    production
        The runs of production that were taken into account, of all checks.
    openings
        How often the held-out labels have been looked at: they are among the anchors.
    notes
        What must be known besides.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    calibration: str
    name: str
    version: int
    known: bool
    margin: float | None
    checks: int
    run: str
    anchors: int
    judge: JudgeRef
    calibrated_judge: JudgeRef
    models_before: tuple[str, ...]
    models_now: tuple[str, ...]
    production: tuple[str, ...]
    cost_usd: float | None
    openings: int
    criteria: dict[str, CriterionCheck]
    notes: tuple[str, ...]

    @property
    def verdict(self) -> Verdict:
        """The one that stands for all criteria."""
        return first(one.verdict for one in self.criteria.values())

    @property
    def alarm(self) -> bool:
        """Whether the calibration no longer holds on one criterion at least."""
        return any(one.verdict in ALARMS for one in self.criteria.values())

    def as_dict(self) -> dict[str, Any]:
        """Plain data, the verdict in it."""
        return {**self.model_dump(mode="json"), "verdict": self.verdict, "alarm": self.alarm}


def first(verdicts: Iterator[Verdict]) -> Verdict:
    """The verdict that stands for several."""
    return min(verdicts, key=FIRST.index, default="cannot tell")


def known_change(pair: Pair, id_: str, margin: float, seed: int = 0) -> CriterionCheck:
    """A criterion before and after a change made on purpose.

    The mean score is compared (of pass and fail the pass rate, of labels the share of each), the distance from people,
    and the share with a score. One that changed is enough for `changed`; all must be equivalent for `equivalent`.

    Parameters
    ----------
    margin
        The difference that counts as none, as a share of the scale's range.
    """
    both = pair.both
    found, untold = [], []
    for compare in _comparisons(both, margin, seed):
        try:
            found.append(compare())
        except Undefined as undefined:
            untold.append(str(undefined))
    scored = share_scored(pair, margin, ALPHA)
    verdicts: list[Verdict] = [one.verdict for one in (*found, *([] if scored is None else [scored]))]
    verdicts += ["cannot tell"] * bool(untold)
    moved = stability(both.labelled.scale, both.labelled.score, both.new)
    check = CriterionCheck.of(id_, pair, first(iter(verdicts)), scored, moved)
    return check.model_copy(update={"changes": tuple(found), "untold": tuple(dict.fromkeys(untold))})


def _comparisons(both: Pair, margin: float, seed: int) -> Iterator[Callable[[], Change]]:
    """What is compared of a criterion; each raises Undefined where it cannot be."""
    labelled, new = both.labelled, both.new
    scale, old, y, cluster, w = labelled.scale, labelled.score, labelled.target, labelled.cluster, labelled.w

    def share(what: str, before: Flags, now: Flags) -> Callable[[], Change]:
        values = before.astype(np.float64), now.astype(np.float64)
        return partial(changes.shares, what, *values, cluster, w=w, margin=margin, alpha=ALPHA)

    if scale.kind == "nominal":
        for code, name in enumerate(scale.names):
            yield share(f"share of {name}", old == code, new == code)
        yield share("agreement with people", old == y, new == y)
        return
    low, high, wide = scale.minimum, scale.maximum, margin * scale.width
    if scale.kind == "binary" and bool(np.isin(np.concatenate((old, new)), (low, high)).all()):
        yield share("pass rate", old == high, new == high)
    else:
        yield partial(changes.scores, old, new, cluster, low, high, w=w, margin=wide, alpha=ALPHA, seed=seed)
    yield partial(changes.agreement, old, new, y, cluster, low, high, w=w, margin=wide, alpha=ALPHA, seed=seed)


def share_scored(pair: Pair, margin: float, alpha: float) -> Change | None:
    """Whether the share of anchors that get a score changed; None where all have one, or nothing can be compared."""
    old, new = (~np.isnan(scores) for scores in (pair.labelled.score, pair.new))
    if old.all() and new.all():
        return None
    values = old.astype(np.float64), new.astype(np.float64)
    try:
        return changes.shares(
            "share scored", *values, pair.labelled.cluster, w=pair.labelled.w, margin=margin, alpha=alpha
        )
    except Undefined:
        return None


def stability(scale: Scale, old: Floats, new: Floats) -> Stability | str:
    """The population stability index of scores, or why there is none."""
    try:
        return population_stability(old[~np.isnan(old)], new[~np.isnan(new)], _edges(scale))
    except Undefined as undefined:
        return str(undefined)


def _edges(scale: Scale) -> Floats:
    """Half way between levels; ten equal bins where there are none."""
    if scale.levels is None:
        return np.linspace(scale.minimum, scale.maximum, BINS + 1)
    between = (scale.levels[1:] + scale.levels[:-1]) / 2
    return np.concatenate(([scale.minimum - 1], between, [scale.maximum + 1]))


def with_itself(
    checked: Mapping[str, CriterionCheck],
    pairs: Mapping[str, Pair],
    before: Mapping[str, Floats],
    now: Mapping[str, Floats],
) -> dict[str, CriterionCheck]:
    """The checks with how often samples of one anchor agree: `before` and `now` hold those of each criterion."""
    found = dict(checked)
    for id_ in before:
        if id_ in now and id_ in found:
            cluster = pairs[id_].labelled.cluster
            update = {
                "itself_before": self_agreement(before[id_], cluster),
                "itself_now": self_agreement(now[id_], cluster),
            }
            found[id_] = found[id_].model_copy(update=update)
    return found


def rows(samples: Mapping[str, Floats], places: Mapping[str, int], pairs: Mapping[str, Pair]) -> dict[str, Floats]:
    """The samples of each criterion's anchors, a row an anchor."""
    found = {}
    for id_, pair in pairs.items():
        if id_ in samples:
            blank = np.full((1, samples[id_].shape[1]), np.nan)
            every = np.concatenate((samples[id_], blank))
            found[id_] = every[[places.get(str(item), len(every) - 1) for item in pair.labelled.items]]
    return found


def differs(before: Sequence[str], now: Sequence[str]) -> str | None:
    """A note where the provider says that it runs another model."""
    if not before or not now or set(before) == set(now):
        return None
    return f"the provider says that it runs {', '.join(now)}; when the judge was calibrated it said {', '.join(before)}"
