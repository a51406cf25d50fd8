"""A file of items, as commands that grade it name it."""

from __future__ import annotations

from typing import Annotated

import typer

from judge.cli.exits import say
from judge.datasets import Dataset, Scan
from judge.errors import SetupError
from judge.grading import refuse_pairs
from judge.judges import Judge
from judge.settings import Settings
from rubrics import Rubric

FileArgument = Annotated[str, typer.Argument(help="JSONL, CSV or Parquet with id and output; - for standard input.")]
JudgeOption = Annotated[str, typer.Option("--judge", "-j", help="provider/model, simulated, or a YAML file.")]
RubricOption = Annotated[
    str | None,
    typer.Option("--rubric", "-r", help="Name of a shipped rubric, or a YAML file; for items without their own."),
]
SamplesOption = Annotated[int, typer.Option(min=1, max=100, help="Ask so often about each item.")]
PerCallOption = Annotated[
    int | None, typer.Option(min=1, max=100, help="Most criteria in one call; 1 asks for each alone.")
]
ConcurrencyOption = Annotated[int | None, typer.Option(min=1, max=4096, help="Most calls in flight.")]
RpmOption = Annotated[float | None, typer.Option(min=0.01, help="Most requests a minute.")]
TpmOption = Annotated[float | None, typer.Option(min=1, help="Most tokens a minute.")]
LimitOption = Annotated[int | None, typer.Option(min=1, help="Grade only the first items.")]
BatchOption = Annotated[bool, typer.Option("--batch", help="Ask in batches: half the price, within a day.")]
FreshOption = Annotated[bool, typer.Option("--fresh", help="Ask everything anew, in a new round.")]
SkipBadOption = Annotated[bool, typer.Option("--skip-bad", help="Leave out lines that are no item.")]
UnpricedOption = Annotated[bool, typer.Option("--allow-unpriced", help="Accept an unknown price.")]
CsvOption = Annotated[bool | None, typer.Option("--csv/--jsonl", help="The format, where the name does not tell.")]
IdColumn = Annotated[str | None, typer.Option("--id", help="Column of the id.")]
InputColumn = Annotated[str | None, typer.Option("--input", help="Column of the input.")]
OutputColumn = Annotated[str | None, typer.Option("--output", help="Column of the output.")]
ReferenceColumn = Annotated[str | None, typer.Option("--reference", help="Column of the reference.")]
ContextColumn = Annotated[str | None, typer.Option("--context", help="Column of the context.")]
ImagesColumn = Annotated[str | None, typer.Option("--images", help="Column of the images.")]

QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no summary.")]


def columns(*named: str | None) -> dict[str, str]:
    """The columns that are named, by the field that each holds."""
    fields = ("id", "input", "output", "reference", "context", "images")
    return {field: column for field, column in zip(fields, named, strict=True) if column is not None}


def opened(
    file: str,
    rubric: str | None,
    judge: str,
    criteria_per_call: int | None,
    named: dict[str, str],
    limit: int | None,
    skip_bad: bool,
    csv: bool | None,
    quiet: bool,
) -> tuple[Dataset, Scan, Rubric, Judge]:
    """What is graded, what is in it, by which rubric and judge. Says what is left out, and what is only kept.

    Raises InputError, SetupError, RubricError.
    """
    chosen = Rubric.of_each_item() if rubric is None else Rubric.load(rubric)
    described = Judge.load(judge)
    if criteria_per_call is not None:
        described = described.model_copy(update={"criteria_per_call": criteria_per_call})
    refuse_pairs(chosen)
    dataset = Dataset(file, named, limit, skip_bad, csv, Settings().max_output_bytes, described.takes_images)
    scan = dataset.scan()
    for line in scan.bad:
        say(f"left out: {line}")
    if scan.kept and not quiet:
        say(f"kept as metadata: {', '.join(scan.kept)}")
    if rubric is None and (without := scan.count - scan.own_rubrics):
        raise SetupError(f"items without a rubric of their own: {without:,}; name one with --rubric")
    return dataset, scan, chosen, described
