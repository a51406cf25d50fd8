"""`judge calibrations compare`."""

from __future__ import annotations

from typing import Annotated

import typer

from judge.calibration.bound import take
from judge.calibration.comparing import compare as compare_judges
from judge.calibration.shelf import find
from judge.cli import draw
from judge.cli.exits import expected
from judge.cli.progress import spinner
from judge.errors import InputError
from judge.store import open_store


@expected
def compare(
    calibrations: Annotated[list[str], typer.Argument(help="Two or more: names, NAME@VERSION, or ids.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Hold two or more judges against the same held-out labels: agreement, cost, latency, and how far they differ."""
    if len(calibrations) < 2:
        raise InputError("name two calibrations at the least; list them with: judge calibrations list")
    with open_store(must_exist=True) as store, spinner(as_json) as told:
        bounds = []
        for ref in calibrations:
            told(f"reading {ref}")
            bounds.append(take(store, *find(store, ref)))

        def record(label_set: str, purpose: str) -> int:
            number: int = store.change(store.calibrations.open_test, label_set, bounds[0].info.seed, purpose)
            return number

        told("comparing")
        found = compare_judges(bounds, record)
    if as_json:
        typer.echo(found.model_dump_json())
    else:
        draw.judges(found)
