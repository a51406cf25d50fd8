"""`judge doctor`."""

from __future__ import annotations

import os
import sys
from importlib.metadata import PackageNotFoundError, version

import typer

import rubrics
from judge.cli.exits import Exit
from judge.errors import JudgeError
from judge.store import open_store
from judge.store.store import Store
from rubrics import Rubric

app = typer.Typer(add_completion=False, rich_markup_mode=None)

PACKAGES = ("calibrated-judge", "anthropic", "openai", "pydantic", "sqlalchemy")
KEYS = {"OPENAI_API_KEY": "openai/...", "ANTHROPIC_API_KEY": "anthropic/..."}


@app.command()
def doctor() -> None:
    """Check the set-up, and say what to mend. Exits 1 where something is wrong."""
    checks = [_python(), *map(_package, PACKAGES), *_store(), _shipped(), *map(_key, KEYS)]
    for fine, text in checks:
        typer.echo(f"{'ok  ' if fine else 'MEND'} {text}")
    if not all(fine for fine, _ in checks):
        raise typer.Exit(Exit.FAILED)


def _python() -> tuple[bool, str]:
    return sys.version_info >= (3, 11), f"Python {sys.version.split()[0]}"


def _package(name: str) -> tuple[bool, str]:
    try:
        return True, f"{name} {version(name)}"
    except PackageNotFoundError:
        return False, f"{name} is not installed; install this project again"


def _store() -> list[tuple[bool, str]]:
    try:
        with open_store() as store:
            count = len(store.ask(store.results.runs))
            return [(True, f"database {store.name}: {count:,} runs"), _service(store)]
    except JudgeError as error:
        return [(False, str(error))]


def _service(store: Store) -> tuple[bool, str]:
    """What callers of the service want graded, and on a PostgreSQL who is there to do it."""
    wanted = store.ask(store.jobs.wanted)
    told = f"service: {wanted:,} runs wanted"
    if store.queue_url is None:
        return True, told
    if not store.ask(store.jobs.are_kept):
        return False, f"{told}, and the tables of the queue are gone; restore the database from a copy"
    alive = store.ask(store.jobs.takers)
    told = f"{told}, {alive:,} workers alive"
    return (False, f"{told}; start one with: judge worker") if wanted and not alive else (True, told)


def _shipped() -> tuple[bool, str]:
    names = rubrics.shipped()
    for name in names:
        Rubric.load(name)
    return bool(names), f"{len(names)} rubrics ship: {', '.join(names)}"


def _key(name: str) -> tuple[bool, str]:
    """A key that is not there is no fault: not every judge needs it."""
    return True, f"{name} is {'set' if os.environ.get(name) else f'not set: {KEYS[name]} judges cannot be asked'}"
