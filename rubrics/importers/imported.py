"""What an import comes to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rubrics.rubric import Rubric

_NAMED = 3


@dataclass(frozen=True, slots=True)
class Imported:
    """Rubrics that stand alone; items as plain data, each with its own `rubric` where it has one; and what was lost.

    `losses` says in one line each what is left out or changed. Items have an `output` only where the format does.
    """

    rubrics: tuple[Rubric, ...]
    items: tuple[dict[str, Any], ...]
    losses: tuple[str, ...]


class Losses:
    """Collects what could not be carried over: one line for each kind, with the places."""

    def __init__(self) -> None:
        self._places: dict[str, list[str]] = {}

    def left_out(self, what: str, place: str) -> None:
        """It is not in what is made."""
        self._note(f"left out: {what}", place)

    def changed(self, what: str, place: str) -> None:
        """It is there, and means something else."""
        self._note(f"changed: {what}", place)

    @property
    def lines(self) -> tuple[str, ...]:
        """One line for each kind."""
        return tuple(f"{what} ({_some(places)})" for what, places in self._places.items())

    def _note(self, what: str, place: str) -> None:
        places = self._places.setdefault(" ".join(what.split()), [])
        if place not in places[-1:]:
            places.append(place)


def _some(places: list[str]) -> str:
    more = len(places) - _NAMED
    return ", ".join(places[:_NAMED]) + (f" and {more} more" if more > 0 else "")
