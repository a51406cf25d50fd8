"""What a process that serves for long has in memory from its start on."""

from __future__ import annotations

import gc
from functools import cache


@cache
def keep() -> None:
    """Takes what is loaded by now out of the garbage collector's rounds, once in a process.

    Modules, models and clients are a few hundred thousand objects that stay: each full round over them holds up every
    answer for a fifth of a second.
    """
    gc.collect()
    gc.freeze()
