"""`judge calibrations`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from judge.calibration.demo.sets import SETS, calibrated
from judge.calibration.report import gather, page
from judge.calibration.shelf import find
from judge.cli import draw
from judge.cli.check import check
from judge.cli.compare import compare
from judge.cli.exits import expected, say
from judge.cli.output import new_file
from judge.cli.progress import spinner
from judge.store import open_store

app = typer.Typer(
    add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="How far judges were trusted."
)

app.command()(check)
app.command()(compare)

CalibrationArgument = Annotated[str, typer.Argument(help="Name of the calibration, NAME@VERSION, its id, or latest.")]


@app.command("list")
@expected
def list_(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Calibrations, newest first."""
    with open_store(must_exist=True) as store:
        found = store.ask(store.calibrations.find)
    if as_json:
        rows = [asdict(one) for one in found]
        typer.echo(json.dumps([{key: row[key] for key in row if key != "body"} for row in rows], ensure_ascii=False))
        return
    draw.calibrations(found)
    if not found:
        typer.echo("no calibrations yet; make one with: judge calibrate --run RUN --labels FILE")


@app.command()
@expected
def show(
    calibration: CalibrationArgument,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """What a calibration found."""
    with open_store(must_exist=True) as store:
        info, made = find(store, calibration)
    if as_json:
        typer.echo(info.body)
    else:
        draw.calibration(info, made)


@app.command()
@expected
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Keep labels and calibrations in your database.")] = False,
) -> None:
    """Calibrate three judges on labels that ship; needs no key and no network, and keeps nothing."""
    with (
        TemporaryDirectory(prefix="judge-demo-") as folder,
        open_store(None if keep else f"sqlite:///{folder}/demo.db") as store,
    ):
        draw.introduced()
        for one in SETS:
            with spinner(False) as told:
                _, made = calibrated(store, one, Path(folder), told)
            draw.demonstrated(one, made)
        draw.own_labels(store.name if keep else None)


@app.command()
@expected
def report(
    calibration: CalibrationArgument,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The file; calibration-ID.html without.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
) -> None:
    """Write what a calibration found as one HTML file, to read or to send: no script, nothing fetched."""
    with open_store(must_exist=True) as store:
        info, made = find(store, calibration)
        out = out or Path(f"calibration-{info.id}.html")
        with new_file(out, text=True, force=force) as file:
            file.write(page(gather(store, info, made)))
    say(f"report written to {out}")
