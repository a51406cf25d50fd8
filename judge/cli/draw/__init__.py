"""What people see in the terminal. No colour says what no word says."""

from __future__ import annotations

from judge.cli.draw.calibration import calibration, calibrations
from judge.cli.draw.check import check
from judge.cli.draw.comparison import compared
from judge.cli.draw.demo import demonstrated, introduced, own_labels
from judge.cli.draw.estimate import estimate
from judge.cli.draw.grade import grade
from judge.cli.draw.judges import judges
from judge.cli.draw.plan import plan
from judge.cli.draw.request import asking, dry_run, exchange, messages
from judge.cli.draw.runs import runs
from judge.cli.draw.summary import summary
from judge.notation import number

__all__ = [
    "asking",
    "calibration",
    "calibrations",
    "check",
    "compared",
    "demonstrated",
    "dry_run",
    "estimate",
    "exchange",
    "grade",
    "introduced",
    "judges",
    "messages",
    "number",
    "own_labels",
    "plan",
    "runs",
    "summary",
]
