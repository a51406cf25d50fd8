"""What blocks of a run came to, beside what its items came to one by one."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, delete, insert, select, update

from judge import Judge, Outcome
from judge.datasets import Dataset
from judge.owner import this_process
from judge.runs import Options, Run
from judge.sections import Sum
from judge.store import digests
from judge.store.digests import Alike, Digest, Many
from judge.store.results import RunInfo
from judge.store.store import Store
from judge.store.tables import digest, run_item
from judge.summary import summarise
from rubrics import Rubric

pytestmark = pytest.mark.anyio
BLOCK, ITEMS = 4, 14
OWN = {"name": "own", "criteria": [{"id": "kind", "question": "Is it kind?", "scale": "binary"}]}
RUBRIC = """
name: reply
sections:
  - id: form
    description: How it is put.
    criteria:
      - {id: clear, question: Is it clear?, scale: ordinal, levels: {1: Not, 2: Partly, 3: Fully}}
      - {id: polite, question: Is it polite?, scale: binary, required: "yes", not_applicable: Nobody is spoken to.}
  - id: content
    description: What it says.
    criteria:
      - {id: sound, question: Is it sound?, scale: binary}
"""


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "BLOCK", BLOCK)


def scores(seq: int) -> dict[str, object]:
    """What people said of an item: of every third one something is missing."""
    return {
        "clear": 1 + seq % 2 if seq % 3 else None,
        "polite": ("yes", "no", "not_applicable")[seq % 3],
        "sound": "yes" if seq % 2 else "no",
        "kind": "yes",
    }


async def graded(store: Store, folder: Path, again: bool = False) -> RunInfo:
    """The run, graded to the end; its failures once more."""
    recorded, items = folder / "scores.jsonl", folder / "items.jsonl"
    rows = [
        {"item": f"i{seq}", "criterion": criterion, "score": score}
        for seq in range(ITEMS)
        for criterion, score in scores(seq).items()
    ]
    recorded.write_text("".join(json.dumps(row) + "\n" for row in rows))
    told = [
        {"id": f"i{seq}", "output": f"Answer {seq}."} | ({"rubric": OWN} if seq == 5 else {}) for seq in range(ITEMS)
    ]
    items.write_text("".join(json.dumps(row) + "\n" for row in told))
    judge = Judge(name="people", provider="recorded", options={"file": str(recorded)})
    opened = await Run.open(store, Dataset(str(items)), Rubric.loads(RUBRIC), judge, Options(retry_failed=again))
    await opened.execute()
    await opened.close()
    return info_of(store, opened.id)


def info_of(store: Store, run_id: str) -> RunInfo:
    found: RunInfo = store.ask(store.results.run_info, run_id)
    return found


def sealed(store: Store, run: RunInfo) -> list[int]:
    wanted = select(digest.c.block).where(digest.c.run == run.id).order_by(digest.c.block)
    found: list[int] = store.ask(lambda connection, _: list(connection.execute(wanted).scalars()))
    return found


def told(store: Store, run: RunInfo) -> tuple[dict[str, Any], tuple[int, int]]:
    """All that a summary says, and how far the run is."""
    return summarise(store, run.id).as_dict(), store.ask(store.digests.progress, run.id, run.items)


def counted(store: Store, run: RunInfo) -> tuple[dict[str, Any], tuple[int, int]]:
    """The same, with no block summed up: item by item."""

    def take_out(connection: Connection, _: str) -> list[dict[str, Any]]:
        rows = [dict(row._mapping) for row in connection.execute(select(digest))]
        connection.execute(delete(digest))
        return rows

    rows = store.change(take_out)
    found = told(store, run)
    if rows:
        store.change(lambda connection, _: connection.execute(insert(digest), rows))
    return found


async def test_whole_blocks_are_summed_up_as_their_items_end(store: Store, tmp_path: Path) -> None:
    run = await graded(store, tmp_path)
    assert sealed(store, run) == [0, 1, 2]  # the last two items are no whole block
    summary, progress = told(store, run)
    assert (summary, progress) == counted(store, run)
    assert progress == (ITEMS, 0)
    assert summary["totals"]["own_rubrics"] == 1
    assert [one["n"] for one in summary["criteria"]] == [13, 13 - 3, 13]  # one has a rubric of its own
    assert [one["scored"] for one in summary["sections"]] == [5 + 3, 13]
    assert summary["causes"] == ((Outcome.JUDGE_ERROR, "not recorded", 5),)


async def test_a_block_with_an_open_item_is_read_again(store: Store, tmp_path: Path) -> None:
    run = await graded(store, tmp_path)
    assert sealed(store, run) == [0, 1, 2]
    before = told(store, run)
    store.change(store.runs.take, run.id, this_process())
    # Items 0, 3, 6, 9 and 12 have failed: one in each block, but for the last, which has two.
    assert store.change(store.runs.reopen, run.id, this_process(), lost=False, failed=True) == 5
    run = info_of(store, run.id)
    assert sealed(store, run) == []
    assert (run.finished, run.held) == (9, 0)
    assert told(store, run) == counted(store, run)
    store.change(store.runs.release, run.id, this_process())
    run = await graded(store, tmp_path)
    assert sealed(store, run) == [0, 1, 2]
    assert told(store, run) == before == counted(store, run)


async def test_a_block_without_an_open_item_stays(store: Store, tmp_path: Path) -> None:
    run = await graded(store, tmp_path)

    def open_again(connection: Connection, tenant: str) -> None:
        one = update(run_item).where(run_item.c.run == run.id, run_item.c.seq == 5)
        connection.execute(one.values(state="open", revision=run_item.c.revision + 1))
        digests.forget(connection, tenant, run.id)

    store.change(open_again)
    run = info_of(store, run.id)
    assert sealed(store, run) == [0, 2]
    assert told(store, run) == counted(store, run)
    assert told(store, run)[1] == (ITEMS - 1, 0)


async def test_nothing_is_left_of_a_run_that_is_removed(store: Store, tmp_path: Path) -> None:
    run = await graded(store, tmp_path)
    assert sealed(store, run)
    store.change(store.runs.remove, run.id)
    assert sealed(store, run) == []


def test_what_is_written_is_read_again() -> None:
    one = Digest(
        {Alike(False, "clear", "scored", 2.5, None, None, None): Many(3, 0.0, 0.0)},
        Counter({("finished", None): 2, ("held", "m"): 1}),
        4,
        (Sum(1, 1, 0, 0.5, 0.5, 0.5),),
    )
    assert Digest.loads(one.dumps()) == one
    both = Digest.over([one, one])
    assert both.grades == {Alike(False, "clear", "scored", 2.5, None, None, None): Many(6, 0.0, 0.0)}
    assert (both.count("finished"), both.count("held"), both.models, both.reused) == (4, 2, ("m",), 8)
    assert both.sections == (Sum(2, 2, 0, 1.0, 1.0, 1.0),)
    assert Digest.over([one, Digest()]) == one == Digest.over([Digest(), one])
