"""Answers that were lost on their way are looked up where the provider was told to keep them."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.conftest import SEED

if TYPE_CHECKING:
    from tests.conftest import Stub
    from tests.e2e.conftest import Ended, Terminal

GRADE = ("grade", "items.jsonl", "--rubric", "reply.yaml", "--judge", "judge.yaml", "--json", "--concurrency", "8")
ITEMS = 40
ONCE = Counter({f"ITEM-{n}": 1 for n in range(ITEMS)})


@pytest.fixture
def desk(anywhere: Terminal) -> Terminal:
    """A folder where look-ups need not be patient, on a database of each kind."""
    return replace(anywhere, environment=anywhere.environment | {"JUDGE_LOOKUP_LAG_S": "1"})


@pytest.fixture
def at_hand(terminal: Terminal) -> Terminal:
    """The same, on SQLite."""
    return replace(terminal, environment=terminal.environment | {"JUDGE_LOOKUP_LAG_S": "1"})


def describe(terminal: Terminal, stub: Stub, **changes: object) -> None:
    """A judge that keeps answers. The first call of all finds out how it is asked, and is for no item."""
    terminal.judge(stub, **({"store": True, "timeout_s": 1} | changes))


def sent(stub: Stub) -> Counter[str]:
    """How often each item was asked for, whatever came of it."""
    return Counter(call["items"][0] for call in stub.calls() if call["items"])


def scored(ended: Ended) -> Any:
    """The totals of a run that ended with a score for everything."""
    assert ended.status == 0, ended.err
    assert ended.json["overall"]["outcomes"] == {"scored": ITEMS}
    return ended.json["totals"]


def lost(ended: Ended) -> int:
    """How many items have a lost answer, in a run that ended."""
    assert ended.status == 1, ended.err
    return int(ended.json["overall"]["outcomes"]["lost"])


@pytest.mark.parametrize("provider", ["openai", "openai-responses"])
def test_answers_lost_to_a_kill_are_found(desk: Terminal, stub: Callable[..., Stub], provider: str) -> None:
    server = stub(*SEED, "--latency-ms", "300")
    describe(desk, server, provider=provider)
    in_flight = 0
    for _ in range(3):
        before = server.stats()["requests"]
        with desk.start(*GRADE) as process:
            desk.wait(process, lambda: server.stats()["requests"] >= before + 6)  # noqa: B023 - at once
            if provider == "openai-responses":  # its id is all that a response can be asked for by
                desk.wait(process, lambda: not desk.count("call", "state = 'sent' AND provider_id IS NULL"))
            os.killpg(process.pid, signal.SIGKILL)
        in_flight += desk.count("call", "state = 'sent'")
    assert in_flight > 0
    totals = scored(desk.run(*GRADE, "--out", "grades.jsonl"))
    assert sent(server) == ONCE
    assert (totals["answered"], totals["lost"], totals["possible_duplicates"]) == (ITEMS, 0, 0)
    # One that was killed between the row and the request never arrived.
    assert desk.count("call", "state = 'rejected' AND cause <> 'never_arrived'") == 0
    assert desk.count("call", "run IS NOT NULL AND cost_usd = reserved_usd") == 0  # each at what it did cost


@pytest.mark.parametrize("fault", ["reset", "hang"])
def test_answers_cut_off_are_found_at_once(at_hand: Terminal, quick: Stub, fault: str) -> None:
    describe(at_hand, quick)
    quick.behave(fault, after=1, count=5)
    totals = scored(at_hand.run(*GRADE, "--out", "grades.jsonl"))
    assert sent(quick) == ONCE
    assert (totals["calls"], totals["lost"]) == (ITEMS, 0)
    usage = [row["usage"] for row in at_hand.rows("grades.jsonl")]
    assert {(one["calls"], one["lost"]) for one in usage} == {(1, 0)}
    assert sum(one["cost_usd"] for one in usage) == pytest.approx(totals["cost_usd"])


def test_a_response_that_took_too_long_is_asked_for_by_its_id(at_hand: Terminal, stub: Callable[..., Stub]) -> None:
    late = stub(*SEED, "--latency-ms", "2500")
    describe(at_hand, late, provider="openai-responses", timeout_s=3)
    assert at_hand.run("judges", "test", "judge.yaml").status == 0
    describe(at_hand, late, provider="openai-responses", timeout_s=1)
    patient = replace(at_hand, environment=at_hand.environment | {"JUDGE_LOOKUP_LAG_S": "10"})
    ended = patient.run(*GRADE, "--limit", "6")
    assert ended.json["overall"]["outcomes"] == {"scored": 6}
    assert set(sent(late).values()) == {1}
    at_hand.write("items.jsonl", (at_hand.folder / "items.jsonl").read_bytes().replace(b"Reply", b"Answer"))
    hasty = replace(at_hand, environment=at_hand.environment | {"JUDGE_LOOKUP_LAG_S": "1"})
    assert hasty.run(*GRADE, "--limit", "6").json["overall"]["outcomes"] == {"lost": 6}  # under way: not denied
    time.sleep(1)
    ended = hasty.run(*GRADE, "--limit", "6", "--resend-lost")
    assert (ended.json["overall"]["outcomes"], ended.json["totals"]["calls"]) == ({"scored": 6}, 6)


def test_an_answer_that_is_listed_late_is_waited_for(at_hand: Terminal, quick: Stub) -> None:
    describe(at_hand, quick)
    quick.keeping(lag_s=1.5)
    quick.behave("reset", after=1, count=2)
    scored(at_hand.run(*GRADE))
    assert sent(quick) == ONCE


def test_a_call_that_the_provider_never_had_is_sent_again(at_hand: Terminal, quick: Stub) -> None:
    describe(at_hand, quick)
    quick.behave("drop", after=1, count=3)
    began = time.monotonic()
    totals = scored(at_hand.run(*GRADE))
    assert time.monotonic() - began > 2  # the call's own time, and the lag
    assert (totals["calls"], totals["rejected"], totals["possible_duplicates"]) == (ITEMS + 3, 3, 0)
    assert at_hand.count("call", "state = 'rejected' AND cause = 'never_arrived' AND cost_usd = 0") == 3


def test_a_provider_that_keeps_nothing_is_not_believed(at_hand: Terminal, quick: Stub) -> None:
    quick.keeping(kept=False)
    describe(at_hand, quick)
    quick.behave("reset", after=1, count=3)
    assert lost(at_hand.run(*GRADE)) == 3
    assert sent(quick) == ONCE


def test_what_cannot_be_asked_for_stays_lost_until_it_can(desk: Terminal, quick: Stub) -> None:
    describe(desk, quick)
    quick.keeping(status=404)
    quick.behave("reset", after=1, count=3)
    ended = desk.run(*GRADE)
    assert lost(ended) == 3
    assert {cause for _, cause, _ in ended.json["causes"]} == {"connection_lost"}
    quick.keeping()
    totals = scored(desk.run(*GRADE, "--resend-lost"))
    assert sent(quick) == ONCE
    assert (totals["lost"], totals["possible_duplicates"], totals["calls"]) == (0, 0, ITEMS)


def test_what_was_not_to_be_kept_is_sent_again_on_request(at_hand: Terminal, quick: Stub) -> None:
    describe(at_hand, quick, store=False)
    quick.behave("reset", after=1, count=3)
    ended = at_hand.run(*GRADE)
    assert lost(ended) == 3
    assert all(call["body"].find('"store"') < 0 for call in quick.calls())
    describe(at_hand, quick)
    again = at_hand.run(*GRADE, "--resend-lost")
    assert again.json["run"]["id"] == ended.json["run"]["id"]  # the same question to the same judge
    assert scored(again)["possible_duplicates"] == 3
    assert sum(sent(quick).values()) == ITEMS + 3


def test_only_a_provider_that_keeps_answers_is_told_to(at_hand: Terminal, quick: Stub) -> None:
    at_hand.judge(quick, provider="anthropic", base_url=quick.url, store=True)
    refused = at_hand.run(*GRADE)
    assert refused.status == 2
    assert "`store`: is for the providers that keep answers: openai, openai-responses" in refused.err
