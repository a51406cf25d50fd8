"""In which order the items of a run ended, as the store keeps it."""

from __future__ import annotations

import asyncio
import os

from sqlalchemy import select

from judge import Item, Judge, Rubric
from judge.datasets import Given
from judge.owner import this_process
from judge.rescoring import rescore
from judge.runs import Run
from judge.store.store import Store
from judge.store.tables import run, run_item


def graded(store: Store, count: int = 12) -> str:
    async def told() -> str:
        dataset = Given("some", [Item(id=f"i{n}", output=f"Answer {n}.") for n in range(count)])
        one = await Run.open(store, dataset, Rubric.load("helpfulness"), Judge.load("simulated"))
        await one.execute()
        await one.close()
        return one.id

    return asyncio.run(told())


def endings(store: Store, run_id: str) -> dict[int, int | None]:
    """Of every item, by its place."""
    wanted = select(run_item.c.seq, run_item.c.ending).where(run_item.c.run == run_id)
    found: dict[int, int | None] = store.ask(lambda connection, _: dict(connection.execute(wanted).all()))
    return found


def test_every_item_has_an_ending_of_its_own(store: Store) -> None:
    one = graded(store)
    assert sorted(endings(store, one).values(), key=lambda place: place or 0) == list(range(1, 13))
    mark = store.ask(store.endings.marks, [one, "0" * 12])
    assert list(mark) == [one]
    assert (mark[one].endings, mark[one].state, mark[one].owner, mark[one].turn) == (12, "done", None, 0)
    info = store.ask(store.results.run_info, one)
    whole = store.ask(store.endings.after, info, 0, 100)
    assert [place for place, _ in whole] == list(range(1, 13))
    assert store.ask(store.endings.after, info, 5, 3) == whole[5:8]
    assert store.ask(store.endings.after, info, 12, 3) == []
    assert store.of("other").ask(store.endings.marks, [one]) == {}


def test_what_is_opened_again_ends_after_all_others(store: Store) -> None:
    one = graded(store)
    info = store.ask(store.results.run_info, one)
    again = dict(store.ask(store.results.grades, info))[3].item

    def open_again(connection: object, tenant: str) -> None:
        here = (run_item.c.run == one, run_item.c.item_id == again)
        changed = run_item.update().where(*here).values(state="open", revision=run_item.c.revision + 1)
        connection.execute(changed)  # type: ignore[attr-defined]

    store.change(open_again)
    assert again not in [grade.item for _, grade in store.ask(store.endings.after, info, 0, 100)]
    assert graded(store) == one
    whole = store.ask(store.endings.after, info, 0, 100)
    assert (len(whole), whole[-1][0], whole[-1][1].item) == (12, 13, again)


def test_a_copy_has_endings_of_its_own(store: Store) -> None:
    one = graded(store)
    info = store.ask(store.results.run_info, one)
    rubric = Rubric.load("helpfulness")
    heavier = (rubric.criteria[0].model_copy(update={"weight": 2.0}), *rubric.criteria[1:])
    copied = rescore(store, info, rubric.model_copy(update={"criteria": heavier}))
    assert copied != one
    assert sorted(endings(store, copied).values(), key=lambda place: place or 0) == list(range(1, 13))


def test_an_owner_that_is_dead_is_none(store: Store) -> None:
    one = graded(store, 1)
    dead = f"{this_process().rsplit(':', 2)[0]}:{2**22 + os.getpid()}:1"
    for owner, alive in ((this_process(), this_process()), (dead, None)):
        store.change(lambda c, _, owner=owner: c.execute(run.update().where(run.c.id == one).values(owner=owner)))
        assert store.ask(store.endings.marks, [one])[one].owner == alive
