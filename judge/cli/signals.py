"""What Ctrl-C, and whoever ends a process kindly, bring about."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable

from judge.cli.exits import Exit, say


def stop_on_signals(stop: Callable[[], None], stopped: Callable[[], object]) -> None:
    """The first Ctrl-C stops sending, and waits for answers under way; one after that leaves at once."""

    def signalled() -> None:
        if stopped():
            os._exit(Exit.STOPPED)
        stop()
        say("stopping: waiting for answers under way; press Ctrl-C again to leave at once")

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, signalled)
