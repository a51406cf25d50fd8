"""Half price: batches that are sent, waited for, killed at every point, and made good by live calls."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.conftest import items, jsonl

if TYPE_CHECKING:
    from tests.conftest import Stub
    from tests.e2e.conftest import Ended, Terminal

GRADE = ("grade", "items.jsonl", "--rubric", "reply.yaml", "--judge", "judge.yaml", "--json")
BATCH = (*GRADE, "--batch")
PROVIDERS = ("openai", "openai-responses", "anthropic")
ITEMS = 40


@pytest.fixture
def desk(anywhere: Terminal) -> Terminal:
    """A folder where look-ups need not be patient, on a database of each kind."""
    return replace(anywhere, environment=anywhere.environment | {"JUDGE_LOOKUP_LAG_S": "1"})


@pytest.fixture
def at_hand(terminal: Terminal) -> Terminal:
    """The same, on SQLite."""
    return replace(terminal, environment=terminal.environment | {"JUDGE_LOOKUP_LAG_S": "1"})


def describe(terminal: Terminal, stub: Stub, provider: str = "openai", **changes: object) -> None:
    """The judge. The first call of all finds out how it is asked, and is for no item."""
    base_url = stub.url if provider == "anthropic" else stub.base_url
    terminal.judge(stub, provider=provider, base_url=base_url, **changes)


def asked(stub: Stub) -> Counter[str]:
    """How often each item was answered."""
    answered = [call for call in stub.calls() if call["items"] and call["answered"] == 200]
    return Counter(call["items"][0] for call in answered)


def live(stub: Stub) -> int:
    """Answers to calls for items outside batches."""
    return sum(1 for call in stub.calls() if call["items"] and call["batch"] is None and call["answered"] == 200)


def all_once(stub: Stub, count: int = ITEMS) -> bool:
    return asked(stub) == Counter({f"ITEM-{n}": 1 for n in range(count)})


def scored(ended: Ended, count: int = ITEMS) -> Any:
    """The totals of a run that ended with a score for everything."""
    assert ended.status == 0, ended.err
    assert ended.json["overall"]["outcomes"] == {"scored": count}
    return ended.json["totals"]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_batch_costs_half_and_gives_the_same_grades(desk: Terminal, quick: Stub, provider: str) -> None:
    describe(desk, quick, provider)
    totals = scored(desk.run(*BATCH, "--out", "batch.jsonl"))
    assert (totals["calls"], totals["reused"], live(quick)) == (ITEMS, 0, 0)
    assert all_once(quick)
    rows = desk.rows("batch.jsonl")
    assert all(row["usage"]["calls"] == 1 and row["usage"]["cost_usd"] > 0 for row in rows)
    assert sum(row["usage"]["cost_usd"] for row in rows) == pytest.approx(totals["cost_usd"])
    fresh = scored(desk.run(*GRADE, "--fresh", "--out", "live.jsonl"))
    assert totals["cost_usd"] == pytest.approx(fresh["cost_usd"] / 2)
    scores = [[row["score"] for row in desk.rows(name)] for name in ("batch.jsonl", "live.jsonl")]
    assert scores[0] == scores[1]


def test_what_a_batch_answered_is_an_answer_for_everybody(at_hand: Terminal, quick: Stub) -> None:
    describe(at_hand, quick)
    scored(at_hand.run(*BATCH))
    at_hand.write("others.jsonl", jsonl(items(ITEMS + 5)))
    ended = at_hand.run("grade", "others.jsonl", *GRADE[2:])
    assert scored(ended, ITEMS + 5)["calls"] == 5
    again = at_hand.run("grade", "others.jsonl", *GRADE[2:], "--batch")
    assert again.json["totals"]["calls"] == 5
    assert all_once(quick, ITEMS + 5)
    assert len(quick.batches()) == 1


def test_samples_and_equal_items_are_asked_as_live(at_hand: Terminal, quick: Stub) -> None:
    describe(at_hand, quick)
    twins = [{**one, "id": f"twin-{one['id']}"} for one in items(10)]
    at_hand.write("items.jsonl", jsonl([*items(10), *twins]))
    ended = at_hand.run(*BATCH, "--samples", "3", "--out", "grades.jsonl")
    totals = scored(ended, 20)
    assert totals["calls"] == 30
    usage = [row["usage"] for row in at_hand.rows("grades.jsonl")]
    assert Counter(one["calls"] + one["reused"] for one in usage) == {3: 20}
    assert sum(one["calls"] for one in usage) == 30
    assert sum(one["cost_usd"] for one in usage) == pytest.approx(totals["cost_usd"])


@pytest.mark.parametrize(
    ("provider", "fault"),
    [
        ("openai", {"expired": 7}),
        ("openai", {"errored": 7}),
        ("openai", {"uncounted": 7}),
        ("anthropic", {"expired": ITEMS}),
        ("anthropic", {"errored": 7}),
    ],
)
def test_what_a_batch_did_not_answer_is_asked_live(
    at_hand: Terminal, quick: Stub, provider: str, fault: dict[str, int]
) -> None:
    describe(at_hand, quick, provider)
    quick.batching(**fault)
    totals = scored(at_hand.run(*BATCH))
    (missing,) = fault.values()
    assert all_once(quick)
    assert live(quick) == missing == totals["rejected"]
    assert at_hand.count("call", "batch IS NOT NULL AND state = 'rejected' AND cost_usd = 0") == missing


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_an_answer_that_was_counted_and_did_not_come_is_lost(at_hand: Terminal, quick: Stub, provider: str) -> None:
    describe(at_hand, quick, provider)
    quick.batching(missing=3)
    ended = at_hand.run(*BATCH)
    assert ended.status == 1
    assert ended.json["overall"]["outcomes"] == {"scored": ITEMS - 3, "lost": 3}
    assert all_once(quick)
    assert at_hand.count("call", "state = 'lost' AND cause = 'batch_line_missing' AND cost_usd = reserved_usd") == 3
    assert scored(at_hand.run(*BATCH, "--resend-lost"))["possible_duplicates"] == 3
    assert live(quick) == 3


@pytest.mark.parametrize(
    ("provider", "fault"),
    [
        ("openai", "429"),
        ("openai", "500"),
        ("openai", "reset"),
        ("openai", "reset_before"),
        ("anthropic", "reset"),
        ("anthropic", "reset_before"),
    ],
)
def test_a_batch_that_is_not_made_at_once_is_made_once(
    at_hand: Terminal, quick: Stub, provider: str, fault: str
) -> None:
    describe(at_hand, quick, provider)
    quick.batching(create=fault, delay_s=0.1)
    scored(at_hand.run(*BATCH))
    assert all_once(quick)
    assert live(quick) == 0
    assert len(quick.batches()) == 1


def test_results_that_are_not_there_yet_are_waited_for(at_hand: Terminal, quick: Stub) -> None:
    describe(at_hand, quick)
    quick.batching(results_404=2)
    scored(at_hand.run(*BATCH))
    assert all_once(quick)
    assert live(quick) == 0


def test_a_batch_that_is_refused_pauses_the_run(at_hand: Terminal, quick: Stub) -> None:
    describe(at_hand, quick)
    quick.batching(refusal="Enqueued token limit reached")
    ended = at_hand.run(*BATCH)
    assert ended.status == 3
    assert "Enqueued token limit reached" in ended.err
    assert ended.json["totals"]["cost_usd"] == 0
    quick.batching()
    scored(at_hand.run(*BATCH))
    assert all_once(quick)
    assert live(quick) == 0
    quick.batching(create="400")
    at_hand.write("items.jsonl", jsonl(items(3)))
    ended = at_hand.run(*BATCH, "--fresh")
    assert (ended.status, ended.json["totals"]["cost_usd"]) == (3, 0)
    assert "told to answer 400" in ended.err


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_a_batch_is_taken_back_when_its_time_is_over(at_hand: Terminal, quick: Stub, provider: str) -> None:
    describe(at_hand, quick, provider)
    quick.batching(delay_s=600, kept=15)
    totals = scored(at_hand.run(*BATCH, "--batch-window", "1s"))
    assert all_once(quick)
    assert live(quick) == totals["rejected"] == ITEMS - 15


def test_stopping_leaves_a_batch_with_the_provider(desk: Terminal, quick: Stub) -> None:
    describe(desk, quick)
    quick.batching(delay_s=3)
    with desk.start(*BATCH) as process:
        desk.wait(process, lambda: desk.count("batch", "state = 'sent'") == 1)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 3, err
    deleted = desk.run("runs", "delete", "latest", "--yes")
    assert deleted.status == 2
    assert "has a batch of run" in deleted.err
    scored(desk.run(*BATCH))
    assert all_once(quick)
    assert (live(quick), len(quick.batches())) == (0, 1)


def test_going_on_without_batches_takes_back_what_the_provider_has(desk: Terminal, quick: Stub) -> None:
    describe(desk, quick)
    quick.batching(delay_s=600, kept=12, cancel_s=0.5)
    with desk.start(*BATCH) as process:
        desk.wait(process, lambda: desk.count("batch", "state = 'sent'") == 1)
        os.killpg(process.pid, signal.SIGKILL)
    scored(desk.run(*GRADE))
    assert all_once(quick)
    assert live(quick) == ITEMS - 12


def test_large_runs_are_split_and_a_budget_is_kept(at_hand: Terminal, quick: Stub) -> None:
    describe(at_hand, quick)
    few = replace(at_hand, environment=at_hand.environment | {"JUDGE_BATCH_REQUESTS": "16"})
    scored(few.run(*BATCH))
    assert [len(one["questions"]) for one in quick.batches()] == [16, 16, 8]
    worst = max(usd for (usd,) in at_hand.sql("SELECT reserved_usd FROM call WHERE batch IS NOT NULL"))
    at_hand.write("more.jsonl", jsonl([{**one, "output": "Another."} for one in items(ITEMS)]))
    before = len(quick.batches())
    ended = at_hand.run("grade", "more.jsonl", *BATCH[2:], "--budget-usd", str(worst * 3))
    assert ended.status == 3
    assert "budget" in ended.err
    assert ended.json["totals"]["cost_usd"] <= worst * 3
    sizes = [len(one["questions"]) for one in quick.batches()[before:]]
    assert len(sizes) > 1  # what the first one did not cost was spent on the next
    assert max(sizes) <= 3
    ended = at_hand.run("grade", "more.jsonl", *BATCH[2:], "--budget-usd", str(worst * 20))
    scored(ended)
    assert ended.json["totals"]["cost_usd"] <= worst * 20
    assert set(asked(quick).values()) == {2}  # once for each of the files


def test_an_answer_that_a_batch_cut_is_asked_for_again_live(at_hand: Terminal, quick: Stub) -> None:
    describe(at_hand, quick)
    quick.behave("length", after=1, count=4)
    totals = scored(at_hand.run(*BATCH))
    assert (live(quick), totals["unusable"], totals["calls"]) == (4, 4, ITEMS + 4)


def test_a_provider_without_batches_is_refused(at_hand: Terminal, quick: Stub) -> None:
    refused = at_hand.run("grade", "items.jsonl", "--rubric", "reply.yaml", "--judge", "simulated", "--batch", "--json")
    assert refused.status == 0  # nobody is asked at all
    at_hand.write(
        "own.py",
        "from judge.providers.openai import OpenAI\n\n\nclass Own(OpenAI):\n    batches = None\n",
    )
    at_hand.judge(quick, provider="own:Own")
    run = replace(
        at_hand, environment=at_hand.environment | {"PYTHONPATH": f"{at_hand.folder}:{os.environ.get('X', '')}"}
    )
    ended = run.run(*BATCH)
    assert ended.status == 2
    assert "takes no batches" in ended.err


# Killed at every point.


def killed(terminal: Terminal, holds: Callable[[], bool]) -> None:
    """Begins to grade in batches, and kills the process when something holds."""
    with terminal.start(*BATCH) as process:
        terminal.wait(process, holds)
        os.killpg(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "it ended before it was killed"


def made_good(terminal: Terminal, stub: Stub, count: int = ITEMS) -> Any:
    """Goes on: everything is scored, and was answered once."""
    totals = scored(terminal.run(*BATCH), count)
    assert all_once(stub, count)
    assert live(stub) == 0
    assert terminal.count("call", "state = 'sent'") == terminal.count("batch", "state <> 'ended'") == 0
    assert totals["lost"] == 0
    return totals


def test_killed_while_rows_are_claimed(desk: Terminal, quick: Stub) -> None:
    describe(desk, quick)
    desk.write("items.jsonl", jsonl(items(1500)))
    killed(desk, lambda: desk.count("call", "batch IS NOT NULL") > 0)
    assert desk.sql("SELECT state FROM batch") == [("claiming",)]
    assert quick.batches() == []
    claimed = desk.count("call", "batch IS NOT NULL")
    assert made_good(desk, quick, 1500)["rejected"] == claimed


def test_killed_after_the_requests_were_uploaded(desk: Terminal, quick: Stub) -> None:
    describe(desk, quick)
    quick.batching(create="upload_hang")
    killed(desk, lambda: quick.stats()["uploads"] == 1)
    assert desk.sql("SELECT state, provider_id FROM batch") == [("creating", None)]
    assert made_good(desk, quick)["rejected"] == ITEMS


@pytest.mark.parametrize("provider", PROVIDERS)
def test_killed_before_the_id_of_a_batch_was_stored(desk: Terminal, quick: Stub, provider: str) -> None:
    describe(desk, quick, provider)
    quick.batching(create="hang", delay_s=1, unlisted_s=0.5)
    killed(desk, lambda: len(quick.batches()) == 1)
    assert desk.sql("SELECT state, provider_id FROM batch") == [("creating", None)]
    assert made_good(desk, quick)["rejected"] == 0
    assert len(quick.batches()) == 1


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_killed_while_a_batch_is_waited_for(desk: Terminal, quick: Stub, provider: str) -> None:
    describe(desk, quick, provider)
    quick.batching(delay_s=2)
    for _ in range(2):
        killed(desk, lambda: desk.count("batch", "state = 'sent'") == 1)
    assert made_good(desk, quick)["rejected"] == 0
    assert len(quick.batches()) == 1


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_killed_while_results_are_written_down(desk: Terminal, quick: Stub, provider: str) -> None:
    describe(desk, quick, provider)
    desk.write("items.jsonl", jsonl(items(1200)))
    killed(desk, lambda: desk.count("call", "unread") > 0)
    assert 0 < desk.count("call", "batch IS NOT NULL AND state = 'answered'") < 1200
    assert made_good(desk, quick, 1200)["rejected"] == 0
    assert len(quick.batches()) == 1


def test_killed_while_answers_are_given_to_items(desk: Terminal, quick: Stub) -> None:
    describe(desk, quick)
    desk.write("items.jsonl", jsonl(items(1200)))
    killed(desk, lambda: desk.count("run_item", "state = 'finished'") > 0)
    assert 0 < desk.count("run_item", "state = 'finished'") < 1200
    made_good(desk, quick, 1200)


def test_a_call_that_another_run_has_in_a_batch_is_waited_for(at_hand: Terminal, quick: Stub) -> None:
    describe(at_hand, quick)
    quick.batching(delay_s=4)
    at_hand.write("others.jsonl", jsonl(items(ITEMS + 5)))
    with at_hand.start(*BATCH) as first:
        at_hand.wait(first, lambda: at_hand.count("batch", "state = 'sent'") == 1)
        ended = at_hand.run("grade", "others.jsonl", *BATCH[2:])
        assert first.wait(timeout=30) == 0
    assert scored(ended, ITEMS + 5)["calls"] == 5
    assert all_once(quick, ITEMS + 5)
    assert live(quick) == 0
