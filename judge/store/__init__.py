"""Where calls, verdicts and grades are kept.

SQLAlchemy takes longer to import than everything else a small program needs, so it is loaded by name when a store
is opened, and not before.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from judge.settings import Settings

if TYPE_CHECKING:
    from judge.store.store import Store


def open_store(url: str | None = None, tenant: str = "local") -> Store:
    """Opens the store at a database URL, by default the one in the settings, and makes it where there is none."""
    opened: Store = importlib.import_module("judge.store.store").Store(url or Settings().database_url, tenant)
    return opened
