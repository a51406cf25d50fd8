"""`judge runs`."""

from __future__ import annotations

import csv
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from judge import prompts
from judge.cli import draw
from judge.cli.exits import Exit, expected, say
from judge.cli.output import Output
from judge.errors import InputError, RunBusy
from judge.exports import find_run, flat, grades_of
from judge.items import Item
from judge.owner import is_dead
from judge.store import open_store
from judge.summary import summarise
from judge.verdicts import Outcome
from rubrics import Rubric, answer_schema

if TYPE_CHECKING:
    from judge.store.results import RunInfo
    from judge.store.store import Store

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="Runs and their grades.")

RunArgument = Annotated[str, typer.Argument(help="The run's id, how it begins, or latest.")]
SHOWN = 20
SECONDS_A_DAY = 86_400


class Format(StrEnum):
    """Of an export."""

    JSONL = "jsonl"
    CSV = "csv"


@app.command("list")
@expected
def list_(
    limit: Annotated[int, typer.Option(min=1, help="Most runs to list.")] = SHOWN,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Runs, newest first."""
    with open_store() as store:
        found = store.ask(store.results.runs, limit=limit)
    if as_json:
        typer.echo(json.dumps([_plain(one) for one in found], ensure_ascii=False))
    elif found:
        draw.runs(found)
    else:
        typer.echo("no runs yet; make one with: judge grade FILE --rubric RUBRIC --judge JUDGE")


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
        "cost_usd": info.cost_usd,
    }


@app.command()
@expected
def show(
    run: RunArgument,
    item: Annotated[str | None, typer.Option(help="Show this item in full, with its raw exchange.")] = None,
    outcome: Annotated[Outcome | None, typer.Option(help="Show items with this outcome.")] = None,
    lowest: Annotated[int | None, typer.Option(min=1, help="Show so many of the lowest grades.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """The summary of a run, or some of its grades."""
    with open_store() as store:
        info = find_run(store, run)
        if item is None and outcome is None and lowest is None:
            found = summarise(store, info.id)
            if as_json:
                typer.echo(json.dumps(found.as_dict(), ensure_ascii=False))
            else:
                draw.summary(found)
            return
        seqs = store.ask(store.results.places, info.id, item, outcome, lowest, SHOWN)
        by_seq = dict(store.ask(store.results.grades, info, seqs=seqs))
        if not by_seq:
            raise InputError(f"run {info.id} has no such item; see: judge runs show {info.id}")
        for grade in (by_seq[seq] for seq in seqs):
            if as_json:
                typer.echo(grade.model_dump_json())
                continue
            draw.grade(grade)
            if item is not None:
                _request(store, info, item)
                for one in store.ask(store.results.exchanges, info.id, item):
                    draw.exchange(one)


def _request(store: Store, info: RunInfo, item_id: str) -> None:
    """What the judge was shown: built again from rubric and item, which is exact while the prompt's version is."""
    item = Item(id=item_id, **store.ask(store.results.item_body, info.id, item_id))
    rubric = Rubric.model_validate_json(store.ask(store.results.rubric_body, info.rubric.hash))
    if item.own_rubric is not None:
        rubric = item.own_rubric
    mode = info.judge.mode
    if mode is None:
        draw.messages({"item": prompts.user(item)})
        return
    judge = store.ask(store.results.judge_body, info.judge.fingerprint)
    if judge["prompt"] != prompts.version(mode):
        say("this version of the program words its messages differently; what was sent had the same rubric and item")
    draw.messages({"system": prompts.system(rubric, mode), "user": prompts.user(item)})
    draw.asking(judge["description"]["model"], mode, dict(judge["asking"]["parameters"]), answer_schema(rubric))


@app.command()
@expected
def export(
    run: RunArgument,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The file; standard output without.")] = None,
    format_: Annotated[Format, typer.Option("--format", help="What to write.")] = Format.JSONL,
) -> None:
    """All grades of a run, in the order of the input."""
    with open_store() as store:
        info = find_run(store, run)
        if format_ is Format.JSONL and out is not None:
            say(f"{Output(out).write(store, info):,} grades written to {out}")
            return
        with _opened(out) as file:
            if format_ is Format.CSV:
                _csv(file, store, info)
            else:
                file.writelines(grade.model_dump_json() + "\n" for grade in grades_of(store, info))


@contextmanager
def _opened(out: Path | None) -> Iterator[IO[str]]:
    if out is None:
        yield sys.stdout
        return
    try:
        with out.open("x", encoding="utf-8", newline="") as file:
            yield file
    except FileExistsError:
        raise InputError(f"{out}: is there already; name another file") from None
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror}); name another file") from None


def _csv(file: IO[str], store: Store, info: RunInfo) -> None:
    """A row an item. Text that a spreadsheet would take for a formula gets an apostrophe before it."""
    # Items with a rubric of their own bring columns of their own, so the columns are known only after a first look.
    columns = dict.fromkeys(name for grade in grades_of(store, info) for name in flat(grade))
    writer = csv.DictWriter(file, list(columns))
    writer.writeheader()
    for grade in grades_of(store, info):
        writer.writerow({name: _inert(value) for name, value in flat(grade).items()})


def _inert(value: object) -> object:
    formula = isinstance(value, str) and value[:1] in tuple("=+-@\t\r\n＝＋－＠")
    return f"'{value}" if formula else value


@app.command()
@expected
def delete(
    run: RunArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete a run and its grades. What was paid stays in the ledger."""
    with open_store() as store:
        info = find_run(store, run)
        owner = store.ask(store.runs.owner, info.id)
        if owner is not None and not is_dead(owner):
            raise RunBusy(f"run {info.id} is being graded; stop it first")
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
    with open_store() as store:
        dropped = store.forget_replies(time.time() - older_than_days * SECONDS_A_DAY)
    say(f"{dropped:,} raw replies dropped")
