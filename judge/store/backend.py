"""What differs between the databases that a store can lie in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

from sqlalchemy import Connection

from judge.errors import StoreError
from judge.store.ballast import Ballast

R = TypeVar("R")


class Backend(Protocol):
    """One database, and how it is reached."""

    name: str  #: for people: where it is, without a password
    path: Path | None  #: its file, where it is one of this machine
    ballast: Ballast | None  #: on the disk of that file
    queue_url: str | None  #: of the queue beside the tables, with its password; None where there is none

    def prepare(self) -> None:
        """Makes what must be there before the first connection. Raises StoreError."""

    def transact(self, work: Callable[[Connection], R], patient: bool = False) -> R:
        """The result of a transaction that writes, committed. With `patient` a server that went away is waited for."""

    def read(self, query: Callable[[Connection], R], patient: bool = False) -> R:
        """The result of a query, all of it as of one moment."""

    def is_full(self, error: Exception) -> bool:
        """Whether the disk is full."""

    def shared(self, error: Exception) -> bool:
        """Whether an error is one of the database itself: what else was in the transaction would meet it too."""

    def explained(self, error: Exception) -> StoreError:
        """What to do about an error, in one line."""

    def backup(self, out: Path) -> None:
        """A copy of the database as of one moment, in a file that is there and empty. Raises StoreError."""

    def close(self) -> None:
        """Lets go of all connections."""
