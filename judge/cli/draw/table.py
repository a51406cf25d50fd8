"""Rows of figures that stay aligned at every width, however long their names are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from judge.cli.draw.line import console, filled, line

#: Between two columns, and between two parts of a tail.
GAP = "  "
#: A name column narrower than this is no use beside tails.
LEAST_NAME = 24


@dataclass(frozen=True, slots=True)
class Row:
    """A name, figures, and a tail of parts that are never broken."""

    name: str
    figures: tuple[str, ...]
    tail: tuple[str, ...] = ()
    style: str = ""


def table(head: Row, rows: Sequence[Row]) -> None:
    """Figures in columns. Tails stand beside them where most fit; what is too long for its place has its own line."""
    every = (head, *rows)
    widths = [max(_cells(row.figures[at]) for row in every) for at in range(len(head.figures))]
    room = console.width - sum(widths) - len(GAP) * len(widths)
    name_width, tail_width = _shared(head, rows, room)
    for row in every:
        styles = ("dim", "dim") if row is head else (row.style, "")
        figures = "".join(GAP + figure.rjust(width) for figure, width in zip(row.figures, widths, strict=True))
        tail = GAP.join(row.tail)
        beside = _cells(tail) <= tail_width
        if _cells(row.name) > name_width:
            line((row.name, styles[0]))
            figures = " " * name_width + figures
        else:
            line((row.name, styles[0]), end=" " * (name_width - _cells(row.name)))
        line(((f"{figures}{GAP}{tail}" if beside else figures).rstrip(), styles[1]))
        if not beside and row is not head:
            indent = " " * (len(row.name) - len(row.name.lstrip()) + len(GAP))
            for text in filled(row.tail, console.width - len(indent), GAP):
                line(indent, text)


def _shared(head: Row, rows: Sequence[Row], room: int) -> tuple[int, int]:
    """How wide names may be, and tails beside figures: nothing where more than a quarter of them would not fit."""
    names = max(_cells(row.name) for row in (head, *rows))
    left = room - min(names, max(room // 2, LEAST_NAME)) - len(GAP)
    tails = [_cells(GAP.join(row.tail)) for row in rows]
    fitting = [tail for tail in tails if tail <= left]
    if 4 * len(fitting) < 3 * len(tails):
        return min(names, room), 0
    tail_width = max(*fitting, _cells(GAP.join(head.tail)))
    return min(names, room - tail_width - len(GAP)), tail_width


def _cells(text: str) -> int:
    return Text(text).cell_len
