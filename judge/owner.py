"""Which process holds something, and whether it still lives."""

from __future__ import annotations

import os
import socket
from functools import lru_cache
from pathlib import Path


def _started(pid: int) -> str:
    """When a process began, in ticks since boot, so that a reused pid is another process.

    "" where unknown, and where it has ended and its parent has not yet looked.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] in ENDED else fields[19]


#: States of a process of which nothing is left but its number.
ENDED = frozenset("ZX")
#: Has a run that any worker of the service may grade a chunk of.
WORKERS = "workers"


@lru_cache(maxsize=1)
def _named(pid: int) -> str:
    return f"{socket.gethostname()}:{pid}:{_started(pid)}"


def this_process() -> str:
    """The name of this process among all that share a database."""
    return _named(os.getpid())


def is_here(owner: str) -> bool:
    """Whether an owner is a process of this machine, or of this container of it."""
    return owner.startswith(f"{socket.gethostname()}:")


def is_dead(owner: str) -> bool:
    """True where a process of this machine has ended; see `judge.store.owners` for all others."""
    _, pid, started = owner.rsplit(":", 2)
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return _started(int(pid)) != started


def describe(owner: str) -> str:
    """For people."""
    if owner == WORKERS:
        return "the workers of a service"
    host, pid, _ = owner.rsplit(":", 2)
    return f"process {pid} on {host}"
