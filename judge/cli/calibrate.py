"""`judge calibrate`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from judge.calibration.bound import keep_recorded
from judge.calibration.calibration import Calibration
from judge.calibration.correction import Promise
from judge.calibration.judgements import Judgements, of_recording
from judge.calibration.labelling.groups import grouped, named_groups
from judge.calibration.labelling.importing import import_file, refuse_other
from judge.calibration.making import make
from judge.cli import draw
from judge.cli.exits import expected, say
from judge.cli.progress import spinner
from judge.errors import InputError, SetupError
from judge.exports import find_run
from judge.judges import Judge
from judge.runs import keep_rubric
from judge.store import open_store
from rubrics import Rubric

if TYPE_CHECKING:
    from judge.store.labels import Stored
    from judge.store.results import RunInfo
    from judge.store.store import Store


class Annotators(StrEnum):
    """What the people are who labelled."""

    EXPERTS = "experts"
    SKILLED = "skilled"
    CROWD = "crowd"


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
    people: Annotated[
        Annotators, typer.Option(help="Who labelled: a judge may lose the less to them, the cheaper they are.")
    ] = Annotators.EXPERTS,
    network: Annotated[
        bool, typer.Option("--network", help="Let a network that learns each person's ways be chosen; needs torch.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the calibration as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no summary.")] = False,
) -> None:
    """Measure how far a judge agrees with people, and fit what corrects it: on labels that are kept apart."""
    promise = Promise(alpha=alpha, delta=delta, coverage=coverage)
    if (run is None) == (recorded is None):
        raise InputError("name the run whose judge is calibrated with --run, or a recorded judge with --recorded")
    if system is not None and recorded is not None:
        raise InputError("--system names a column of a run's items; leave it out with --recorded")
    if network and find_spec("torch") is None:  # before labels are taken
        raise SetupError("--network needs torch; install this project with its extra: torch")
    with open_store(must_exist=run is not None) as store:
        info = None if run is None else find_run(store, run)
        given = _labels(store, labels, _rubric(store, info, rubric), group, info)
        for line in () if quiet else given.told:
            say(line)
        set_name, stored = given.label_set, given.stored
        if info is not None:
            column = None if given.grouped else group
            judgements = grouped(store, info, set_name, given.groups, column, system)
        else:
            judgements = _of_recording(store, str(recorded), str(rubric), given, group)
        with spinner(quiet) as told:
            kept, made = make(
                store,
                judgements,
                stored,
                set_name,
                name=name,
                group=group,
                promise=promise,
                seed=seed,
                dev=dev,
                network=network,
                people=people.value,
                told=told,
            )
    if as_json:
        typer.echo(kept.body)
    elif not quiet:
        draw.calibration(kept, made)
        for id_, why in _untrained(made) if network else ():
            say(f"{id_}: no network was tried: it {why}")


def _untrained(made: Calibration) -> Iterator[tuple[str, str]]:
    """Criteria of which no network was tried, and why."""
    for id_, one in made.corrections.items():
        for candidate in () if one.selection is None else one.selection.candidates:
            if candidate.kind == "network" and candidate.rmse is None:
                yield id_, str(candidate.why)


@dataclass(frozen=True, slots=True)
class _Given:
    """The labels of a set. `grouped`: a file was named, and its column of groups; `told` is what became of it."""

    label_set: str
    stored: list[Stored]
    groups: dict[str, str]
    grouped: bool = False
    told: tuple[str, ...] = ()


def _rubric(store: Store, info: RunInfo | None, rubric: str | None) -> Rubric:
    if info is not None:
        found: Rubric = store.ask(store.verdicts.stored_rubric, info.rubric.hash)
        return found
    if rubric is None:
        raise InputError("name the rubric that the recorded judge graded by with --rubric")
    return Rubric.load(rubric)


def _labels(store: Store, labels: str, rubric: Rubric, group: str | None, run: RunInfo | None) -> _Given:
    """A label set by its name, or a file, which is imported first."""
    path = Path(labels)
    is_set, is_file = store.ask(store.labels.asked_hash, labels) is not None, path.exists() and not path.is_dir()
    if is_set and is_file:
        raise InputError(f"{labels} is a label set and a file; write ./{labels} for the file, or rename it for the set")
    if not is_set and not is_file:
        raise InputError(f"there is no label set {labels!r}, nor a file of that name; see: judge labels list")
    if is_set:
        refuse_other(store, labels, rubric)
        label_set, grouped, told = labels, False, tuple[str, ...]()
    else:
        done = import_file(store, path, rubric, group=group, run=run, metadata=True)
        label_set, grouped, told = done.label_set, done.grouped, done.told
    stored: list[Stored] = store.ask(store.labels.of_set, label_set)
    if not stored:
        raise InputError(f"the label set {label_set} holds no label; add some with: judge labels import")
    return _Given(label_set, stored, named_groups(label_set, stored), grouped, told)


def _of_recording(store: Store, recorded: str, rubric: str, given: _Given, group: str | None) -> Judgements:
    if group is not None and not given.grouped:
        mend = "leave --group out" if given.groups else f"import its file again with --group {group}"
        itself = "its groups itself" if given.groups else "no groups"
        raise InputError(f"the label set {given.label_set} names {itself}; {mend}")
    chosen = Rubric.load(rubric)
    keep_rubric(store, chosen)
    described = Judge.load(recorded)
    found = of_recording(described, chosen)
    keep_recorded(store, described, found)
    return found
