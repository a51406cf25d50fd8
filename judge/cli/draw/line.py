"""Lines of the terminal. Text from outside is shown as text: no markup, no control characters."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

from judge.verdicts import Outcome

COLOURS = {Outcome.SCORED: "green", Outcome.NOT_APPLICABLE: "cyan", Outcome.LOST: "red", Outcome.JUDGE_ERROR: "red"}
OTHER = "yellow"

console = Console(highlight=False)

Part = str | Text | tuple[str, str]


def line(*parts: Part, end: str = "\n") -> None:
    """A line of text, whose parts may have a style. It is never broken, so that it can be copied."""
    console.print(Text.assemble(*parts), soft_wrap=True, end=end)


def paragraph(*parts: Part, indent: int = 0) -> None:
    """Text that is broken between words where the terminal ends, each of its lines indented."""
    for text in Text.assemble(*parts).wrap(console, console.width - indent):
        text.rstrip()
        line(" " * indent, text)


def fact(name: str, parts: Iterable[str]) -> None:
    """A name and what belongs to it, broken between parts where the terminal ends."""
    indent = len(name) + 1
    for at, text in enumerate(filled(parts, console.width - indent, " · ")):
        line((f"{name} " if not at else " " * indent, "dim"), text)


def filled(parts: Iterable[str], width: int, between: str) -> list[str]:
    """Parts in lines of at most this width, none of them broken: one that is longer has a line of its own."""
    lines: list[str] = []
    for part in parts:
        longer = f"{lines[-1]}{between}{part}" if lines else part
        if lines and Text(longer).cell_len <= width:
            lines[-1] = longer
        else:
            lines.append(part)
    return lines
