"""Which process holds something, and whether it still lives."""

from __future__ import annotations

import os
import socket
import time
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


#: How long what a process of another machine has begun is taken to be under way.
WORD_S = 3600.0
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


def is_dead(owner: str) -> bool:
    """True where the owner is known to have ended. A process of another machine is never known to have."""
    if owner == WORKERS:
        return False
    host, pid, started = owner.rsplit(":", 2)
    if host != socket.gethostname():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return _started(int(pid)) != started


def is_gone(owner: str, since: float) -> bool:
    """Whether nobody ends any more what an owner has begun at a time, where that takes minutes.

    Of another machine nobody knows whether a process lives: its word holds for an hour.
    """
    return is_dead(owner) or (not owner.startswith(f"{socket.gethostname()}:") and since < time.time() - WORD_S)


def describe(owner: str) -> str:
    """For people."""
    if owner == WORKERS:
        return "the workers of a service"
    host, pid, _ = owner.rsplit(":", 2)
    return f"process {pid} on {host}"
