"""What happens while a judge is asked, told to whoever watches: a log, metrics, events.

Nobody watches unless a program says so where it opens a session. Watching never waits and never fails a grade: what an
observer does is done on the way of every call.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol

from judge.chunks import Part
from judge.grades import Graded
from judge.judges import Judge
from judge.ledger import Settlement
from rubrics import Rubric


@dataclass(slots=True)
class Progress:
    """What a run has done since it was started, for whoever looks on."""

    total: int
    done: int = 0
    began: float = field(default_factory=time.monotonic)
    graded: int = 0
    unscored: Counter[str] = field(default_factory=Counter)
    cost_usd: float | None = 0.0


class InHand(Protocol):
    """A run, or a part of one, that a process grades, as far as it shows."""

    @property
    def id(self) -> str:
        """Of the run."""

    @property
    def items(self) -> int:
        """How many it has."""

    @property
    def part(self) -> Part:
        """What of the run it is."""

    @property
    def progress(self) -> Progress:
        """How far it is."""

    @property
    def stopped(self) -> str | None:
        """Why it stopped before its end; None where it did not."""


class Observer:
    """Told what happens; this one does nothing about it."""

    def sent(self, judge: Judge) -> None:
        """A call is on its way."""

    def settled(self, judge: Judge, settlement: Settlement, seconds: float | None) -> None:
        """A call is over, after so many seconds; None where it was never on its way. It is written down soon."""

    def retried(self, judge: Judge, cause: str) -> None:
        """A call is to be sent once more, since this one failed."""

    def graded(self, judge: Judge, rubric: Rubric, graded: Graded) -> None:
        """An item has its grade."""

    def run_began(self, judge: Judge, run: InHand) -> None:
        """A run is graded, from here on by this process."""

    def run_ended(self, judge: Judge, run: InHand) -> None:
        """This process does no more for a run: all of it is graded, or `run.stopped` says why not."""

    def close(self) -> None:
        """Nothing more happens."""


class Observers(Observer):
    """Several, each told everything."""

    def __init__(self, *several: Observer) -> None:
        self._several = several

    def sent(self, judge: Judge) -> None:
        """See `Observer`."""
        for one in self._several:
            one.sent(judge)

    def settled(self, judge: Judge, settlement: Settlement, seconds: float | None) -> None:
        """See `Observer`."""
        for one in self._several:
            one.settled(judge, settlement, seconds)

    def retried(self, judge: Judge, cause: str) -> None:
        """See `Observer`."""
        for one in self._several:
            one.retried(judge, cause)

    def graded(self, judge: Judge, rubric: Rubric, graded: Graded) -> None:
        """See `Observer`."""
        for one in self._several:
            one.graded(judge, rubric, graded)

    def run_began(self, judge: Judge, run: InHand) -> None:
        """See `Observer`."""
        for one in self._several:
            one.run_began(judge, run)

    def run_ended(self, judge: Judge, run: InHand) -> None:
        """See `Observer`."""
        for one in self._several:
            one.run_ended(judge, run)

    def close(self) -> None:
        """See `Observer`."""
        for one in self._several:
            one.close()


NOBODY = Observer()
