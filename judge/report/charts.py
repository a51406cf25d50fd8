"""Where the marks of a chart go. The page draws them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from judge.notation import plain
from judge.summary import CriterionSummary

#: Pixels. A character of a chart is no wider than this in any common font.
WIDTH, WIDEST_SLOT, CHARACTER = 256.0, 56.0, 7.0
BINS = 20
TICKS_APART = 0.15
#: More answers than this are told as numbers on a line, or the most frequent labels alone.
MOST_ANSWERS = 12


@dataclass(frozen=True, slots=True)
class Bar:
    """An answer, or a part of a scale, how often it was given, and its share of the most frequent one."""

    name: str
    count: int
    height: float


@dataclass(frozen=True, slots=True)
class Tick:
    """A word at a share of the way from left to right."""

    at: float
    name: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars side by side, named (`columns`) or with ticks under them (`histogram`), or one to a line (`lines`).

    `slot` is the width of a column in pixels, `mean` a share of the way from left to right. `rest` bars with
    `rest_count` answers in all are left out.
    """

    form: Literal["columns", "histogram", "lines"]
    bars: tuple[Bar, ...]
    slot: float = 0.0
    ticks: tuple[Tick, ...] = ()
    mean: float | None = None
    rest: int = 0
    rest_count: int = 0

    @property
    def told(self) -> str:
        """All of it in words, for those who do not see it."""
        said = [f"{bar.name}: {bar.count:,}" for bar in self.bars if bar.count]
        return "; ".join(said + [f"{self.rest:,} others: {self.rest_count:,}"] * bool(self.rest))


@dataclass(frozen=True, slots=True)
class Track:
    """A mean and its bounds as shares of the way along a scale."""

    low: float
    high: float
    mean: float | None


def chart(one: CriterionSummary) -> Chart | None:
    """How scores or labels lie; None where there are none."""
    if not one.distribution:
        return None
    told = one.by_answer
    if told and len(told) <= MOST_ANSWERS and (slot := _slot(told)):
        return Chart("columns", _bars(told), slot)
    if one.minimum is None or one.maximum is None or 0 < len(told) <= MOST_ANSWERS:
        return lines(told)
    if told:
        return Chart("histogram", _bars(told), ticks=(Tick(0.0, told[0][0]), Tick(1.0, told[-1][0])))
    mean = None if one.mean is None else along(one.mean, one.minimum, one.maximum)
    values = [(value, count) for value, count in one.distribution if isinstance(value, float)]
    parts = binned(values, one.minimum, one.maximum, BINS)
    return Chart("histogram", _bars(parts), ticks=_ticks(one.minimum, one.maximum), mean=mean)


def lines(told: Sequence[tuple[str, int]]) -> Chart:
    """A line for each of the most frequent answers, in the order of the scale."""
    least = sorted((count for _, count in told), reverse=True)[:MOST_ANSWERS][-1]
    kept = [pair for pair in told if pair[1] >= least][:MOST_ANSWERS]
    rest = sum(count for _, count in told) - sum(count for _, count in kept)
    return Chart("lines", _bars(kept), rest=len(told) - len(kept), rest_count=rest)


def track(low: float | None, high: float | None, mean: float | None, minimum: float, maximum: float) -> Track | None:
    """A mean between its bounds; None where nothing is known of it."""
    if low is None or high is None:
        return None
    middle = None if mean is None else along(mean, minimum, maximum)
    return Track(along(low, minimum, maximum), along(high, minimum, maximum), middle)


def binned(values: Sequence[tuple[float, int]], minimum: float, maximum: float, bins: int) -> list[tuple[str, int]]:
    """Counts of values in equal parts of a scale; what lies between two parts belongs to the upper one."""
    width = (maximum - minimum) / bins
    counts = [0] * bins
    for value, count in values:
        # A hair more, so that 0.3 of parts of 0.05 lies in the seventh and not, by rounding, in the sixth.
        counts[min(max(int((value - minimum) / width + 1e-9), 0), bins - 1)] += count
    edges = [plain(round(minimum + width * place, 9)) for place in range(bins + 1)]
    return [(f"{edges[place]} to {edges[place + 1]}", count) for place, count in enumerate(counts)]


def along(value: float, minimum: float, maximum: float) -> float:
    """Where a value lies between two ends, 0 to 1; beyond them at the nearer one."""
    return min(max((value - minimum) / (maximum - minimum), 0.0), 1.0)


def _bars(told: Sequence[tuple[str, int]]) -> tuple[Bar, ...]:
    most = max((count for _, count in told), default=0) or 1
    return tuple(Bar(name, count, count / most) for name, count in told)


def _slot(told: Sequence[tuple[str, int]]) -> float:
    """The width of a column in which every name and count has room; 0 where there is none."""
    slot = min(WIDEST_SLOT, WIDTH / len(told))
    longest = max(len(text) for name, count in told for text in (name, f"{count:,}"))
    return slot if longest * CHARACTER < slot else 0.0


def _ticks(minimum: float, maximum: float) -> tuple[Tick, ...]:
    nought = Tick(along(0.0, minimum, maximum), "0")
    between = (nought,) if TICKS_APART < nought.at < 1 - TICKS_APART else ()
    return (Tick(0.0, plain(minimum)), *between, Tick(1.0, plain(maximum)))
