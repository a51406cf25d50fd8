"""One page about a calibration, for people: a file that needs nothing beside it."""

from __future__ import annotations

from judge.calibration.report.page import page
from judge.calibration.report.report import Report, gather

__all__ = ["Report", "gather", "page"]
