"""A run, as it goes."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from judge.runs import Run

REFRESH_S, LINE_EVERY_S = 0.2, 15.0


@contextmanager
def watch(run: Run, quiet: bool) -> Iterator[None]:
    """Shows the run's progress on standard error: a bar on a terminal, a line now and then elsewhere."""
    if quiet:
        yield
        return
    looker = asyncio.ensure_future(_bar(run) if sys.stderr.isatty() else _lines(run))
    try:
        yield
    finally:
        looker.cancel()


@contextmanager
def spinner(quiet: bool) -> Iterator[Callable[[str], None]]:
    """Shows on standard error what long work is at: a spinner on a terminal, nothing elsewhere."""
    if quiet or not sys.stderr.isatty():
        yield lambda _: None
        return
    with Console(stderr=True).status("") as shown:
        yield lambda text: shown.update(text)


def status(run: Run) -> str:
    """Grades a second, cost, and failures by cause."""
    progress = run.progress
    rate = progress.graded / max(time.monotonic() - progress.began, 1e-9)
    cost = "cost unknown" if progress.cost_usd is None else f"${progress.cost_usd:.4f}"
    parts = [f"{rate:.1f} grades/s", cost]
    if run.waits_for:
        parts.append(f"the provider has {run.waits_for:,} calls in batches")
    if progress.unscored:
        parts.append("no score: " + ", ".join(f"{cause} {n}" for cause, n in progress.unscored.most_common(3)))
    if run.troubles:
        parts.append("asked again: " + ", ".join(f"{cause} {n}" for cause, n in run.troubles.most_common(3)))
    return " · ".join(parts)


async def _bar(run: Run) -> None:
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.fields[status]}"))
    with Progress(*columns, console=Console(stderr=True), transient=True, auto_refresh=False) as bar:
        task = bar.add_task("grading", total=run.items, status="")
        while True:
            bar.update(task, completed=run.progress.done, status=status(run))
            bar.refresh()
            await asyncio.sleep(REFRESH_S)


async def _lines(run: Run) -> None:
    while True:
        await asyncio.sleep(LINE_EVERY_S)
        print(f"{run.progress.done:,} of {run.items:,} · {status(run)}", file=sys.stderr, flush=True)  # noqa: T201
