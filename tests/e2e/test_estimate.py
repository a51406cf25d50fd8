"""`judge estimate`, and budgets of the tenant that the commands belong to."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from judge.estimates import Estimate

if TYPE_CHECKING:
    from tests.conftest import Stub
    from tests.e2e.conftest import Terminal

ASKED = ("--rubric", "reply.yaml", "--judge", "judge.yaml")


def test_an_estimate_by_history_and_without_one(terminal: Terminal, quick: Stub, many: None) -> None:
    terminal.judge(quick)
    never = terminal.run("estimate", "items.jsonl", *ASKED)
    assert (never.status, never.err) == (0, "")
    assert "no history: this judge was never asked as it is described" in " ".join(never.out.split())
    assert quick.stats()["requests"] == 0
    graded = terminal.run("grade", "items.jsonl", *ASKED, "--json", "--quiet").json["totals"]
    told = Estimate.model_validate_json(terminal.run("estimate", "items.jsonl", *ASKED, "--fresh", "--json").out)
    assert told.expected is not None
    assert told.expected.cost_usd is not None
    assert told.expected.cost_usd.low <= graded["cost_usd"] <= told.expected.cost_usd.high
    shown = " ".join(terminal.run("estimate", "many.jsonl", *ASKED).out.split())
    assert "to send 200 items · 160 calls · 40 more are answered in the ledger, at no cost" in shown
    assert "by 40 items in 1 run that this judge graded by this rubric" in shown
    assert "expected $" in terminal.run("grade", "many.jsonl", *ASKED, "--dry-run").out
    done = terminal.run("estimate", "items.jsonl", *ASKED).out
    assert "every answer is in the ledger: nothing to pay" in done
    shown = " ".join(terminal.run("estimate", "many.jsonl", *ASKED, "--batch").out.split())
    assert "time within a day, as batches take" in shown
    assert quick.stats()["requests"] == 41  # those of the run, and one probe


def test_looking_makes_no_database(terminal: Terminal, quick: Stub) -> None:
    bare = terminal.beside("bare")
    for path in (bare.folder / ".judge").iterdir():
        path.unlink()
    bare.judge(quick)
    assert bare.run("estimate", "items.jsonl", *ASKED).status == 0
    assert list((bare.folder / ".judge").iterdir()) == []
    assert bare.run("estimate", "items.jsonl", "-r", "reply.yaml", "-j", "openai/gpt-6-luna").status == 2


def test_a_tenants_budget_stops_a_run_of_the_commands_which_then_goes_on(anywhere: Terminal, quick: Stub) -> None:
    anywhere.judge(quick)
    assert anywhere.run("keys", "budget", "--tenant", "local", "--monthly-usd", "0.02").status == 0
    stopped = anywhere.run("grade", "items.jsonl", *ASKED, "--quiet")
    assert stopped.status == 3
    assert "the budget of the tenant local for 20" in stopped.err
    assert "open items would cost" in stopped.err
    (standing,) = anywhere.run("keys", "budget", "--tenant", "local", "--json").json
    ((booked,),) = anywhere.sql("SELECT sum(cost_usd) FROM call")
    assert abs(standing["spent_usd"] - booked) < 1e-9
    assert booked <= 0.02
    assert anywhere.run("keys", "budget", "--tenant", "local", "--monthly-usd", "none").status == 0
    done = anywhere.run("grade", "items.jsonl", *ASKED, "--json", "--quiet")
    assert (done.status, json.loads(done.out)["open"]) == (0, 0)
