"""`judge labels`."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from judge.calibration.judgements import Judgements, of_run
from judge.calibration.labelling import label_files, next_items, sheets
from judge.calibration.labelling.pilot import take_pilot
from judge.cli import draw
from judge.cli.exits import expected, say
from judge.cli.output import new_file
from judge.errors import InputError
from judge.exports import find_run
from judge.store import open_store
from rubrics import Rubric

if TYPE_CHECKING:
    from judge.store.results import RunInfo
    from judge.store.store import Store

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="What people said.")

_TOLD = 5


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
    with open_store() as store:
        info = find_run(store, run) if run is not None else None
        chosen = _rubric(store, info, rubric)
        found = label_files.read(file, chosen, group)
        drawn = None if found.sheet is None else store.ask(store.labels.sheet_run, found.sheet)
        if found.sheet is not None and drawn is None:
            raise InputError(f"{file}: the sheet {found.sheet} was not drawn in {store.name}; import it where it was")
        source = find_run(store, sampled_from).id if sampled_from is not None else None
        set_name = name or file.stem
        asked = store.ask(store.labels.asked_hash, set_name)
        if asked is not None and asked != chosen.asked_hash:
            raise InputError(
                f"the label set {set_name} answers other questions than {chosen.name}; name another --name"
            )
        added = store.change(
            store.labels.add, set_name, chosen.asked_hash, found.labels, str(file), found.sheet, source
        )
        say(
            f"{set_name}: {added.new:,} new labels, {added.changed:,} revised, {added.same + found.repeated:,} the same"
        )
        if found.skipped:
            say(f"not read: {', '.join(found.skipped)}")
        if info is not None:
            _joined(store, info, {label.item for label in found.labels})


def _rubric(store: Store, info: RunInfo | None, rubric: str | None) -> Rubric:
    if (info is None) == (rubric is None):
        raise InputError("name the run whose items were labelled with --run, or the rubric with --rubric")
    if rubric is not None:
        return Rubric.load(rubric)
    assert info is not None
    found: Rubric = store.ask(store.verdicts.stored_rubric, info.rubric.hash)
    return found


def _joined(store: Store, info: RunInfo, labelled: set[str]) -> None:
    """Says which labels belong to no item of a run, and how many items have none."""
    known = store.ask(store.labels.item_ids, info.id)
    if strangers := sorted(labelled - known):
        more = f" and {len(strangers) - _TOLD:,} more" if len(strangers) > _TOLD else ""
        say(f"not in run {info.id}: {', '.join(strangers[:_TOLD])}{more}; these labels are in no figure of it")
    say(f"{len(labelled & known):,} of the {len(known):,} items of run {info.id} are labelled")


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
    with open_store() as store:
        info = find_run(store, run)
        judged = of_run(store, info)
        if criterion is not None and criterion not in judged.said:
            raise InputError(f"{info.rubric.name} has no criterion {criterion!r}; it has {', '.join(judged.said)}")
        if n > len(judged.items):
            raise InputError(
                f"run {info.id} has {len(judged.items):,} graded items, fewer than {n}; draw fewer with --n"
            )
        before = len(store.ask(store.labels.sheets_of, info.id))
        drawn = sheets.draw(sheets.strata(judged, criterion), n, next_items.seed_of(seed, before))
        sheet_ = hand_out(store, info, judged, drawn, drawn.places.tolist(), out, annotators, seed)
    say(f"{n:,} of {len(judged.items):,} items drawn, {sheet_}")


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
    """Writes a sheet for each annotator, with the items at these places, and the draw down. Says where they are."""
    ids = [judged.items[place] for place in shown]
    by_id = store.ask(store.results.items, info.id, ids)
    sheet_id = uuid.uuid4().hex[:12]
    files = [out] if annotators == 1 else [out.with_stem(f"{out.stem}-{k}") for k in range(1, annotators + 1)]
    guide = out.with_name(f"{out.stem}-guide.txt")
    with new_file(guide, text=True) as text:
        text.write(sheets.guide(judged.rubric) + "\n")
    for number, path in enumerate(files, 1):
        with new_file(path, text=True) as file:
            sheets.write(file, sheet_id, f"annotator-{number}", [by_id[id_] for id_ in ids], judged.rubric, seed)
    taken = {judged.items[place] for place in drawn.places.tolist()}
    rows = zip(judged.items, drawn.stratum.tolist(), drawn.probability.tolist(), strict=True)
    every = [store.labels.Drawn(item, stratum, p, item in taken) for item, stratum, p in rows]
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
    with open_store() as store:
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
    with open_store() as store:
        found = store.ask(store.labels.sets)
    if as_json:
        typer.echo(json.dumps([{"name": one.name, "labels": one.labels, "items": one.items} for one in found]))
    for one in () if as_json else found:
        typer.echo(f"{one.name:24} {one.labels:8,} labels  {one.items:7,} items  {one.annotators:3} annotators")
    if not found and not as_json:
        typer.echo("no labels yet; draw a sheet with: judge labels sheet RUN")
