"""The two streams that are watched between calibrations: anchors graded again, and fresh scores of production.

No baseline is estimated. Each anchor's new grade is paired with its old one. If nothing changed, the two could as well
have come in the other order, so that any difference is as likely as its reverse: its mean is 0 exactly, for every item,
whatever the group it belongs to. That holds for one pass over the anchors. In the next pass the old grades are used
again, and what they were off by would look like drift; therefore every pass begins anew and has its own part of alpha,
alpha / (r (r + 1)) for pass r. Little is lost: an old grade's error does not shrink by looking at it twice. New scores
of production are ranked among those of the calibrated run and all that came since, which is exact too.

References
----------
Waudby-Smith and Ramdas (2024), Estimating means of bounded random variables by betting, JRSS B 86. Vovk, Gammerman and
Shafer (2005), Algorithmic learning in a random world, sections 2.2 and 7.1 (ranks among all that came before).
"""

from __future__ import annotations

from typing import Self

import numpy as np
from pydantic import BaseModel, ConfigDict

from judge.calibration.drift.betting import Betting
from judge.calibration.drift.stability import bins
from judge.calibration.statistics.bootstrap import Codes, Floats

#: A difference of this share of the scale's range is bet on in full, a larger one no more: a level of five.
FULL = 0.25
#: Anchors that production's alarm waits for at the least.
GUARD = 100
#: Scores of production that are ranked at once, which bounds the memory.
PIECE = 20_000
#: Equal bins that scores of production are ranked by.
CELLS = 20


class Sums(BaseModel):
    """Weighted sums of values that come in pieces: enough for their mean and its error."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    n: int = 0
    #: Of w, w^2, w x, w^2 x and w^2 x^2.
    sums: tuple[float, float, float, float, float] = (0.0, 0.0, 0.0, 0.0, 0.0)

    def after(self, x: Floats, w: Floats | None = None) -> Sums:
        """With more values. One by one, so that two pieces add up as one does."""
        w = np.ones(len(x)) if w is None else w
        rows = np.stack((w, w * w, w * x, w * w * x, w * w * x * x), axis=1)
        a, b, c, d, e = np.cumsum(np.vstack((self.sums, rows)), axis=0)[-1].tolist()
        return Sums(n=self.n + len(x), sums=(a, b, c, d, e))

    @property
    def mean(self) -> float:
        return self.sums[2] / self.sums[0]

    @property
    def error(self) -> float:
        """The standard error of the mean, squared."""
        w, ww, _, wwx, wwxx = self.sums
        mean = self.mean
        return max(self.n / (self.n - 1) * (wwxx - 2 * mean * wwx + mean * mean * ww) / (w * w), 0.0)


class Alarm(BaseModel):
    """Where production raised its alarm.

    Attributes
    ----------
    item
        Of production, from 1.
    round, anchors
        The pass it fell in, and how many of its anchors had been graded.
    moved
        Mean score of production in this pass until then, minus that of the calibrated run.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    item: int
    round: int
    anchors: int
    moved: float


class Watch(BaseModel):
    """Both streams and where they stand, to be kept as JSON between checks. Never changed, only followed by the next.

    Begin with `Watch.begin`, and begin every further pass over the anchors with `again`. Within a pass hand in items in
    the order they were graded; for a check as a whole, its production first and its anchors after, so that these count
    as graded since. A stream in pieces comes to the same as in one.

    Attributes
    ----------
    alpha
        The probability of a false alarm, over all passes, for each of the two streams.
    anchors
        Bets on the differences of this pass, the `round`-th.
    production
        Bets on the rank of each new score, and on its distance from the middle.
    counts
        Scores so far in each bin, those of the calibrated run included: what new ones are ranked among.
    calibrated, fresh
        Scores of the calibrated run, and of production in this pass.
    shift, farther
        Of this pass's anchors: new minus old score, and how much farther from the people it is.
    noise
        The variance of one shift in the pass before.
    earlier
        The judge's p value over the passes before.
    judge_alarm
        The pass and the anchor in it, from 1, that raised the alarm.
    since
        Anchors graded since production's alarm, in the pass that has the most of them.
    before_judge
        Anchors that had been graded since production's alarm when theirs came; None unless both did in this order.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    alpha: float
    low: float
    high: float
    guard: int
    seed: int
    round: int = 1
    anchors: Betting
    production: Betting
    counts: tuple[int, ...]
    calibrated: Sums
    fresh: Sums = Sums()
    shift: Sums = Sums()
    farther: Sums = Sums()
    noise: float = 0.0
    earlier: float = 1.0
    judge_alarm: tuple[int, int] | None = None
    data_alarm: Alarm | None = None
    since: int = 0
    before_judge: int | None = None

    @classmethod
    def begin(
        cls,
        scores: Floats,
        low: float,
        high: float,
        *,
        alpha: float = 0.05,
        guard: int = GUARD,
        cells: int = CELLS,
        seed: int = 0,
    ) -> Self:
        """A watch on the judge that gave these scores.

        Parameters
        ----------
        scores : (N,)
            Of the run that was calibrated, drawn as production is: all its scores rather than those of labelled items,
            if these were chosen by score. One item a group.
        low, high
            Ends of the scale.
        guard
            Anchors that an alarm of production waits for at the least.
        cells
            Equal bins that scores of production are ranked by.
        seed
            Of the draws that break ties in rank.

        Raises
        ------
        ValueError
            For fewer than two scores, or scores off the scale.
        """
        if len(scores) < 2:
            raise ValueError("production is ranked among the scores of the calibrated run; bring two at the least")
        _on_scale("scores", scores, low, high)
        counts = np.bincount(bins(scores, np.linspace(low, high, cells + 1)), minlength=cells)
        return cls(
            alpha=alpha,
            low=low,
            high=high,
            guard=guard,
            seed=seed,
            anchors=Betting.begin(part(alpha, 1), statistics=2),
            production=Betting.begin(alpha, statistics=2),
            counts=tuple(counts.tolist()),
            calibrated=Sums().after(scores),
        )

    def again(self) -> Self:
        """At the beginning of another pass: the same old grades, new bets, and the next part of alpha."""
        following = self.round + 1
        now = {
            "round": following,
            "earlier": self.p_judge,
            "anchors": Betting.begin(part(self.alpha, following), statistics=2),
            "noise": self.variance,
            "shift": Sums(),
            "farther": Sums(),
            "fresh": Sums(),
        }
        return self.model_copy(update=now)

    @property
    def variance(self) -> float:
        """Of one anchor's shift."""
        return self.shift.error * self.shift.n if self.shift.n > 1 else self.noise

    @property
    def p_judge(self) -> float:
        """Valid at any time and over all passes."""
        return min(self.earlier, self.anchors.p * self.round * (self.round + 1), 1.0)

    def after_anchors(self, old: Floats, new: Floats, y: Floats, w: Floats | None = None) -> Self:
        """After more anchors of this pass, each once at most.

        Parameters
        ----------
        old, new : (m,)
            The judge's score at calibration and now, both made in the same way: as many samples, as many tries.
        y : (m,)
            People's score.
        w : (m,)
            Inverse sampling probabilities over their maximum, from 0 to 1, if the anchors were chosen by `old`: those
            chosen for an extreme score come back less extreme. Grading the anchors once more to have `old` needs none.

        Raises
        ------
        ValueError
            For scores off the scale, or arrays that do not fit.
        """
        for name, values in (("old", old), ("new", new), ("y", y)):
            _on_scale(name, values, self.low, self.high)
        z = differences(old, new, y, self.high - self.low, w)
        anchors = self.anchors.after(z)
        since = self._since(anchors.n)
        now: dict[str, object] = {
            "anchors": anchors,
            "shift": self.shift.after(new - old, w),
            "farther": self.farther.after(np.abs(new - y) - np.abs(old - y), w),
            "since": since,
        }
        if self.judge_alarm is None and anchors.alarm is not None:
            now["judge_alarm"] = (self.round, anchors.alarm)
            now["before_judge"] = None if self.data_alarm is None else self._since(anchors.alarm)
        return self.model_copy(update=now)

    def after_production(self, scores: Floats) -> Self:
        """After more scores of fresh items, (m,), drawn as those of the calibrated run were: one item a group.

        Raises
        ------
        ValueError
            For scores off the scale.
        """
        _on_scale("scores", scores, self.low, self.high)
        watch = self
        for first in range(0, len(scores), PIECE):
            watch = watch._after_piece(scores[first : first + PIECE])
        return watch

    def _after_piece(self, scores: Floats) -> Self:
        at = bins(scores, np.linspace(self.low, self.high, len(self.counts) + 1))
        draws = np.random.PCG64(self.seed).advance(self.production.n)
        z, counts = ranks(np.array(self.counts, dtype=np.int64), at, np.random.Generator(draws).random(len(at)))
        production = self.production.after(z)
        now: dict[str, object] = {
            "production": production,
            "counts": tuple(counts.tolist()),
            "fresh": self.fresh.after(scores),
        }
        if self.data_alarm is None and production.alarm is not None:
            until = self.fresh.after(scores[: production.alarm - self.production.n])
            moved = until.mean - self.calibrated.mean
            now["data_alarm"] = Alarm(item=production.alarm, round=self.round, anchors=self.anchors.n, moved=moved)
        return self.model_copy(update=now)

    def _since(self, graded: int) -> int:
        """`since`, with so many anchors graded in this pass."""
        if self.data_alarm is None:
            return 0
        return max(self.since, graded - (self.data_alarm.anchors if self.data_alarm.round == self.round else 0))


def differences(old: Floats, new: Floats, y: Floats, span: float, w: Floats | None = None) -> Floats:
    """What is bet on of each anchor, (m, 2) from -1 to 1: its shift, and how much farther from the people it is.

    The second finds a judge that got worse without moving on average. Each is cut off at FULL of the range `span`;
    both only change sign when old and new are swapped, so that cutting leaves their mean at 0 if nothing changed.
    """
    if not len(old) == len(new) == len(y) or (w is not None and len(w) != len(old)):
        raise ValueError("old, new, y and w must be of the same anchors")
    if w is not None and not ((w >= 0) & (w <= 1)).all():
        raise ValueError("weights of anchors lie between 0 and 1: divide by the largest of the whole set")
    moved = np.stack((new - old, np.abs(new - y) - np.abs(old - y)), axis=1)
    z: Floats = np.clip(moved / (FULL * span), -1, 1)
    return z if w is None else z * w[:, None]


def ranks(counts: Codes, at: Codes, draws: Floats) -> tuple[Floats, Codes]:
    """What is bet on of each new score, (m, 2) from -1 to 1, and the counts with them added.

    The rank U of a score among all before it and itself, ties broken by `draws`, is uniform and independent of the
    ranks before, if all are exchangeable. Bet on is 2 U - 1, and 2 |2 U - 1| - 1 for a change of spread.

    Parameters
    ----------
    counts : (B,)
        Earlier scores in each bin.
    at : (m,)
        The bin of each new score.
    draws : (m,)
        From 0 to 1.
    """
    hot = np.zeros((len(at), len(counts)), dtype=np.int64)
    hot[np.arange(len(at)), at] = 1
    before = counts + np.cumsum(hot, axis=0) - hot
    below = np.cumsum(before, axis=1) - before
    each = np.arange(len(at))
    place = 2 * (below[each, at] + draws * (before[each, at] + 1)) / (before.sum(axis=1) + 1) - 1
    return np.stack((place, 2 * np.abs(place) - 1), axis=1), counts + hot.sum(axis=0)


def part(alpha: float, pass_: int) -> float:
    """The part of alpha for one pass; over all passes they add up to alpha."""
    return alpha / (pass_ * (pass_ + 1))


def _on_scale(name: str, values: Floats, low: float, high: float) -> None:
    if not ((values >= low) & (values <= high)).all():
        raise ValueError(f"{name} has values outside {low:g} to {high:g}; leave unscored items out")
