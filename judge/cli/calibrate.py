"""`judge calibrate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from judge.calibration.bound import keep_recorded
from judge.calibration.calibration import calibrate
from judge.calibration.correction import Promise
from judge.calibration.judgements import Judgements, of_recording, of_run
from judge.calibration.labelling import label_files
from judge.calibration.labelling.sampling import Sampling
from judge.calibration.shelf import keep
from judge.cli import draw
from judge.cli.exits import expected
from judge.cli.progress import spinner
from judge.errors import InputError
from judge.exports import find_run
from judge.judges import Judge
from judge.runs import keep_rubric
from judge.store import open_store
from rubrics import Rubric

if TYPE_CHECKING:
    from judge.store.labels import Stored
    from judge.store.store import Store

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("calibrate")
@expected
def calibrate_(
    labels: Annotated[str, typer.Option("--labels", "-l", help="A file of labels, or the name of a label set.")],
    run: Annotated[str | None, typer.Option("--run", help="The run whose judge is calibrated.")] = None,
    recorded: Annotated[
        str | None, typer.Option("--recorded", help="A recorded judge, in the place of a run: a YAML file.")
    ] = None,
    rubric: Annotated[str | None, typer.Option("--rubric", "-r", help="The rubric, with --recorded.")] = None,
    name: Annotated[str | None, typer.Option("--name", help="Of the calibration; the judge's without.")] = None,
    group: Annotated[
        str | None, typer.Option(help="Column of the document, prompt or conversation; items of one input without.")
    ] = None,
    system: Annotated[str | None, typer.Option(help="Column of what made the items.")] = None,
    seed: Annotated[int, typer.Option(help="Another seed divides the groups otherwise.")] = 0,
    dev: Annotated[bool, typer.Option("--dev", help="Keep 40% of the groups out, for work on the prompt.")] = False,
    alpha: Annotated[float, typer.Option(min=0.001, max=0.9, help="Most errors among grades that stand.")] = 0.1,
    delta: Annotated[float, typer.Option(min=0.001, max=0.49, help="Chance that this is not kept.")] = 0.1,
    coverage: Annotated[float, typer.Option(min=0.5, max=0.99, help="Share of intervals that hold.")] = 0.9,
    network: Annotated[
        bool, typer.Option("--network", help="Let a network that learns each person's ways be chosen; needs torch.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the calibration as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no summary.")] = False,
) -> None:
    """Measure how far a judge agrees with people, and fit what corrects it: on labels that are kept apart."""
    promise = Promise(alpha=alpha, delta=delta, coverage=coverage)
    with open_store() as store:
        judgements, set_name, stored = _told(store, labels, run, recorded, rubric, group, system)
        sampling = Sampling.kept(store, judgements, stored)

        def record(purpose: str) -> int:
            number: int = store.change(store.calibrations.open_test, set_name, seed, purpose)
            return number

        with spinner(quiet) as told:
            made = calibrate(
                judgements,
                stored,
                sampling,
                label_set=set_name,
                group=group,
                record=record,
                promise=promise,
                seed=seed,
                dev=dev,
                network=network,
                told=told,
            )
        kept = keep(store, name or judgements.judge.name, made)
    if as_json:
        typer.echo(kept.body)
    elif not quiet:
        draw.calibration(kept, made)


def _told(
    store: Store,
    labels: str,
    run: str | None,
    recorded: str | None,
    rubric: str | None,
    group: str | None,
    system: str | None,
) -> tuple[Judgements, str, list[Stored]]:
    """What the judge said, the label set, and its labels; a file of labels is imported first."""
    if (run is None) == (recorded is None):
        raise InputError("name the run whose judge is calibrated with --run, or a recorded judge with --recorded")
    if run is not None:
        info = find_run(store, run)
        chosen: Rubric = store.ask(store.verdicts.stored_rubric, info.rubric.hash)
        set_name, stored = _labels(store, labels, chosen, group)
        in_file = any(one.label.group is not None for one in stored)
        return of_run(store, info, None if in_file else group, system), set_name, stored
    if rubric is None:
        raise InputError("name the rubric that the recorded judge graded by with --rubric")
    chosen = Rubric.load(rubric)
    keep_rubric(store, chosen)
    set_name, stored = _labels(store, labels, chosen, group)
    groups = {one.label.item: one.label.group for one in stored if one.label.group is not None}
    if group is not None and not groups:
        raise InputError(f"{labels}: no column {group!r}; name the column of the groups in the file of labels")
    items = dict.fromkeys(one.label.item for one in stored)
    assert recorded is not None
    described = Judge.load(recorded)
    found = of_recording(described, chosen, items, groups)
    keep_recorded(store, described, found)
    return found, set_name, stored


def _labels(store: Store, labels: str, rubric: Rubric, group: str | None) -> tuple[str, list[Stored]]:
    path = Path(labels)
    set_name = labels
    if path.suffix or path.exists():
        found = label_files.read(path, rubric, group)
        set_name = path.stem
        _refuse_other(store, set_name, rubric)
        store.change(store.labels.add, set_name, rubric.asked_hash, found.labels, str(path), found.sheet)
    else:
        _refuse_other(store, set_name, rubric)
    stored: list[Stored] = store.ask(store.labels.of_set, set_name)
    if not stored:
        raise InputError(f"there is no label set {labels!r}, nor a file of that name; see: judge labels list")
    return set_name, stored


def _refuse_other(store: Store, set_name: str, rubric: Rubric) -> None:
    asked = store.ask(store.labels.asked_hash, set_name)
    if asked is not None and asked != rubric.asked_hash:
        raise InputError(
            f"the label set {set_name} answers other questions than {rubric.name}; import these labels under another "
            "name with: judge labels import FILE --name NAME"
        )
