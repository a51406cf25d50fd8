"""`judge calibrations check`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from judge.calibration.bound import take
from judge.calibration.drift import anchors as anchors_of
from judge.calibration.drift import watching
from judge.calibration.drift.changes import MARGIN
from judge.calibration.drift.concluding import conclude
from judge.calibration.drift.regrading import judge_of, regrade
from judge.calibration.shelf import find
from judge.cli import draw
from judge.cli.exits import Exit, expected, say
from judge.cli.grade import confirm, quoted
from judge.cli.progress import watch
from judge.cli.signals import stop_on_signals
from judge.datasets import Given
from judge.errors import InputError
from judge.exports import find_run
from judge.runs import Options, Run
from judge.store import open_store

if TYPE_CHECKING:
    from judge.store.results import RunInfo
    from judge.store.store import Store


@expected
def check(
    calibration: Annotated[str, typer.Argument(help="Name of the calibration, NAME@VERSION, its id, or latest.")],
    judge: Annotated[
        str | None, typer.Option("--judge", "-j", help="Another judge, or one that needs headers: a YAML file.")
    ] = None,
    known_change: Annotated[
        bool, typer.Option("--known-change", help="Something was changed on purpose: compare before and after, once.")
    ] = False,
    margin: Annotated[
        float, typer.Option(min=0.001, max=0.5, help="A difference that counts as none, as a share of the scale.")
    ] = MARGIN,
    anchors: Annotated[
        int | None, typer.Option(min=2, help="Grade so many of the labelled items; all without.")
    ] = None,
    production: Annotated[
        str | None, typer.Option(help="A run of fresh items: tells whether the judge changed, or what it grades.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Another seed draws other anchors.")] = 0,
    concurrency: Annotated[int | None, typer.Option(min=1, max=4096, help="Most calls in flight.")] = None,
    budget_usd: Annotated[float | None, typer.Option(min=0, help="Never spend more on this check.")] = None,
    allow_unpriced: Annotated[bool, typer.Option("--allow-unpriced", help="Accept an unknown price.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show messages, schema and cost; send nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask about the cost.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no summary.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Let the judge grade labelled items once more, and say whether it is still the one that was calibrated.

    The judge is asked as it is stored; its headers are not kept, so one that needs some is given with --judge. Exit 1
    where it changed.
    """
    if production is not None and known_change:
        raise InputError("--production is for changes that nobody announced; leave it out, or --known-change")
    with open_store(must_exist=True) as store:
        info, made = find(store, calibration)
        described = judge_of(store, info, made, judge)
        bound = take(store, info, made)
        before = watching.states(store, info.id)
        fresh = None
        if production is not None:
            fresh = watching.production_of(store, bound, find_run(store, production), before)
        assert bound.run is not None
        chosen = anchors_of.choose(bound, anchors, seed)
        dataset = Given(
            f"anchors of {bound.name}", anchors_of.texts(store, bound.run.id, chosen), described.takes_images
        )
        options = Options(
            samples=bound.run.samples,
            concurrency=concurrency,
            budget_usd=budget_usd,
            fresh=True,
            allow_unpriced=allow_unpriced,
        )
        scan = dataset.scan()
        worst = quoted(dataset, scan, bound.judgements.rubric, described, options)
        if dry_run:
            draw.dry_run(next(iter(dataset)), bound.judgements.rubric, described, scan, worst)
            return
        confirm(worst, yes, budget_usd)
        other_judge = known_change or (judge is not None and production is None)
        run = _regraded(store, regrade(store, bound, dataset, scan, described, options, _around(quiet), other_judge))
        known = known_change or run.judge.fingerprint != made.binding.judge.fingerprint
        found = conclude(store, bound, chosen, run, known=known, margin=margin, production=fresh, seed=seed)
    if as_json:
        typer.echo(json.dumps(found.as_dict(), ensure_ascii=False))
    elif not quiet:
        draw.check(found)
    raise typer.Exit(Exit.FAILED if found.alarm else Exit.FINE)


def _around(quiet: bool) -> Callable[[Run], AbstractContextManager[None]]:
    @contextmanager
    def around(run: Run) -> Iterator[None]:
        stop_on_signals(lambda: run.stop("interrupted"), lambda: run.stopped)
        with watch(run, quiet):
            yield

    return around


def _regraded(store: Store, grading: Coroutine[Any, Any, tuple[str, str | None]]) -> RunInfo:
    """The run of the anchors, once it is done. Leaves the program where it stopped before."""
    try:
        id_, stopped = asyncio.run(grading)
    except KeyboardInterrupt:
        say("interrupted before the first anchor; start the same command again")
        raise typer.Exit(Exit.STOPPED) from None
    if left := store.ask(store.runs.count_open, id_):
        say(f"stopped ({stopped}); {left:,} anchors are open: start the same command again to go on")
        raise typer.Exit(Exit.STOPPED)
    return find_run(store, id_)
