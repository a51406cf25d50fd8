"""Calibrations over HTTP: made of a run and a label set as the command makes them, kept, listed, and graded by."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from judge.answers import CalibrationReport, RunSummary
from judge.calibration.calibration import Calibration
from judge.calibration.making import of_run
from judge.keys import Scope
from judge.store import open_store
from tests.api.conftest import JSON, Client, Reply, no_room
from tests.api.test_access import ask
from tests.api.test_labels import add
from tests.api.test_runs import body, ended, submit

COUNT = 60


def labelled(client: Client, salt: str) -> tuple[str, str]:
    """A run that is graded, and a set with labels of two people on each of its items."""
    run = submit(client, body(COUNT, salt)).json["id"]
    ended(client, run)
    labels = [
        {"item": f"i{n}", "annotator": who, "score": 1 + (n + shift) % 5}
        for n in range(COUNT)
        for who, shift in (("ann", 0), ("bob", n % 3 == 0))
    ]
    assert add(client, salt, labels, run=run).status == 200
    return run, salt


def make(client: Client, run: str, labels: str, key: str | None = None, **fields: Any) -> Reply:
    headers = JSON if key is None else JSON | {"Idempotency-Key": key}
    asked = json.dumps({"run": run, "labels": labels, **fields})
    return client.send("POST", "/v1/calibrations", asked, headers)


def test_a_calibration_is_made_kept_and_graded_by(serve: Callable[..., Client], database_url: str) -> None:
    client = serve()
    run, labels = labelled(client, "team")
    made = make(client, run, labels, "once", name="replies", seed=3)
    assert (made.status, made.headers["Location"]) == (201, f"/v1/calibrations/{made.json['id']}"), made.json
    again = make(client, run, labels, "once", name="replies", seed=3)
    assert (again.json, again.headers["Idempotency-Replayed"]) == (made.json, "true")
    assert (made.json["name"], made.json["version"], made.json["run"]) == ("replies", 1, run)
    kept = client.get(made.headers["Location"]).json
    assert CalibrationReport.model_validate(kept).labels_hash == made.json["labels_hash"]
    report = kept.pop("report")
    assert kept == made.json
    with open_store(database_url) as store:  # as the command line makes it
        (info,) = store.ask(store.results.runs, run)
        own = json.loads(of_run(store, info, labels, name="replies", seed=3).body)
    assert (report["openings"], own["openings"]) == (1, 2)  # every look counts
    assert Calibration.model_validate(report).binding.run == run
    for one in (own, report):
        del one["made_at"], one["openings"], one["measurements"]["helpfulness"]["openings"]
    assert own == report
    listed = client.get("/v1/calibrations?name=replies").json["data"]
    assert [one["version"] for one in listed] == [2, 1]
    assert listed[1] == made.json
    assert client.get("/v1/calibrations?name=none").json["data"] == []
    assert client.get("/v1/calibrations?limit=1").json == {"object": "list", "data": listed[:1], "has_more": True}
    assert client.get(f"/v1/calibrations?after={listed[0]['id']}").json["data"] == listed[1:]
    _shown_by_it(client, run, made.json["id"])
    graded = submit(client, body(5, "graded by it", calibration=made.json["id"]))
    assert graded.status == 202, graded.json
    ended(client, graded.json["id"])
    grades = client.get(f"/v1/runs/{graded.json['id']}/grades").json["data"]
    assert {grade["calibration"]["id"] for grade in grades} == {made.json["id"]}
    asked = body(1, "by another", calibration=made.json["id"], samples=2)
    other = submit(client, asked)
    assert (other.status, other.json["type"]) == (422, "urn:judge:problem:other-calibration")
    assert [one["pointer"] for one in other.json["errors"]] == ["/calibration"]
    plain = submit(client, {**asked, "calibration": None}).json["id"]
    ended(client, plain)
    with open_store(database_url) as store:
        store.change(store.calibrations.show_by, plain, made.json["id"])
    for path in ("grades", "summary", "export", "events"):
        refused = client.get(f"/v1/runs/{plain}/{path}")
        assert (refused.status, refused.json["type"]) == (422, "urn:judge:problem:other-calibration"), path
        assert refused.json["errors"] == []
    other = client.get(f"/v1/runs/{plain}/grades?calibration={made.json['id']}")
    assert (other.status, other.json["type"]) == (422, "urn:judge:problem:other-calibration")
    summary = RunSummary.model_validate(client.get(f"/v1/runs/{graded.json['id']}/summary").json)
    assert [(one.criterion, one.n) for one in summary.calibrated] == [("helpfulness", 5)]


def _shown_by_it(client: Client, run: str, made: str) -> None:
    """A run that was graded before there was a calibration."""
    at = f"/v1/runs/{run}"
    assert {one["calibration"] for one in client.get(f"{at}/grades").json["data"]} == {None}
    for name in (made, "replies@1", "replies"):
        grades = client.get(f"{at}/grades?limit=3&calibration={name}").json["data"]
        assert [one["calibration"]["name"] for one in grades] == ["replies"] * 3
    assert {one["calibration"]["id"] for one in client.get(f"{at}/grades?calibration={made}").json["data"]} == {made}
    assert client.get(f"{at}/summary").json["trust"] == "uncalibrated"
    summary = RunSummary.model_validate(client.get(f"{at}/summary?calibration={made}").json)
    assert (summary.calibration and summary.calibration.id, summary.calibrated[0].n) == (made, COUNT)
    first = json.loads(client.get(f"{at}/export?calibration={made}").raw.splitlines()[0])
    assert first == client.get(f"{at}/grades?limit=1&calibration={made}").json["data"][0]
    assert client.get(f"{at}/export?format=csv&calibration={made}").raw != client.get(f"{at}/export?format=csv").raw
    for path in ("grades", "summary", "export", "export?format=csv"):
        refused = client.get(f"{at}/{path}{'&' if '?' in path else '?'}calibration=none")
        assert (refused.status, [one["parameter"] for one in refused.json["errors"]]) == (422, ["calibration"]), path
        assert "GET /v1/calibrations" in refused.json["errors"][0]["detail"]


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"run": "0" * 12}, "/run"),
        ({"run": "latest"}, "/run"),
        ({"labels": "none"}, "/labels"),
        ({"alpha": 0}, "/alpha"),
        ({"people": "robots"}, "/people"),
        ({"seed": 1.5}, "/seed"),
        ({"network": True}, "/network"),
    ],
)
def test_what_cannot_be_calibrated_is_refused_by_its_place(service: Client, fields: Any, pointer: str) -> None:
    run, labels = labelled(service, "refused")
    refused = make(service, **({"run": run, "labels": labels} | fields))
    assert (refused.status, [one["pointer"] for one in refused.json["errors"]]) == (422, [pointer]), refused.json
    assert service.get("/v1/calibrations").json["data"] == []


def test_labels_that_do_not_fit_are_refused(service: Client) -> None:
    run, _ = labelled(service, "fitting")
    rubric = {"name": "own", "criteria": [{"id": "ok", "scale": "binary", "question": "Is it?"}]}
    assert add(service, "other", [{"item": "i0", "score": "yes"}], rubric=rubric).status == 200
    other = make(service, run, "other")
    assert (other.status, "answers other questions" in other.json["detail"]) == (422, True)
    assert make(service, run, "fitting", group="document").status == 422  # no item has such a column
    assert service.get("/v1/calibrations?name=%00").status == service.get("/v1/calibrations?name=").status == 422
    missing = service.get(f"/v1/calibrations/{'0' * 12}")
    assert (missing.status, missing.json["type"]) == (404, "urn:judge:problem:no-such-calibration")


def test_one_is_made_at_a_time_and_others_are_answered_meanwhile(serve: Callable[..., Client]) -> None:
    client = serve()
    run, labels = labelled(client, "at-once")
    with ThreadPoolExecutor(4) as several:
        making = [several.submit(make, client, run, labels) for _ in range(4)]
        assert client.get("/healthz").status == 200
        statuses = sorted(one.result().status for one in making)
    assert set(statuses) <= {201, 429}
    assert 1 <= statuses.count(201) == len(client.get("/v1/calibrations").json["data"])


def test_while_one_is_made_another_is_told_when_to_come(service: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    run, labels = labelled(service, "one-more")
    with monkeypatch.context() as busy:
        busy.setattr("api.routes.calibrations._one_at_a_time", asyncio.Semaphore(0))
        assert no_room(make(service, run, labels, key="later"), "calibrations", 1)
    assert make(service, run, labels, key="later").status == 201


def test_tenants_calibrate_their_own(serve: Callable[..., Client], key: Callable[..., str]) -> None:
    client = serve(KEYLESS="")
    ours, theirs = (key(Scope.ADMIN, tenant=tenant) for tenant in ("ours", "theirs"))
    run = ask(client, ours, "POST", "/v1/runs", body(COUNT, "tenants")).json["id"]
    assert b"event: end" in ask(client, ours, "GET", f"/v1/runs/{run}/events").raw
    labels = [{"item": f"i{n}", "score": 1 + n % 5} for n in range(COUNT)]
    asked = {"labels": labels, "run": run}
    assert ask(client, theirs, "POST", "/v1/label-sets/team/labels", asked).status == 422
    assert ask(client, ours, "POST", "/v1/label-sets/team/labels", asked).status == 200
    wanted = {"run": run, "labels": "team"}
    assert ask(client, theirs, "POST", "/v1/calibrations", wanted).status == 422
    assert ask(client, key(Scope.GRADE, tenant="ours"), "POST", "/v1/calibrations", wanted).status == 403
    made = ask(client, key(Scope.LABEL, tenant="ours"), "POST", "/v1/calibrations", wanted)
    assert made.status == 201, made.json
    assert ask(client, ours, "GET", f"/v1/calibrations/{made.json['id']}").status == 200
    assert ask(client, theirs, "GET", f"/v1/calibrations/{made.json['id']}").status == 404
    assert ask(client, theirs, "GET", "/v1/calibrations").json["data"] == []
