"""How figures and text from outside are written, in a terminal, on a page and in a sheet."""

from __future__ import annotations

import re

from judge.grades import Sample
from rubrics import Binary, Criterion, Points, Preference
from rubrics.scales import written

#: What a screen would obey, or hide: controls, marks of direction, joiners, halves of surrogate pairs, tags.
_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
    r"|[\U000e0000-\U000e007f]"
    # Joiners are part of words and pictures, but only between characters beyond ASCII.
    r"|(?<![^\x00-\x7f])[\u200c\u200d]|[\u200c\u200d](?![^\x00-\x7f])"
)
#: A number below 0, which a spreadsheet need not be kept from.
_NEGATIVE = re.compile(r"-[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")


def visible(text: str) -> str:
    """The text with every character that a screen would obey, or hide, spelled out."""
    return _CONTROL.sub(lambda found: f"\\u{{{ord(found[0]):x}}}", text)


def shortened(text: str, most: int) -> str:
    """The text, or its beginning and a mark that there is more."""
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def number(value: float | None, digits: int = 2) -> str:
    """A figure, or a dash where there is none: never a nought in its place."""
    # A nought has no sign, whichever side it was rounded from.
    return "-" if value is None else f"{round(value, digits) + 0.0:.{digits}f}"


def money(cost_usd: float | None) -> str:
    """Dollars, or the word."""
    return "unknown" if cost_usd is None else f"${cost_usd:.4f}"


def share(value: float | None) -> str:
    """A share in per cent. Only all is shown as 100%."""
    if value is None:
        return "-"
    # A hair less is a weighted sum of all.
    return "100%" if value > 1 - 1e-9 else f"{min(value * 100, 99.9):.1f}%"


def plain(value: float) -> str:
    """A value on a scale: whole ones in full, others to four digits."""
    return written(value) if value.is_integer() else f"{value:.4g}"


def scale(minimum: float | None, maximum: float | None, to: str = "..") -> str:
    """From where to where a scale goes; the word for labels without values."""
    return "labels" if minimum is None or maximum is None else f"{plain(minimum)}{to}{plain(maximum)}"


def bounds(low: float | None, high: float | None, to: str = "..") -> str:
    """What a mean lies between."""
    return "-" if low is None else f"{number(low)}{to}{number(high)}"


def answer(criterion: Criterion, level: int | str | None, score: float | None, to: str = "..") -> str:
    """What a criterion was answered, on its scale."""
    if score is None or (isinstance(criterion, Binary) and level is not None):
        return visible(str(level))
    value = plain(score)
    if isinstance(criterion, Points) and level is not None:
        return f"{level}, {value} points"
    span = f"{value} on {scale(criterion.lowest, criterion.highest, to)}"
    return span if level is None or str(level) == value else f"{visible(str(level))} ({span})"


def sample(one: Sample) -> str:
    """What one of several samples answered."""
    told = one.level if one.level is not None else one.score
    return one.outcome.value if told is None else visible(plain(told) if isinstance(told, float) else str(told))


def required(criterion: Criterion) -> str | None:
    """The answer that a criterion requires at least; None where it requires none."""
    wanted = None if isinstance(criterion, Preference) else criterion.required
    return plain(wanted) if isinstance(wanted, float) else None if wanted is None else visible(str(wanted))


def inert(value: object) -> object:
    """A cell that no spreadsheet takes for a formula."""
    formula = isinstance(value, str) and value[:1] in tuple("=+-@\t\r\n＝＋－＠") and not _NEGATIVE.fullmatch(value)
    return f"'{value}" if formula else value
