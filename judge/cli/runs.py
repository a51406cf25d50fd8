"""`judge runs`."""

from __future__ import annotations

import json
import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from judge import prompts
from judge.cli import draw
from judge.cli.exits import Exit, Plain, expected, say
from judge.cli.output import Output, new_file
from judge.diffs import diff as compare
from judge.errors import InputError, RunBusy
from judge.exports import NO_RUNS, find_run, grades_of, write_csv, write_parquet
from judge.items import Item
from judge.report import gather, page
from judge.rescoring import rescore as make_rescored
from judge.store import open_store
from judge.summary import summarise
from judge.trust import applier
from judge.verdicts import Outcome
from rubrics import Rubric, answer_schema, in_parts

if TYPE_CHECKING:
    from judge.store.results import RunInfo
    from judge.store.store import Store

app = typer.Typer(
    cls=Plain, add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="Runs and their grades."
)

RunArgument = Annotated[str, typer.Argument(help="The run's id, how it begins, or latest.")]
CalibrationOption = Annotated[
    str | None, typer.Option("--calibration", help="Show grades by this calibration; by that of the run without.")
]
SHOWN = 20
SECONDS_A_DAY = 86_400


class Format(StrEnum):
    """Of an export."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


@app.command("list")
@expected
def list_(
    limit: Annotated[int, typer.Option(min=1, help="Most runs to list.")] = SHOWN,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Runs, newest first."""
    with open_store(must_exist=True) as store:
        found = store.ask(store.results.runs, limit=limit)
    if as_json:
        typer.echo(json.dumps([_plain(one) for one in found], ensure_ascii=False))
    elif found:
        draw.runs(found)
    else:
        typer.echo(NO_RUNS)


def _plain(info: RunInfo) -> dict[str, object]:
    return {
        "run": info.id,
        "state": info.state,
        "dataset": info.dataset,
        "rubric": info.rubric.model_dump(mode="json"),
        "judge": info.judge.model_dump(mode="json"),
        "round": info.round,
        "samples": info.samples,
        "items": info.items,
        "finished": info.finished,
        "lost": info.held,
        "created_at": info.created_at,
        "rescored_from": info.rescored_from,
        "cost_usd": info.cost_usd,
    }


@app.command()
@expected
def show(
    run: RunArgument,
    item: Annotated[str | None, typer.Option(help="Show this item in full, with its raw exchange.")] = None,
    outcome: Annotated[Outcome | None, typer.Option(help="Show items with this outcome.")] = None,
    lowest: Annotated[int | None, typer.Option(min=1, help="Show so many of the lowest grades.")] = None,
    calibration: CalibrationOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """The summary of a run, or some of its grades."""
    with open_store(must_exist=True) as store:
        info = find_run(store, run)
        if item is None and outcome is None and lowest is None:
            found = summarise(store, info.id, calibration)
            if as_json:
                typer.echo(json.dumps(found.as_dict(), ensure_ascii=False))
            else:
                draw.summary(found)
            return
        by = applier(store, info, calibration)
        seqs = store.ask(store.results.places, info.id, item, outcome, lowest, SHOWN)
        by_seq = dict(store.ask(store.results.grades, info, seqs=seqs))
        if not by_seq:
            raise InputError(f"run {info.id} has no such item; see: judge runs show {info.id}")
        judge = store.ask(store.results.judge_body, info.judge.fingerprint)
        probabilities = bool(judge.get("asking", {}).get("logprobs"))
        grades = [by_seq[seq] for seq in seqs]
        for grade in grades if by is None else by.apply(grades):
            if as_json:
                typer.echo(grade.model_dump_json())
                continue
            draw.grade(grade, store.ask(store.verdicts.stored_rubric, grade.rubric.hash), probabilities)
            if item is not None:
                _request(store, info, item)
                for one in store.ask(store.results.exchanges, info.id, item):
                    draw.exchange(one)


def _request(store: Store, info: RunInfo, item_id: str) -> None:
    """What the judge was shown: built again from rubric and item, which is exact while the prompt's version is."""
    item = Item(id=item_id, **store.ask(store.results.item_body, info.id, item_id))
    rubric = store.ask(store.verdicts.stored_rubric, info.rubric.hash)
    if item.own_rubric is not None:
        rubric = item.own_rubric
    mode = info.judge.mode
    if mode is None:
        draw.messages({"item": prompts.user(item)})
        return
    judge = store.ask(store.results.judge_body, info.judge.fingerprint)
    if judge["prompt"] != prompts.version(mode):
        say("this version of the program words its messages differently; what was sent had the same rubric and item")
    for part in in_parts(rubric, judge["description"]["criteria_per_call"]):
        draw.messages({"system": prompts.system(part, mode), "user": prompts.user(item)})
        draw.asking(judge["description"]["model"], mode, dict(judge["asking"]["parameters"]), answer_schema(part))


@app.command()
@expected
def export(
    run: RunArgument,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The file; standard output without.")] = None,
    format_: Annotated[Format, typer.Option("--format", help="What to write.")] = Format.JSONL,
    calibration: CalibrationOption = None,
) -> None:
    """All grades of a run, in the order of the input."""
    with open_store(must_exist=True) as store:
        info = find_run(store, run)
        if out is None:
            _printed(store, info, format_, calibration)
        elif format_ is Format.JSONL:
            say(f"{Output(out).write(store, info, calibration):,} grades written to {out}")
        elif format_ is Format.CSV:
            with new_file(out, text=True) as file:
                write_csv(file, store, info, calibration)
        else:
            with new_file(out, text=False) as file:
                write_parquet(file, store, info, calibration)


def _printed(store: Store, info: RunInfo, format_: Format, calibration: str | None) -> None:
    if format_ is Format.PARQUET:
        raise InputError("Parquet is not text; name a file with --out")
    if format_ is Format.CSV:
        write_csv(sys.stdout, store, info, calibration)
    else:
        sys.stdout.writelines(grade.model_dump_json() + "\n" for grade in grades_of(store, info, calibration))


@app.command()
@expected
def report(
    run: RunArgument,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The file; report-RUN.html without.")] = None,
    lowest: Annotated[int, typer.Option(min=1, max=1000, help="Show so many of the lowest grades in full.")] = 10,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
) -> None:
    """Write what a run came to as one HTML file, to read or to send: no script, nothing fetched."""
    with open_store(must_exist=True) as store:
        info = find_run(store, run)
        out = out or Path(f"report-{info.id}.html")
        with new_file(out, text=True, force=force) as file:
            file.write(page(gather(store, info, lowest)))
    say(f"report written to {out}")


@app.command()
@expected
def diff(
    before: RunArgument,
    after: RunArgument,
    most: Annotated[int, typer.Option(min=0, help="Tell so many of the items that differ most.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare two runs item by item, by the ids of their items."""
    with open_store(must_exist=True) as store:
        found = compare(store, find_run(store, before), find_run(store, after), most)
    if as_json:
        typer.echo(json.dumps(found.as_dict(), ensure_ascii=False))
    else:
        draw.compared(found)


@app.command()
@expected
def rescore(
    run: RunArgument,
    rubric: Annotated[str, typer.Option("--rubric", "-r", help="The rubric, changed in weights and the like alone.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Count a run's verdicts anew by other weights, points, values or required levels. Nothing is asked or paid."""
    with open_store(must_exist=True) as store:
        found = summarise(store, make_rescored(store, find_run(store, run), Rubric.load(rubric)))
        if as_json:
            typer.echo(json.dumps(found.as_dict(), ensure_ascii=False))
        else:
            draw.summary(found)


@app.command()
@expected
def delete(
    run: RunArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete a run and its grades. What was paid stays in the ledger."""
    with open_store(must_exist=True) as store:
        info = find_run(store, run)
        if store.ask(store.runs.is_held, info.id):
            raise RunBusy(
                f"run {info.id} is being graded; stop it first, or take it over with judge grade --take-over if that "
                "machine is gone"
            )
        if not yes and not typer.confirm(f"Delete run {info.id} and its {info.finished:,} grades?", err=True):
            raise typer.Exit(Exit.CANNOT_START)
        store.change(store.runs.remove, info.id)
        say(f"run {info.id} is deleted")


@app.command()
@expected
def prune(
    older_than_days: Annotated[float, typer.Option("--older-than-days", min=0, help="Age of the replies to drop.")],
) -> None:
    """Drop raw replies of old calls. Grades, verdicts and costs stay; such calls are paid again if asked again."""
    with open_store(must_exist=True) as store:
        dropped = store.forget_replies(time.time() - older_than_days * SECONDS_A_DAY)
    say(f"{dropped:,} raw replies dropped")
