"""Budgets of keys and tenants over HTTP, and what a run would cost before it is made."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from judge import keys
from judge.budgets import Period
from judge.client import Client as Typed
from judge.client import ServiceError
from judge.estimates import Estimate
from judge.items import Item
from judge.keys import Scope
from judge.store import open_store
from tests.api.conftest import Client, running
from tests.api.test_access import ask
from tests.api.test_client import url
from tests.api.test_runs import body, judges

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def limit(database_url: str) -> Callable[..., None]:
    """Sets a budget, of a key or of a tenant."""

    def put(limit_usd: float, key: str | None = None, period: Period = Period.TOTAL, tenant: str = "local") -> None:
        with open_store(database_url, tenant) as store:
            store.change(store.budgets.put, None if key is None else keys.id_of(key), period, limit_usd)

    return put


@pytest.fixture
def client(serve: Callable[..., Client], stub: Callable[..., Any], tmp_path: Path) -> Client:
    """A service with one judge, at a stub."""
    return serve(KEYLESS="", JUDGES_DIR=judges(tmp_path / "judges", stub()))


def ended(client: Client, text: str, run: str) -> Any:
    until = time.monotonic() + 20
    while (found := ask(client, text, path=f"/v1/runs/{run}").json)["status"] in {"queued", "running"}:
        assert time.monotonic() < until, found
        time.sleep(0.02)
    return found


def grades(client: Client, text: str, outputs: list[str]) -> Any:
    items = [{"id": str(place), "output": output} for place, output in enumerate(outputs)]
    return ask(client, text, "POST", "/v1/grades", {"items": items, "rubric": "helpfulness", "judge": "local"})


def test_a_run_pauses_when_its_keys_budget_is_used_up_and_goes_on_when_it_is_raised(
    client: Client, key: Callable[..., str], limit: Callable[..., None]
) -> None:
    poor, rich = (key(Scope.GRADE, Scope.READ) for _ in range(2))
    limit(0.015, poor)
    run = ask(client, poor, "POST", "/v1/runs", body(30, judge="local")).json["id"]
    paused = ended(client, poor, run)
    assert paused["status"] == "paused"
    assert f"the budget of the key {keys.id_of(poor)} of $0.0150 is used up ($0.0" in paused["why"]
    assert f"to grade the {paused['open']} open items would cost" in paused["why"]
    assert paused["open"] > 0
    assert paused["graded"] > 0
    (told,) = ask(client, poor, path="/v1/budgets").json["data"]
    assert (told["of"], told["period"], told["month"], told["limit_usd"]) == ("key", "total", None, 0.015)
    # The probe belongs to nobody.
    assert told["spent_usd"] == pytest.approx(paused["cost_usd"]) == pytest.approx(0.015 - told["left_usd"])
    refused = grades(client, poor, ["something else"])
    assert (refused.status, refused.json["type"]) == (402, "urn:judge:problem:budget-used-up")
    assert "nothing is lost" in refused.json["detail"]
    assert "Retry-After" not in refused.headers
    assert grades(client, rich, ["something else"]).status == 200  # another's key is not concerned
    assert ask(client, rich, path="/v1/budgets").json["data"] == []
    limit(5.0, poor)
    assert ask(client, poor, "POST", f"/v1/runs/{run}/resume", {}).status == 202
    done = ended(client, poor, run)
    assert (done["status"], done["graded"], done["why"]) == ("completed", 30, None)


def test_whoever_resumes_a_run_pays_for_the_rest_of_it(
    client: Client, key: Callable[..., str], limit: Callable[..., None]
) -> None:
    poor, rich = (key(Scope.GRADE, Scope.READ) for _ in range(2))
    limit(0.015, poor)
    limit(9.0, rich, Period.MONTH)
    run = ask(client, poor, "POST", "/v1/runs", body(30, judge="local")).json["id"]
    paused = ended(client, poor, run)
    ask(client, rich, "POST", f"/v1/runs/{run}/resume", {})
    done = ended(client, poor, run)
    assert (paused["status"], done["status"]) == ("paused", "completed")
    (told,) = ask(client, rich, path="/v1/budgets").json["data"]
    assert told["spent_usd"] == pytest.approx(done["cost_usd"] - paused["cost_usd"])


def test_a_tenants_month_limits_all_its_keys_and_no_other_tenant(
    client: Client, key: Callable[..., str], limit: Callable[..., None]
) -> None:
    one, other = (key(Scope.ADMIN, tenant="ours") for _ in range(2))
    elsewhere = key(Scope.ADMIN, tenant="theirs")
    limit(0.0, None, Period.MONTH, "ours")
    for text in (one, other):
        refused = grades(client, text, ["x"])
        assert (refused.status, refused.json["type"]) == (402, "urn:judge:problem:budget-used-up")
        (told,) = ask(client, text, path="/v1/budgets").json["data"]
        assert (told["of"], told["period"], told["left_usd"]) == ("tenant", "month", 0.0)
    assert grades(client, elsewhere, ["x"]).status == 200
    assert ask(client, elsewhere, path="/v1/budgets").json["data"] == []


def test_a_dry_run_tells_what_the_run_would_cost_and_makes_nothing(client: Client, key: Callable[..., str]) -> None:
    text = key(Scope.ADMIN)
    before = ask(client, text, "POST", "/v1/runs", body(12, judge="local", dry_run=True))
    assert before.status == 200
    assert Estimate.model_validate(before.json).expected is None
    assert "no history" in before.json["note"]
    assert ask(client, text).json["data"] == []
    run = ask(client, text, "POST", "/v1/runs", body(12, judge="local")).json["id"]
    done = ended(client, text, run)
    again = Estimate.model_validate(ask(client, text, "POST", "/v1/runs", body(12, judge="local", dry_run=True)).json)
    assert (again.calls, again.answered, again.worst_usd) == (0, 12, 0.0)
    other = body(12, "others", judge="local", dry_run=True)
    told = Estimate.model_validate(ask(client, text, "POST", "/v1/runs", other).json).expected
    assert told is not None
    assert told.cost_usd is not None
    assert told.cost_usd.low <= told.cost_usd.expected <= told.cost_usd.high
    assert told.cost_usd.expected == pytest.approx(done["cost_usd"], rel=0.2)
    half = Estimate.model_validate(ask(client, text, "POST", "/v1/runs", other | {"mode": "batch"}).json)
    assert half.mode == "batch"
    assert half.expected is not None
    assert half.expected.cost_usd is not None
    assert half.expected.cost_usd.expected == pytest.approx(told.cost_usd.expected / 2)
    assert len(ask(client, text).json["data"]) == 1
    wrong = ask(client, text, "POST", "/v1/runs", body(1, judge="none", dry_run=True))
    assert wrong.status == 422


@pytest.mark.anyio
async def test_the_client_asks_for_both(
    database_url: str, stub: Callable[..., Any], tmp_path: Path, key: Callable[..., str], limit: Callable[..., None]
) -> None:
    text = key(Scope.ADMIN)
    limit(0.0, text)
    folder = judges(tmp_path / "judges", stub())
    with running(DATABASE_URL=database_url, JUDGES_DIR=folder) as service:
        async with Typed(url(service), text) as typed:
            items = [Item(id=str(n), output=f"Answer {n}.") for n in range(3)]
            told = await typed.estimate(items, rubric="helpfulness", judge="local", samples=2)
            assert (told.items, told.calls) == (3, 6)
            assert [(one.of, one.limit_usd) for one in await typed.budgets()] == [("key", 0.0)]
            with pytest.raises(ServiceError) as refused:
                await typed.grade(items, rubric="helpfulness", judge="local")
            assert (refused.value.status, refused.value.passing) == (402, False)


def test_a_bad_wish_for_a_dry_run_is_refused_by_its_place(service: Client) -> None:
    refused = service.send("POST", "/v1/runs", json.dumps(body(1, dry_run="yes")), {"Content-Type": "application/json"})
    assert (refused.status, refused.json["errors"][0]["pointer"]) == (422, "/dry_run")
