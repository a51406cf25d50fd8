"""Runs as JSON lines: of any number of items, checked whole, in bounded memory; nothing is kept of a faulty one."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import time
import tracemalloc
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from api.lines import MOST_OF_ONE
from judge import Judge
from judge.keys import Scope
from judge.shelf import Shelf
from tests.api.conftest import Client, Reply, no_room
from tests.api.test_runs import body, ended, judges, submit

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Stub

LINES = {"Content-Type": "application/jsonl"}
FIRST = {"rubric": "helpfulness", "judge": "simulated"}
SECRET = "s3cret"


def lines(first: Any, items: Iterable[Any]) -> bytes:
    return "".join(f"{json.dumps(line)}\n" for line in (first, *items)).encode()


def upload(client: Client, raw: bytes, **headers: str) -> Reply:
    return client.send("POST", "/v1/runs/upload", raw, LINES | headers)


def test_an_upload_is_the_same_run_as_its_items_in_a_request(service: Client) -> None:
    asked = body(30, "uploaded", samples=2, name="of lines")
    items = asked.pop("items")
    raw = lines(asked, items)
    accepted = upload(service, raw)
    run = accepted.json["id"]
    assert (accepted.status, accepted.headers["Location"]) == (202, f"/v1/runs/{run}")
    assert (accepted.json["name"], accepted.json["items"], accepted.json["samples"]) == ("of lines", 30, 2)
    assert submit(service, asked | {"items": items}).json["id"] == run
    spaced = raw.replace(b"\n", b"\r\n\n", 3).rstrip(b"\n")
    assert upload(service, spaced, **{"Content-Type": "application/x-ndjson"}).json["id"] == run
    assert upload(service, gzip.compress(raw), **{"Content-Encoding": "gzip"}).json["id"] == run
    assert ended(service, run)["graded"] == 30


def test_more_items_than_a_request_may_hold(service: Client) -> None:
    items = ({"id": str(n), "output": f"Answer {n}."} for n in range(20_001))
    accepted = upload(service, lines(FIRST | {"name": "many"}, items))
    assert (accepted.status, accepted.json["items"]) == (202, 20_001)
    service.send("POST", f"/v1/runs/{accepted.json['id']}/cancel")


def test_the_store_is_not_asked_where_others_are_served(service: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, judge = [], Shelf.judge

    def told(self: Shelf, ref: str) -> Judge | None:
        asked.append(asyncio._get_running_loop())
        return judge(self, ref)

    monkeypatch.setattr(Shelf, "judge", told)
    assert upload(service, lines(FIRST, [{"id": "1", "output": "aside"}])).status == 202
    assert asked
    assert set(asked) == {None}


def test_a_dry_run_makes_nothing(service: Client) -> None:
    before = [one["id"] for one in service.get("/v1/runs").json["data"]]
    told = upload(service, lines(FIRST | {"dry_run": True}, [{"id": "1", "output": "dry"}]))
    assert (told.status, told.json["object"], told.json["items"]) == (200, "estimate", 1)
    assert [one["id"] for one in service.get("/v1/runs").json["data"]] == before


def test_a_key_gives_the_first_answer_again(service: Client) -> None:
    raw = lines(FIRST | {"fresh": True}, [{"id": "1", "output": "keyed"}])
    key = {"Idempotency-Key": "uploaded-once"}
    first, again = upload(service, raw, **key), upload(service, raw, **key)
    assert (again.raw, again.headers["Idempotency-Replayed"]) == (first.raw, "true")
    assert upload(service, raw.replace(b"keyed", b"other"), **key).json["type"].endswith("idempotency-key-reused")


def test_a_full_disk_is_no_fault_of_an_upload(serve: Callable[..., Client], small_disk: Path) -> None:
    client = serve()
    filler = small_disk / "filler"
    with pytest.raises(OSError, match="No space left"):
        filler.write_bytes(bytes(2_000_000))
    for count in (1, 20_000):  # one fits into the buffer of a file
        refused = upload(client, lines(FIRST, ({"id": str(n), "output": f"Answer {n}."} for n in range(count))))
        assert (refused.status, refused.json["type"]) == (503, "urn:judge:problem:store-unavailable"), refused.raw
    filler.unlink()
    assert upload(client, lines(FIRST, [{"id": "1", "output": "Answer."}])).status == 202


def test_a_key_gives_the_first_answer_though_the_judge_is_gone(
    serve: Callable[..., Client], stub: Callable[..., Stub], tmp_path: Path
) -> None:
    raw, key = lines(FIRST | {"judge": "local"}, [{"id": "1", "output": "gone"}]), {"Idempotency-Key": "gone"}
    client, without = serve(JUDGES_DIR=judges(tmp_path / "judges", stub())), serve()
    refused = upload(without, raw, **key)  # and the key is given back
    assert (refused.status, refused.json["errors"][0]["pointer"]) == (422, "/judge")
    first, again = upload(client, raw, **key), upload(without, raw, **key)
    assert (again.status, again.raw, again.headers["Idempotency-Replayed"]) == (202, first.raw, "true")
    assert upload(without, raw).json["errors"] == refused.json["errors"]
    other = upload(without, raw.replace(b"gone", b"other"), **key)
    assert (other.status, other.json["type"]) == (422, "urn:judge:problem:idempotency-key-reused")


def test_images_that_the_judge_cannot_see_are_refused_by_their_lines(
    serve: Callable[..., Client], stub: Callable[..., Stub], tmp_path: Path
) -> None:
    client = serve(JUDGES_DIR=judges(tmp_path / "judges", stub()))
    shown = {"output": "x", "images": ["https://example.com/one.png"]}
    items = [{"id": "0", "output": "x"}, *({"id": str(n), **shown} for n in range(1, 200))]
    for headers in ({}, {"Idempotency-Key": "unseen"}):
        refused = upload(client, lines(FIRST | {"judge": "local"}, items), **headers)
        told = [(one["pointer"], one["detail"][:8]) for one in refused.json["errors"]]
        assert (refused.status, told[:2]) == (422, [("/items/1", "Line 3: "), ("/items/2", "Line 4: ")])
        assert len(told) == 100
    assert client.get("/v1/runs").json["data"] == []


ITEM = {"id": "1", "output": SECRET}
FAULTY: dict[str, tuple[bytes, int, list[tuple[str, str]]]] = {
    "empty": (b"", 400, []),
    "no json first": (b"s3cret\n", 400, []),
    "a list first": (b"[]\n", 422, [("", "")]),
    "items in the first line": (lines(FIRST | {"items": []}, [ITEM]), 422, [("/items", "")]),
    "an unknown field first": (lines(FIRST | {"sample": 3}, [ITEM]), 422, [("/sample", "")]),
    "no such rubric": (lines(FIRST | {"rubric": SECRET}, [ITEM]), 422, [("/rubric", "")]),
    "a rubric that is none": (lines(FIRST | {"rubric": {"name": "own"}}, [ITEM]), 422, [("/rubric", "")]),
    "no such judge": (lines(FIRST | {"judge": SECRET}, [ITEM]), 422, [("/judge", "")]),
    "no items": (lines(FIRST, []), 422, []),
    "blank lines": (lines(FIRST, []) + b"\n \n", 422, []),
    "not json": (lines(FIRST, [ITEM]) + b"s3cret\n", 422, [("/items/1", "Line 3: ")]),
    "cut": (lines(FIRST, [ITEM, ITEM])[:-9], 422, [("/items/1", "Line 3: ")]),
    "not utf-8": (lines(FIRST, []) + b'\n{"id": "\xff"}\n', 422, [("/items/0", "Line 3: ")]),
    "a number": (lines(FIRST, [ITEM, 5]), 422, [("/items/1", "Line 3: ")]),
    "equal ids": (lines(FIRST, [ITEM, {"id": 2, "output": "x"}, ITEM]), 422, [("/items/2/id", "Line 4: ")]),
    "several": (
        lines(FIRST, [{"id": "1"}, ITEM, {"id": "2", "output": "x", "s3cret": 1}, {"id": "3", "output": 5}]),
        422,
        [("/items/0/output", "Line 2: "), ("/items/2/s3cret", "Line 4: "), ("/items/3/output", "Line 5: ")],
    ),
    "no rubric at all": (lines({"judge": "simulated"}, [ITEM]), 422, [("/items/0", "Line 2: ")]),
    "a rubric of its own": (
        lines(FIRST, [ITEM | {"rubric": {"name": "own"}}]),
        422,
        [("/items/0/rubric", "Line 2: ")],
    ),
    "the path of an image": (
        lines(FIRST, [ITEM | {"images": ["README.md"]}]),
        422,
        [("/items/0/images/0", "Line 2: ")],
    ),
    "NaN": (lines(FIRST, [ITEM | {"metadata": {"x": float("nan")}}]), 422, [("/items/0", "Line 2: ")]),
    "a long line": (lines(FIRST, [ITEM, {"id": "2", "output": "x" * 2**24}]), 422, [("/items/1", "Line 3: ")]),
    "a calibration that is not": (lines(FIRST | {"calibration": "none"}, [ITEM]), 422, [("/calibration", "")]),
}


@pytest.mark.parametrize("name", FAULTY)
def test_faults_name_their_lines_and_nothing_is_kept(service: Client, name: str) -> None:
    raw, status, faults = FAULTY[name]
    before = [one["id"] for one in service.get("/v1/runs?limit=1").json["data"]]
    refused = upload(service, raw)
    assert (refused.status, refused.headers["Content-Type"]) == (status, "application/problem+json"), refused.raw
    assert [one["pointer"] for one in refused.json["errors"]] == [one for one, _ in faults]
    for told, (_, begins) in zip(refused.json["errors"], faults, strict=True):
        assert told["detail"].startswith(begins)
        assert SECRET not in told["detail"]
    assert [one["id"] for one in service.get("/v1/runs?limit=1").json["data"]] == before


def test_at_most_a_hundred_faults_are_listed(service: Client) -> None:
    refused = upload(service, lines(FIRST, ({"id": str(n)} for n in range(5_000))))
    assert (refused.status, len(refused.json["errors"])) == (422, 100)


@pytest.mark.parametrize("declared", ["application/json", "text/plain", ""])
def test_other_kinds_of_body_are_refused(service: Client, declared: str) -> None:
    refused = upload(service, lines(FIRST, [ITEM]), **{"Content-Type": declared})
    assert (refused.status, refused.json["type"]) == (415, "urn:judge:problem:not-lines")


def test_limits_of_items_and_bytes(serve: Callable[..., Client]) -> None:
    client = serve(MAX_UPLOAD_ITEMS=3, MAX_UPLOAD_BYTES=10_000)
    items = [{"id": str(n), "output": "x"} for n in range(4)]
    assert upload(client, lines(FIRST, items[:3])).status == 202
    large = lines(FIRST, [{"id": "1", "output": "x" * 10_000}])
    for raw, headers in ((lines(FIRST, items), {}), (large, {}), (gzip.compress(large), {"Content-Encoding": "gzip"})):
        refused = upload(client, raw, **headers)
        assert (refused.status, refused.json["type"]) == (413, "urn:judge:problem:too-large")
    assert len(client.get("/v1/runs").json["data"]) == 1


#: Until requests that were sent have their places. One that asks too soon may take the place of one of them.
ARRIVING_S = 1.0


def half_sent(client: Client, raw: bytes, key: str = "") -> socket.socket:
    """A connection on which half of an upload was sent."""
    head = "POST /v1/runs/upload HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/jsonl\r\n"
    head += key and f"Authorization: Bearer {key}\r\n"
    connection = socket.create_connection(("127.0.0.1", client.port), timeout=20)
    connection.sendall(f"{head}Content-Length: {len(raw)}\r\n\r\n".encode() + raw[: len(raw) // 2])
    return connection


def test_a_connection_that_is_cut_leaves_nothing_and_gives_its_room_back(serve: Callable[..., Client]) -> None:
    client = serve()
    raw = lines(FIRST, [{"id": str(n), "output": "x" * 100} for n in range(1000)])
    connections = [half_sent(client, raw) for _ in range(MOST_OF_ONE)]
    time.sleep(ARRIVING_S)
    assert no_room(upload(client, raw), "uploads", MOST_OF_ONE)
    for connection in connections:
        connection.close()
    until = time.monotonic() + 10
    while upload(client, raw).status != 202:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert len(client.get("/v1/runs").json["data"]) == 1


def test_one_tenant_keeps_no_other_out_and_none_waits_for_ever(
    serve: Callable[..., Client], key: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.receiving.IDLE_S", 4)
    client, ours, theirs = serve(KEYLESS=""), key(Scope.GRADE, tenant="ours"), key(Scope.GRADE, tenant="theirs")
    raw = lines(FIRST, [ITEM])
    with ExitStack() as several:
        stuck = [several.enter_context(half_sent(client, raw, ours)) for _ in range(MOST_OF_ONE)]
        time.sleep(ARRIVING_S)
        assert upload(client, raw, Authorization=f"Bearer {ours}").status == 429
        assert upload(client, raw, Authorization=f"Bearer {theirs}").status == 202
        told = {one.recv(64).partition(b"\r\n")[0] for one in stuck}
    assert told == {b"HTTP/1.1 408 Request Timeout"}
    assert upload(client, raw, Authorization=f"Bearer {ours}").status == 202


def test_memory_does_not_grow_with_an_upload(serve: Callable[..., Client]) -> None:
    client = serve()
    raw = gzip.compress(lines(FIRST, ({"id": str(n), "output": f"{n} " * 8_000} for n in range(2_000))), 1)
    tracemalloc.start()
    try:
        accepted = upload(client, raw, **{"Content-Encoding": "gzip"})  # 80 MB
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    client.send("POST", f"/v1/runs/{accepted.json['id']}/cancel")
    assert (accepted.status, accepted.json["items"]) == (202, 2_000)
    assert most < 40_000_000


def test_only_who_may_grade_uploads(serve: Callable[..., Client], key: Callable[..., str]) -> None:
    client = serve(KEYLESS="")
    raw = lines(FIRST, [ITEM])
    assert upload(client, raw).status == 401
    assert upload(client, raw, Authorization=f"Bearer {key(Scope.READ)}").status == 403
    run = upload(client, raw, Authorization=f"Bearer {key(Scope.GRADE, tenant='ours')}").json["id"]
    other = {"Authorization": f"Bearer {key(Scope.ADMIN, tenant='theirs')}"}
    assert client.send("GET", f"/v1/runs/{run}", headers=other).status == 404
