"""The page itself: one file, no script, nothing fetched."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from judge.notation import bounds, money, number, plain, scale, share, shortened, visible
from judge.report.report import LATENCY_SHARES, Report, Row
from judge.sections import SectionSummary
from judge.summary import CriterionSummary

_HERE = Path(__file__).parent
#: What may be loaded: nothing. Styles are in the page, and the icon is empty.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
NOTHING = "–"


def page(report: Report) -> str:
    """The report as HTML. Text from outside is text: escaped, with what a screen would obey spelled out."""
    import jinja2  # noqa: PLC0415 - for those alone who make a report

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= FILTERS
    return environment.get_template("report.html").render(
        report=report,
        summary=report.summary,
        run=report.summary.run,
        totals=report.summary.totals,
        policy=POLICY,
        percentiles=[f"p{share * 100:g}" for share in LATENCY_SHARES],
        version=version("calibrated-judge"),
    )


def _shown(value: object) -> object:
    """What a template prints: plain text has its controls spelled out; what is markup already stays it."""
    return visible(value) if type(value) is str else value


def _number(value: float | None) -> str:
    return NOTHING if value is None else number(value)


def _share(value: float | None) -> str:
    return NOTHING if value is None else share(value)


def _count(value: int) -> str:
    return f"{value:,}"


def _bounds(one: CriterionSummary | SectionSummary) -> str:
    return bounds(one.low, one.high, " to ")


def _scale(row: Row) -> str:
    return scale(row.minimum, row.maximum, " to ")


def _when(at: float | datetime) -> str:
    at = at if isinstance(at, datetime) else datetime.fromtimestamp(at, UTC)
    return f"{at.day} {at:%B %Y, %H:%M} UTC"


#: How a template writes a figure.
FILTERS = {
    "bounds": _bounds,
    "count": _count,
    "money": money,
    "number": _number,
    "plain": plain,
    "scale": _scale,
    "share": _share,
    "shortened": shortened,
    "when": _when,
}
