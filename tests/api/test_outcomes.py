"""Grades by their outcome over HTTP: those that somebody wants to look at, without paging through all others."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import Connection, update

from judge.grades import OVERALL
from judge.store import open_store
from judge.store.tables import grade, run_item
from tests.api.conftest import JSON, Client
from tests.api.test_runs import body, ended, judges, submit

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Stub

COUNT = 60
FAILED = dict.fromkeys(range(0, COUNT, 7), "judge_error")
LOST = dict.fromkeys(range(50, 60, 4), "lost")


def paged(client: Client, run: str, query: str, limit: int = 500) -> tuple[list[tuple[str, str]], list[int]]:
    """Items and outcomes of all pages, and how long each was."""
    found, sizes, after = [], [], -1
    while after is not None:
        page = client.get(f"/v1/runs/{run}/grades?{query}&limit={limit}&after={after}").json
        found += [(one["item"], one["outcome"]) for one in page["data"]]
        sizes.append(len(page["data"]))
        assert page["has_more"] == (page["next"] is not None)
        after = page["next"]
    return found, sizes


def _fail(connection: Connection, tenant: str, run: str) -> None:
    for n, outcome in (FAILED | LOST).items():
        here = (grade.c.run == run, grade.c.seq == n, grade.c.criterion == OVERALL)
        connection.execute(update(grade).where(*here).values(outcome=outcome, score=None))
        held = (run_item.c.run == run, run_item.c.seq == n, outcome == "lost")
        connection.execute(update(run_item).where(*held).values(state="held"))


def test_pages_hold_what_came_to_an_outcome_alone(serve: Callable[..., Client], database_url: str) -> None:
    client = serve()
    runs = [submit(client, body(COUNT, "by outcome", samples=n)).json["id"] for n in (1, 2)]
    for run in runs:
        ended(client, run)
    run = runs[0]  # the other one has none of them
    with open_store(database_url) as store:
        store.change(_fail, run)

    for query, wanted in (
        ("outcome=lost", LOST),
        ("outcome=judge_error", FAILED),
        ("outcome=judge_error&outcome=lost&outcome=lost", FAILED | LOST),
        ("outcome=refused", {}),
    ):
        told = [(f"i{n}", outcome) for n, outcome in sorted(wanted.items())]
        assert paged(client, run, query) == (told, [len(told)])
        assert paged(client, run, query, 4)[0] == told
    assert paged(client, run, "outcome=judge_error", 4)[1] == [4, 4, 1]
    assert paged(client, run, "outcome=judge_error", 3)[1] == [3, 3, 3]
    whole = client.get(f"/v1/runs/{run}/grades").json["data"]
    scored = client.get(f"/v1/runs/{run}/grades?outcome=scored").json["data"]
    assert scored == [one for one in whole if one["outcome"] == "scored"]
    assert len(scored) == COUNT - len(FAILED | LOST)
    assert paged(client, runs[1], "outcome=lost&outcome=judge_error") == ([], [0])


def test_what_was_graded_again_is_told_by_its_new_outcome(
    serve: Callable[..., Client], stub: Callable[..., Stub], tmp_path: Path
) -> None:
    server = stub()
    client = serve(JUDGES_DIR=judges(tmp_path / "judges", server))
    ended(client, submit(client, body(1, "how to ask", judge="local")).json["id"])
    server.behave("prose")
    run = submit(client, body(3, "again", judge="local")).json["id"]
    ended(client, run)
    assert paged(client, run, "outcome=invalid", 2) == ([(f"i{n}", "invalid") for n in range(3)], [2, 1])
    server.behave("normal")
    client.send("POST", f"/v1/runs/{run}/resume", json.dumps({"retry_failed": True}), JSON)
    ended(client, run)
    assert paged(client, run, "outcome=invalid") == ([], [0])
    assert paged(client, run, "outcome=scored&outcome=invalid")[0] == [(f"i{n}", "scored") for n in range(3)]


@pytest.mark.parametrize("query", ["outcome=failed", "outcome=", "outcome=lost&outcome=LOST", "outcome=lost,scored"])
def test_an_outcome_that_there_is_none_of_is_refused(service: Client, query: str) -> None:
    refused = service.get(f"/v1/runs/{'0' * 12}/grades?{query}")
    assert (refused.status, refused.json["type"]) == (422, "urn:judge:problem:invalid-request")
    assert {one["parameter"] for one in refused.json["errors"]} == {"outcome"}
