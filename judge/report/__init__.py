"""One page about a run, for people: a file that needs nothing beside it."""

from __future__ import annotations

from judge.report.page import page
from judge.report.report import Report, gather

__all__ = ["Report", "gather", "page"]
