"""The memory of a process that serves for long."""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress
from functools import cache

#: An option of glibc's `mallopt`, and how many heaps do for threads of which one at a time runs Python.
M_ARENA_MAX, ARENAS = -8, 2
#: From which size on a block is the system's own, and goes back to it when it is freed.
M_MMAP_THRESHOLD, LARGE_BYTES = -3, 64 * 1024


@cache
def keep() -> None:
    """Settles a process that has loaded what it needs, once.

    Modules, models and clients are a few hundred thousand objects that stay: they are taken out of the garbage
    collector's rounds, each of which held up every answer for a fifth of a second. And threads share their heaps:
    what is freed on one of a thread's own is lost to all others.
    """
    gc.collect()
    gc.freeze()
    with suppress(AttributeError, OSError):  # other systems do not have it, and manage without
        libc = ctypes.CDLL(None)
        libc.mallopt(M_ARENA_MAX, ARENAS)
        libc.mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)
