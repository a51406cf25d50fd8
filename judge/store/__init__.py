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
