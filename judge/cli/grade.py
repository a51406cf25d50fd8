"""`judge grade`."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from judge import otel
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
    QuietOption,
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
from judge.cli.estimate import looked_up
from judge.cli.exits import Exit, expected, say
from judge.cli.output import Output
from judge.cli.progress import watch
from judge.cli.signals import stop_on_signals
from judge.datasets import Dataset, Scan
from judge.errors import Paused, SetupError, StoreError, Waiting
from judge.journal import Journal
from judge.judges import SOURCES, Judge
from judge.prices import price_of
from judge.providers import BUILT_IN, Source, connect
from judge.quotes import Quote, quote
from judge.runs import Options, Run
from judge.store import open_store
from judge.summary import Summary, summarise
from judge.telemetry import Observers
from rubrics import Rubric

app = typer.Typer(add_completion=False, rich_markup_mode=None)

#: A worst case above this is asked about, where there is somebody to ask.
ASKED_ABOVE_USD = 1.0


def seconds(text: str) -> float:
    """`90`, `90s`, `15m` or `2h` in seconds."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text.strip())
    if not found or not float(found[1]):
        raise typer.BadParameter(f"{text!r} is not a time; write 90s, 15m or 2h")
    return float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[found[2]]


@app.command()
@expected
def grade(
    file: FileArgument,
    judge: JudgeOption,
    rubric: RubricOption = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the grades here as JSONL.")] = None,
    samples: SamplesOption = 1,
    criteria_per_call: PerCallOption = None,
    concurrency: ConcurrencyOption = None,
    rpm: RpmOption = None,
    tpm: TpmOption = None,
    deadline: Annotated[str | None, typer.Option(help="Stop sending after 90s, 15m or 2h.")] = None,
    budget_usd: Annotated[float | None, typer.Option(min=0, help="Never spend more on this run.")] = None,
    calibration: Annotated[str | None, typer.Option(help="Show the grades by this calibration of the judge.")] = None,
    limit: LimitOption = None,
    batch: BatchOption = False,
    batch_window: Annotated[
        str | None, typer.Option(help="Ask live what a batch has not answered after so long.")
    ] = None,
    fresh: FreshOption = False,
    resend_lost: Annotated[bool, typer.Option("--resend-lost", help="Ask again where an answer was lost.")] = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Grade items anew that failed.")] = False,
    take_over: Annotated[bool, typer.Option("--take-over", help="Go on with a run of a machine that is gone.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show messages, schema and cost; send nothing.")] = False,
    fail_under: Annotated[float | None, typer.Option(min=0, max=1, help="Exit 1 below this overall mean.")] = None,
    min_scored_share: Annotated[float | None, typer.Option(min=0, max=1, help="Exit 1 below this share.")] = None,
    skip_bad: SkipBadOption = False,
    allow_unpriced: UnpricedOption = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask about the cost.")] = False,
    quiet: QuietOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
    csv: CsvOption = None,
    id_column: IdColumn = None,
    input_column: InputColumn = None,
    output_column: OutputColumn = None,
    reference_column: ReferenceColumn = None,
    context_column: ContextColumn = None,
    images_column: ImagesColumn = None,
) -> None:
    """Grade every output in FILE, and print what the grades come to.

    The same command again goes on where it was stopped, and pays for nothing twice.
    """
    named = columns(id_column, input_column, output_column, reference_column, context_column, images_column)
    options = Options(
        samples=samples,
        concurrency=concurrency,
        rpm=rpm,
        tpm=tpm,
        deadline_s=None if deadline is None else seconds(deadline),
        budget_usd=budget_usd,
        fresh=fresh,
        resend_lost=resend_lost,
        retry_failed=retry_failed,
        take_over=take_over,
        allow_unpriced=allow_unpriced,
        mode="batch" if batch else "live",
        batch_window_s=None if batch_window is None else seconds(batch_window),
    )
    dataset, scan, chosen, described = opened(
        file, rubric, judge, criteria_per_call, named, limit, skip_bad, csv, quiet
    )
    worst = quoted(dataset, scan, chosen, described, options)
    if dry_run:
        draw.dry_run(next(iter(dataset)), chosen, described, scan, worst)
        _history(dataset, scan, chosen, described, options)
        return
    confirm(worst, yes, budget_usd)
    target = Output(out) if out else None
    try:
        summary, stopped = asyncio.run(_graded(dataset, scan, chosen, described, options, target, calibration, quiet))
    except KeyboardInterrupt:
        say("interrupted before the first item; start the same command again")
        raise typer.Exit(Exit.STOPPED) from None
    _report(summary, as_json, quiet, stopped)
    raise typer.Exit(_exit(summary, stopped, fail_under, min_scored_share))


def _history(dataset: Dataset, scan: Scan, rubric: Rubric, judge: Judge, options: Options) -> None:
    """What the judge's own history says of a dry run, where it has one."""
    try:
        made = looked_up(dataset, scan, rubric, judge, options)
    except SetupError as trouble:
        say(f"no estimate: {trouble}")
        return
    if made.expected is not None or made.answered:
        draw.estimate(made)


def quoted(dataset: Dataset, scan: Scan, rubric: Rubric, judge: Judge, options: Options) -> Quote | None:
    """The worst case; None where nothing is asked. Refuses a judge that cannot be made, or has no price."""
    if judge.provider not in BUILT_IN or judge.provider in SOURCES:
        adapter = connect(judge)
        if isinstance(adapter, Source):
            return None
        asyncio.run(adapter.close())
    price = price_of(judge, options.allow_unpriced)
    if price is None and options.budget_usd is not None:
        raise SetupError("a budget cannot be kept without a price; add `price: {input: 0.2, output: 0.8}` to the judge")
    own = (item for item in dataset if item.own_rubric is not None) if scan.own_rubrics else ()
    return quote(scan, rubric, judge, price, options.samples, own)


def confirm(worst: Quote | None, yes: bool, budget_usd: float | None) -> None:
    if worst is None or yes or not sys.stdin.isatty():
        return
    most = worst.worst_usd
    if most is not None and min(most, budget_usd if budget_usd is not None else most) <= ASKED_ABOVE_USD:
        return
    price = "an unknown sum" if most is None else f"up to ${most:.2f}, where no answer has to be asked for again"
    if not typer.confirm(f"{worst.calls:,} calls may cost {price}. Go on?", default=True, err=True):
        raise typer.Exit(Exit.CANNOT_START)


async def _graded(
    dataset: Dataset,
    scan: Scan,
    rubric: Rubric,
    judge: Judge,
    options: Options,
    out: Output | None,
    calibration: str | None,
    quiet: bool,
) -> tuple[Summary, str | None]:
    """Runs, or goes on, until done or stopped. The summary, and why it stopped where it did."""
    with open_store() as store:
        observer = Observers(Journal(), *otel.wanted())
        run = await Run.open(store, dataset, rubric, judge, options, scan, calibration, observer)
        stopped: str | None = None
        try:
            if out is not None:
                out.check(run.id, rubric.hash, run.judge_fingerprint)
            stop_on_signals(lambda: run.stop("interrupted"), lambda: run.stopped)
            with watch(run, quiet):
                await run.execute()
            stopped = run.stopped
        except (Paused, StoreError, Waiting) as trouble:
            stopped = str(trouble)
        finally:
            with suppress(StoreError):  # what stopped the run stops this too; a dead owner is noticed at the next start
                await run.close()
            observer.close()
        try:
            summary = summarise(store, run.id)
        except StoreError as trouble:  # a server that is gone stops this too
            say(f"stopped ({stopped or trouble})")
            raise typer.Exit(Exit.STOPPED) from None
        if out is not None:
            out.write(store, summary.run)
    return summary, stopped


def _report(summary: Summary, as_json: bool, quiet: bool, stopped: str | None) -> None:
    if as_json:
        typer.echo(json.dumps(summary.as_dict(), ensure_ascii=False))
    elif not quiet:
        draw.summary(summary)
    if stopped and summary.open:
        say(f"stopped ({stopped}); {summary.open:,} items are open: start the same command again to go on")


def _exit(summary: Summary, stopped: str | None, fail_under: float | None, min_scored_share: float | None) -> Exit:
    overall = summary.overall
    if summary.open:
        return Exit.STOPPED
    ending = Exit.FINE if summary.clean else Exit.FAILED
    share = overall.scored_share
    if min_scored_share is not None and (share is None or share < min_scored_share):
        say(
            f"under the threshold: scored share {share if share is None else format(share, '.3f')} < {min_scored_share}"
        )
        ending = Exit.FAILED
    if fail_under is not None and (overall.mean is None or overall.mean < fail_under):
        say(f"under the threshold: overall mean {draw.number(overall.mean, 3)} < {fail_under}")
        ending = Exit.FAILED
    return ending
