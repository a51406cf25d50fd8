"""The retry policy, against a stub judge over real sockets."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import text

from judge import Outcome, Paused, attempts
from judge.attempts import ATTEMPTS, Deadline
from judge.costs import Budget
from judge.errors import Unaskable
from judge.providers import Unreadable
from judge.providers.batches import Result
from judge.store import open_store

pytestmark = pytest.mark.anyio


async def until(happened: Callable[[], Any]) -> None:
    """Waits until something is true, at most for a second and a half."""
    for _ in range(150):
        if await asyncio.to_thread(happened):
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never happened")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Backoff in milliseconds: the number of attempts is what counts."""
    monkeypatch.setattr(attempts, "FIRST_BACKOFF_S", 0.001)


async def test_an_answer_is_paid_once_and_kept(stub: Any, desk: Any) -> None:
    server = stub()
    async with desk(server.base_url) as one:
        answer, receipt = await one.ask()
        again, second = await one.ask()
        (row,) = one.rows()
    usage = (receipt.prompt_tokens, receipt.completion_tokens)
    cost = (usage[0] * 1.0 + usage[1] * 2.0) / 1e6
    assert server.stats()["requests"] == 1
    assert usage == (server.stats()["prompt_tokens"], server.stats()["completion_tokens"])
    assert receipt.cost_usd == pytest.approx(cost)
    assert (row.state, row.usable, row.cost_usd) == ("answered", True, pytest.approx(cost))
    assert row.reserved_usd == pytest.approx(one.worst_usd())
    assert again.reading == answer.reading
    assert (second.calls, second.reused, second.cost_usd) == (0, 1, 0.0)


async def test_cached_tokens_are_paid_at_their_price(stub: Any, desk: Any) -> None:
    server = stub()
    server.behave("cached", cached=30, cache_write=20)
    async with desk(server.base_url, price={"input": 1.0, "output": 2.0, "cached": 0.1, "cache_write": 1.5}) as one:
        _, receipt = await one.ask()
        (row,) = one.rows()
    fresh = server.stats()["prompt_tokens"] - 50
    cost = (fresh * 1.0 + 30 * 0.1 + 20 * 1.5 + server.stats()["completion_tokens"] * 2.0) / 1e6
    assert receipt.cost_usd == pytest.approx(cost)
    assert row.cost_usd == pytest.approx(cost)
    assert row.reserved_usd == pytest.approx((len(one.body()) * 1.5 + 100 * 2.0) / 1e6)


async def test_the_row_is_on_disk_before_the_answer_comes(stub: Any, desk: Any, database_url: str) -> None:
    server = stub("--latency-ms", "400")
    async with desk(server.base_url) as one:
        asking = asyncio.create_task(one.ask())
        await until(lambda: server.stats()["requests"])
        with open_store(database_url) as beside:
            query = text("SELECT state, raw, cost_usd FROM call")
            found = beside.ask(lambda connection, _: [tuple(row) for row in connection.execute(query)])
        await asking
    assert found == [("sent", None, None)]


async def test_equal_calls_at_once_are_one_call(stub: Any, desk: Any) -> None:
    server = stub("--latency-ms", "100")
    async with desk(server.base_url) as one:
        done = await asyncio.gather(*(one.ask() for _ in range(3)))
        other, _ = await one.ask(sample=1)
    assert sum(receipt.calls for _, receipt in done) == 1
    assert len({answer.reading for answer, _ in done}) == 1
    assert server.stats()["requests"] == 2  # another sample is another call
    assert other.key != done[0][0].key


async def test_a_429_that_names_a_wait_is_not_an_attempt(stub: Any, desk: Any, quick: None) -> None:
    server = stub()
    server.behave("status", status=429, retry_after=0.02, count=ATTEMPTS + 3)
    async with desk(server.base_url) as one:
        answer, receipt = await one.ask()
        rows = one.rows()
    assert answer.reading is not None
    assert receipt.calls == server.stats()["requests"] == ATTEMPTS + 4
    assert [(r.state, r.cost_usd) for r in rows[:-1]] == [("rejected", 0.0)] * (ATTEMPTS + 3)
    assert rows[-1].state == "answered"


@pytest.mark.parametrize(
    ("status", "named"), [(429, 0), (429, 0.001), (429, "Tue, 01 Jan 2019 12:00:00 GMT"), (503, 0)]
)
async def test_who_is_told_to_come_back_at_once_waits_all_the_same(
    stub: Any, desk: Any, monkeypatch: pytest.MonkeyPatch, status: int, named: float | str
) -> None:
    monkeypatch.setattr(attempts, "FIRST_BACKOFF_S", 0.1)
    server = stub()
    server.behave("status", status=status, retry_after=named)
    async with desk(server.base_url) as one:
        answer, _ = await one.ask(deadline=Deadline(2.0))
        rows = one.rows()
    assert answer.reading is None
    assert 2 <= len(rows) == server.stats()["requests"] <= 21
    assert all(later.sent_at - row.sent_at >= 0.09 for row, later in pairwise(rows))


async def test_a_named_wait_is_obeyed_without_a_slot(stub: Any, desk: Any) -> None:
    server = stub()
    server.behave("status", status=429, retry_after=0.6, count=1)
    async with desk(server.base_url, concurrency=1) as one:
        began = time.monotonic()
        waiting = asyncio.create_task(one.ask("ITEM-1"))
        await until(lambda: server.stats()["status"].get("429"))
        other, _ = await one.ask("ITEM-2")
        assert other.reading is not None
        assert not waiting.done()
        answer, _ = await waiting
    assert answer.reading is not None
    assert time.monotonic() - began >= 0.6


@pytest.mark.parametrize(
    ("behaviour", "cause", "state"),
    [
        ({"mode": "status", "status": 500}, "http_500", "rejected"),
        ({"mode": "status", "status": 503}, "http_503", "rejected"),
        ({"mode": "status", "status": 429}, "http_429", "rejected"),
        ({"mode": "cut_body"}, "not_json", "answered"),
        ({"mode": "html"}, "not_json", "answered"),
        ({"mode": "empty_object"}, "not_a_completion", "answered"),
    ],
)
async def test_four_attempts_and_no_more(
    stub: Any, desk: Any, quick: None, behaviour: dict[str, Any], cause: str, state: str
) -> None:
    server = stub()
    server.behave(**behaviour)
    async with desk(server.base_url) as one:
        answer, receipt = await one.ask()
        rows = one.rows()
    assert server.stats()["requests"] == receipt.calls == 4
    assert (answer.reading, answer.outcome, answer.cause) == (None, Outcome.JUDGE_ERROR, cause)
    assert [(r.state, r.cause, r.usable) for r in rows] == [(state, cause, False)] * 4
    # An unreadable answer arrived and may have been paid; a refused call was not.
    owed = one.worst_usd() if state == "answered" else 0.0
    assert [r.cost_usd for r in rows] == pytest.approx([owed] * 4)
    assert receipt.cost_usd == pytest.approx(4 * owed)


async def test_a_server_that_recovers_is_answered_for(stub: Any, desk: Any, quick: None) -> None:
    server = stub()
    server.behave("status", status=500, count=3)
    async with desk(server.base_url) as one:
        answer, receipt = await one.ask()
    assert answer.reading is not None
    assert receipt.calls == 4


async def test_a_refused_connection_is_tried_again_and_owes_nothing(desk: Any, quick: None) -> None:
    async with desk("http://127.0.0.1:9/v1") as one:
        answer, receipt = await one.ask()
        states = one.states()
    assert (answer.outcome, answer.cause, receipt.cost_usd) == (Outcome.JUDGE_ERROR, "no_connection", 0.0)
    assert states == [("rejected", "no_connection")] * 4


@pytest.mark.parametrize(
    ("behaviour", "outcome", "cause"),
    [
        ({"status": 400}, Outcome.JUDGE_ERROR, "http_400"),
        ({"status": 422}, Outcome.JUDGE_ERROR, "http_422"),
        ({"status": 400, "code": "context_length_exceeded"}, Outcome.JUDGE_ERROR, "context_length_exceeded"),
        ({"status": 400, "code": "content_filter"}, Outcome.REFUSED, "content_filter"),
    ],
)
async def test_a_bad_request_is_sent_once(
    stub: Any, desk: Any, behaviour: dict[str, Any], outcome: Outcome, cause: str
) -> None:
    server = stub()
    server.behave("status", **behaviour)
    async with desk(server.base_url) as one:
        answer, _ = await one.ask()
    assert (answer.outcome, answer.cause) == (outcome, cause)
    assert server.stats()["requests"] == 1


@pytest.mark.parametrize("mode", ["reset", "cut_stream", "hang"])
async def test_a_lost_answer_is_held_at_its_worst_cost_and_never_asked_again_unbidden(
    stub: Any, desk: Any, mode: str
) -> None:
    server = stub()
    server.behave(mode, count=1)
    async with desk(server.base_url, timeout_s=0.3) as one:
        answer, receipt = await one.ask()
        held, second = await one.ask()
        (row,) = one.rows()
        assert server.stats()["requests"] == 1
    assert (answer.outcome, answer.reading, receipt.lost) == (Outcome.LOST, None, 1)
    assert (held.outcome, second.calls, second.cost_usd) == (Outcome.LOST, 0, 0.0)
    assert (row.state, row.cost_usd) == ("lost", pytest.approx(one.worst_usd()))
    assert receipt.cost_usd == pytest.approx(one.worst_usd())
    async with desk(server.base_url, resend_lost=True) as one:
        answer, receipt = await one.ask()
        states = [(r.attempt, r.state, r.possible_duplicate) for r in one.rows()]
    assert answer.reading is not None
    assert receipt.possible_duplicates == 1
    assert states == [(1, "lost", False), (2, "answered", True)]


async def test_what_a_provider_tells_at_any_length_is_kept_as_far_as_it_fits(stub: Any, desk: Any) -> None:
    server = stub()
    server.behave("model", model="m" * 1000)
    async with desk(server.base_url) as one:
        answer, receipt = await one.ask()
        (row,) = one.rows()
    assert answer.reading is not None
    assert (receipt.model, row.model, row.state) == ("m" * 256, "m" * 256, "answered")
    assert Unreadable("c" * 1000).cause == Result("a call", None, "c" * 1000).cause == "c" * 64


async def test_an_answer_that_settles_nothing_is_asked_for_anew(stub: Any, desk: Any) -> None:
    server = stub()
    async with desk(server.base_url) as one:
        await one.ask(usable=False)
        _, second = await one.ask()
        _, third = await one.ask()
    assert (second.calls, second.reused) == (1, 0)
    assert (third.calls, third.reused) == (0, 1)
    assert server.stats()["requests"] == 2


@pytest.mark.parametrize(
    "behaviour",
    [
        {"mode": "hang"},
        {"mode": "trickle"},
        {"mode": "status", "status": 429, "retry_after": 60},
        {"mode": "status", "status": 429, "retry_after": 0.1},
        {"mode": "status", "status": 500},
    ],
)
async def test_one_deadline_bounds_every_attempt(stub: Any, desk: Any, behaviour: dict[str, Any]) -> None:
    server = stub()
    server.behave(**behaviour)
    async with desk(server.base_url) as one:
        began = time.monotonic()
        deadline = Deadline(0.4)
        answer, _ = await one.ask(deadline=deadline)
        took = time.monotonic() - began
        sent = server.stats()["requests"]
        await asyncio.sleep(max(deadline.at - asyncio.get_running_loop().time(), 0.0))
        late, _ = await one.ask("ITEM-2", deadline=deadline)  # the same grade has no time for another call
    assert (answer.reading, answer.outcome, answer.cause) == (None, Outcome.JUDGE_ERROR, "deadline")
    assert took < 0.8
    assert (late.outcome, late.cause) == (Outcome.JUDGE_ERROR, "deadline")
    assert server.stats()["requests"] == sent


@pytest.mark.parametrize(
    ("behaviour", "told"),
    [
        ({"status": 401}, "key"),
        ({"status": 403}, "access"),
        ({"status": 404}, "model"),
        ({"status": 402}, "money"),
        ({"status": 429, "code": "insufficient_quota", "retry_after": 1}, "money"),
    ],
)
async def test_the_breaker_pauses_everybody_and_loses_nothing(
    stub: Any, desk: Any, behaviour: dict[str, Any], told: str
) -> None:
    server = stub()
    server.behave("status", **behaviour)
    async with desk(server.base_url, concurrency=1) as one:
        ended = await asyncio.gather(*(one.ask(f"ITEM-{n}") for n in range(5)), return_exceptions=True)
        with pytest.raises(Paused, match=told):
            await one.ask()
        states = one.states()
    assert isinstance(ended[0], Unaskable)
    # Where it is about the server, those that wait for their turn need no other judge.
    assert {type(end) for end in ended[1:]} == {Unaskable if told in ("access", "model") else Paused}
    assert server.stats()["requests"] == 1
    assert [state for state, _ in states] == ["rejected"]
    assert one.caller.budget.reserved_usd == pytest.approx(0.0)


@pytest.mark.parametrize(("status", "told"), [(403, "access"), (404, "no such model")])
async def test_a_model_that_is_refused_pauses_those_alone_who_ask_for_it(
    stub: Any, desk: Any, status: int, told: str
) -> None:
    server = stub()
    server.behave("status", status=status, count=1)
    async with desk(server.base_url, model="mistyped") as one, desk(server.base_url) as other:
        other.caller.endpoint = one.caller.endpoint
        for _ in range(2):
            with pytest.raises(Unaskable, match=told):
                await one.ask()
        answer, _ = await other.ask()
        assert one.caller.endpoint.broken is None
    assert answer.reading is not None
    assert server.stats()["requests"] == 2


async def test_the_worst_case_must_fit_before_a_call_is_sent(stub: Any, desk: Any) -> None:
    server = stub("--latency-ms", "100")
    async with desk(server.base_url) as one:
        worst = one.worst_usd()
        one.caller.budget = Budget(limit_usd=1.5 * worst)
        # The second does not fit beside the first, and waits; what the first leaves is enough for it, not for all.
        ended = await asyncio.gather(*(one.ask(f"ITEM-{n}") for n in range(9)), return_exceptions=True)
        paused = [end for end in ended if isinstance(end, Paused)]
        rows = one.rows()
    assert 2 <= len(rows) < 9
    assert len(paused) == 9 - len(rows)
    assert "--budget-usd" in str(paused[0])
    stats = server.stats()
    assert (stats["requests"], stats["in_flight_max"]) == (len(rows), 1)
    assert one.caller.budget.spent_usd == pytest.approx(sum(row.cost_usd for row in rows))
    assert one.caller.budget.spent_usd <= 1.5 * worst
    assert one.caller.budget.reserved_usd == pytest.approx(0.0)


async def test_an_answer_that_is_there_needs_no_budget(stub: Any, desk: Any) -> None:
    server = stub()
    async with desk(server.base_url) as one:
        await one.ask()
    async with desk(server.base_url, budget_usd=0.0) as one:
        answer, receipt = await one.ask()
    assert answer.reading is not None
    assert (receipt.reused, receipt.cost_usd) == (1, 0.0)


async def test_an_unpriced_judge_costs_an_unknown_sum_and_not_nothing(stub: Any, desk: Any) -> None:
    async with desk(stub().base_url, price=None) as one:
        _, receipt = await one.ask()
        (row,) = one.rows()
    assert (receipt.cost_usd, row.cost_usd, row.reserved_usd) == (None, None, None)


async def test_stopping_sends_nothing_more_and_still_listens(stub: Any, desk: Any) -> None:
    server = stub("--latency-ms", "300")
    async with desk(server.base_url, concurrency=1) as one:
        in_flight = asyncio.create_task(one.ask("ITEM-1"))
        await until(lambda: server.stats()["requests"])
        queued = asyncio.create_task(one.ask("ITEM-2"))
        await until(lambda: one.caller.resting)
        one.caller.stopping = True
        for task in list(one.caller.resting):
            task.cancel()
        ended = await asyncio.gather(in_flight, queued, return_exceptions=True)
        states = one.states()
    assert isinstance(ended[1], asyncio.CancelledError)
    assert not isinstance(ended[0], BaseException)
    assert ended[0][0].reading is not None
    assert states == [("answered", None)]
    assert server.stats()["requests"] == 1


async def test_asking_after_a_stop_sends_nothing_and_leaves_nothing_unawaited(stub: Any, desk: Any) -> None:
    server = stub()
    async with desk(server.base_url) as one:
        one.caller.stopping = True
        with pytest.raises(asyncio.CancelledError):
            await one.ask()
        gc.collect()  # a coroutine that was never awaited warns here
        assert one.rows() == []
    assert server.stats()["requests"] == 0


async def test_a_call_cancelled_in_flight_is_lost_and_not_in_flight_for_ever(stub: Any, desk: Any) -> None:
    server = stub()
    server.behave("hang")
    async with desk(server.base_url) as one:
        asking = asyncio.create_task(one.ask())
        await until(lambda: server.stats()["requests"])
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await until(lambda: one.states() == [("lost", "cancelled")])
        (row,) = one.rows()
    assert row.cost_usd == pytest.approx(one.worst_usd())


async def test_a_claim_that_nobody_is_left_to_send_is_given_back(stub: Any, desk: Any) -> None:
    server = stub()
    async with desk(server.base_url) as one:
        asked = asyncio.create_task(one.ask())
        for _ in range(20):  # until the claim is with the writer, and not yet answered
            await asyncio.sleep(0)
            if one.caller.endpoint.in_flight:
                break
        await asyncio.sleep(0)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        await one.ledger.flush()
        assert one.caller.budget.reserved_usd == 0
        answer, _ = await asyncio.wait_for(one.ask(), 5)
    assert answer.reading is not None
    assert {state for state, _ in one.states()} <= {"rejected", "answered", "lost"}


async def test_what_a_provider_of_ones_own_raises_is_an_outcome(desk: Any, stub: Any) -> None:
    class Broken:
        endpoint = "broken"

        async def send(self, body: bytes) -> bytes:
            raise OSError("the modem is on fire")

    async with desk(stub().base_url) as one:
        one.caller._provider = Broken()
        answer, receipt = await one.ask()
        assert (answer.outcome, answer.cause, receipt.lost) == (Outcome.LOST, "OSError", 1)
        assert one.states() == [("lost", "OSError")]


async def test_an_equal_call_waits_for_its_twin_without_a_slot(stub: Any, desk: Any) -> None:
    server = stub("--latency-ms", "300")
    async with desk(server.base_url, concurrency=2) as one:
        began = time.monotonic()
        await asyncio.gather(one.ask("ITEM-1"), one.ask("ITEM-1"), one.ask("ITEM-2"))
        assert time.monotonic() - began < 0.6  # the third had a slot while the second waited for the first
    assert server.stats()["requests"] == 2
