"""The page about a run."""

from __future__ import annotations

from judge.notation import bounds, scale
from judge.report.report import LATENCY_SHARES, Report, Row
from judge.report.templates import SHARED, rendered
from judge.sections import SectionSummary
from judge.summary import CriterionSummary


def page(report: Report) -> str:
    """The report as HTML."""
    return rendered(
        SHARED / "report.html",
        {"bounds": _bounds, "scale": _scale},
        report=report,
        summary=report.summary,
        run=report.summary.run,
        totals=report.summary.totals,
        percentiles=[f"p{share * 100:g}" for share in LATENCY_SHARES],
    )


def _bounds(one: CriterionSummary | SectionSummary) -> str:
    return bounds(one.low, one.high, " to ")


def _scale(row: Row) -> str:
    return scale(row.minimum, row.maximum, " to ")
