"""What is wanted of submitted runs, and answers that are given again, as the store keeps them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from threading import Barrier

import pytest
from sqlalchemy import text, update

from judge import Item, Judge, Rubric
from judge.chunks import CHUNK_ITEMS
from judge.datasets import Given
from judge.errors import RunBusy
from judge.ledger import now
from judge.owner import WORKERS, this_process
from judge.runs import Options, submit
from judge.session import Session
from judge.store import open_store, tables
from judge.store.owners import WORD_S
from judge.store.replays import Found, Replay
from judge.store.store import Store
from judge.store.wishes import Wish

ELSEWHERE = "another-machine:1:1"


def made(store: Store, count: int) -> str:
    """A run of so many items that nobody grades."""

    async def submitted() -> str:
        session = await Session.open(store, Judge.load("simulated"))
        dataset = Given("some", [Item(id=str(n), output="Hi.") for n in range(count)])
        return submit(store, dataset, dataset.scan(), Rubric.load("helpfulness"), session, Options())

    return asyncio.run(submitted())


@pytest.fixture
def run(store: Store) -> str:
    """A run of two items."""
    return made(store, 2)


@pytest.fixture
def long(store: Store) -> str:
    """A run of three chunks."""
    return made(store, 2 * CHUNK_ITEMS + 1)


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


def end_items(store: Store, run: str, first: int, last: int) -> None:
    """As if the items from one place to another had been graded."""
    item = store.tables.run_item
    these = update(item).where(item.c.run == run, item.c.seq.between(first, last)).values(state="finished")
    store.change(lambda connection, _: connection.execute(these))


def stands(store: Store, run: str) -> tuple[str | None, str, str | None]:
    """What is wished, the state of the run, and who has it."""
    (one,) = store.ask(store.submissions.standing, [run])
    return one.submission and one.submission.wish.value, one.info.state, store.ask(store.runs.owner, run)


def test_workers_begin_a_run_once_and_the_last_of_them_ends_it(store: Store, long: str) -> None:
    add(store, long, retry_failed=True)
    first = store.change(store.submissions.begin, long, WORKERS)
    assert (first.begun, first.turn) == (False, 0)
    assert store.change(store.submissions.begin, long, WORKERS).begun
    end_items(store, long, 0, CHUNK_ITEMS - 1)
    store.change(store.submissions.end, long, WORKERS, first.turn)
    assert stands(store, long) == ("wanted", "open", WORKERS)  # others have chunks of it
    end_items(store, long, CHUNK_ITEMS, 2 * CHUNK_ITEMS)
    store.change(store.submissions.end, long, WORKERS, first.turn)
    assert stands(store, long) == ("done", "done", None)
    store.change(store.submissions.end, long, WORKERS, first.turn)  # a chunk that was brought twice
    assert store.change(store.submissions.begin, long, WORKERS) is None
    assert stands(store, long) == ("done", "done", None)


def test_of_two_chunks_that_end_at_once_one_ends_the_run(store: Store, long: str) -> None:
    for turn in range(5):
        add(store, long, budget_usd=1.0 + turn)
        assert store.change(store.submissions.begin, long, WORKERS).turn == turn
        end_items(store, long, 0, 2 * CHUNK_ITEMS)
        together = Barrier(2)

        def end(_: int, turn: int = turn, together: Barrier = together) -> bool:
            together.wait()
            done: bool = store.change(store.submissions.end, long, WORKERS, turn)
            return done

        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(end, range(2))) == [False, True]
        assert stands(store, long) == ("done", "done", None)


def test_what_is_cancelled_while_workers_have_it_stays_so(store: Store, long: str) -> None:
    add(store, long)
    begun = store.change(store.submissions.begin, long, WORKERS)
    assert store.change(store.submissions.settle, long, Wish.CANCELLED)
    assert stands(store, long) == ("cancelled", "open", None)
    assert store.change(store.submissions.begin, long, WORKERS) is None
    assert store.ask(store.runs.lost_by, long, WORKERS) is None  # what is under way is still written down
    end_items(store, long, 0, 2 * CHUNK_ITEMS)
    store.change(store.submissions.end, long, WORKERS, begun.turn)
    assert stands(store, long)[0] == "cancelled"


def test_what_was_spent_is_committed_by_the_first_worker_alone(store: Store, long: str) -> None:
    def committed() -> float:
        return float(store.ask(store.runs.row, long)["committed_usd"])

    call = store.tables.call
    sent = {"tenant": store.tenant, "key": "k", "attempt": 1, "state": "answered", "owner": this_process()}
    more = {"endpoint": "e", "run": long, "sent_at": 0.0, "usable": True, "possible_duplicate": False, "cost_usd": 0.5}
    store.change(lambda connection, _: connection.execute(call.insert(), sent | more))
    add(store, long, budget_usd=3.0)
    store.change(store.submissions.begin, long, WORKERS)
    assert committed() == 0.5
    run = store.tables.run
    reserved = update(run).where(run.c.id == long).values(committed_usd=0.75)
    store.change(lambda connection, _: connection.execute(reserved))
    store.change(store.submissions.begin, long, WORKERS)
    assert committed() == 0.75


def test_workers_and_a_process_do_not_grade_one_run_at_once(store: Store, run: str) -> None:
    add(store, run)
    store.change(store.runs.take, run, this_process())
    with pytest.raises(RunBusy, match="process"):
        store.change(store.submissions.begin, run, WORKERS)
    assert store.ask(store.submissions.waiting, [], 1)[0].begun is False
    store.change(store.runs.release, run, this_process())
    begun = store.change(store.submissions.begin, run, WORKERS)
    with pytest.raises(RunBusy, match="the workers of a service"):
        store.change(store.runs.take, run, this_process())
    with pytest.raises(RunBusy, match="the workers of a service"):
        store.change(store.submissions.begin, run, this_process())
    end_items(store, run, 0, 1)
    store.change(store.submissions.end, run, WORKERS, begun.turn)
    store.change(store.runs.take, run, this_process())


@pytest.fixture
def queue(postgres_url: str) -> Iterator[Store]:
    """A store with a queue beside it."""
    with open_store(postgres_url) as opened:
        yield opened


def queued(store: Store) -> list[tuple[str, int]]:
    """Runs and chunks that there are jobs for."""
    told = text("SELECT args->>'run', CAST(args->>'chunk' AS int) FROM procrastinate_jobs ORDER BY 1, 2")
    return [tuple(one) for one in store.ask(lambda connection, _: connection.execute(told).all())]


def test_chunks_with_open_items_are_queued_and_the_first_in_any_case(queue: Store) -> None:
    long = made(queue, 2 * CHUNK_ITEMS + 1)
    end_items(queue, long, 0, CHUNK_ITEMS)
    add(queue, long)
    assert queued(queue) == [(long, 0), (long, 1), (long, 2)]
    end_items(queue, long, CHUNK_ITEMS, 2 * CHUNK_ITEMS - 1)
    queue.change(lambda connection, _: connection.execute(text("DELETE FROM procrastinate_jobs")))
    add(queue, long, budget_usd=1.0)
    assert queued(queue) == [(long, 0), (long, 2)]
    queue.change(lambda connection, _: connection.execute(text("DELETE FROM procrastinate_jobs")))
    add(queue, long, retry_failed=True)  # whatever is opened again then
    assert queued(queue) == [(long, 0), (long, 1), (long, 2)]


def test_a_long_run_and_a_short_one_take_turns(queue: Store) -> None:
    long, short, late = made(queue, 40 * CHUNK_ITEMS), made(queue, 2 * CHUNK_ITEMS), made(queue, 1)
    add(queue, long)
    add(queue, short)
    wait = text("UPDATE procrastinate_jobs SET priority = priority + 20")  # as if so many seconds had passed
    queue.change(lambda connection, _: connection.execute(wait))
    add(queue, late)
    told = text("SELECT args->>'run', CAST(args->>'chunk' AS int) FROM procrastinate_jobs ORDER BY priority DESC, id")
    turns = [tuple(one) for one in queue.ask(lambda connection, _: connection.execute(told).all())]
    assert turns.index((long, 10)) < turns.index((late, 0)) < turns.index((long, 39))
    assert turns.index((short, 1)) < turns.index((long, 30))


def test_a_run_that_the_provider_has_a_batch_of_is_queued_as_a_whole(queue: Store) -> None:
    long = made(queue, 2 * CHUNK_ITEMS)
    queue.change(queue.batches.add, "b", long)
    add(queue, long)
    add(queue, long, mode="batch")
    assert queued(queue) == [(long, None)]
    later = text("UPDATE procrastinate_jobs SET scheduled_at = now() + interval '1 minute'")
    due = text("SELECT count(*) FROM procrastinate_jobs WHERE scheduled_at IS NULL")
    for change in (lambda: add(queue, long), lambda: queue.change(queue.submissions.settle, long, Wish.CANCELLED)):
        queue.change(lambda connection, _: connection.execute(later))
        change()  # is not put off until the provider is asked next
        assert queue.ask(lambda connection, _: connection.execute(due).scalar_one()) == 1
    add(queue, long, mode="batch")
    told = text("SELECT DISTINCT lock FROM procrastinate_jobs")
    assert queue.ask(lambda connection, _: connection.execute(told).all()) == [(f"{queue.tenant}:{long}",)]
    assert (queue.ask(queue.submissions.count), queue.ask(queue.submissions.count, handed_over=False)) == (1, 0)
    queue.change(queue.batches.ended, "b")
    add(queue, long)
    assert queued(queue)[:2] == [(long, 0), (long, 1)]


def test_a_run_without_jobs_that_is_wanted_gets_some_and_no_other_does(queue: Store) -> None:
    one, other = made(queue, 1), made(queue, CHUNK_ITEMS + 1)
    add(queue, one)
    add(queue, other)
    assert queue.change(queue.jobs.enqueue_missing) == []
    jobs = text("DELETE FROM procrastinate_jobs WHERE args->>'run' = :run")
    queue.change(lambda connection, _: connection.execute(jobs, {"run": other}))
    assert queue.change(queue.jobs.enqueue_missing) == [(queue.tenant, other)]
    assert queued(queue) == sorted([(one, 0), (other, 0), (other, 1)])
    queue.change(queue.submissions.settle, one, Wish.CANCELLED)
    queue.change(lambda connection, _: connection.execute(text("DELETE FROM procrastinate_jobs")))
    assert queue.change(queue.jobs.enqueue_missing) == [(queue.tenant, other)]


def test_a_dead_owner_is_at_work_on_nothing(
    store: Store, run: str, living: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    store.change(store.runs.take, run, ELSEWHERE)
    living(ELSEWHERE)
    assert store.ask(store.submissions.standing, [run])[0].owner == ELSEWHERE
    monkeypatch.setattr("judge.store.submissions.is_dead", lambda _, owner: owner == ELSEWHERE)
    assert store.ask(store.submissions.standing, [run])[0].owner is None


def test_what_another_machine_loads_is_taken_to_be_under_way_for_a_minute_after_its_word(
    store: Store, living: Callable[[str], None]
) -> None:
    living(ELSEWHERE)
    begun = {"id": "0" * 12, "tenant": store.tenant, "fingerprint": "f", "owner": ELSEWHERE, "created_at": now()}
    row = begun | {"dataset_hash": "d", "dataset_name": "d", "rubric_hash": "r", "judge_fingerprint": "j", "round": 0}
    store.change(lambda connection, _: store.runs.begin(connection, row | {"samples": 1, "items": 1}))
    with pytest.raises(RunBusy, match="another-machine"):
        store.change(store.runs.find, "f")
    ago = update(tables.run).values(created_at=now() - WORD_S - 1)
    store.change(lambda connection, _: connection.execute(ago))
    store.change(store.runs.go_on, "0" * 12)
    with pytest.raises(RunBusy, match="another-machine"):
        store.change(store.runs.find, "f")
    store.change(lambda connection, _: connection.execute(ago))
    assert store.change(store.runs.find, "f") is None
    assert store.ask(store.runs.row, "0" * 12) is None


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
    assert begin("one") == (Found.ANSWERED, told)  # what is answered is not given back


def test_a_key_belongs_to_whoever_says_that_it_goes_on(
    store: Store, living: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def begin() -> Found:
        found: tuple[Found, Replay | None] = store.change(store.replays.begin, "route", "key", "one", {"key"})
        return found[0]

    living(ELSEWHERE)
    silent = update(tables.replay).values(at=now() - WORD_S - 1)
    with monkeypatch.context() as there:
        there.setattr("judge.store.replays.this_process", lambda: ELSEWHERE)
        assert begin() is Found.NEW
    assert begin() is Found.BUSY
    store.change(lambda connection, _: connection.execute(silent))
    with monkeypatch.context() as there:
        there.setattr("judge.store.replays.this_process", lambda: ELSEWHERE)
        store.change(store.replays.go_on, "route", "key")
    assert begin() is Found.BUSY
    store.change(lambda connection, _: connection.execute(silent))
    assert begin() is Found.NEW
    with monkeypatch.context() as there:  # it was frozen meanwhile
        there.setattr("judge.store.replays.this_process", lambda: ELSEWHERE)
        assert not store.change(store.replays.answer, "route", "key", Replay(202, {}, b"{}"))
        store.change(store.replays.forget, "route", "key")
    assert store.change(store.replays.answer, "route", "key", Replay(202, {}, b"{}"))


def test_an_answer_is_given_again_for_seven_days(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def begin() -> Found:
        found: tuple[Found, Replay | None] = store.change(store.replays.begin, "route", "key", "one", set())
        return found[0]

    begun = now()
    assert begin() is Found.NEW
    store.change(store.replays.answer, "route", "key", Replay(202, {}, b"{}"))
    days = 24 * 3600.0
    for after, told in ((7 * days - 60, Found.ANSWERED), (7 * days + 60, Found.NEW)):
        monkeypatch.setattr("judge.store.replays.now", lambda at=begun + after: at)
        assert begin() is told
