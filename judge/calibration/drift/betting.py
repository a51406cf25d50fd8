"""Betting against a hypothesis: wealth that can hardly grow while it holds, whenever one looks."""

from __future__ import annotations

import math
from typing import Self

import numpy as np
from pydantic import BaseModel, ConfigDict

from judge.calibration.statistics.bootstrap import Floats

#: Stakes on either side; with |z| <= 1 none can lose everything.
STAKES = (0.03, 0.06, 0.12, 0.24, 0.48, 0.95)
#: The share of the wealth that is held back at first.
CASH = 0.5
#: After item t the share 1 / (SETTLING + t) of the wealth is spread anew, so that a late change finds stakes to grow.
SETTLING = 500


class Betting(BaseModel):
    """A test martingale and where it stands; as JSON it can be kept and gone on with.

    K_t = prod(1 + lam_t . z_t), starting at 1, with lam_t predictable and its parts together below 1 in size. It is the
    wealth of many bettors, each with a constant stake of one sign; those who won have more to stake on the next item.

    If E[z_t | what was bet on before] = 0 for every statistic, then P(K_t >= 1 / alpha for any t) <= alpha.

    Attributes
    ----------
    alpha
        The probability of a false alarm, over the whole stream however long.
    statistics
        S, how many statistics of each item are bet on.
    n
        Items seen.
    log_wealth, highest
        ln K_n, and the highest it has been.
    alarm
        The item, from 1, with which K first reached 1 / alpha.
    weights
        Who holds the wealth: cash, then for each statistic the stakes up and the stakes down.

    References
    ----------
    Ville (1939). Waudby-Smith and Ramdas (2024), Estimating means of bounded random variables by betting, JRSS B 86,
    sections 3 and 4 (K_t and mixtures of stakes). Herbster and Warmuth (1998), Tracking the best expert, Machine
    Learning 32 (the share spread anew). Shin, Ramdas and Rinaldo (2024), E-detectors, NEJSDS, bets on a late change
    too but bounds how often it alarms; here the probability of ever alarming is bounded.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    alpha: float
    statistics: int
    n: int = 0
    log_wealth: float = 0.0
    highest: float = 0.0
    alarm: int | None = None
    weights: tuple[float, ...]

    @classmethod
    def begin(cls, alpha: float, statistics: int = 1) -> Self:
        """Wealth 1 and nothing seen."""
        if not 0 < alpha < 1 or statistics < 1:
            raise ValueError(f"alpha must lie between 0 and 1 and statistics be 1 or more: {alpha:g}, {statistics}")
        return cls(alpha=alpha, statistics=statistics, weights=tuple(_first(statistics)))

    @property
    def p(self) -> float:
        """A p value that is valid at any time: 1 / max K."""
        return math.exp(-self.highest)

    def after(self, z: Floats) -> Self:
        """How it stands after more items. A stream in two pieces comes to the same as in one, to the last bit.

        Parameters
        ----------
        z : (m, S)
            The statistics of m items, in the order they came, each from -1 to 1.

        Raises
        ------
        ValueError
            For another shape, or a value outside.
        """
        if z.ndim != 2 or z.shape[1] != self.statistics:
            raise ValueError(f"the statistics must be of shape (m, {self.statistics}), not {z.shape}")
        if not (np.abs(z) <= 1).all():
            raise ValueError("a statistic lies outside -1 to 1")
        if len(z) == 0:
            return self
        path, weights = _play(z[None], np.array([self.weights]), np.array([self.log_wealth]), self.n)
        reached = np.flatnonzero(path[0] >= -math.log(self.alpha))
        alarm = self.n + int(reached[0]) + 1 if len(reached) and self.alarm is None else self.alarm
        now = {
            "n": self.n + len(z),
            "log_wealth": float(path[0, -1]),
            "highest": max(self.highest, float(path.max())),
            "alarm": alarm,
            "weights": tuple(weights[0].tolist()),
        }
        return self.model_copy(update=now)


def paths(z: Floats) -> Floats:
    """ln K_t of many streams at once: of shape (B, T, S), to (B, T). What `Betting` has after each item."""
    streams = len(z)
    return _play(z, np.tile(_first(z.shape[2]), (streams, 1)), np.zeros(streams), 0)[0]


def needed(mean: float, square: float, alpha: float, statistics: int = 1) -> float:
    """About how many items raise the alarm in 95 of 100 streams, if one statistic has this mean and mean square.

    Infinite where the mean is 0. By the growth of the best stake, lam * mean - lam^2 * square / 2 at the least, and a
    normal approximation of how evenly it grows.
    """
    growth = max(stake * abs(mean) - stake * stake * square / 2 for stake in STAKES)
    if growth <= 0:
        return math.inf
    start = min(1.0, _first(statistics)[1])
    goal = -math.log(alpha * start)
    # ln K after m items is near to normal with mean G = m growth and variance 2 G: G - 1.645 sqrt(2 G) = goal.
    z = 1.645 * math.sqrt(2)
    return float(((z + math.sqrt(z * z + 4 * goal)) / 2) ** 2 / growth)


def _first(statistics: int) -> Floats:
    """The weights at first, (1 + 12 S,)."""
    bettors = 2 * len(STAKES) * statistics
    return np.concatenate(([CASH], np.full(bettors, (1 - CASH) / bettors)))


def _play(z: Floats, weights: Floats, log_wealth: Floats, n: int) -> tuple[Floats, Floats]:
    """ln K after each item, (B, T), and who holds the wealth at the end, (B, 1 + 12 S)."""
    streams, items, statistics = z.shape
    first = _first(statistics)
    stakes = np.tile(np.concatenate((STAKES, np.negative(STAKES))), statistics)
    path = np.empty((streams, items))
    for at in range(items):
        won = weights.copy()
        won[:, 1:] *= 1 + stakes * np.repeat(z[:, at], 2 * len(STAKES), axis=1)
        grown = won.sum(axis=1)
        log_wealth = log_wealth + np.log(grown)
        path[:, at] = log_wealth
        share = 1 / (SETTLING + n + at + 1)
        weights = (1 - share) * won / grown[:, None] + share * first
    return path, weights
