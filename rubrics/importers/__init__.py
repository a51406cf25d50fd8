"""Rubrics, and the items that come with them, out of the formats of other tools.

One module a format. Each reads what can be said here, and tells in plain lines what could not.
"""

from __future__ import annotations

from rubrics.importers.formats import FORMATS, read
from rubrics.importers.imported import Imported

__all__ = ["FORMATS", "Imported", "read"]
