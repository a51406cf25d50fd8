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


def open_store(url: str | None = None, tenant: str = "local", must_exist: bool = False) -> Store:
    """Opens the store at a database URL, by default the one in the settings.

    Where there is none it is made; raises StoreError instead where it `must_exist`.
    """
    kind = importlib.import_module("judge.store.store").Store
    opened: Store = kind.open(url or Settings().database_url, tenant, must_exist)
    return opened


def look() -> Store | None:
    """As `open_store`, for who only looks: None where there is no file yet, and none is made."""
    path = importlib.import_module("judge.store.database").backend_of(Settings().database_url).path
    return None if path is not None and not path.exists() else open_store()
