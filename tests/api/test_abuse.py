"""Hostile requests at every operation: refused as problems that say nothing of them, with nothing kept."""

from __future__ import annotations

import gzip
import json
import logging
import select
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from api.bodies import LARGEST_BYTES
from judge.keys import Scope
from tests.api import hostile
from tests.api.conftest import JSON, Client, Reply
from tests.api.test_access import ask
from tests.api.test_labels import add, label
from tests.api.test_runs import body, ended, submit
from tests.api.test_shelf import SIMULATED, rubric

LINES = {"Content-Type": "application/jsonl"}
UPLOAD = "/v1/runs/upload"
ITEM = {"id": "1", "input": "Hi?", "output": "s3cret", "context": ["s3cret"]}
ASKED = {"rubric": "helpfulness", "judge": "simulated", "samples": 1, "resend_lost": False}
RUN = {"name": "s3cret", "budget_usd": 2.5, "retry_failed": False, "fresh": True, "dry_run": False}
LISTS = ("/v1/runs", "/v1/rubrics", "/v1/judges", "/v1/label-sets", "/v1/label-sets/team", "/v1/calibrations")
PEAK = Path("/proc/self/clear_refs")


@pytest.fixture(autouse=True)
def unharmed(service: Client, run: str, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing is kept, the log tells of no failure and says nothing of the requests, and good ones are still served."""
    server = logging.getLogger("uvicorn")
    server.addHandler(caplog.handler)
    before = [service.get(path).raw for path in LISTS]
    yield
    server.removeHandler(caplog.handler)
    assert [service.get(path).raw for path in LISTS] == before
    failed = [one.getMessage() for one in caplog.records if one.exc_info or one.levelno >= logging.ERROR]
    assert failed == []
    assert hostile.SECRET not in caplog.text
    assert service.get("/healthz").status == 200
    assert service.grades(["Hi."]).status == 200


@pytest.fixture(scope="module")
def run(service: Client) -> str:
    """The id of a run that is done, some of whose items are labelled."""
    made: str = submit(service, body(3, "abused")).json["id"]
    ended(service, made)
    assert add(service, "team", [label(0, None, 3)], run=made).status == 200
    return made


@pytest.fixture(scope="module")
def operations(run: str) -> dict[str, dict[str, Any]]:
    """A good body for each operation that takes JSON."""
    judge = {"name": "bad", "provider": "openai", "model": "m", "base_url": "https://a.example", "temperature": 0.5}
    return {
        "/v1/grades": {"items": [ITEM], **ASKED, "deadline_s": 9.5},
        "/v1/runs": {"items": [ITEM], **ASKED, **RUN},
        f"/v1/runs/{run}/resume": {"budget_usd": 1.5, "resend_lost": False, "retry_failed": False},
        "/v1/render": {"items": [ITEM], **ASKED},
        "/v1/rubrics": {"rubric": rubric("bad")},
        "/v1/rubrics/lint": {"rubric": rubric("bad")},
        "/v1/judges": {
            "judge": judge | {"timeout_s": 9.5, "rpm": 9.5, "tpm": 9.5, "price": {"input": 0.5, "output": 0.5}}
        },
        "/v1/label-sets/team/labels": {"run": run, "labels": [label(1, "helpfulness", 3, group="s3cret")]},
        "/v1/calibrations": {"run": run, "labels": "team", "seed": 1, "dev": False, "alpha": 0.25, "people": "crowd"},
    }


def refused(reply: Reply, *told: object, statuses: range = range(400, 500)) -> dict[str, Any]:
    """The problem, which is whole and says nothing of the request."""
    assert reply.status in statuses, (reply.status, reply.raw[:300], *told)
    assert reply.headers["Content-Type"] == "application/problem+json", told
    problem: dict[str, Any] = reply.json
    assert set(problem) == {"type", "title", "status", "detail", "errors", "request_id"}, told
    assert (problem["status"], problem["request_id"]) == (reply.status, reply.headers["X-Request-ID"]), told
    assert hostile.SECRET.encode() not in reply.raw.lower(), told
    return problem


def post(service: Client, path: str, raw: bytes, **headers: str) -> Reply:
    return service.send("POST", path, raw, (LINES if path == UPLOAD else JSON) | headers)


def test_what_is_not_json(service: Client, operations: dict[str, dict[str, Any]]) -> None:
    for path, good in operations.items():
        for name, raw in hostile.malformed(good):
            problem = refused(post(service, path, raw), path, name)
            assert problem["type"] == "urn:judge:problem:invalid-json", (path, name)


def test_what_is_json_and_no_request(service: Client, operations: dict[str, dict[str, Any]]) -> None:
    sent = 0
    for path, good in operations.items():
        for raw in hostile.NO_OBJECT:
            if raw != b"{}" or "resume" not in path:
                refused(post(service, path, raw), path, raw)
        for name, asked in hostile.wrong(good):
            refused(post(service, path, json.dumps(asked).encode()), path, name)
            sent += 1
    assert sent > 200


def test_uploads_with_one_bad_line_in_their_middle(service: Client) -> None:
    first, last = json.dumps({**ASKED, **RUN}).encode(), json.dumps(ITEM | {"id": "2"}).encode()
    bad = {name: raw for name, raw in hostile.malformed(ITEM) if b"\n" not in raw}
    bad |= {name: json.dumps(asked).encode() for name, asked in hostile.wrong(ITEM)}
    for name, raw in bad.items():
        problem = refused(post(service, UPLOAD, b"\n".join((first, last, raw, last.replace(b"2", b"3")))), name)
        assert {fault["detail"].partition(":")[0] for fault in problem["errors"]} == {"Line 3"}, name
    for name, raw in hostile.malformed({**ASKED, **RUN}):
        refused(post(service, UPLOAD, raw + b"\n" + last), name)
    for name, asked in hostile.wrong({**ASKED, **RUN}):
        refused(post(service, UPLOAD, json.dumps(asked).encode() + b"\n" + last), name)


def test_other_kinds_and_encodings_of_bodies(service: Client, operations: dict[str, dict[str, Any]]) -> None:
    lines = b"\n".join(json.dumps(line).encode() for line in ({**ASKED, **RUN}, ITEM))
    for path, raw in {UPLOAD: lines, **{path: json.dumps(good).encode() for path, good in operations.items()}}.items():
        for kind in hostile.CONTENT_TYPES:
            refused(post(service, path, raw, **{"Content-Type": kind}), path, kind, statuses=range(415, 416))
        for encoding in ("br", "zstd", "deflate", "gzip, gzip", "gzip;q=1", "chunked", "\u00e9", "s3cret" * 1000):
            reply = post(service, path, raw, **{"Content-Encoding": encoding})
            refused(reply, path, encoding, statuses=range(415, 416))
        packed = gzip.compress(raw)
        for bad in (raw, b"", packed[:10], packed[:-1], packed[:-8] + bytes(8), packed + b"s3cret", packed[2:]):
            reply = post(service, path, bad, **{"Content-Encoding": "gzip"})
            refused(reply, path, bad[:20], statuses=range(400, 401))
        refused(post(service, path, gzip.compress(packed), **{"Content-Encoding": "gzip"}), path)


def test_ids_and_cursors_that_nobody_was_given(service: Client, run: str) -> None:
    for id_ in hostile.IDS:
        for path in ("", "/summary", "/grades", "/export", "/events", f"/compare/{run}"):
            refused(service.get(f"/v1/runs/{id_}{path}"), id_, path)
        refused(service.get(f"/v1/runs/{run}/compare/{id_}"), id_)
        for path in ("cancel", "resume"):
            refused(post(service, f"/v1/runs/{id_}/{path}", b"{}"), id_, path)
        for path in (f"rubrics/{id_}", f"label-sets/{id_}", f"label-sets/{id_}/labels", f"calibrations/{id_}"):
            refused(service.get(f"/v1/{path}"), path)
        refused(service.get(f"/v1/judges/{id_}"), id_)
        refused(service.get(f"/v1/runs?after={id_}"), id_)
    for after in hostile.CURSORS:
        for path in (f"runs/{run}/grades", "label-sets/team/labels"):
            refused(service.get(f"/v1/{path}?after={after}"), path, after)
    for limit in hostile.LIMITS:
        for path in (f"runs/{run}/grades", "label-sets/team/labels", "runs", "rubrics", "judges"):
            refused(service.get(f"/v1/{path}?limit={limit}"), path, limit)
    for query in ("rubrics?after=%00", "judges?after=../x", "calibrations?name=%00", f"calibrations?name={'x' * 300}"):
        refused(service.get(f"/v1/{query}"), query)
    for query in ("by=s3cret", "from=1", "from=2026-13-01", "to=%00", "from=0000-01-01", "to=99999-01-01", "to=-1"):
        refused(service.get(f"/v1/costs?{query}"), query)
    refused(service.get(f"/v1/runs/{run}/export?format={quote('../s3cret')}"))


def test_headers_that_nobody_was_given(service: Client, run: str) -> None:
    for id_ in hostile.EVENT_IDS:
        refused(service.send("GET", f"/v1/runs/{run}/events", headers={"Last-Event-ID": id_}), id_)
    for key in hostile.IDEMPOTENCY_KEYS:
        for path, asked in (("/v1/runs", {"items": [ITEM], **ASKED, **RUN}), (f"/v1/runs/{run}/resume", {})):
            refused(post(service, path, json.dumps(asked).encode(), **{"Idempotency-Key": key}), key)


def test_paths_that_there_are_not(service: Client) -> None:
    for path in hostile.PATHS:
        refused(service.get(path), path)
    for method in ("PUT", "PATCH", "DELETE", "TRACE", "OPTIONS", "HEAD", "S3CRET", "PROPFIND"):
        for path, allowed in (("/v1/runs", "GET, POST"), ("/v1/runs/5c0e7b1f9a42", "GET"), ("/healthz", "GET")):
            reply = service.send(method, path)
            assert (reply.status, reply.headers["Allow"]) == (405, allowed), (method, path)
    assert refused(service.send("POST", "/openapi.json"))["status"] == 405


def spoken(service: Client, raw: bytes) -> bytes:
    """What is answered to these bytes, until the connection is closed or nothing comes for a second."""
    answer = b""
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as connection:
        with suppress(ConnectionResetError, BrokenPipeError):
            connection.sendall(raw)
        connection.settimeout(1)
        with suppress(ConnectionResetError, TimeoutError):
            while part := connection.recv(1 << 16):
                answer += part
    return answer


@pytest.mark.parametrize("name", hostile.ON_THE_WIRE)
def test_what_is_no_request_on_the_wire(service: Client, name: str) -> None:
    head = b"POST /v1/runs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    answer = spoken(service, hostile.ON_THE_WIRE[name].replace(b"{head}", head))
    assert not answer or answer.startswith(b"HTTP/1.1 4"), answer
    assert answer.count(b"HTTP/1.1 ") <= 1  # what follows a request that is refused is none
    assert b"s3cret" not in answer


def peak_mb(line: str = "VmHWM") -> float:
    """The most memory that this process, which is the service's too, has held since it was last asked to forget it."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{line}:")[2].split()[0]) / 1024


@pytest.fixture
def grown() -> Callable[[], float]:
    """Megabytes by which this process has grown at its largest."""
    if not PEAK.exists():
        pytest.skip("the peak of memory is told by Linux alone")
    PEAK.write_text("5")
    before = peak_mb()
    return lambda: peak_mb() - before


def test_bombs_cost_no_memory(
    service: Client, operations: dict[str, dict[str, Any]], grown: Callable[[], float]
) -> None:
    packed = hostile.bomb(1 << 29)

    def burst(path: str) -> None:
        reply = post(service, path, packed, **{"Content-Encoding": "gzip"})
        refused(reply, path, statuses=range(413, 414))

    with ThreadPoolExecutor(4) as several:
        list(several.map(burst, [*operations, UPLOAD]))
    assert grown() < 16 * LARGEST_BYTES / 2**20


@pytest.mark.parametrize("declared", [True, False])
def test_a_hundred_megabytes_are_not_read(
    service: Client, operations: dict[str, dict[str, Any]], grown: Callable[[], float], declared: bool
) -> None:
    block = b" " * (1 << 20)
    for path in operations:
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        length = f"Content-Length: {100 << 20}" if declared else "Transfer-Encoding: chunked"
        with socket.create_connection(("127.0.0.1", service.port), timeout=20) as connection:
            connection.sendall(f"{head}{length}\r\n\r\n".encode())
            for _ in range(100):
                if select.select([connection], [], [], 0)[0]:
                    break
                connection.sendall(block if declared else b"100000\r\n" + block + b"\r\n")
            else:
                pytest.fail("all of it was taken")
            assert b" 413 " in connection.recv(1 << 16), path
    assert grown() < 8 * LARGEST_BYTES / 2**20


def test_what_is_another_tenants_is_as_if_it_were_not(serve: Callable[..., Client], key: Callable[..., str]) -> None:
    client = serve(KEYLESS="")
    ours, theirs = (key(Scope.ADMIN, tenant=tenant) for tenant in ("ours", "theirs"))
    for asked in ({"rubric": rubric()}, {"judge": SIMULATED}):
        assert ask(client, ours, "POST", f"/v1/{next(iter(asked))}s", asked).status == 201
    run = ask(client, ours, "POST", "/v1/runs", body(3, judge="mine")).json["id"]
    labels = {"run": run, "labels": [label(0, None, 3)]}
    assert ask(client, ours, "POST", "/v1/label-sets/team/labels", labels).status == 200
    own = ask(client, theirs, "POST", "/v1/runs", body(3)).json["id"]
    paths = [f"runs/{run}{of}" for of in ("", "/summary", "/grades", "/export", "/events", f"/compare/{own}")]
    paths += [f"runs/{own}/compare/{run}", f"runs?after={run}", "label-sets/team", "label-sets/team/labels"]
    paths += ["rubrics/mine", "judges/mine@1"]
    for path in paths:
        refused(ask(client, theirs, path=f"/v1/{path}"), path, statuses=range(404, 405))
    for path in (f"runs/{run}/cancel", f"runs/{run}/resume"):
        refused(ask(client, theirs, "POST", f"/v1/{path}", {}), path, statuses=range(404, 405))
    for path, asked in (("label-sets/mine/labels", labels), ("calibrations", {"run": run, "labels": "team"})):
        refused(ask(client, theirs, "POST", f"/v1/{path}", asked), path, statuses=range(422, 423))
    assert ask(client, theirs, path="/v1/label-sets").json["data"] == []
    wire = f"GET /v1/runs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {ours}\r\n"
    assert spoken(client, f"{wire}\r\n".encode()).startswith(b"HTTP/1.1 200 ")
    assert spoken(client, f"{wire}Authorization: Bearer {theirs}\r\n\r\n".encode()).startswith(b"HTTP/1.1 401 ")
