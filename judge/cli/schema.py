"""`judge schema`."""

from __future__ import annotations

import json

import typer

from judge.grades import Grade
from judge.items import Item
from rubrics import Rubric

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="Published JSON schemas.")


@app.command()
def grade() -> None:
    """Of a row that `--out` and `judge runs export` write."""
    typer.echo(json.dumps(Grade.model_json_schema(mode="serialization"), indent=2))


@app.command()
def item() -> None:
    """Of a line of input."""
    typer.echo(json.dumps(Item.model_json_schema(), indent=2))


@app.command()
def rubric() -> None:
    """Of a rubric in its long form."""
    typer.echo(json.dumps(Rubric.model_json_schema(), indent=2))
