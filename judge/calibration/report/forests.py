"""Figures on one axis, a row each, with their intervals: which lie apart, and which do not."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from judge.calibration.statistics.figures import Figure
from judge.notation import plain
from judge.report.charts import Tick, along

#: Who or what a row is of; it decides how it is drawn.
Kind = Literal["judge", "people", "constant"]


@dataclass(frozen=True, slots=True)
class Axis:
    """From where to where, with the values that are named below it."""

    low: float
    high: float
    named: tuple[float, ...] = ()

    def at(self, value: float) -> float:
        """The share of the way along it, 0 to 1."""
        return along(value, self.low, self.high)

    @property
    def ticks(self) -> tuple[Tick, ...]:
        """The values that are named."""
        return tuple(Tick(self.at(value), plain(round(value, 9))) for value in self.named)


@dataclass(frozen=True, slots=True)
class Row:
    """A figure and where it lies. Places are shares of the way along the axis, None where there is nothing to show.

    `spread` says that the ends are no interval of the figure, but how far single scores lie from it.
    """

    name: str
    kind: Kind
    figure: Figure
    at: float | None
    low: float | None
    high: float | None
    spread: bool = False
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Forest:
    """Rows on an axis; `name` is what is measured, `about` how to read it."""

    name: str
    axis: Axis
    rows: tuple[Row, ...]
    about: str = ""


def row(name: str, kind: Kind, figure: Figure, axis: Axis, note: str | None = None) -> Row:
    """A figure at its place."""
    low, high = (None, None) if figure.low is None or figure.high is None else (figure.low, figure.high)
    return Row(
        name=name,
        kind=kind,
        figure=figure,
        at=None if figure.value is None else axis.at(figure.value),
        low=None if low is None else axis.at(low),
        high=None if high is None else axis.at(high),
        note=note,
    )


def agreement_axis(figures: Iterable[Figure]) -> Axis:
    """To 1, from 0 or as far below it as the figures go."""
    least = min(_ends(figures), default=0.0)
    low = -1.0 if least < -0.5 else -0.5 if least < 0 else 0.0
    return Axis(low, 1.0, (low, 0.0, 0.5, 1.0) if low else (0.0, 0.25, 0.5, 0.75, 1.0))


def error_axis(figures: Iterable[Figure]) -> Axis:
    """From 0 to a round number above all figures."""
    high = rounded(max(_ends(figures), default=1.0))
    return Axis(0.0, high, (0.0, high / 2, high))


def around_nought(figures: Iterable[Figure]) -> Axis:
    """As far below 0 as above it."""
    high = rounded(max(map(abs, _ends(figures)), default=1.0))
    return Axis(-high, high, (-high, 0.0, high))


def near(figures: Iterable[Figure], low: float, high: float) -> Axis:
    """The part of a scale where the figures lie, with room beside them."""
    ends = list(_ends(figures))
    if not ends:
        return Axis(low, high, (low, high))
    room = max(max(ends) - min(ends), (high - low) * 0.02) * 0.25
    step = rounded((max(ends) - min(ends) + 2 * room) / 4)
    first = max(low, math.floor((min(ends) - room) / step) * step)
    last = min(high, math.ceil((max(ends) + room) / step) * step)
    count = round((last - first) / step)
    return Axis(first, last, tuple(first + step * place for place in range(count + 1) if first + step * place <= last))


def rounded(value: float) -> float:
    """The next of 1, 2, 2.5, 5 and 10 times a power of ten that is not below; 1 for 0."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(times * power for times in (1, 2, 2.5, 5, 10, 20) if times * power >= value * (1 - 1e-9))


def of_scale(levels: Sequence[float]) -> Axis:
    """A scale, from its lowest level to its highest, with as many levels named as there is room for."""
    every = math.ceil(len(levels) / 8)
    named = (*levels[:-1:every], levels[-1]) if every > 1 else tuple(levels)
    return Axis(levels[0], levels[-1], named)


def _ends(figures: Iterable[Figure]) -> Iterable[float]:
    for one in figures:
        yield from (value for value in (one.value, one.low, one.high) if value is not None)
