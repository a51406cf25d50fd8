"""Which of the two drifted: the judge, or what it grades.

Anchors can only move with the judge; fresh scores of production move with the judge and with the data. So an alarm of
the anchors is the judge's; one of production alone is the data's, but only once the anchors have had time to raise
theirs.

References
----------
Li (2026), Who drifted: the system or the judge?, arXiv 2606.15474 (two processes, the guard window, and that anchors
must come at least as fast as the alarm they guard).
"""

from __future__ import annotations

import math
from typing import Literal

from pydantic import BaseModel, ConfigDict
from scipy import stats

from judge.calibration.drift.betting import needed
from judge.calibration.drift.watch import FULL, Alarm, Sums, Watch, part
from judge.calibration.statistics.figures import Figure

#: Production may have moved by less than this share of the range; anchors are not asked to show less.
LEAST = 0.05

Verdict = Literal["judge", "data", "both", "none", "waiting"]


class Drift(BaseModel):
    """What the two streams say.

    Attributes
    ----------
    verdict
        `judge`, `data`, `both` or `none`. `waiting` where production alarmed and the anchors have not had their say.
    p_judge, p_data
        Valid at any time, the judge's over all passes. An alarm is p <= alpha, each stream with its own alpha.
    judge_alarm
        The pass and the anchor in it, from 1, that raised the alarm.
    data_alarm
        The item of production, from 1, that did.
    judge_shift, farther
        On the anchors of this pass: mean of new minus old score, and of how much farther from the people it is.
    data_shift
        Mean score of production in this pass minus that of the calibrated run.
    beyond
        `data_shift` less `judge_shift`: what of it a change of the judge leaves unexplained.
    anchors_since, anchors_wanted
        Anchors of one pass graded since production's alarm, and how many would show as large a shift of the judge.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    verdict: Verdict
    words: str
    alpha: float
    p_judge: float
    p_data: float
    judge_alarm: tuple[int, int] | None
    data_alarm: int | None
    judge_shift: Figure
    farther: Figure
    data_shift: Figure
    beyond: Figure
    anchors_since: int
    anchors_wanted: int | None


def verdict(watch: Watch) -> Drift:
    """What to make of the two streams now.

    `judge` where the anchors alarmed, as only the judge can move them. `both` where besides production's alarm had
    outlasted its guard before, or production's shift in this pass is not the judge's, alarm or no alarm: by a z test at
    alpha, which takes production and anchors of a pass to be items alike, graded by one and the same judge. `data`
    where production alarmed and the guard ran out: `watch.guard` anchors of one pass, or as many as would show a shift
    of the judge as large as production's. It is counted in anchors, so it cannot run out before they had their say,
    however fast production comes.
    """
    wanted = None if watch.data_alarm is None else _wanted(watch, watch.data_alarm)
    beyond = _beyond(watch)
    found: Verdict = "none"
    if watch.judge_alarm is not None:
        outlasted = watch.before_judge is not None and wanted is not None and watch.before_judge > wanted
        apart = beyond.low is not None and beyond.high is not None and (beyond.low > 0 or beyond.high < 0)
        found = "both" if outlasted or apart else "judge"
    elif wanted is not None:
        found = "data" if watch.since >= wanted else "waiting"
    return Drift(
        verdict=found,
        words=_words(found, watch.since, wanted, watch.production.n),
        alpha=watch.alpha,
        p_judge=watch.p_judge,
        p_data=watch.production.p,
        judge_alarm=watch.judge_alarm,
        data_alarm=None if watch.data_alarm is None else watch.data_alarm.item,
        judge_shift=_mean(watch.shift, watch.alpha),
        farther=_mean(watch.farther, watch.alpha),
        data_shift=_data(watch),
        beyond=beyond,
        anchors_since=watch.since,
        anchors_wanted=wanted,
    )


def _wanted(watch: Watch, alarm: Alarm) -> int:
    """Anchors that would show a shift of the judge as large as production's when it alarmed."""
    span = watch.high - watch.low
    moved = max(abs(alarm.moved) / span, LEAST)
    square = min((moved**2 + watch.variance / span**2) / FULL**2, 1.0)
    # A mean square of at most 1 cannot go with a mean above its root.
    mean = min(moved / FULL, math.sqrt(square))
    return max(watch.guard, math.ceil(needed(mean, square, part(watch.alpha, alarm.round), statistics=2)))


def _mean(of: Sums, alpha: float) -> Figure:
    if of.n < 2:
        return Figure.undefined("fewer than two anchors in this pass", of.n, "anchors")
    half = float(stats.t.ppf(1 - alpha / 2, of.n - 1)) * math.sqrt(of.error)
    return Figure(value=of.mean, low=of.mean - half, high=of.mean + half, n=of.n, of="anchors")


def _data(watch: Watch) -> Figure:
    if watch.fresh.n < 2:
        return Figure.undefined("fewer than two items of production in this pass", watch.fresh.n)
    value = watch.fresh.mean - watch.calibrated.mean
    return _normal(value, watch.fresh.error + watch.calibrated.error, watch.alpha, watch.fresh.n, "items")


def _beyond(watch: Watch) -> Figure:
    if watch.fresh.n < 2 or watch.shift.n < 2:
        why = "this pass has fewer than two anchors or items of production"
        return Figure.undefined(why, watch.shift.n, "anchors")
    value = watch.fresh.mean - watch.calibrated.mean - watch.shift.mean
    error = watch.fresh.error + watch.calibrated.error + watch.shift.error
    return _normal(value, error, watch.alpha, watch.shift.n, "anchors")


def _normal(value: float, error: float, alpha: float, n: int, of: str) -> Figure:
    half = float(stats.norm.ppf(1 - alpha / 2)) * math.sqrt(error)
    return Figure(value=value, low=value - half, high=value + half, n=n, of=of)


def _words(verdict: Verdict, since: int, wanted: int | None, production: int) -> str:
    if verdict == "none" and not production:
        return "No drift: the anchors did not move beyond chance."
    if verdict == "none":
        return "No drift: neither the anchors nor the scores of production moved beyond chance."
    if verdict == "waiting":
        return (
            "The scores of production moved. Whether the judge did cannot be told yet: "
            f"{since} anchors of one pass were graded since, {wanted} are wanted."
        )
    if verdict == "data":
        return (
            "What is graded changed: the scores of production moved, and the judge grades the anchors as before. "
            "Look at the new items; label some of them."
        )
    tail = "Do not use its calibration until it is made anew."
    if verdict == "judge":
        return f"The judge changed: it grades the same anchors otherwise than when it was calibrated. {tail}"
    return f"The judge changed, and what is graded did too: production moved otherwise than the anchors. {tail}"
