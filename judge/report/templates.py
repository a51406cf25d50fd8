"""Pages from templates: one file each, no script, nothing fetched, and text from outside is text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from judge.notation import money, number, plain, share, shortened, visible

#: What every page shares: its frame, its style, and the macros of its marks.
SHARED = Path(__file__).parent
#: What may be loaded: nothing. Styles are in the page, and the icon is empty.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
NOTHING = "–"


def rendered(template: Path, filters: Mapping[str, Callable[..., str]], **context: Any) -> str:
    """A template of a folder as HTML. What is not markup is escaped, with what a screen would obey spelled out."""
    import jinja2  # noqa: PLC0415 - for those alone who make a report

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([template.parent, SHARED]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {**FILTERS, **filters}
    return environment.get_template(template.name).render(policy=POLICY, version=version("calibrated-judge"), **context)


def _shown(value: object) -> object:
    """What a template prints: plain text has its controls spelled out; what is markup already stays it."""
    return visible(value) if type(value) is str else value


def _number(value: float | None) -> str:
    return NOTHING if value is None else number(value)


def _share(value: float | None) -> str:
    return NOTHING if value is None else share(value)


def _count(value: int) -> str:
    return f"{value:,}"


def _when(at: float | datetime) -> str:
    at = at if isinstance(at, datetime) else datetime.fromtimestamp(at, UTC)
    return f"{at.day} {at:%B %Y, %H:%M} UTC"


#: How a template writes a figure.
FILTERS: Mapping[str, Callable[..., str]] = {
    "count": _count,
    "money": money,
    "number": _number,
    "plain": plain,
    "share": _share,
    "shortened": shortened,
    "when": _when,
}
