"""The page about a calibration."""

from __future__ import annotations

from pathlib import Path

from judge.calibration.report.names import name
from judge.calibration.report.report import Report
from judge.calibration.splits import Part
from judge.calibration.statistics.figures import Figure
from judge.notation import number, share
from judge.report.templates import rendered

#: What each part of the labels is for.
USES = {
    Part.DEV: "to work on the prompt; in no figure",
    Part.FIT: "to choose and fit the calibrator",
    Part.HOLD: "to set threshold and intervals, with the calibrator as it is",
    Part.TEST: "held out: every figure of agreement is of these alone",
}


def page(report: Report) -> str:
    """The report as HTML."""
    return rendered(
        Path(__file__).parent / "calibration.html",
        {
            "figures": _figures,
            "interval": _interval,
            "measure": _measure,
            "p": _p,
            "percent": _percent,
            "places": _places,
        },
        report=report,
        info=report.info,
        made=report.made,
        binding=report.made.binding,
        labels=report.made.labels,
        promise=report.made.promise,
        uses=USES,
    )


def _interval(figure: Figure, as_share: bool = False) -> str:
    """The ends of its interval."""
    written = share if as_share else number
    return f"[{written(figure.low)}, {written(figure.high)}]"


def _figures(value: float) -> str:
    """Of errors that lie close to each other: three figures that count."""
    return f"{value:#.3g}" if value else "0"


def _measure(of: str) -> str:
    return name(of).text


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else number(value, 3)


def _percent(value: float) -> str:
    """A share that was asked for, in per cent as it was written."""
    return f"{value * 100:.10g}%"


def _places(at: float | None) -> str:
    """A share of the way as CSS and SVG want it."""
    return "0%" if at is None else f"{round(at * 100, 2):g}%"
