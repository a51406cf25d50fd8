"""Items of several runs that end in one transaction, as the store writes them."""

from __future__ import annotations

import asyncio
from dataclasses import asdict

import pytest
from sqlalchemy import delete, func, select, update

from judge import Item, Judge, Rubric
from judge.datasets import Given
from judge.errors import RunBusy
from judge.grades import Graded
from judge.owner import WORKERS, this_process
from judge.runs import Options, submit
from judge.session import Session
from judge.store.finishing import Finished
from judge.store.store import Store
from judge.store.wishes import Wish

ELSEWHERE = "another-machine:1:1"


def made(store: Store, outputs: list[str]) -> tuple[str, list[Graded]]:
    """A run of a few items that is wanted, and what they would come to."""

    async def told() -> tuple[str, list[Graded]]:
        rubric, session = Rubric.load("helpfulness"), await Session.open(store, Judge.load("simulated"))
        items = [Item(id=str(n), output=output) for n, output in enumerate(outputs)]
        dataset = Given("some", items)
        run = submit(store, dataset, dataset.scan(), rubric, session, Options())
        grader = session.grader(rubric, None)
        return run, [await grader.grade(item) for item in items]

    run, graded = asyncio.run(told())
    store.change(store.submissions.add, run, "simulated", asdict(Options()))
    return run, graded


def finish(store: Store, finished: list[Finished]) -> list[RunBusy | None]:
    """All in one transaction, as the writer does it."""
    return store.change(lambda connection, tenant: store.finishing.finish_for(tenant)(connection, finished))


def ended(store: Store, run: str) -> tuple[int, list[int | None], int]:
    """The count of its endings, that of each of its items, and how many grades it has."""
    runs, items, grades = store.tables.run, store.tables.run_item, store.tables.grade
    wanted = (
        select(runs.c.endings).where(runs.c.id == run),
        select(items.c.ending).where(items.c.run == run).order_by(items.c.seq),
        select(func.count()).where(grades.c.run == run),
    )
    count, places, graded = store.ask(lambda connection, _: [list(connection.execute(one).scalars()) for one in wanted])
    return count[0], places, graded[0]


@pytest.mark.parametrize("fate", ["taken over", "deleted"])
def test_of_several_runs_that_end_at_once_one_that_is_lost_harms_no_other(store: Store, fate: str) -> None:
    (kept, ours), (lost, theirs) = made(store, ["One.", "Two."]), made(store, ["Three."])
    for run in (kept, lost):
        store.change(store.submissions.begin, run, this_process())
    runs = store.tables.run
    changed = update(runs).values(owner=ELSEWHERE) if fate == "taken over" else delete(runs)
    store.change(lambda connection, _: connection.execute(changed.where(runs.c.id == lost)))
    me = this_process()
    said = finish(
        store,
        [
            Finished(kept, me, 0, 0, ours[0]),
            Finished(lost, me, 0, 0, theirs[0]),
            Finished(kept, me, 1, 0, ours[1]),
        ],
    )
    assert [one is None for one in said] == [True, False, True]
    assert ("taken over by" if fate == "taken over" else "was deleted") in str(said[1])
    count, places, grades = ended(store, kept)
    assert (count, places, grades > 0) == (2, [1, 2], True)
    if fate == "taken over":
        assert ended(store, lost) == (0, [None], 0)


def test_what_two_of_the_workers_end_is_there_once(store: Store) -> None:
    run, graded = made(store, ["One.", "Two."])
    store.change(store.submissions.begin, run, WORKERS)
    both = [Finished(run, WORKERS, seq, 0, one) for seq, one in enumerate(graded)]
    assert finish(store, both) == [None, None]
    count, places, grades = ended(store, run)
    # The chunk was brought twice: the count of endings may go up, what an item came to may not change.
    assert finish(store, both[:1]) == [None]
    assert ended(store, run) == (count + 1, places, grades)


def test_what_was_under_way_of_a_run_that_was_stopped_is_written(store: Store) -> None:
    run, graded = made(store, ["One."])
    store.change(store.submissions.begin, run, WORKERS)
    assert store.change(store.submissions.settle, run, Wish.CANCELLED)
    assert finish(store, [Finished(run, WORKERS, 0, 0, graded[0])]) == [None]
    assert ended(store, run)[:2] == (1, [1])
