"""What people see in the terminal. No colour says what no word says."""

from __future__ import annotations

from judge.cli.draw.comparison import compared
from judge.cli.draw.grade import grade
from judge.cli.draw.request import asking, dry_run, exchange, messages
from judge.cli.draw.runs import runs
from judge.cli.draw.summary import summary
from judge.notation import number

__all__ = [
    "asking",
    "compared",
    "dry_run",
    "exchange",
    "grade",
    "messages",
    "number",
    "runs",
    "summary",
]
