"""As many runs wait as may: one more is told when to come again, and none that was accepted is lost."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Update, update

from judge.store import open_store, tables
from judge.store.wishes import Wish
from judge.worker import MOST_WANTED
from tests.api.conftest import JSON, Client, Reply, no_room
from tests.api.test_runs import body, ended, judges, submit
from tests.api.test_uploads import lines, upload

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Stub


def test_one_run_too_many_is_refused_and_none_that_was_accepted_is_lost(
    serve: Callable[..., Client], stub: Callable[..., Stub], tmp_path: Path
) -> None:
    server = stub()
    client = serve(JUDGES_DIR=judges(tmp_path / "judges", server))
    first = submit(client, body(1, "how to ask", judge="local")).json["id"]
    assert ended(client, first)["status"] == "completed"
    os.kill(server.pid, signal.SIGSTOP)
    try:
        accepted = [submit(client, body(1, f"waits {n}", judge="local")) for n in range(MOST_WANTED)]
        assert {reply.status for reply in accepted} == {202}
        assert {reply.headers["RateLimit-Policy"] for reply in accepted} == {f'"waiting-runs";q={MOST_WANTED}'}
        left = [reply.headers["RateLimit"] for reply in accepted]
        assert left == [f'"waiting-runs";r={MOST_WANTED - n}' for n in range(1, MOST_WANTED + 1)]
        assert f"\njudge_runs_wanted {MOST_WANTED}.0\n" in client.get("/metrics").raw.decode()
        uploaded = lines({"rubric": "helpfulness", "judge": "local"}, [{"id": "1", "output": "too many"}])
        for refused in (submit(client, body(1, "too many", judge="local")), upload(client, uploaded)):
            assert no_room(refused, "waiting-runs", MOST_WANTED, unit=None)
        again = submit(client, body(1, "waits 0", judge="local"))  # it is there already
        assert (again.status, again.json["id"]) == (202, accepted[0].json["id"])
        assert len(client.get("/v1/runs?limit=100").json["data"]) == 100  # what is there can be seen meanwhile
    finally:
        os.kill(server.pid, signal.SIGCONT)
    found = [ended(client, reply.json["id"]) for reply in accepted]
    assert {(one["status"], one["graded"], one["held"]) for one in found} == {("completed", 1, 0)}
    again = submit(client, body(1, "too many", judge="local"))
    assert (again.status, again.headers["RateLimit"]) == (202, f'"waiting-runs";r={MOST_WANTED - 1}')


def test_what_is_resumed_is_held_to_the_limit_and_stays_as_it_was(
    serve: Callable[..., Client], database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("judge.worker.MOST_WANTED", 2)
    monkeypatch.setattr("api.limits.MOST_WANTED", 2)
    client = serve(NO_WORKER=1)

    def resume(run: str, key: str = "", **asked: Any) -> Reply:
        headers = JSON | ({"Idempotency-Key": key} if key else {})
        return client.send("POST", f"/v1/runs/{run}/resume", json.dumps(asked), headers)

    with open_store(database_url) as store:
        done, stopped = (submit(client, body(1, name)).json["id"] for name in ("done", "stopped"))
        store.change(store.submissions.settle, done, Wish.DONE)
        store.change(lambda connection, _: connection.execute(update(tables.run).values(state="done")) and None)
        store.change(lambda connection, _: connection.execute(_open(stopped)) and None)
        assert client.send("POST", f"/v1/runs/{stopped}/cancel").json["status"] == "cancelled"
        waits = [submit(client, body(1, f"waits {n}")).json["id"] for n in range(2)]

        before = store.ask(store.submissions.of_runs, [done, stopped])
        again = body(1, "stopped", budget_usd=3)
        for refused in (resume(stopped, "later", budget_usd=3), resume(done, retry_failed=True), submit(client, again)):
            assert no_room(refused, "waiting-runs", 2, unit=None)
        assert store.ask(store.submissions.of_runs, [done, stopped]) == before
        assert client.get(f"/v1/runs/{stopped}").json["status"] == "cancelled"

        # Neither of these makes one more wait.
        assert resume(waits[0], budget_usd=3).headers["RateLimit"] == '"waiting-runs";r=0'
        assert submit(client, body(1, "done")).status == 202
        store.change(store.submissions.settle, done, Wish.DONE)
        store.change(store.submissions.settle, waits[1], Wish.CANCELLED)
        resumed = resume(stopped, "later", budget_usd=3)
        assert (resumed.status, resumed.json["status"]) == (202, "queued")
        assert resumed.headers["RateLimit-Policy"] == '"waiting-runs";q=2'
        assert store.ask(store.submissions.of_runs, [stopped])[stopped].options["budget_usd"] == 3
        replayed = resume(stopped, "later", budget_usd=3)
        assert (replayed.raw, replayed.headers["Idempotency-Replayed"]) == (resumed.raw, "true")
        assert no_room(resume(waits[1]), "waiting-runs", 2, unit=None)


def _open(run: str) -> Update:
    return update(tables.run).where(tables.run.c.id == run).values(state="open")
