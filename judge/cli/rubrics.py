"""`judge rubrics`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

import rubrics
from judge.cli import imported
from judge.cli.exits import Exit, expected, say
from judge.errors import InputError
from rubrics import Rubric, importers

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="Rubrics.")

RubricArgument = Annotated[str, typer.Argument(help="Name of a shipped rubric, or a YAML file.")]

BEGINNING = """\
# What good is. Check it with: judge rubrics lint {file}
name: {name}
instructions: |
  Say here what the judge must know about the task, in a few sentences.
criteria:
  - id: correct
    question: Is everything that the output says right?
    scale: binary
    levels:
      yes: Every claim is right.
      no: At least one claim is wrong.
    cannot_tell: What is given does not allow to check the claims.
    required: yes
  - id: clear
    question: How easy is the output to understand for its reader?
    scale: ordinal
    weight: 2
    levels:
      1: It cannot be understood.
      2: It is understood with effort.
      3: It is understood at once.
"""


@app.command("list")
@expected
def list_() -> None:
    """The rubrics that ship."""
    for name in rubrics.shipped():
        rubric = Rubric.load(name)
        typer.echo(f"{name:24} {len(rubric.leaves)} criteria  {rubric.description}")


@app.command()
@expected
def show(
    rubric: RubricArgument,
    schema: Annotated[bool, typer.Option("--schema", help="Show the JSON schema that a judge must answer by.")] = False,
) -> None:
    """A rubric as JSON, with its hash; or its answer schema."""
    found = Rubric.load(rubric)
    shown = rubrics.answer_schema(found) if schema else {"hash": found.hash, **found.model_dump(mode="json")}
    typer.echo(json.dumps(shown, ensure_ascii=False, indent=2))


@app.command()
@expected
def lint(rubric: RubricArgument) -> None:
    """Check a rubric. Exits 1 where there is something to mend; notes may stay."""
    found = Rubric.load(rubric)
    findings = rubrics.lint(found)
    for finding in findings:
        typer.echo(f"{rubric}: {finding.severity}: {finding}")
    if any(finding.severity == "warning" for finding in findings):
        raise typer.Exit(Exit.FAILED)
    say(f"{rubric}: {len(found.leaves)} criteria, nothing to mend; hash {found.hash[:12]}")


@app.command()
@expected
def new(
    file: Annotated[Path, typer.Argument(help="The YAML file to begin.")],
) -> None:
    """Begin a rubric of your own."""
    if file.suffix not in {".yaml", ".yml"}:
        raise InputError(f"{file}: a rubric file ends in .yaml; write {file.name}.yaml")
    name = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "-" for c in file.stem.lower()).strip("-_.")
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(BEGINNING.format(file=file, name=name or "my-rubric"))
    except FileExistsError:
        raise InputError(f"{file}: is there already; name another file") from None
    except OSError as error:
        raise InputError(f"{file}: cannot be written ({error.strerror}); name another file") from None
    say(f"{file} is begun; check it with: judge rubrics lint {file}")


@app.command("import")
@expected
def import_(
    file: Annotated[Path, typer.Argument(help="A file of another tool.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="What to write: a .yaml or .jsonl file, or a folder.")],
    format: Annotated[
        str | None,
        typer.Option("--format", "-f", help=f"{', '.join(importers.FORMATS)}; told by the file if not given."),
    ] = None,
    outputs: Annotated[
        Path | None, typer.Option(help="JSONL of id and output: what is to be graded, for items that come without.")
    ] = None,
) -> None:
    """Bring in a rubric, or items with rubrics of their own, and say what could not be carried over."""
    found = importers.read(imported.text_of(file), format, str(file))
    items, strangers = list(found.items), 0
    if outputs is not None:
        if not items:
            raise InputError(f"{file}: holds no items; leave --outputs out")
        items, strangers = imported.with_outputs(items, outputs)
    written = imported.write(found.rubrics, items, out)
    for line in found.losses:
        say(f"{file}: {line}")
    if strangers:
        say(f"{outputs}: {strangers} of its outputs belong to no item")
    if lacking := sum("output" not in item for item in items):
        say(f"{written[-1]}: {lacking} of {len(items)} items have no output; add `output` to them, or give --outputs")
    for path in written:
        say(f"wrote {path}")
