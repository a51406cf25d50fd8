"""`judge serve`."""

from __future__ import annotations

import ipaddress
import os
import time
from typing import Annotated

import typer

from judge import logs
from judge.cli.exits import expected
from judge.errors import SetupError
from judge.store import open_store

app = typer.Typer(add_completion=False, rich_markup_mode=None)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@app.command()
@expected
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on.")] = 8400,
    no_keys: Annotated[bool, typer.Option("--no-keys", help="All on this machine may ask, without a key.")] = False,
    no_worker: Annotated[bool, typer.Option("--no-worker", help="Take runs in, for `judge worker` to grade.")] = False,
    log_format: Annotated[
        logs.Format | None, typer.Option(help="Of the log on standard error; text on a terminal, else json.")
    ] = None,
) -> None:
    """Serve grading over HTTP, to those who have a key."""
    logs.install("info", log_format)
    if no_keys and not _is_loopback(host):
        raise SetupError(f"{host} can be reached from other machines; listen on 127.0.0.1, or leave --no-keys out")
    with open_store() as store:  # what is wrong with it is told here in one line
        if no_worker and store.queue_url is None:
            raise SetupError("no other process grades what lies in a SQLite file; leave --no-worker out")
        if not no_keys and not any(key.stands_at(time.time()) for key in store.ask(store.keys.every)):
            raise SetupError(
                "there is no key to ask with; make one with: judge keys create NAME, or serve this machine alone with "
                "--no-keys"
            )
    os.environ["JUDGE_KEYLESS"] = "1" if no_keys else ""
    os.environ["JUDGE_NO_WORKER"] = "1" if no_worker else ""
    import uvicorn  # noqa: PLC0415 - only this command serves

    # By name: `judge` does not import `api`, which builds on it.
    # Requests are logged by the service itself: uvicorn would write their whole addresses down.
    uvicorn.run(
        "api.app:create_app", factory=True, host=host, port=port, log_level=None, log_config=None, access_log=False
    )
