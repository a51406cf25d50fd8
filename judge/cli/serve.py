"""`judge serve`."""

from __future__ import annotations

import ipaddress
from typing import Annotated

import typer

from judge.cli.exits import expected
from judge.errors import SetupError

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
    host: Annotated[str, typer.Option(help="Address to listen on; this machine only, as there are no keys yet.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on.")] = 8400,
) -> None:
    """Serve grading over HTTP."""
    if not _is_loopback(host):
        raise SetupError(f"{host} can be reached from other machines, and there are no keys; listen on 127.0.0.1")
    import uvicorn  # noqa: PLC0415 - only this command serves

    # By name: `judge` does not import `api`, which builds on it.
    uvicorn.run("api.app:create_app", factory=True, host=host, port=port, log_level="info")
