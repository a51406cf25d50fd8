"""What is wanted of submitted runs, and answers that are given again, as the store keeps them."""

from __future__ import annotations

import asyncio
from dataclasses import asdict

import pytest

from judge import Item, Judge, Rubric
from judge.datasets import Given
from judge.owner import this_process
from judge.runs import Options, submit
from judge.session import Session
from judge.store.replays import Found, Replay
from judge.store.store import Store
from judge.store.submissions import Wish

DEAD = "nowhere-known:1:1"


@pytest.fixture
def run(store: Store) -> str:
    """A run of two items that nobody grades."""

    async def made() -> str:
        session = await Session.open(store, Judge.load("simulated"))
        dataset = Given("two", [Item(id=str(n), output="Hi.") for n in range(2)])
        return submit(store, dataset, dataset.scan(), Rubric.load("helpfulness"), session, Options())

    return asyncio.run(made())


def add(store: Store, run: str, **changed: object) -> None:
    store.change(store.submissions.add, run, "simulated", asdict(Options()) | changed)


def test_a_run_that_was_loaded_belongs_to_nobody(store: Store, run: str) -> None:
    assert store.ask(store.runs.owner, run) is None
    (one,) = store.ask(store.submissions.standing, [run])
    assert (one.info.id, one.submission, one.owner) == (run, None, None)


def test_equal_wishes_are_one_and_another_one_is_taken_up_after_it(store: Store, run: str) -> None:
    add(store, run)
    add(store, run)
    (first,) = store.ask(store.submissions.waiting, [], 10)
    assert (first.run, first.turn, first.begun, store.ask(store.submissions.count)) == (run, 0, False, 1)
    assert store.change(store.submissions.begin, run, this_process()) == first
    assert store.ask(store.submissions.waiting, [], 10)[0].begun
    add(store, run, budget_usd=3.0)
    assert not store.change(store.submissions.settle, run, Wish.DONE, None, first.turn)  # it is wanted otherwise now
    (second,) = store.ask(store.submissions.waiting, [], 10)
    assert (second.turn, second.begun, second.options["budget_usd"]) == (1, False, 3.0)
    assert store.change(store.submissions.settle, run, Wish.DONE, None, second.turn)
    assert store.ask(store.submissions.waiting, [], 10) == []


def test_what_was_cancelled_is_not_begun(store: Store, run: str) -> None:
    add(store, run)
    assert store.change(store.submissions.settle, run, Wish.CANCELLED)
    assert store.change(store.submissions.begin, run, this_process()) is None
    assert not store.change(store.submissions.settle, run, Wish.DONE)


def test_a_dead_owner_is_at_work_on_nothing(store: Store, run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store.change(store.runs.take, run, DEAD)
    assert store.ask(store.submissions.standing, [run])[0].owner == DEAD
    monkeypatch.setattr("judge.store.submissions.is_dead", lambda owner: owner == DEAD)
    assert store.ask(store.submissions.standing, [run])[0].owner is None


def test_a_key_is_answered_once_and_given_back_when_nobody_works_on_it(store: Store) -> None:
    def begin(fingerprint: str, *at_work: str) -> tuple[Found, Replay | None]:
        found: tuple[Found, Replay | None] = store.change(
            store.replays.begin, "route", "key", fingerprint, set(at_work)
        )
        return found

    assert begin("one") == (Found.NEW, None)
    assert begin("one", "key") == (Found.BUSY, None)
    assert begin("other", "key") == (Found.OTHER, None)
    assert begin("one") == (Found.NEW, None)  # what this process had begun with it failed, and could not say so
    told = Replay(202, {"Location": "/there"}, b"{}")
    store.change(store.replays.answer, "route", "key", told)
    assert begin("one") == (Found.ANSWERED, told)
    assert begin("other") == (Found.OTHER, None)
    store.change(store.replays.forget, "route", "key")
    assert begin("other") == (Found.NEW, None)
