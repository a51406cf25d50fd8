"""`judge keys`."""

from __future__ import annotations

import json
import re
import time
from datetime import datetime
from typing import Annotated

import typer

from judge import keys
from judge.cli.draw.line import line
from judge.cli.exits import expected, say
from judge.errors import InputError
from judge.keys import Key, Scope
from judge.notation import visible
from judge.store import open_store

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="Keys of the service.")

DAY_S = 24 * 3600
TENANT = r"[a-z0-9][a-z0-9-]{0,63}"


@app.command()
@expected
def create(
    name: Annotated[str, typer.Argument(help="Whose it is, for people.")],
    scope: Annotated[list[Scope] | None, typer.Option(help="What it may be used for; grade and read without.")] = None,
    tenant: Annotated[str, typer.Option(help="Whose runs it sees; `local`: those of the commands.")] = "local",
    expires_days: Annotated[float | None, typer.Option(min=0.001, max=36500, help="Then it expires.")] = None,
) -> None:
    """Make a key and print it. It is not kept, so this is the only time that it can be seen."""
    if re.fullmatch(TENANT, tenant) is None:
        raise InputError(f"{tenant[:64]!r} is no name of a tenant; write small letters, digits and hyphens")
    id_, text = keys.made()
    at = time.time()
    scopes = frozenset(scope or (Scope.GRADE, Scope.READ))
    until = None if expires_days is None else at + expires_days * DAY_S
    with open_store() as store:
        store.change(store.keys.add, Key(id_, tenant, name, scopes, at, until, None, keys.hashed(text)))
    typer.echo(text)
    say(f"key {id_} of {tenant}: {', '.join(sorted(scopes))}; it is not shown again")


@app.command("list")
@expected
def list_(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the keys, without their secrets."""
    with open_store(must_exist=True) as store:
        found: list[Key] = store.ask(store.keys.every)
    if as_json:
        rows = [
            {"id": one.id, "tenant": one.tenant, "name": one.name, "scopes": sorted(one.scopes)}
            | {"created_at": one.created_at, "expires_at": one.expires_at, "revoked_at": one.revoked_at}
            for one in found
        ]
        typer.echo(json.dumps(rows, ensure_ascii=False))
        return
    for one in found:
        line((one.id, "bold"), f"  {one.tenant}  {visible(one.name)}  {' '.join(sorted(one.scopes))}  {_standing(one)}")


@app.command()
@expected
def revoke(key: Annotated[str, typer.Argument(help="The key's id.")]) -> None:
    """End a key. A service that is running refuses it within a second."""
    with open_store(must_exist=True) as store:
        if not store.change(store.keys.revoke, key):
            raise InputError(f"there is no key {key[:64]!r} that stands; list them with: judge keys list")
    say(f"key {key} is revoked")


def _standing(one: Key) -> str:
    def day(moment: float) -> str:
        return f"{datetime.fromtimestamp(moment):%Y-%m-%d %H:%M}"

    if one.revoked_at is not None:
        return f"revoked {day(one.revoked_at)}"
    if one.expires_at is None:
        return f"made {day(one.created_at)}"
    return f"{'expires' if one.stands_at(time.time()) else 'expired'} {day(one.expires_at)}"
