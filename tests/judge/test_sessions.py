"""Judges that are kept ready: so many, and those that are in use."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from judge import sessions as module
from judge.items import Item
from judge.judges import Judge
from judge.ledger import Ledger
from judge.sessions import Sessions
from rubrics import Rubric

if TYPE_CHECKING:
    from judge.session import Session
    from judge.store.store import Store

pytestmark = pytest.mark.anyio
MOST = 3


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The models whose connections were closed."""
    found: list[str] = []
    connect = module.Session.open

    async def opened(store: Store, judge: Judge, *how: Any, **options: Any) -> Session:
        session = await connect(store, judge, *how, **options)
        close, model = session.adapter.close, judge.model  # type: ignore[union-attr]

        async def closing() -> None:
            await close()
            found.append(str(model))

        monkeypatch.setattr(session.adapter, "close", closing)
        return session

    monkeypatch.setattr(module, "MOST_READY", MOST)
    monkeypatch.setattr(module.Session, "open", opened)
    return found


async def until(closed: list[str], count: int) -> None:
    """Waits until so many are closed, and a moment more."""
    gc.collect()
    async with asyncio.timeout(10):
        while len(closed) < count:  # noqa: ASYNC110 - it is closed elsewhere
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)


async def test_so_many_judges_are_kept_ready_and_one_in_use_is_not_closed(
    stub: Any, store: Store, judge_at: Callable[..., Judge], closed: list[str]
) -> None:
    url, kept = stub().base_url, Sessions(store)

    def judge(number: int) -> Judge:
        return judge_at(url, model=f"m{number}")

    used = await kept.get(judge(0), 1)
    for number in range(1, 6):
        await kept.get(judge(number), 1)
        if number == 3:
            again = await kept.get(judge(2), 1)  # asked for anew
            assert again is await kept.get(judge(2), 1)
            del again
    await until(closed, 2)
    assert {session.judge.model for session in kept.ready} == {"m2", "m4", "m5"}
    assert closed == ["m1", "m3"]
    grader = used.grader(Rubric.load("helpfulness"), used.caller(Ledger(store)))
    graded = await grader.grade(Item(id="1", output="Fine."))
    await asyncio.gather(*graded.receipt.writes)
    assert graded.grade.score is not None
    del used, grader, graded
    await until(closed, 3)
    assert closed == ["m1", "m3", "m0"]
    held = await kept.get(judge(6), 1)
    for number in range(7, 10):
        await kept.get(judge(number), 1)
    await kept.close()
    assert sorted(closed) == sorted(f"m{number}" for number in range(10))
    assert held.judge.model == "m6"
