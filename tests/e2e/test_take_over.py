"""A run belongs to one process at a time: who has lost it writes nothing more into it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from judge import Item, Judge, Rubric, RunBusy
from judge.grades import Graded
from judge.owner import this_process
from judge.session import Session
from judge.store.presence import Presence
from judge.store.store import Store

if TYPE_CHECKING:
    from tests.conftest import Stub
    from tests.e2e.conftest import Terminal

GRADE = ("grade", "items.jsonl", "--rubric", "reply.yaml", "--judge", "judge.yaml", "--json")
GONE = "another-machine:7:1"
ITEM = Item(id="0", output="0")


@pytest.fixture
def steady(stub: Callable[..., Stub]) -> Stub:
    """A stub that takes a quarter of a second for an answer."""
    return stub("--seed-regex", r"ITEM-\d+", "--latency-ms", "250")


def sent(stub: Stub) -> Counter[str]:
    """How often each call for an item was sent."""
    return Counter(call["body_sha256"] for call in stub.calls() if call["items"])


def test_a_process_whose_run_is_taken_over_leaves_it_to_the_other(anywhere: Terminal, steady: Stub) -> None:
    anywhere.judge(steady)
    with anywhere.start(*GRADE, "--concurrency", "1") as first:
        anywhere.wait(first, lambda: steady.stats()["requests"] >= 3)
        with anywhere.start(*GRADE, "--concurrency", "1", "--take-over") as second:
            _, said = first.communicate(timeout=20)
            assert second.poll() is None, second.communicate()
            ((owner, state),) = anywhere.sql("SELECT owner, state FROM run")
            second.kill()
    assert (owner.split(":")[1], state) == (str(second.pid), "open")
    assert first.returncode == 3, said
    (line,) = said.splitlines()
    assert f"was taken over by process {second.pid} on " in line
    # What the first one had in flight counts as lost, until it is asked for again: then its answer is there.
    resent = anywhere.run(*GRADE, "--concurrency", "8", "--resend-lost")
    assert (resent.status, resent.json["overall"]["outcomes"]) == (0, {"scored": 40})
    assert len(sent(steady)) == 40
    assert sent(steady).total() <= 41  # one was in flight when the second one was killed


def test_a_run_has_one_process(anywhere: Terminal, steady: Stub) -> None:
    anywhere.judge(steady)
    several = [anywhere.start(*GRADE, "--limit", "20", "--concurrency", "4") for _ in range(3)]
    ended = [(process.pid, *process.communicate(timeout=40), process.returncode) for process in several]
    ((graded, out, said, status),) = [one for one in ended if one[3] != 2]
    assert (status, said) == (0, "")
    assert '"scored": 20' in out
    for _, nothing, line, _ in (one for one in ended if one[3] == 2):
        assert (nothing, line.count("\n")) == ("", 1)
        assert line.startswith("judge: "), line
        assert f"process {graded} " in line or "another process has just begun this very run" in line
    assert len(sent(steady)) == sent(steady).total() == 20


def test_a_run_that_a_machine_had_begun_to_load_is_taken_over_on_request(anywhere: Terminal) -> None:
    command = ("grade", "items.jsonl", "--rubric", "reply.yaml", "--judge", "simulated", "--limit", "6", "--json")
    assert anywhere.run(*command).status == 0
    anywhere.sql(f"UPDATE run SET owner = '{GONE}', state = 'loading'")
    held = Presence(anywhere.folder / ".judge" / "judge.db", GONE)
    refused = anywhere.run(*command)
    assert refused.status == 2
    assert "process 7 on another-machine" in refused.err
    assert "--take-over" in refused.err
    held.close()
    taken = anywhere.run(*command, "--take-over")
    assert (taken.status, taken.json["overall"]["outcomes"]) == (0, {"scored": 6})
    assert anywhere.sql("SELECT state, owner FROM run") == [("done", None)]


def kept(store: Store) -> list[object]:
    """All that the store has of runs."""
    names = ("run", "run_item", "grade", "verdict", "item")
    tables = [getattr(store.tables, name) for name in names]
    return store.ask(lambda connection, _: [connection.execute(table.select()).all() for table in tables])


async def graded(store: Store) -> Graded:
    """What the simulated judge says of an item."""
    session = await Session.open(store, Judge.load("simulated"))
    return await session.grader(Rubric.load("helpfulness"), None, "r").grade(ITEM)


def begin(store: Store, id: str) -> None:
    """A run of one item, the same run whatever its id."""
    row = {"id": id, "fingerprint": "f", "dataset_hash": "d", "dataset_name": "d", "rubric_hash": "r"}
    store.create_run(row | {"judge_fingerprint": "j", "round": 0, "samples": 1, "items": 1}, [ITEM])


def test_of_two_who_begin_the_same_run_one_makes_it(store: Store) -> None:
    begin(store, "r")
    before = kept(store)
    with pytest.raises(RunBusy, match="another process has just begun this very run"):
        begin(store, "s")
    assert kept(store) == before


def test_only_who_has_a_run_writes_into_it(store: Store, living: Callable[[str], None]) -> None:
    living(GONE)
    begin(store, "r")
    given, runs = asyncio.run(graded(store)), store.runs
    store.change(runs.take, "r", GONE, by_force=True)
    before = kept(store)
    writes: list[Callable[[], object]] = [
        lambda: asyncio.run(store.finish("r", this_process(), 0, 0, given)),
        lambda: store.change(store.finishing.finish_now, "r", [(0, 0, given)]),
        lambda: store.change(runs.reopen, "r", this_process(), lost=True, failed=True),
        lambda: store.change(runs.commit_spent, "r", this_process()),
        lambda: store.change(runs.loaded, "r"),  # after which nobody has it
        lambda: store.change(runs.remove, "r"),
    ]
    for write in writes:
        with pytest.raises(RunBusy, match=r"run r .* process 7 on another-machine"):
            write()
    assert store.change(runs.release, "r", this_process()) == "open"
    assert kept(store) == before
    store.change(runs.take, "r", this_process(), by_force=True)
    for write in writes[:-1]:
        write()
    assert store.change(runs.release, "r", this_process()) == "done"
    store.change(runs.remove, "r")
    assert kept(store) == [[]] * 5
