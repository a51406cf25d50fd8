"""Agreement beyond chance on listed answers, with an interval that holds where hardly any answer differs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from judge.calibration.scale import Scale
from judge.calibration.statistics import confusion
from judge.calibration.statistics.bootstrap import Codes, Floats
from judge.calibration.statistics.figures import Figure, Undefined
from judge.calibration.statistics.moments import people_must_vary
from judge.calibration.statistics.shares import effective_items, share_of

#: Of all weight: how far a cell is moved to see what it does to a statistic.
_STEP = 1e-6


@dataclass(frozen=True, slots=True)
class BeyondChance:
    """Cohen's kappa or Gwet's AC1 of the nearest levels, as a metric.

    Attributes
    ----------
    statistic
        Of tables (B, K, K) -> (B,): (agreement - chance) / (1 - chance), agreement being the share of equal answers.
    chance
        The chance in it, of the same tables.
    varied
        Whether it is undefined where people gave a single answer.
    """

    scale: Scale
    statistic: Callable[[Floats], Floats]
    chance: Callable[[Floats], Floats]
    varied: bool = True

    def __call__(self, y: Floats, f: Floats, W: Floats) -> Floats:
        """The statistic under each reweighting, (B, n) -> (B,)."""
        people, judge = self._read(y, f)
        return self.statistic(confusion.tables(people, judge, W, confusion.levels(self.scale)))

    def figure(self, y: Floats, f: Floats, cluster: Codes, w: Floats | None = None, confidence: float = 0.95) -> Figure:
        """The statistic with its interval.

        Wilson's interval of the share of equal answers, read through (share - chance) / (1 - chance), for the numbers
        of items of which that share would be as uncertain as the statistic is by its clusters (`effective_items`).
        Percentiles of a bootstrap are too short towards 0 where a handful of answers differs, and nothing at all where
        none does.

        References
        ----------
        Fleiss, Cohen and Everitt (1969), Large sample standard errors of kappa and weighted kappa. Psychological
        Bulletin 72 (kappa's first-order terms, here summed by cluster). Korn and Graubard (1998), Survey Methodology
        24, section 2 (Wilson's interval at an effective number of items).
        """
        weights = np.ones(len(y)) if w is None else w
        try:
            people, judge = self._read(y, f)
        except Undefined as undefined:
            return Figure.undefined(str(undefined), len(y))
        count = len(np.unique(cluster))
        T = confusion.tables(people, judge, weights[None, :], confusion.levels(self.scale))
        value, chance = (float(of(T)[0]) for of in (self.statistic, self.chance))
        if count < 2:
            return Figure(value=value, n=len(y), why="one group has no interval")
        adds = weights * (1 - chance) * self._first_order(T[0])[people, judge]
        alike, most = people == judge, float(weights.max())
        sizes = effective_items(alike, adds, weights, cluster, (most, most), confidence)
        ends = sizes.interval(share_of(alike, weights), confidence)
        low, high = ((end - chance) / (1 - chance) for end in ends)
        return Figure(value=value, n=len(y), low=low, high=high)

    def losses(self, y: Floats, f: Floats, w: Floats) -> tuple[Floats, float]:
        """What each item takes from 1, (n,), and what a miss of the heaviest would take."""
        people, judge = self._read(y, f)
        T = confusion.tables(people, judge, w[None, :], confusion.levels(self.scale))
        whole = float(w.sum()) * (1 - float(self.chance(T)[0]))
        losses: Floats = w * (people != judge) / whole
        return losses, float(w.max()) / whole

    def _read(self, y: Floats, f: Floats) -> tuple[Codes, Codes]:
        if not len(y):
            raise Undefined("there are no items")
        people, judge = self.scale.nearest(y), self.scale.nearest(f)
        if self.varied:
            people_must_vary(people)
        return people, judge

    def _first_order(self, T: Floats) -> Floats:
        """What weight added to each cell does to the statistic, (K, K); 0 for cells without any."""
        found = np.zeros(T.shape)
        for row, column in np.argwhere(T > 0):
            step = min(_STEP * T.sum(), T[row, column] / 2)
            moved = np.stack([T, T])
            moved[:, row, column] += step, -step
            found[row, column] = np.subtract(*self.statistic(moved)) / (2 * step)
        return found
