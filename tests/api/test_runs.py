"""Runs over HTTP: accepted, graded in the background, paged, cancelled, resumed; the same request is the same run."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import update

from api.routes import results
from judge import Rubric
from judge.owner import this_process
from judge.rescoring import rescore
from judge.store import open_store, tables
from tests.api.conftest import JSON, Client, Reply, running

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Stub

ENDED = {"completed", "paused", "cancelled"}


def body(count: int, salt: str = "", **fields: Any) -> dict[str, Any]:
    items = [{"id": f"i{n}", "output": f"ITEM-{n} {salt}"} for n in range(count)]
    return {"items": items, "rubric": "helpfulness", "judge": "simulated", **fields}


def submit(client: Client, asked: dict[str, Any], **headers: str) -> Reply:
    return client.send("POST", "/v1/runs", json.dumps(asked), JSON | headers)


def ended(client: Client, run: str) -> Any:
    """The status of a run when nobody is at work on it any more."""
    until = time.monotonic() + 30
    while (found := client.get(f"/v1/runs/{run}").json)["status"] not in ENDED:
        assert time.monotonic() < until, found
        time.sleep(0.02)
    return found


def judges(folder: Path, stub: Stub, **fields: Any) -> Path:
    folder.mkdir()
    told = {
        "name": "local",
        "provider": "openai",
        "model": "stub",
        "base_url": stub.base_url,
        "price": {"input": 1, "output": 1},
    }
    (folder / "local.yaml").write_text(json.dumps(told | fields))
    return folder


def test_a_run_is_accepted_and_graded(service: Client) -> None:
    accepted = submit(service, body(7, "accepted", samples=2, name="seven"))
    assert (accepted.status, accepted.headers["Location"]) == (202, f"/v1/runs/{accepted.json['id']}")
    assert accepted.json["status"] in {"queued", "running", "completed"}
    found = ended(service, accepted.json["id"])
    told = {name: found[name] for name in ("status", "name", "items", "graded", "held", "open", "samples")}
    assert told == {"status": "completed", "name": "seven", "items": 7, "graded": 7, "held": 0, "open": 0, "samples": 2}
    listed = service.get("/v1/runs?limit=1").json
    assert listed["data"] == [found]


def test_grades_come_by_pages_in_the_order_of_the_items(service: Client) -> None:
    run = submit(service, body(23, "paged")).json["id"]
    ended(service, run)
    items, path = [], f"/v1/runs/{run}/grades?limit=10"
    sizes = []
    after: int | None = -1
    while after is not None:
        page = service.get(f"{path}&after={after}").json
        items += [grade["item"] for grade in page["data"]]
        sizes.append(len(page["data"]))
        assert page["has_more"] == (page["next"] is not None)
        after = page["next"]
    assert sizes == [10, 10, 3]
    assert items == [f"i{n}" for n in range(23)]
    whole = service.get(f"/v1/runs/{run}/grades").json["data"]
    at_once = service.send("POST", "/v1/grades", json.dumps(body(23, "paged")), JSON).json["data"]
    assert [one["criteria"] for one in whole] == [one["criteria"] for one in at_once]


def test_equal_submissions_are_one_run_however_many_come_at_once(service: Client) -> None:
    asked = body(5, "at once")
    with ThreadPoolExecutor(16) as several:
        replies = list(several.map(lambda _: submit(service, asked), range(50)))
    assert {reply.status for reply in replies} == {202}
    assert len({reply.json["id"] for reply in replies}) == 1
    first = replies[0].json["id"]
    assert submit(service, asked | {"samples": 2}).json["id"] != first
    fresh = submit(service, asked | {"fresh": True}).json["id"]
    assert fresh != first
    for run in (first, fresh):
        assert ended(service, run)["graded"] == 5


def test_runs_are_listed_by_pages(service: Client) -> None:
    made = [submit(service, body(1, f"listed {n}")).json["id"] for n in range(3)]
    newest = service.get("/v1/runs?limit=2").json
    assert [one["id"] for one in newest["data"]] == made[:0:-1]
    assert newest["has_more"]
    after = service.get(f"/v1/runs?limit=1&after={made[1]}").json
    assert [one["id"] for one in after["data"]] == made[:1]


@pytest.mark.parametrize("key", ['"quoted \\" key"', "8e03978e-40d5"])
def test_a_key_gives_the_first_answer_again(service: Client, key: str) -> None:
    asked = body(2, f"keyed {key}", fresh=True)
    first = submit(service, asked, **{"Idempotency-Key": key})
    again = submit(service, asked, **{"Idempotency-Key": key})
    assert (again.status, again.raw, again.headers["Location"]) == (202, first.raw, first.headers["Location"])
    assert (first.headers["Idempotency-Replayed"], again.headers["Idempotency-Replayed"]) == (None, "true")
    other = submit(service, asked | {"samples": 3}, **{"Idempotency-Key": key})
    assert (other.status, other.json["type"]) == (422, "urn:judge:problem:idempotency-key-reused")
    ended(service, first.json["id"])
    assert submit(service, asked, **{"Idempotency-Key": f"{key[:-1]}x{key[-1]}"}).json["id"] != first.json["id"]


def test_a_key_whose_first_request_is_worked_on_is_refused(
    serve: Callable[..., Client], stub: Callable[..., Stub], tmp_path: Path
) -> None:
    server, key = stub(), {"Idempotency-Key": "meets"}
    client = serve(JUDGES_DIR=judges(tmp_path / "judges", server))
    asked = body(1, "meets", judge="local")
    os.kill(server.pid, signal.SIGSTOP)  # how the judge can be asked is found out first
    try:
        with ThreadPoolExecutor(2) as aside:
            both = [aside.submit(submit, client, asked, **key) for _ in range(2)]
            refused = next(as_completed(both, timeout=10)).result()
            os.kill(server.pid, signal.SIGCONT)
            told = {one.result().status for one in both}
    finally:
        os.kill(server.pid, signal.SIGCONT)
    assert (refused.status, refused.json["type"]) == (409, "urn:judge:problem:idempotency-key-in-use")
    assert (refused.headers["Retry-After"], told) == ("1", {202, 409})
    assert submit(client, asked, **key).headers["Idempotency-Replayed"] == "true"


def test_a_key_gives_the_first_answer_though_the_judge_is_gone(
    serve: Callable[..., Client], stub: Callable[..., Stub], tmp_path: Path
) -> None:
    key, asked = {"Idempotency-Key": "gone"}, body(1, "gone", judge="local")
    first = submit(serve(JUDGES_DIR=judges(tmp_path / "judges", stub())), asked, **key)
    without = serve()
    again = submit(without, asked, **key)
    assert (again.status, again.raw, again.headers["Idempotency-Replayed"]) == (202, first.raw, "true")
    refused = submit(without, asked)
    assert (refused.status, refused.json["errors"][0]["pointer"]) == (422, "/judge")


@pytest.mark.parametrize("key", ["", '"', '"open', "a b", "k" * 256, '"' + "k" * 256 + '"', "é"])
def test_a_key_that_cannot_be_kept_is_refused(service: Client, key: str) -> None:
    refused = submit(service, body(1), **{"Idempotency-Key": key})
    assert (refused.status, refused.json["type"]) == (400, "urn:judge:problem:invalid-idempotency-key")


def test_a_run_that_goes_on_takes_the_newest_wishes(
    serve: Callable[..., Client], stub: Callable[..., Stub], tmp_path: Path
) -> None:
    client = serve(JUDGES_DIR=judges(tmp_path / "judges", stub("--latency-ms", "100"), concurrency=1, max_tokens=1000))
    run = submit(client, body(6, judge="local", budget_usd=0.006)).json["id"]
    while client.get(f"/v1/runs/{run}").json["graded"] < 1:
        time.sleep(0.02)
    raised = client.send("POST", f"/v1/runs/{run}/resume", json.dumps({"budget_usd": 5}), JSON)
    assert raised.status == 202
    assert (found := ended(client, run))["status"] == "completed", found


def test_what_was_loaded_or_graded_elsewhere_is_not_changed(serve: Callable[..., Client], database_url: str) -> None:
    client = serve()
    run = submit(client, body(2, "elsewhere")).json["id"]
    ended(client, run)
    with open_store(database_url) as store:
        store.change(store.submissions.settle, run, "done")
        (info,) = store.ask(store.results.runs, run)
        rubric = Rubric.load("helpfulness")
        heavier = (rubric.criteria[0].model_copy(update={"weight": 2.0}), *rubric.criteria[1:])
        again = rescore(store, info, rubric.model_copy(update={"criteria": heavier}))
        assert again != run
        refused = client.send("POST", f"/v1/runs/{again}/resume", "{}", JSON)
        assert (refused.status, refused.json["type"]) == (409, "urn:judge:problem:not-now"), refused.json
    assert client.send("POST", f"/v1/runs/{run}/cancel").json["status"] == "completed"


def test_a_refused_request_gives_its_key_back(service: Client) -> None:
    key = {"Idempotency-Key": "mended"}
    wrong = submit(service, body(1, "mended", calibration="none"), **key)
    assert wrong.status == 422
    assert submit(service, body(1, "mended"), **key).status == 202


def test_a_cancelled_run_keeps_its_grades_and_goes_on_when_told(
    serve: Callable[..., Client], stub: Callable[..., Stub], tmp_path: Path
) -> None:
    server = stub("--latency-ms", "100")
    client = serve(JUDGES_DIR=judges(tmp_path / "judges", server, concurrency=2))
    run = submit(client, body(30, judge="local")).json["id"]
    until = time.monotonic() + 20
    while not (graded := client.get(f"/v1/runs/{run}").json["graded"]):
        assert time.monotonic() < until
        time.sleep(0.02)
    told = client.send("POST", f"/v1/runs/{run}/cancel").json
    assert told["status"] == "cancelled"
    before = server.stats()["requests"]
    assert graded <= before < 30
    time.sleep(0.5)
    assert server.stats()["requests"] <= before + 2  # what was under way
    kept = client.get(f"/v1/runs/{run}").json
    assert (kept["status"], kept["held"]) == ("cancelled", 0)
    assert len(client.get(f"/v1/runs/{run}/grades").json["data"]) == kept["graded"]
    resumed = client.send("POST", f"/v1/runs/{run}/resume", "{}", JSON)
    assert (resumed.status, resumed.headers["Location"]) == (202, f"/v1/runs/{run}")
    done = ended(client, run)
    assert (done["status"], done["graded"]) == ("completed", 30)
    sent = [call["body_sha256"] for call in server.calls() if call["items"]]
    assert len(sent) == len(set(sent))  # nothing was asked twice


def test_a_run_pauses_at_its_budget_and_says_so(
    serve: Callable[..., Client], stub: Callable[..., Stub], tmp_path: Path
) -> None:
    client = serve(JUDGES_DIR=judges(tmp_path / "judges", stub(), concurrency=1, max_tokens=1000))
    asked = body(20, judge="local", budget_usd=0.005)
    run = submit(client, asked).json["id"]
    paused = ended(client, run)
    assert paused["status"] == "paused"
    assert "budget" in paused["why"]
    assert paused["open"] > 0
    assert paused["cost_usd"] <= 0.005
    client.send("POST", f"/v1/runs/{run}/resume", json.dumps({"budget_usd": 5}), JSON)
    done = ended(client, run)
    assert (done["status"], done["graded"], done["why"]) == ("completed", 20, None)


def test_what_is_not_there_is_told(service: Client) -> None:
    for method, path in (
        ("GET", ""),
        ("GET", "/grades"),
        ("GET", "/summary"),
        ("GET", "/export"),
        ("POST", "/cancel"),
        ("POST", "/resume"),
    ):
        missing = service.send(method, f"/v1/runs/{'0' * 12}{path}", "{}", JSON)
        assert (missing.status, missing.json["type"]) == (404, "urn:judge:problem:no-such-run"), path
        odd = service.send(method, f"/v1/runs/latest{path}", "{}", JSON)
        assert (odd.status, odd.json["type"]) == (422, "urn:judge:problem:invalid-request"), path
    for query in ("after=-2", "after=x", f"after={2**31}", "limit=0", "limit=501"):
        assert service.get(f"/v1/runs/{'0' * 12}/grades?{query}").status == 422, query


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"judge": "none"}, "/judge"),
        ({"rubric": "none"}, "/rubric"),
        ({"items": []}, "/items"),
        ({"budget_usd": 0}, "/budget_usd"),
        ({"deadline_s": 5}, "/deadline_s"),
        ({"items": [{"id": "a", "output": "x"}] * 2}, "/items/1/id"),
    ],
)
def test_what_cannot_be_graded_is_refused_by_its_place(service: Client, fields: dict[str, Any], pointer: str) -> None:
    before = [one["id"] for one in service.get("/v1/runs").json["data"]]
    refused = submit(service, body(1) | fields)
    assert refused.status == 422
    assert refused.json["errors"][0]["pointer"] == pointer
    assert [one["id"] for one in service.get("/v1/runs").json["data"]] == before


def test_what_another_process_is_making_may_be_submitted_later(
    serve: Callable[..., Client], database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("judge.worker.MAKING_S", 0)
    client = serve()
    run = submit(client, body(1, "busy")).json["id"]
    ended(client, run)
    with open_store(database_url) as store:
        loading = update(tables.run).values(state="loading", owner=this_process())
        store.change(lambda connection, _: connection.execute(loading))
        with store.runs.loading(run):
            busy = submit(client, body(1, "busy"))
    assert (busy.status, busy.json["type"]) == (409, "urn:judge:problem:run-busy")
    assert int(busy.headers["Retry-After"]) > 0
    # It could not be loaded, and the database was away when that was to be cleared away.
    again = submit(client, body(1, "busy")).json["id"]
    assert again != run
    assert ended(client, again)["graded"] == 1
    assert client.get(f"/v1/runs/{run}").status == 404


def test_a_run_whose_judge_is_gone_says_so_where_no_judge_is_named(
    database_url: str, stub: Callable[..., Stub], tmp_path: Path
) -> None:
    settings = {"DATABASE_URL": database_url, "KEYLESS": 1}
    with running(**settings, JUDGES_DIR=judges(tmp_path / "judges", stub())) as client:
        run = submit(client, body(1, "gone", judge="local")).json["id"]
        ended(client, run)
    with running(**settings) as client:
        refused = client.send("POST", f"/v1/runs/{run}/resume", "{}", JSON)
    assert (refused.status, refused.json["type"]) == (422, "urn:judge:problem:judge-setup")
    assert (refused.json["errors"], "local" in refused.json["detail"]) == ([], True)


def test_a_file_that_cannot_be_written_here_is_said_to_be(service: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    run = submit(service, body(1, "no parquet")).json["id"]
    ended(service, run)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    refused = service.get(f"/v1/runs/{run}/export?format=parquet")
    assert (refused.status, refused.json["type"]) == (501, "urn:judge:problem:not-installed")
    assert service.get(f"/v1/runs/{run}/export?format=csv").status == 200


def test_an_export_goes_out_in_large_pieces(
    serve: Callable[..., Client], database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = serve()
    run = submit(client, body(9, "pieces")).json["id"]
    ended(client, run)
    with open_store(database_url) as store:
        (info,) = store.ask(store.results.runs, run)
        whole = b"".join(results.lines(store, info))
        monkeypatch.setattr(results, "CHUNK_BYTES", len(whole) // 3)
        pieces = list(results.lines(store, info))
    assert client.get(f"/v1/runs/{run}/export").raw == whole == b"".join(pieces)
    assert (whole.count(b"\n"), len(pieces)) == (9, 3)


def test_a_run_is_summed_up_and_exported(service: Client) -> None:
    run = submit(service, body(12, "exported")).json["id"]
    ended(service, run)
    summary = service.get(f"/v1/runs/{run}/summary").json
    assert (summary["run"]["id"], summary["overall"]["n"], summary["overall"]["scored"]) == (run, 12, 12)
    grades = service.get(f"/v1/runs/{run}/grades").json["data"]
    lines = service.get(f"/v1/runs/{run}/export")
    assert lines.headers["Content-Type"] == "application/jsonl"
    assert [json.loads(line) for line in lines.raw.splitlines()] == grades
    table = service.get(f"/v1/runs/{run}/export?format=csv")
    assert table.headers["Content-Disposition"] == f'attachment; filename="{run}.csv"'
    rows = list(csv.DictReader(io.StringIO(table.raw.decode())))
    assert [row["item"] for row in rows] == [grade["item"] for grade in grades]
    assert [float(row["helpfulness.score"]) for row in rows] == [g["criteria"]["helpfulness"]["score"] for g in grades]
    parquet = pytest.importorskip("pyarrow.parquet", reason="Parquet needs the extra `parquet`")
    columns = parquet.read_table(io.BytesIO(service.get(f"/v1/runs/{run}/export?format=parquet").raw))
    assert columns["item"].to_pylist() == [grade["item"] for grade in grades]
    assert service.get(f"/v1/runs/{run}/export?format=xlsx").status == 422
