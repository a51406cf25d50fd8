"""Where the marks of a plot of two axes go. Places are shares of the way: to the right, and upwards."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from judge.calibration.measuring import Length
from judge.calibration.performance import Acceptance, Performance, Reliability
from judge.calibration.report.forests import Axis, around_nought
from judge.calibration.statistics.figures import Figure
from judge.notation import number, plain, share
from judge.report.charts import Tick

Place = tuple[float, float]
#: `raw` is the judge as it is, `main` what is looked at, `guide` what it is held against, `limit` what was promised.
Look = Literal["raw", "main", "guide", "limit"]

#: Points of the curve of a confidence that knows every error.
ORACLE_POINTS = 40


@dataclass(frozen=True, slots=True)
class Point:
    """A mark with its interval upwards, and what it says."""

    x: float
    y: float
    look: Look
    told: str = ""
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A line through places."""

    look: Look
    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Plot:
    """Marks over two named axes. `band` is an area around a line; `told` says all of it in words."""

    x_name: str
    y_name: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    told: str
    points: tuple[Point, ...] = ()
    lines: tuple[Line, ...] = ()
    band: tuple[Place, ...] = ()


def reliability(found: Performance, axis: Axis) -> Plot | None:
    """What people said, where the judge said about the same: as it is, and calibrated."""
    if not found.reliability and not found.raw_reliability:
        return None
    same = found.raw_reliability == found.reliability
    raw = () if same else _bins(found.raw_reliability, axis, "raw")
    points = (*raw, *_bins(found.reliability, axis, "main"))
    return Plot(
        x_name="score",
        y_name="mean of the people",
        x_ticks=axis.ticks,
        y_ticks=axis.ticks,
        told="; ".join(point.told for point in points),
        points=points,
        lines=(Line("guide", ((0.0, 0.0), (1.0, 1.0))),),
    )


def _bins(found: Sequence[Reliability], axis: Axis, look: Look) -> Iterable[Point]:
    name = "as it is" if look == "raw" else "calibrated"
    for one in found:
        value = one.people.value
        if value is not None:
            yield Point(
                x=axis.at(one.score),
                y=axis.at(value),
                look=look,
                told=f"{name} {number(one.score)}: people {told(one.people)}",
                low=_at(axis, one.people.low),
                high=_at(axis, one.people.high),
            )


def _at(axis: Axis, value: float | None) -> float | None:
    return None if value is None else axis.at(value)


def told(figure: Figure) -> str:
    """A figure in one line, with its interval and what it rests on."""
    if figure.value is None:
        return f"undefined, {figure.why}"
    ends = "" if figure.low is None else f" [{number(figure.low)}, {number(figure.high)}]"
    return f"{number(figure.value)}{ends}, n {figure.n:,}"


def risk(found: Acceptance, alpha: float) -> Plot | None:
    """How many of the grades that stand are wrong, by how many stand; the threshold's own point on it."""
    if not found.curve:
        return None
    curve = sorted(found.curve, key=lambda one: one.accepted)
    whole = curve[-1].risk
    high = min(1.0, max(0.1, math.ceil(max(alpha, *(one.high for one in curve if one.accepted >= 0.1)) * 10) / 10))
    axis = Axis(0.0, high, (0.0, high / 2, high))
    oracle = [place / ORACLE_POINTS for place in range(ORACLE_POINTS + 1)]
    least = tuple((at, axis.at((at - 1 + whole) / at)) for at in oracle if at > 1 - whole)
    lines = [
        Line("guide", ((0.0, axis.at(whole)), (1.0, axis.at(whole)))),
        Line("guide", ((0.0, 0.0), (1 - whole, 0.0), *least)),
        Line("limit", ((0.0, axis.at(alpha)), (1.0, axis.at(alpha)))),
        Line("main", tuple((one.accepted, axis.at(one.risk)) for one in curve)),
    ]
    above = [(one.accepted, axis.at(one.high)) for one in curve]
    below = [(one.accepted, axis.at(one.low)) for one in reversed(curve)]
    points = [
        Point(
            one.accepted,
            axis.at(one.risk),
            "raw",
            f"confidence {plain(one.confidence)} and above: {share(one.accepted)} stand, of which "
            f"{share(one.risk)} [{share(one.low)}, {share(one.high)}] are wrong, n {one.n:,}",
        )
        for one in curve
    ]
    accepted, wrong = found.accepted.value, found.risk.value
    said = f"promised: at most {share(alpha)} wrong; were all to stand: {share(whole)}"
    if accepted is not None and wrong is not None:
        said = f"by the threshold {share(accepted)} stand, of which {share(wrong)} are wrong; {said}"
        points.append(
            Point(accepted, axis.at(wrong), "main", said, _at(axis, found.risk.low), _at(axis, found.risk.high))
        )
    return Plot(
        x_name="share of the grades that stand",
        y_name="share of them that is wrong",
        x_ticks=tuple(Tick(at, f"{at:.0%}") for at in (0.0, 0.25, 0.5, 0.75, 1.0)),
        y_ticks=tuple(Tick(axis.at(value), f"{value:.0%}") for value in axis.named),
        told=said,
        points=tuple(points),
        lines=tuple(lines),
        band=(*above, *below),
    )


def length(found: Length) -> Plot | None:
    """Judge less people by the length of the output, on a scale on which each doubling is as far."""
    if not found.points:
        return None
    doubled = [math.log2(characters) for characters, _ in found.points]
    gaps = [gap for _, gap in found.points]
    across = Axis(math.floor(min(doubled) * 2) / 2, math.ceil(max(doubled) * 2 + 1e-9) / 2)
    if across.low == across.high:
        across = Axis(across.low - 0.5, across.high + 0.5)
    up = around_nought(Figure(value=gap, n=1) for gap in gaps)
    lines = [Line("guide", ((0.0, 0.5), (1.0, 0.5)))]
    slope = found.slope.value
    if slope is not None:
        middle, mean = sum(doubled) / len(doubled), sum(gaps) / len(gaps)
        ends = [(at, mean + slope * (at - middle)) for at in (min(doubled), max(doubled))]
        lines.append(Line("main", tuple((across.at(at), up.at(gap)) for at, gap in ends)))
    return Plot(
        x_name="characters of the output",
        y_name="judge less people",
        x_ticks=tuple(Tick(across.at(math.log2(one)), f"{one:,}") for one in _characters(across)),
        y_ticks=up.ticks,
        told=f"judge less people by length, {len(gaps):,} items; as an output becomes twice as long: "
        f"{told(found.slope)}",
        points=tuple(Point(across.at(at), up.at(gap), "raw") for at, gap in zip(doubled, gaps, strict=True)),
        lines=tuple(lines),
    )


def _characters(axis: Axis) -> list[int]:
    """Numbers of characters to name: ones, twos and fives, as many as there is room for; else the ends."""
    every = [times * 10**power for power in range(7) for times in (1, 2, 5)]
    inside = [one for one in every if axis.low <= math.log2(one) <= axis.high]
    if len(inside) < 2:
        return [round(2**axis.low), round(2**axis.high)]
    while len(inside) > 6:
        inside = inside[::2]
    return inside
