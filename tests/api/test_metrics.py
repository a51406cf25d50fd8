"""`GET /metrics`, and the log of requests."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from api.metrics import Requests
from judge import Judge
from judge.keys import Scope
from judge.ledger import CallState, Settlement
from judge.metrics import Metrics
from judge.store.store import Store
from tests.api.conftest import JSON, Client, Reply

Samples = dict[tuple[str, ...], float]


def read(client: Client, **headers: str) -> Reply:
    return client.send("GET", "/metrics", headers=headers)


def samples(client: Client, name: str) -> Samples:
    """Those of a name, by their labels' values in the order of the labels' names."""
    families = text_string_to_metric_families(read(client).raw.decode())
    found = [one for family in families for one in family.samples if one.name == f"judge_{name}"]
    return {tuple(value for _, value in sorted(one.labels.items())): one.value for one in found}


@pytest.fixture
def client(serve: Callable[..., Client], tmp_path: Path) -> Client:
    """A service whose operator offers one judge."""
    (tmp_path / "own.yaml").write_text("name: our-own\nprovider: simulated\n")
    return serve(JUDGES_DIR=tmp_path)


def wait(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)


def test_grades_are_counted_by_judge_and_outcome(client: Client) -> None:
    client.grades(["Hi.", "Ho."])
    client.grades(["Hi."], judge="our-own")
    assert samples(client, "grades_total") == {("simulated", "scored"): 2, ("our-own", "scored"): 1}


def test_judges_that_callers_think_of_are_counted_as_one(client: Client) -> None:
    for name in ("openai/one", "openai/two", "openai/tenant-secret", "nobody"):
        assert client.grades(["Hi."], judge=name).status == 422  # there is no key
    assert "tenant-secret" not in read(client).raw.decode()
    assert samples(client, "http_requests_total")["POST", "/v1/grades", "422"] == 4


def test_requests_are_counted_by_the_template_of_their_route(client: Client) -> None:
    for path in ("/v1/rubrics/helpfulness", "/v1/rubrics/s3cret", "/s3cret", "/v1/runs?after=s3cret"):
        client.get(path)
    client.send("S3CRET", "/v1/runs")
    found = samples(client, "http_requests_total")
    assert found == {
        ("GET", "/v1/rubrics/{name}", "200"): 1,
        ("GET", "/v1/rubrics/{name}", "404"): 1,
        ("GET", "other", "404"): 1,
        ("GET", "/v1/runs", "422"): 1,
        ("other", "/v1/runs", "405"): 1,
    }
    assert b"s3cret" not in read(client).raw.lower()
    seconds = samples(client, "http_request_duration_seconds_count")
    assert seconds["GET", "/v1/rubrics/{name}"] == 2


def test_what_fails_is_counted_as_it_is_answered(
    serve: Callable[..., Client], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_metered.py").write_text(
        "class Broken:\n    kind, fingerprint = 'simulated', 'f' * 64\n    def __init__(self, judge): ...\n"
        "    def verdicts(self, item, rubric, sample): raise KeyError('s3cret')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "broken.yaml").write_text("provider: broken_metered:Broken\n")
    client = serve(JUDGES_DIR=tmp_path)
    told = client.grades(["Hi."], judge="broken")
    assert (told.status, told.json["request_id"]) == (500, told.headers["X-Request-ID"])
    assert samples(client, "http_requests_total") == {("POST", "/v1/grades", "500"): 1}


def test_what_waits_is_counted_in_the_store(client: Client, store: Store) -> None:
    assert samples(client, "runs_wanted") == {(): 0}
    items = [{"id": str(n), "output": f"Hi {n}."} for n in range(500)]
    body = json.dumps({"items": items, "rubric": "helpfulness", "judge": "simulated"})
    assert client.send("POST", "/v1/runs", body, JSON).status == 202
    wait(lambda: samples(client, "grades_total") == {("simulated", "scored"): 500})
    wait(lambda: samples(client, "runs_wanted") == samples(client, "runs_active") == {(): 0})


def test_a_figure_that_cannot_be_had_is_left_out(client: Client, store: Store) -> None:
    def rename(table: str, to: str) -> None:
        store.change(lambda connection, _: connection.exec_driver_sql(f"ALTER TABLE {table} RENAME TO {to}"))

    rename("submission", "gone")
    try:
        told = read(client)
        assert (told.status, samples(client, "runs_wanted"), samples(client, "runs_active")) == (200, {}, {(): 0})
    finally:
        rename("gone", "submission")
    assert samples(client, "runs_wanted") == {(): 0}


def test_the_page_names_every_figure_and_its_labels(client: Client) -> None:
    """Those of judges that are asked are made by hand: no judge here is."""
    page = (Path(__file__).parents[2] / "docs" / "observability.md").read_text("utf-8")
    rows = re.findall(r"^\| `(judge_\w+)` \|([^|]*)\|", page, re.MULTILINE)
    told = {name.removesuffix("_total"): set(re.findall(r"`(\w+)`", labels)) for name, labels in rows}
    metrics, judge = Metrics(lambda judge: judge.name), Judge.load("simulated")
    Requests(metrics.registry).answered("GET", "/", 200, 0.1)
    settlement = Settlement("k", 1, CallState.ANSWERED, 0.0, prompt_tokens=1, completion_tokens=1, cached_tokens=1)
    for cost in (None, 0.0):
        metrics.settled(judge, replace(settlement, cost_usd=cost), 0.1)
    metrics.sent(judge)
    metrics.retried(judge, "http_500")
    exposed = f"{generate_latest(metrics.registry).decode()}{read(client).raw.decode()}"
    kinds = {"gauge", "counter", "histogram"}
    families = [one for one in text_string_to_metric_families(exposed) if one.type in kinds]
    found = {one.name for one in families if not one.name.endswith("_created")}
    assert found == set(told)
    for family in families:
        for sample in family.samples:
            if family.name in told:
                assert set(sample.labels) - {"le"} == told[family.name], family.name


def test_figures_come_in_the_format_that_is_asked_for(client: Client) -> None:
    assert read(client).headers["Content-Type"].startswith("text/plain; version=")
    openmetrics = read(client, Accept="application/openmetrics-text; version=1.0.0")
    assert openmetrics.headers["Content-Type"].startswith("application/openmetrics-text")
    assert openmetrics.raw.endswith(b"# EOF\n")


def test_a_key_for_metrics_is_for_nothing_else(serve: Callable[..., Client], key: Callable[..., str]) -> None:
    client, text = serve(KEYLESS=""), key(Scope.METRICS)
    bearer = {"Authorization": f"Bearer {text}"}
    assert read(client).status == 401
    assert read(client, **bearer).status == 200
    assert client.send("GET", "/v1/runs", headers=bearer).status == 403
    refused = read(client, Authorization=f"Bearer {key(Scope.READ)}")
    assert (refused.status, refused.json["type"]) == (403, "urn:judge:problem:not-allowed")


def test_every_request_leaves_a_line_with_its_id(
    serve: Callable[..., Client],
    key: Callable[..., str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    client, text = serve(KEYLESS=""), key(Scope.READ, tenant="acme")
    with caplog.at_level(logging.INFO, "api.watch"):
        told = client.send("GET", "/v1/rubrics/s3cret?q=s3cret", headers={"Authorization": f"Bearer {text}"})
        refused = client.get("/v1/runs")
        client.get("/healthz")
        wait(lambda: len(caplog.records) >= 2)
    lines: list[Any] = [vars(record) for record in caplog.records]
    assert [(one["method"], one["route"], one["status"]) for one in lines] == [
        ("GET", "/v1/rubrics/{name}", 404),
        ("GET", "other", 401),
    ]
    assert (lines[0]["tenant"], lines[0]["key"]) == ("acme", text.split("_")[1])
    assert {"tenant", "key"}.isdisjoint(lines[1])
    assert [reply.json["request_id"] for reply in (told, refused)] == [
        reply.headers["X-Request-ID"] for reply in (told, refused)
    ]
    assert "s3cret" not in str(lines)
