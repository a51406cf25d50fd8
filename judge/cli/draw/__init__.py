"""What people see in the terminal. No colour says what no word says."""

from __future__ import annotations

from judge.cli.draw.grade import grade
from judge.cli.draw.line import console, line
from judge.cli.draw.request import asking, dry_run, exchange, messages
from judge.cli.draw.runs import runs
from judge.cli.draw.summary import summary
from judge.notation import number, visible

__all__ = [
    "asking",
    "console",
    "dry_run",
    "exchange",
    "grade",
    "line",
    "messages",
    "number",
    "runs",
    "summary",
    "visible",
]
