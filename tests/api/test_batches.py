"""Runs in batches over HTTP: they wait without taking anyone's place, survive a restart, and are taken back."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from judge.store import open_store
from judge.store.wishes import Wish
from tests.api.conftest import JSON, Client, running
from tests.api.test_runs import body, ended, judges, submit

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Stub


@pytest.fixture
def local(stub: Callable[..., Stub], tmp_path: Path) -> tuple[Stub, Path]:
    """A stub, and the folder with a judge that asks it."""
    server = stub("--seed-regex", r"ITEM-\d+")
    return server, judges(tmp_path / "judges", server, mode="json_schema")


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def of_items(stub: Stub, in_batches: bool) -> int:
    """Answers for items, by how they were asked for."""
    calls = [call for call in stub.calls() if call["items"] and call["answered"] == 200]
    return sum(1 for call in calls if (call["batch"] is not None) == in_batches)


def resumed(client: Client, run: str, **asked: Any) -> Any:
    client.send("POST", f"/v1/runs/{run}/resume", json.dumps(asked), JSON)
    return ended(client, run)


def test_a_run_in_batches_is_graded_at_half_the_price(serve: Callable[..., Client], local: tuple[Stub, Path]) -> None:
    stub, folder = local
    client = serve(JUDGES_DIR=folder)
    stub.batching(delay_s=0.5)
    run = submit(client, body(6, judge="local", mode="batch")).json["id"]
    told = "the provider has 6 calls of it in batches, since 20"
    until(lambda: (client.get(f"/v1/runs/{run}").json["why"] or "").startswith(told))
    found = ended(client, run)
    assert (found["status"], found["graded"], found["held"], found["why"]) == ("completed", 6, 0, None)
    assert (of_items(stub, True), of_items(stub, False)) == (6, 0)
    again = ended(client, submit(client, body(6, judge="local", mode="live", fresh=True)).json["id"])
    assert found["cost_usd"] == pytest.approx(again["cost_usd"] / 2)
    refused = submit(client, body(1, judge="local", mode="slow"))
    assert (refused.status, refused.json["errors"][0]["pointer"]) == (422, "/mode")


def test_what_a_batch_has_not_answered_in_its_time_is_asked_live(
    serve: Callable[..., Client], local: tuple[Stub, Path]
) -> None:
    stub, folder = local
    client = serve(JUDGES_DIR=folder)
    stub.batching(delay_s=600, kept=2)
    run = submit(client, body(6, judge="local", mode="batch", batch_window_s=1.0)).json["id"]
    assert ended(client, run)["graded"] == 6
    assert (of_items(stub, True), of_items(stub, False)) == (2, 4)
    stub.batching(delay_s=600)
    run = submit(client, body(6, judge="local", mode="batch", fresh=True)).json["id"]
    until(lambda: len(stub.batches()) == 2)
    assert resumed(client, run, batch_window_s=0.5)["graded"] == 6
    assert (of_items(stub, True), of_items(stub, False)) == (2, 10)
    refused = submit(client, body(1, judge="local", mode="batch", batch_window_s=0.0))
    assert (refused.status, refused.json["errors"][0]["pointer"]) == (422, "/batch_window_s")


def test_a_service_that_starts_goes_on_with_a_batch(database_url: str, local: tuple[Stub, Path]) -> None:
    stub, folder = local
    stub.batching(delay_s=2)
    settings = {"DATABASE_URL": database_url, "KEYLESS": 1, "JUDGES_DIR": folder}
    with running(**settings) as client:
        run = submit(client, body(6, judge="local", mode="batch")).json["id"]
        until(lambda: len(stub.batches()) == 1)
    with running(**settings) as client:
        assert ended(client, run)["status"] == "completed"
    assert (of_items(stub, True), of_items(stub, False), len(stub.batches())) == (6, 0, 1)


def test_a_service_that_starts_sends_what_is_in_no_batch(
    database_url: str, local: tuple[Stub, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    stub, folder = local
    monkeypatch.setenv("JUDGE_BATCH_REQUESTS", "2")
    stub.batching(delay_s=600, create_s=0.5)
    settings = {"DATABASE_URL": database_url, "KEYLESS": 1, "JUDGES_DIR": folder}
    with running(**settings) as client:
        submit(client, body(6, judge="local", mode="batch"))
        until(lambda: len(stub.batches()) == 1)
    assert len(stub.batches()) < 3
    with running(**settings):
        until(lambda: len(stub.batches()) == 3)


def test_a_cancelled_run_takes_its_batch_back_and_keeps_what_was_answered(
    serve: Callable[..., Client], local: tuple[Stub, Path]
) -> None:
    stub, folder = local
    client = serve(JUDGES_DIR=folder)
    stub.batching(delay_s=600, cancel_s=0.5, kept=4)
    run = submit(client, body(6, judge="local", mode="batch")).json["id"]
    until(lambda: len(stub.batches()) == 1)
    assert client.send("POST", f"/v1/runs/{run}/cancel", "{}", JSON).json["status"] == "cancelled"
    until(lambda: stub.batches()[0]["done"])
    until(lambda: client.get(f"/v1/runs/{run}").json["cost_usd"] > 0)
    assert client.get(f"/v1/runs/{run}").json["status"] == "cancelled"
    assert (of_items(stub, True), of_items(stub, False)) == (4, 0)
    assert resumed(client, run, mode="live")["status"] == "completed"
    assert (of_items(stub, True), of_items(stub, False)) == (4, 2)


def test_a_run_that_is_resumed_while_its_batch_goes_up_is_sent_once(
    serve: Callable[..., Client], local: tuple[Stub, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    stub, folder = local
    monkeypatch.setenv("JUDGE_LOOKUP_LAG_S", "1")
    client = serve(JUDGES_DIR=folder)
    stub.batching(create_s=2.5)
    run = submit(client, body(6, judge="local", mode="batch")).json["id"]
    until(lambda: stub.stats()["uploads"] == 1)
    found = resumed(client, run, budget_usd=5.0)
    assert (found["status"], found["graded"], found["held"]) == ("completed", 6, 0)
    assert (of_items(stub, True), of_items(stub, False), len(stub.batches())) == (6, 0, 1)


def test_a_run_that_is_cancelled_while_its_batch_goes_up_takes_it_back(
    serve: Callable[..., Client], local: tuple[Stub, Path]
) -> None:
    stub, folder = local
    client = serve(JUDGES_DIR=folder)
    stub.batching(delay_s=600, create_s=1)
    run = submit(client, body(6, judge="local", mode="batch")).json["id"]
    until(lambda: stub.stats()["uploads"] == 1)
    assert client.send("POST", f"/v1/runs/{run}/cancel", "{}", JSON).json["status"] == "cancelled"
    until(lambda: [one["done"] for one in stub.batches()] == [True])
    assert resumed(client, run, mode="live")["status"] == "completed"
    assert (of_items(stub, True), of_items(stub, False), len(stub.batches())) == (0, 6, 1)


def test_a_paused_run_that_is_cancelled_takes_its_batch_back(
    serve: Callable[..., Client], local: tuple[Stub, Path], database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub, folder = local
    monkeypatch.setattr("judge.queue.MISSING_S", 0.2)
    client = serve(JUDGES_DIR=folder)
    stub.batching(delay_s=600)
    run = submit(client, body(6, judge="local", mode="batch")).json["id"]
    until(lambda: len(stub.batches()) == 1)
    with open_store(database_url) as store:
        store.change(store.submissions.settle, run, Wish.PAUSED, "the judge denied access")
        if store.queue_url is not None:
            jobs = text("SELECT count(*) FROM procrastinate_jobs")
            until(lambda: store.ask(lambda connection, _: connection.execute(jobs).scalar()) == 0)
    assert client.send("POST", f"/v1/runs/{run}/cancel", "{}", JSON).json["status"] == "cancelled"
    until(lambda: stub.batches()[0]["done"])


def test_runs_that_wait_for_batches_take_nobodys_place(
    serve: Callable[..., Client], local: tuple[Stub, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    stub, folder = local
    client = serve(JUDGES_DIR=folder)
    stub.batching(delay_s=600)
    runs = [submit(client, body(1, f"batch {n}", judge="local", mode="batch")).json["id"] for n in range(18)]
    until(lambda: len(stub.batches()) == len(runs))
    monkeypatch.setattr("judge.worker.MOST_WANTED", 1)
    monkeypatch.setattr("judge.worker.MOST_HANDED_OVER", len(runs))
    full = submit(client, body(1, "one more", judge="local", mode="batch"))
    assert (full.status, full.json["detail"][:22]) == (429, "18 runs wait for batch")
    assert ended(client, submit(client, body(3, "live", judge="local")).json["id"])["status"] == "completed"
    assert {client.get(f"/v1/runs/{run}").json["open"] for run in runs} == {1}
