"""`judge judges`."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated

import typer

from judge.cli.exits import expected
from judge.errors import SetupError
from judge.judges import Judge
from judge.providers import BUILT_IN, Source
from judge.session import Session
from judge.store import open_store

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="Judges.")


@app.command("list")
@expected
def list_() -> None:
    """The providers, and the judges that were used."""
    typer.echo(f"providers: {', '.join(BUILT_IN)}, or one of yours as module:Class")
    with open_store(must_exist=True) as store:
        for name, kind, model, fingerprint in store.ask(store.results.judges_used):
            typer.echo(f"{name:32} {kind:10} {model:24} {fingerprint[:12]}")


@app.command("test")
@expected
def try_(
    judge: Annotated[str, typer.Argument(help="provider/model, simulated, or a YAML file.")],
    allow_unpriced: Annotated[bool, typer.Option("--allow-unpriced", help="Accept an unknown price.")] = False,
) -> None:
    """Ask the judge one small question, and say how it can be asked. It replaces what was known before."""
    described = Judge.load(judge)
    asyncio.run(_probed(described, allow_unpriced))


async def _probed(judge: Judge, allow_unpriced: bool) -> None:
    with open_store() as store:
        began = time.monotonic()
        session = await Session.open(store, judge, allow_unpriced=allow_unpriced, fresh=True)
        try:
            if isinstance(session.adapter, Source):
                typer.echo(f"{judge.name}: {session.adapter.kind}; no model is asked")
                return
            if session.asking is None:
                raise SetupError(f"the judge {judge.name!r} was not probed")
            asking = session.asking
            left_out = {n for n in ("temperature", "reasoning_effort") if getattr(judge, n) is not None}
            left_out -= {name for name, _ in asking.parameters}
            typer.echo(f"{judge.name}: answers in {time.monotonic() - began:.1f} s")
            typer.echo(f"  mode         {asking.mode}")
            typer.echo(f"  parameters   {dict(asking.parameters) or 'none'}")
            if judge.logprobs:
                typer.echo(f"  logprobs     {'yes' if asking.logprobs else 'no'}")
            if left_out:
                typer.echo(f"  not taken    {', '.join(sorted(left_out))}")
            typer.echo(f"  says it is   {asking.reported_model}")
            price = session.price
            typer.echo(f"  price        {'unknown' if price is None else f'${price.input} in, ${price.output} out'}")
            typer.echo(f"  fingerprint  {session.fingerprint[:12]}")
        finally:
            await session.close()
