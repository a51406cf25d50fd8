"""`judge estimate`."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from typing import Annotated

import typer

from judge.cli import draw
from judge.cli.dataset import (
    BatchOption,
    ConcurrencyOption,
    ContextColumn,
    CsvOption,
    FileArgument,
    FreshOption,
    IdColumn,
    ImagesColumn,
    InputColumn,
    JudgeOption,
    LimitOption,
    OutputColumn,
    PerCallOption,
    ReferenceColumn,
    RpmOption,
    RubricOption,
    SamplesOption,
    SkipBadOption,
    TpmOption,
    UnpricedOption,
    columns,
    opened,
)
from judge.cli.exits import expected
from judge.datasets import Dataset, Scan
from judge.estimates import Estimate
from judge.estimating import estimate as estimated
from judge.judges import Judge
from judge.runs import Mode, Options
from judge.store import look
from rubrics import Rubric

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
@expected
def estimate(
    file: FileArgument,
    judge: JudgeOption,
    rubric: RubricOption = None,
    samples: SamplesOption = 1,
    criteria_per_call: PerCallOption = None,
    concurrency: ConcurrencyOption = None,
    rpm: RpmOption = None,
    tpm: TpmOption = None,
    limit: LimitOption = None,
    batch: BatchOption = False,
    fresh: FreshOption = False,
    skip_bad: SkipBadOption = False,
    allow_unpriced: UnpricedOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    csv: CsvOption = None,
    id_column: IdColumn = None,
    input_column: InputColumn = None,
    output_column: OutputColumn = None,
    reference_column: ReferenceColumn = None,
    context_column: ContextColumn = None,
    images_column: ImagesColumn = None,
) -> None:
    """Tell what grading FILE will cost and how long it will take, by what the judge came to before. Nothing is sent."""
    named = columns(id_column, input_column, output_column, reference_column, context_column, images_column)
    dataset, scan, chosen, described = opened(
        file, rubric, judge, criteria_per_call, named, limit, skip_bad, csv, quiet=as_json
    )
    mode: Mode = "batch" if batch else "live"
    options = Options(samples, concurrency, rpm, tpm, fresh=fresh, allow_unpriced=allow_unpriced, mode=mode)
    made = looked_up(dataset, scan, chosen, described, options)
    if as_json:
        typer.echo(made.model_dump_json())
    else:
        draw.estimate(made)


def looked_up(dataset: Dataset, scan: Scan, rubric: Rubric, judge: Judge, options: Options) -> Estimate:
    """The estimate by the store of the settings. None is made where there is none yet."""
    store = look()
    with store or nullcontext():
        return asyncio.run(estimated(store, dataset, scan, rubric, judge, options))
