"""What happens, as lines of a log: runs always, calls and grades where somebody wants to see every step."""

from __future__ import annotations

import logging

from judge.grades import Graded
from judge.judges import Judge
from judge.ledger import Settlement
from judge.telemetry import InHand, Observer
from rubrics import Rubric

log = logging.getLogger(__name__)


class Journal(Observer):
    """Writes down what happens, without what was asked or answered."""

    def settled(self, judge: Judge, settlement: Settlement, seconds: float | None) -> None:
        """See `Observer`."""
        if log.isEnabledFor(logging.DEBUG):
            told = {
                "judge": judge.name,
                "outcome": str(settlement.state),
                "cause": settlement.cause,
                "attempt": settlement.attempt,
                "seconds": None if seconds is None else round(seconds, 4),
                "prompt_tokens": settlement.prompt_tokens,
                "completion_tokens": settlement.completion_tokens,
                "cost_usd": settlement.cost_usd,
            }
            log.debug("call", extra=told)

    def graded(self, judge: Judge, rubric: Rubric, graded: Graded) -> None:
        """See `Observer`."""
        if log.isEnabledFor(logging.DEBUG):
            grade = graded.grade
            told = {
                "run": grade.run,
                "judge": judge.name,
                "outcome": str(grade.outcome),
                "cost_usd": grade.usage.cost_usd,
            }
            log.debug("grade", extra=told)

    def run_began(self, judge: Judge, run: InHand) -> None:
        """See `Observer`."""
        level, what = _level(run)
        log.log(level, "%s begun", what, extra=_told(judge, run))

    def run_ended(self, judge: Judge, run: InHand) -> None:
        """See `Observer`."""
        level, what = _level(run)
        progress = run.progress
        told = {
            "open": run.items - progress.done,
            "graded": progress.graded,
            "unscored": progress.unscored.total(),
            "cost_usd": progress.cost_usd,
            "why": run.stopped,
        }
        ended = "ended" if run.stopped is None else "stopped"
        log.log(level, "%s %s", what, ended, extra=_told(judge, run) | told)


def _level(run: InHand) -> tuple[int, str]:
    """A run that workers share is told of by who takes it in; each of its chunks is a step."""
    return (logging.INFO, "run") if run.part.chunk is None else (logging.DEBUG, "chunk")


def _told(judge: Judge, run: InHand) -> dict[str, object]:
    return {"run": run.id, "judge": judge.name, "items": run.items, "chunk": run.part.chunk}
