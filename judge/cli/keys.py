"""`judge keys`."""

from __future__ import annotations

import json
import math
import re
import time
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from judge import keys
from judge.budgets import BudgetStanding, Period
from judge.cli.draw.line import line
from judge.cli.exits import expected, say
from judge.errors import InputError
from judge.keys import Key, Scope
from judge.notation import money, visible
from judge.store import open_store

if TYPE_CHECKING:
    from judge.store.store import Store

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="Keys of the service.")

BudgetOption = Annotated[str | None, typer.Option(help="Dollars that may be spent in total; `none` for no limit.")]
MonthlyOption = Annotated[str | None, typer.Option(help="Dollars in each calendar month of UTC.")]

DAY_S = 24 * 3600
TENANT = r"[a-z0-9][a-z0-9-]{0,63}"


@app.command()
@expected
def create(
    name: Annotated[str, typer.Argument(help="Whose it is, for people.")],
    scope: Annotated[list[Scope] | None, typer.Option(help="What it may be used for; grade and read without.")] = None,
    tenant: Annotated[str, typer.Option(help="Whose runs it sees; `local`: those of the commands.")] = "local",
    expires_days: Annotated[float | None, typer.Option(min=0.001, max=36500, help="Then it expires.")] = None,
    budget_usd: BudgetOption = None,
    monthly_usd: MonthlyOption = None,
) -> None:
    """Make a key and print it. It is not kept, so this is the only time that it can be seen."""
    _check_tenant(tenant)
    id_, text = keys.made()
    at = time.time()
    scopes = frozenset(scope or (Scope.GRADE, Scope.READ))
    until = None if expires_days is None else at + expires_days * DAY_S
    limits = _limits(budget_usd, monthly_usd)
    with open_store() as store:
        store.change(store.keys.add, Key(id_, tenant, name, scopes, at, until, None, keys.hashed(text)))
        _limit(store.of(tenant), id_, limits)
    typer.echo(text)
    say(f"key {id_} of {tenant}: {', '.join(sorted(scopes))}; it is not shown again")


@app.command()
@expected
def budget(
    key: Annotated[str | None, typer.Argument(help="The key's id.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Instead of one key: all calls of this tenant.")] = None,
    budget_usd: BudgetOption = None,
    monthly_usd: MonthlyOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what a key or a tenant may spend, and change it. What was spent before counts."""
    if (key is None) == (tenant is None):
        raise InputError("name a key by its id, or a tenant with --tenant; list the keys with: judge keys list")
    if tenant is not None:
        _check_tenant(tenant)
    limits = _limits(budget_usd, monthly_usd)
    with open_store(must_exist=True) as store:
        found = None if key is None else store.ask(store.keys.find, key)
        if key is not None and found is None:
            raise InputError(f"there is no key {key[:64]!r}; list them with: judge keys list")
        of = tenant if found is None else found.tenant
        assert of is not None
        _limit(store.of(of), key, limits)
        standing: list[BudgetStanding] = store.of(of).ask(store.budgets.standing, key)
    if as_json:
        typer.echo(json.dumps([one.model_dump(mode="json") for one in standing]))
        return
    for one in standing:
        line(f"{one.of}  ", _budget(one))
    if not standing:
        line("no budget: nothing is limited")


@app.command("list")
@expected
def list_(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the keys, without their secrets."""
    with open_store(must_exist=True) as store:
        found: list[Key] = store.ask(store.keys.every)
        spent: dict[str, float] = store.ask(store.budgets.spent_by_keys)
        limits = {one.id: store.of(one.tenant).ask(store.budgets.standing, one.id) for one in found}
    if as_json:
        rows = [
            {"id": one.id, "tenant": one.tenant, "name": one.name, "scopes": sorted(one.scopes)}
            | {"created_at": one.created_at, "expires_at": one.expires_at, "revoked_at": one.revoked_at}
            | {"spent_usd": spent.get(one.id, 0.0)}
            | {"budgets": [limit.model_dump(mode="json") for limit in limits[one.id]]}
            for one in found
        ]
        typer.echo(json.dumps(rows, ensure_ascii=False))
        return
    for one in found:
        own = "".join(f"; {_budget(limit)}" for limit in limits[one.id] if limit.of == "key")
        told = f"{visible(one.name)}  {' '.join(sorted(one.scopes))}  {_standing(one)}"
        line((one.id, "bold"), f"  {one.tenant}  {told}  spent {money(spent.get(one.id, 0.0))}{own}")


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


def _check_tenant(name: str) -> None:
    if re.fullmatch(TENANT, name) is None:
        raise InputError(f"{name[:64]!r} is no name of a tenant; write small letters, digits and hyphens")


def _limits(total: str | None, month: str | None) -> dict[Period, float | None]:
    told = {Period.TOTAL: total, Period.MONTH: month}
    return {period: _dollars(text) for period, text in told.items() if text is not None}


def _limit(store: Store, key: str | None, limits: dict[Period, float | None]) -> None:
    for period, limit in limits.items():
        store.change(store.budgets.put, key, period, limit)


def _dollars(text: str) -> float | None:
    if text == "none":
        return None
    try:
        usd = float(text)
    except ValueError:
        usd = math.nan
    if not 0 <= usd < math.inf:
        raise InputError(f"{text[:64]!r} is no sum of dollars; write a number such as 50, or none for no limit")
    return usd


def _budget(one: BudgetStanding) -> str:
    when = "in total" if one.month is None else f"in {one.month}"
    return f"{money(one.spent_usd)} of {money(one.limit_usd)} {when}, {money(one.left_usd)} left"
