"""A list of runs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from judge.cli.draw.table import Row, table
from judge.notation import money, visible

if TYPE_CHECKING:
    from judge.store.results import RunInfo


def runs(found: Sequence[RunInfo]) -> None:
    """Runs, each with what was graded by what."""
    head = Row("run", ("state", "items", "open", "lost", "cost"), ("when", "rubric", "judge", "dataset"))
    table(head, [_row(run) for run in found])


def _row(run: RunInfo) -> Row:
    left = run.items - run.finished - run.held
    figures = (run.state, f"{run.items:,}", f"{left:,}", f"{run.held:,}", money(run.cost_usd))
    when = datetime.fromtimestamp(run.created_at).strftime("%Y-%m-%d %H:%M")
    kind = "" if run.judge.kind == "model" else f" ({run.judge.kind})"
    judge = f"{run.judge.name}{kind}"
    parts = [when, run.rubric.name, judge, run.dataset]
    if run.rescored_from is not None:
        parts.append(f"rescored from {run.rescored_from}")
    return Row(run.id, figures, tuple(visible(part) for part in parts))
