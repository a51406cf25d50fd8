"""`judge db`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from judge.cli.exits import expected, say
from judge.settings import Settings
from judge.store import upkeep
from judge.store.database import backend_of
from judge.store.tables import REVISION

if TYPE_CHECKING:
    from judge.store.backend import Backend

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="The database.")


@contextmanager
def _backend() -> Iterator[Backend]:
    backend = backend_of(Settings().database_url)
    try:
        yield backend
    finally:
        backend.close()


@app.command()
@expected
def status() -> None:
    """Show where the database is, its version and what it holds."""
    with _backend() as backend:
        found = upkeep.status(backend)
    typer.echo(f"database  {found.name}")
    typer.echo(f"schema    {found.revision or 'none yet'}; this program's is {REVISION}")
    if found.rows:
        typer.echo("rows      " + ", ".join(f"{count:,} {name}s" for name, count in found.rows.items()))
    if found.size_bytes is not None:
        typer.echo(f"size      {found.size_bytes / 1e6:,.1f} MB")


@app.command()
@expected
def upgrade() -> None:
    """Bring a database of an older version to this program's. A SQLite file is copied beside itself first."""
    with _backend() as backend:
        done = upkeep.upgrade(backend)
    if done.before == done.after:
        say(f"{backend.name}: is at this program's version already (schema {done.after})")
        return
    if done.backup is not None:
        say(f"as it was before: {done.backup}")
    say(f"{backend.name}: schema {done.before or 'none'} is now {done.after}")


@app.command()
@expected
def backup(
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write: a new one.")],
) -> None:
    """Copy the database to a file; others may write meanwhile."""
    with _backend() as backend:
        upkeep.backup(backend, out)
    say(f"{backend.name} is copied to {out}")
