"""What runs cost, and how two of them differ, over HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Connection, select, update

from judge.diffs import diff
from judge.keys import Scope
from judge.store import open_store
from judge.store.tables import call
from tests.api.conftest import Client
from tests.api.test_access import ask
from tests.api.test_runs import body, ended, judges, submit

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Stub

FIGURES = ("calls", "lost", "unpriced", "prompt_tokens", "completion_tokens", "cost_usd")


def sums(costs: list[dict[str, Any]]) -> dict[str, Any]:
    return {name: pytest.approx(sum(one[name] for one in costs)) for name in FIGURES}


def test_costs_by_run_judge_and_day_are_those_of_the_ledger(
    serve: Callable[..., Client], stub: Callable[..., Stub], tmp_path: Path
) -> None:
    folder = judges(tmp_path / "judges", stub())
    other = json.loads((folder / "local.yaml").read_text())
    (folder / "dear.yaml").write_text(
        json.dumps(other | {"name": "dear", "model": "other", "price": {"input": 9, "output": 9}})
    )
    client = serve(JUDGES_DIR=folder)
    runs = {name: submit(client, body(5, judge=name, name=f"of {name}")).json["id"] for name in ("local", "dear")}
    statuses = {name: ended(client, run) for name, run in runs.items()}
    client.grades(["Nobody's."], judge="local")

    by_run = client.get("/v1/costs").json
    told = {one["run"]: one for one in by_run["data"]}
    assert set(told) == {*runs.values(), None}  # probes and single grades are of no run
    for name, run in runs.items():
        assert (told[run]["name"], told[run]["calls"]) == (f"of {name}", 5)
        assert told[run]["cost_usd"] == pytest.approx(statuses[name]["cost_usd"])
        assert told[run]["cost_usd"] > 0
    assert [one["cost_usd"] for one in by_run["data"]] == sorted((x["cost_usd"] for x in by_run["data"]), reverse=True)

    by_judge = client.get("/v1/costs?by=judge").json
    assert {one["name"] for one in by_judge["data"]} == {"local", "dear", None}
    by_day = client.get("/v1/costs?by=day").json
    today = datetime.now(UTC).date()
    assert {one["day"] for one in by_day["data"]} <= {str(today), str(today - timedelta(days=1))}
    for listed in (by_run, by_judge, by_day):
        assert {name: listed["total"][name] for name in FIGURES} == sums(listed["data"]) == sums(by_run["data"])

    first = client.get("/v1/costs?limit=1").json
    assert (first["data"], first["has_more"], first["total"]) == (by_run["data"][:1], True, by_run["total"])
    yesterday, tomorrow = today - timedelta(days=1), today + timedelta(days=1)
    assert client.get(f"/v1/costs?from={yesterday}&to={tomorrow}").json == by_run
    for past in (f"to={today - timedelta(days=2)}", f"from={tomorrow}"):
        nothing = client.get(f"/v1/costs?{past}").json
        assert (nothing["data"], nothing["total"]["calls"], nothing["total"]["cost_usd"]) == ([], 0, 0)


def _send(connection: Connection, tenant: str, one: str, at: float) -> None:
    connection.execute(update(call).where(call.c.key == one).values(sent_at=at))


def test_days_begin_at_midnight_in_utc(
    serve: Callable[..., Client], stub: Callable[..., Stub], tmp_path: Path, database_url: str
) -> None:
    client = serve(JUDGES_DIR=judges(tmp_path / "judges", stub()))
    ended(client, submit(client, body(3, judge="local")).json["id"])
    midnight = datetime(2026, 11, 5, tzinfo=UTC).timestamp()
    with open_store(database_url) as store:
        keys = store.ask(lambda connection, _: connection.execute(select(call.c.key)).scalars().all())
        for one, at in zip(keys, (-0.01, 0.0, 0.6 * 86_400, 86_399.9), strict=True):  # the probe is one of them
            store.change(_send, one, midnight + at)
    found = client.get("/v1/costs?by=day").json["data"]
    assert [(one["day"], one["calls"]) for one in found] == [("2026-11-05", 3), ("2026-11-04", 1)]
    only = client.get("/v1/costs?by=day&from=2026-11-05&to=2026-11-05").json
    assert (len(only["data"]), only["total"]["calls"]) == (1, 3)


@pytest.mark.parametrize("query", ["by=week", "from=yesterday", "to=2026-13-01", "limit=0", "limit=1001"])
def test_costs_that_cannot_be_told_are_refused(service: Client, query: str) -> None:
    assert service.get(f"/v1/costs?{query}").status == 422


def test_two_runs_are_compared_as_the_command_does(service: Client) -> None:
    runs = [submit(service, body(count, "compared", samples=samples)).json["id"] for count, samples in ((9, 1), (7, 3))]
    for run in runs:
        ended(service, run)
    found = service.get(f"/v1/runs/{runs[0]}/compare/{runs[1]}?most=3").json
    assert (found["before"], found["after"], found["shared"], found["only_before"]) == (*runs, 7, 2)
    assert [one["criterion"] for one in found["criteria"]] == ["helpfulness", "overall"]
    assert len(found["moved"]) <= 3
    same = service.get(f"/v1/runs/{runs[0]}/compare/{runs[0]}").json
    assert (same["shared"], same["moved"], same["criteria"][0]["change"]) == (9, [], 0)
    for first, second in ((runs[0], "0" * 12), ("0" * 12, runs[0])):
        missing = service.get(f"/v1/runs/{first}/compare/{second}")
        assert (missing.status, missing.json["type"]) == (404, "urn:judge:problem:no-such-run")
    assert service.get(f"/v1/runs/{runs[0]}/compare/latest").status == 422


def test_tenants_compare_and_pay_for_their_own(
    serve: Callable[..., Client], stub: Callable[..., Stub], tmp_path: Path, key: Callable[..., str], database_url: str
) -> None:
    client = serve(KEYLESS="", JUDGES_DIR=judges(tmp_path / "judges", stub()))
    ours, theirs = (key(Scope.ADMIN, tenant=tenant) for tenant in ("ours", "theirs"))
    run = ask(client, ours, "POST", "/v1/runs", body(2, judge="local")).json["id"]
    foreign = ask(client, theirs, "POST", "/v1/runs", body(2)).json["id"]
    assert [e for e in ask(client, ours, "GET", f"/v1/runs/{run}/events").raw.split(b"\n") if e == b"event: end"]
    assert ask(client, ours, "GET", f"/v1/runs/{run}/compare/{foreign}").status == 404
    assert ask(client, ours, "GET", "/v1/costs").json["total"]["calls"] >= 2
    assert ask(client, theirs, "GET", "/v1/costs").json["total"]["calls"] == 0
    with open_store(database_url) as store:
        (info,) = store.of("ours").ask(store.results.runs, run)
        told = diff(store.of("ours"), info, info).as_dict()
    assert ask(client, ours, "GET", f"/v1/runs/{run}/compare/{run}").json == json.loads(json.dumps(told))
