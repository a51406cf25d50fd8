"""`judge labels`."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from judge.calibration.judgements import Judgements, of_run
from judge.calibration.labelling import next_items, sheets
from judge.calibration.labelling.importing import import_file
from judge.calibration.labelling.pilot import take_pilot
from judge.cli import draw
from judge.cli.exits import Exit, expected, say
from judge.cli.output import new_files
from judge.errors import InputError
from judge.exports import find_run
from judge.notation import visible
from judge.store import open_store
from rubrics import Rubric

if TYPE_CHECKING:
    from judge.store.results import RunInfo
    from judge.store.store import Store

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="What people said.")


@app.command("import")
@expected
def import_(
    file: Annotated[
        Path, typer.Argument(help="CSV or JSONL: item, criterion, annotator, score; or a column a criterion.")
    ],
    run: Annotated[str | None, typer.Option("--run", help="The run whose items were labelled.")] = None,
    rubric: Annotated[str | None, typer.Option("--rubric", "-r", help="The rubric, where there is no run.")] = None,
    name: Annotated[str | None, typer.Option("--name", help="Of the label set; the file's without.")] = None,
    group: Annotated[str | None, typer.Option(help="Column of the document, prompt or conversation.")] = None,
    sampled_from: Annotated[
        str | None, typer.Option("--sampled-from", help="The run that the items are a random sample of.")
    ] = None,
) -> None:
    """Add labels to a set. What was there stays: another label of the same person is a revision."""
    with open_store(must_exist=run is not None) as store:
        info = find_run(store, run) if run is not None else None
        chosen = _rubric(store, info, rubric)
        source = find_run(store, sampled_from).id if sampled_from is not None else None
        done = import_file(store, file, chosen, name=name, group=group, run=info, sampled_from=source)
    for line in done.told:
        say(line)


def _rubric(store: Store, info: RunInfo | None, rubric: str | None) -> Rubric:
    if (info is None) == (rubric is None):
        raise InputError("name the run whose items were labelled with --run, or the rubric with --rubric")
    if rubric is not None:
        return Rubric.load(rubric)
    assert info is not None
    found: Rubric = store.ask(store.verdicts.stored_rubric, info.rubric.hash)
    return found


@app.command()
@expected
def sheet(
    run: Annotated[str, typer.Argument(help="The run's id, how it begins, or latest.")],
    n: Annotated[int, typer.Option("--n", min=1, help="Items to draw.")] = 50,
    annotators: Annotated[int, typer.Option(min=1, max=100, help="People, each with a file of their own.")] = 1,
    criterion: Annotated[str | None, typer.Option(help="Draw evenly by its answers; by the overall without.")] = None,
    seed: Annotated[int, typer.Option(help="Another seed draws other items.")] = 0,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="A CSV file; -1, -2 ... are added for several people.")
    ] = Path("sheet.csv"),
) -> None:
    """Draw items of a run for people to label, without what the judge said of them, and write sheets to fill in."""
    with open_store(must_exist=True) as store:
        info = find_run(store, run)
        judged = of_run(store, info)
        if criterion is not None and criterion not in judged.said:
            raise InputError(f"{info.rubric.name} has no criterion {criterion!r}; it has {', '.join(judged.said)}")
        items = len(judged.items)
        if not items:
            raise InputError(f"run {info.id} has no graded item by its rubric; grade some first")
        if n > items:
            say(f"run {info.id} has {items:,} graded items, fewer than {n:,}: all of them are drawn")
            n = items
        before = len(store.ask(store.labels.sheets_of, info.id))
        drawn = sheets.draw(sheets.strata(judged, criterion), n, next_items.seed_of(seed, before))
        sheet_ = hand_out(store, info, judged, drawn, drawn.places.tolist(), out, annotators, seed)
    say(f"{n:,} of {items:,} items drawn, {sheet_}")


def hand_out(
    store: Store,
    info: RunInfo,
    judged: Judgements,
    drawn: sheets.Draw,
    shown: Sequence[int],
    out: Path,
    annotators: int,
    seed: int,
) -> str:
    """Writes a sheet for each annotator, with the items at these places, and the draw down. Says where they are.

    The draw is kept before the files are there: one without files does no harm, files without their draw would.
    """
    if not out.name:
        raise InputError(f"{out}: is a folder; name a file in it")
    ids = [judged.items[place] for place in shown]
    by_id = store.ask(store.results.items, info.id, ids)
    sheet_id = uuid.uuid4().hex[:12]
    files = [out] if annotators == 1 else [out.with_stem(f"{out.stem}-{k}") for k in range(1, annotators + 1)]
    guide = out.with_name(f"{out.stem}-guide.txt")
    taken = {judged.items[place] for place in drawn.places.tolist()}
    rows = zip(judged.items, drawn.stratum.tolist(), drawn.probability.tolist(), strict=True)
    every = [store.labels.Drawn(item, stratum, p, item in taken) for item, stratum, p in rows]
    with new_files([guide, *files]) as (how_to, *opened):
        how_to.write(sheets.guide(judged.rubric) + "\n")
        for number, file in enumerate(opened, 1):
            sheets.write(file, sheet_id, f"annotator-{number}", [by_id[id_] for id_ in ids], judged.rubric, seed)
        store.change(store.labels.draw, sheet_id, info.id, seed, every)
    return (
        f"sheet {sheet_id}: {', '.join(map(str, files))}; how to: {guide}\n"
        f"when they are filled in: judge labels import {files[0]} --run {info.id} --name NAME"
    )


@app.command()
@expected
def plan(
    run: Annotated[str, typer.Argument(help="The run's id, how it begins, or latest.")],
    labels: Annotated[str, typer.Option("--labels", "-l", help="The label set that there is so far.")],
    half_width: Annotated[
        float, typer.Option(min=0.005, max=0.5, help="Half an interval's length; of means as a share of the scale.")
    ] = 0.05,
    criterion: Annotated[str | None, typer.Option(help="Draw where the judge is unsure of this one.")] = None,
    n: Annotated[int, typer.Option("--n", min=1, help="New items to draw, on average, with --out.")] = 50,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Draw the next items, and write a sheet.")] = None,
    annotators: Annotated[int, typer.Option(min=1, max=100, help="People, each with a file of their own.")] = 1,
    group: Annotated[
        str | None, typer.Option(help="Column of the document, prompt or conversation; items of one input without.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the split, and of the draw.")] = 0,
    dev: Annotated[bool, typer.Option("--dev", help="Plan for a split with a dev part.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """How many more labels an interval of this width needs; with --out the next items, where the judge was unsure."""
    with open_store(must_exist=True) as store:
        info = find_run(store, run)
        pilot = take_pilot(store, info, labels, group, seed, dev)
        if criterion is not None and criterion not in pilot.judgements.said:
            raise InputError(f"{info.rubric.name} has no criterion {criterion!r}")
        found = pilot.plan(half_width)
        if as_json:
            typer.echo(found.model_dump_json())
        else:
            draw.plan(found)
        if out is None:
            return
        following = pilot.next_items(store, info, criterion, n, seed)
        told = hand_out(store, info, pilot.judgements, following.draw, following.new, out, annotators, seed)
    for line in (*following.notes, told):
        say(line)


@app.command("list")
@expected
def list_(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Label sets, newest first."""
    with open_store(must_exist=True) as store:
        found = store.ask(store.labels.sets)
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in found], ensure_ascii=False))
    for one in () if as_json else found:
        counted = f"{one.labels:8,} labels  {one.items:7,} items  {one.annotators:3} annotators"
        when = datetime.fromtimestamp(one.created_at).strftime("%Y-%m-%d %H:%M")
        typer.echo(f"{visible(one.name):24} {counted}  {when}")
    if not found and not as_json:
        typer.echo("no labels yet; draw a sheet with: judge labels sheet RUN")


@app.command()
@expected
def delete(
    name: Annotated[str, typer.Argument(help="The label set.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete a label set on which no calibration rests. The looks at its held-out labels stay counted."""
    with open_store(must_exist=True) as store:
        if store.ask(store.labels.asked_hash, name) is None:
            raise InputError(f"there is no label set {name!r}; see: judge labels list")
        _refuse_resting(name, store.ask(store.labels.rests_on, name))
        count = len(store.ask(store.labels.of_set, name))
        if not yes and not typer.confirm(f"Delete the label set {name} and its {count:,} labels?", err=True):
            raise typer.Exit(Exit.CANNOT_START)
        _refuse_resting(name, store.change(store.labels.remove, name))
    say(f"the label set {name} is deleted")


def _refuse_resting(name: str, calibrations: Sequence[str]) -> None:
    if calibrations:
        rest = "rests" if len(calibrations) == 1 else "rest"
        raise InputError(f"{', '.join(calibrations)} {rest} on the label set {name}; it is kept for as long")
