"""Requests that nobody means well: each is refused with a problem that repeats nothing of it."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from api.bodies import LARGEST_BYTES
from api.loopback import Loopback
from judge.keys import Scope

SECRET = "s3cret"
ITEM = {"id": "1", "output": SECRET}
GOOD = {"items": [ITEM], "rubric": "helpfulness", "judge": "simulated"}


def body(**changes: object) -> bytes:
    return json.dumps(GOOD | changes).encode()


def nested(depth: int) -> bytes:
    return body(items=[ITEM | {"metadata": {"deep": 0}}]).replace(b": 0}", b": " + b"[" * depth + b"]" * depth + b"}")


#: The body is the first layer, `items` the second, the item and its metadata the third and fourth.
ALLOWED = 60
CRITERION = {"id": "ok", "scale": "binary", "question": "Is it?"}

MALFORMED = {
    "not json": b"s3cret",
    "cut": body()[:-1],
    "two values": body() + b"{}",
    "not utf-8": body().replace(b"s3cret", b"s3cret\xff"),
    "utf-16": body().decode().encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf" + body(),
    "gzip": b"\x1f\x8b\x08\x00s3cret",
    "NaN": body(samples=float("nan")),
    "Infinity": body(deadline_s=float("inf")),
    "infinite in disguise": body().replace(b'"simulated"', b'"simulated","samples":1e999'),
    "endless integer": body().replace(b'"simulated"', b'"simulated","samples":' + b"9" * 5000),
    "duplicate key": body()[:-1] + b', "judge": "s3cret"}',
    "duplicate key within": body().replace(b'{"id"', b'{"id": "s3cret", "id"'),
    "half a surrogate pair": body(items=[ITEM | {"output": "s3cret\ud800"}]),
    "half a surrogate pair as a key": body(items=[ITEM | {"metadata": {"s3cret\udfff": 1}}]),
    "NUL": body(items=[ITEM | {"metadata": {"a": ["s3cret\0"]}}]),
    "NUL in a name": body(judge="simulated\0"),
    "one too deep": nested(ALLOWED + 1),
    "far too deep": nested(100_000),
    "too many values": body(items=[ITEM | {"metadata": {"a": [0] * 200_000}}]),
}

INVALID = {
    "empty": (b"", ""),
    "null": (b"null", ""),
    "a list": (b'["s3cret"]', ""),
    "no rubric": (json.dumps({"items": [ITEM], "judge": "simulated"}).encode(), "/rubric"),
    "unknown field": (body(sample=3), "/sample"),
    "unknown field with a long name": (body(**{SECRET * 100: 3}), ""),
    "unknown field with a slash": (body(**{"a/b~c": 3}), "/a~1b~0c"),
    "no items": (body(items=[]), "/items"),
    "101 items": (body(items=[ITEM | {"id": str(n)} for n in range(101)]), "/items"),
    "item without output": (body(items=[ITEM, {"id": "2"}]), "/items/1/output"),
    "output that is no text": (body(items=[ITEM | {"output": {"text": SECRET}}]), "/items/0/output"),
    "text among messages": (body(items=[ITEM | {"output": [SECRET]}]), "/items/0/output/0"),
    "a message of nobody": (body(items=[ITEM | {"output": [{"content": SECRET}]}]), "/items/0/output/0/role"),
    "a role of its own": (body(items=[ITEM | {"input": [{"role": SECRET}]}]), "/items/0/input/0/role"),
    "a part of no kind": (
        body(items=[ITEM | {"output": [{"role": "user", "content": [{"type": SECRET}]}]}]),
        "/items/0/output/0/content/0",
    ),
    "a number as context": (body(items=[ITEM | {"context": [SECRET, 3]}]), "/items/0/context/1"),
    "the path of an image": (body(items=[ITEM | {"images": [f"{SECRET}.png"]}]), "/items/0/images/0"),
    "a file as an image": (body(items=[ITEM | {"images": f"file:///{SECRET}"}]), "/items/0/images/0"),
    "bytes that are no image": (
        body(items=[ITEM | {"images": ["data:image/png;base64,czNjcmV0"]}]),
        "/items/0/images/0",
    ),
    "output over the limit": (body().replace(b"s3cret", "é".encode() * 4_000_001), "/items/0/output"),
    "equal ids": (body(items=[ITEM, ITEM | {"id": "2"}, ITEM | {"id": 1}]), "/items/2/id"),
    "samples as text": (body(samples="3"), "/samples"),
    "samples as true": (body(samples=True), "/samples"),
    "21 samples": (body(samples=21), "/samples"),
    "deadline of zero": (body(deadline_s=0), "/deadline_s"),
    "judge as an object": (body(judge={"name": "x", "provider": "openai", "base_url": "http://s3cret/"}), "/judge"),
    "judge without a model": (body(judge="openai/"), "/judge"),
    "recorded judge": (body(judge="recorded"), "/judge"),
    "recorded judge with a file": (body(judge="recorded//etc/passwd"), "/judge"),
    "judge that is code": (body(judge="this:s3cret/x"), "/judge"),
    "rubric as a number": (body(rubric=5), "/rubric"),
    "unknown rubric": (body(rubric=SECRET), "/rubric"),
    "rubric without criteria": (body(rubric={"name": "own", "criteria": []}), "/rubric"),
    "rubric that is quoted": (body(rubric={"name": "S3CRET s3cret", "criteria": [CRITERION]}), "/rubric"),
    "scale that is quoted": (body(rubric={"name": "own", "criteria": [CRITERION | {"scale": SECRET}]}), "/rubric"),
    "rubric of an item": (body(items=[ITEM, ITEM | {"id": "2", "rubric": {"name": "own"}}]), "/items/1/rubric"),
}


def refused(reply: Any, status: int) -> dict[str, Any]:
    """The problem, which is whole and says nothing of the request."""
    assert reply.status == status
    assert reply.headers["Content-Type"] == "application/problem+json"
    assert len(reply.headers["X-Request-ID"]) == 32
    problem: dict[str, Any] = reply.json
    assert set(problem) == {"type", "title", "status", "detail", "errors", "request_id"}
    assert problem["request_id"] == reply.headers["X-Request-ID"]
    assert problem["status"] == status
    assert SECRET.encode() not in reply.raw.lower()
    return problem


def post(service: Any, raw: bytes, path: str = "/v1/grades", **headers: str) -> Any:
    return service.send("POST", path, raw, {"Content-Type": "application/json"} | headers)


def test_bodies_that_are_not_json_in_the_strict_sense(service: Any) -> None:
    for name, raw in MALFORMED.items():
        problem = refused(post(service, raw), 400)
        assert problem["type"] == "urn:judge:problem:invalid-json", name
    assert post(service, nested(ALLOWED)).status == 200


@pytest.mark.parametrize("name", INVALID)
def test_bodies_that_are_not_requests(service: Any, name: str) -> None:
    raw, pointer = INVALID[name]
    problem = refused(post(service, raw), 422)
    assert [fault["pointer"] for fault in problem["errors"]] == [pointer]
    assert problem["errors"][0]["detail"]
    assert "this" not in sys.modules


@pytest.mark.parametrize(
    ("path", "headers", "faults"),
    [
        ("/v1/runs?limit=0&after=x", {}, [{"parameter": "after"}, {"parameter": "limit"}]),
        ("/v1/runs/latest", {}, [{"parameter": "run"}]),
        (f"/v1/runs/{'0' * 12}/events", {"Last-Event-ID": "x"}, [{"header": "Last-Event-ID"}]),
    ],
)
def test_what_is_no_part_of_the_body_is_not_pointed_to_in_it(
    service: Any, path: str, headers: dict[str, str], faults: list[dict[str, str]]
) -> None:
    problem = refused(service.send("GET", path, None, headers), 422)
    assert [{name: text for name, text in one.items() if name != "detail"} for one in problem["errors"]] == faults


def test_every_fault_is_listed(service: Any) -> None:
    problem = refused(post(service, body(samples=0, items=[{"id": ""}])), 422)
    assert sorted(fault["pointer"] for fault in problem["errors"]) == ["/items/0/id", "/items/0/output", "/samples"]
    many = {f"field{n}": n for n in range(1000)}
    assert len(refused(post(service, body(**many)), 422)["errors"]) == 100


def test_no_file_is_read_because_a_caller_names_it(service: Any, tmp_path: Path) -> None:
    rubric, judge = tmp_path / "own.yaml", tmp_path / "judge.yaml"
    rubric.write_text(json.dumps({"name": "own", "criteria": [CRITERION]}))
    judge.write_text("provider: simulated\n")
    assert refused(post(service, body(rubric=str(rubric))), 422)["type"] == "urn:judge:problem:invalid-rubric"
    assert refused(post(service, body(judge=str(judge))), 422)["type"] == "urn:judge:problem:judge-setup"
    assert refused(service.get(f"/v1/rubrics/{str(rubric).replace('/', '%2F')}"), 404)


@pytest.mark.parametrize("declared", ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""])
def test_other_kinds_of_body(service: Any, declared: str) -> None:
    reply = post(service, body(), **{"Content-Type": declared})
    assert refused(reply, 415)["type"] == "urn:judge:problem:not-json"


def test_a_body_may_declare_its_encoding(service: Any) -> None:
    assert post(service, body(), **{"Content-Type": "Application/JSON; charset=utf-8"}).status == 200


def spoken(port: int, *parts: bytes) -> bytes:
    """The first line of the answer to these bytes, while the request is unfinished."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        for part in parts:
            connection.sendall(part)
        with connection.makefile("rb") as answer:
            return answer.readline()


def test_a_body_too_large_is_refused_before_it_is_sent(service: Any) -> None:
    head = b"POST /v1/grades HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    assert b" 413 " in spoken(service.port, head + b"Content-Length: 104857600\r\n\r\n")
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    chunks = [chunk] * (LARGEST_BYTES // 0x10000)
    assert b" 413 " in spoken(service.port, head + b"Transfer-Encoding: chunked\r\n\r\n", *chunks, b"1\r\n \r\n")


HOSTS = ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "evil@localhost", "10.0.0.1", "0.0.0.0"]
ORIGINS = ["https://evil.example", "null", "http://localhost.evil.example", "file://", "http://localhost@evil.example"]


@pytest.mark.parametrize("host", HOSTS)
def test_other_hosts(service: Any, host: str) -> None:
    reply = service.send("GET", "/v1/rubrics", headers={"Host": host})
    assert refused(reply, 403)["type"] == "urn:judge:problem:not-local"


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8400", "127.0.0.1:1", "127.0.0.2", "[::1]", "[::1]:8400"])
def test_this_host(service: Any, host: str) -> None:
    assert service.send("GET", "/v1/rubrics", headers={"Host": host}).status == 200


ELSEWHERE = [
    "203.0.113.7",
    "127.0.0.1, 203.0.113.7",
    "2001:db8::7",
    "[2001:db8::7]:99",
    "::ffff:203.0.113.7",
    "unknown",
]


@pytest.mark.parametrize("told", ELSEWHERE)
def test_other_machines_behind_a_proxy_of_this_one(service: Any, told: str) -> None:
    for path in ("/v1/rubrics", "/healthz"):
        reply = service.send("GET", path, headers={"X-Forwarded-For": told})
        assert refused(reply, 403)["type"] == "urn:judge:problem:not-local"
    assert service.send("GET", "/v1/rubrics").status == 200


@pytest.mark.parametrize("told", ["127.0.0.1", "127.9.9.9:5", "::1", "[::1]:5", "::ffff:127.0.0.1"])
def test_this_machine_behind_a_proxy_of_its_own(service: Any, told: str) -> None:
    assert service.send("GET", "/v1/rubrics", headers={"X-Forwarded-For": told}).status == 200


def status_for(**client: Any) -> int:
    """Of what is asked of loopback by such a client of the server, as it tells of clients."""
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "headers": [(b"host", b"localhost")], **client}
    asyncio.run(Loopback(app)(scope, send, send))
    return int(sent[0]["status"])


def test_peers() -> None:
    for near in ({}, {"client": None}, {"client": ("", 0)}, {"client": ("127.0.0.2", 5)}, {"client": ("::1", 5)}):
        assert status_for(**near) == 200, near
    for far in ("10.0.0.1", "0.0.0.0", "::", "::ffff:10.0.0.1", "fe80::1%lo", "localhost.evil.example"):
        assert status_for(client=(far, 5)) == 403, far


def test_who_has_a_key_may_ask_from_anywhere(serve: Any, key: Any) -> None:
    headers = {"Authorization": f"Bearer {key(Scope.READ)}", "X-Forwarded-For": "203.0.113.7", "Host": "judge.example"}
    assert serve(KEYLESS="").send("GET", "/v1/rubrics", headers=headers).status == 200


@pytest.mark.parametrize("origin", ORIGINS)
def test_pages_of_other_sites(service: Any, origin: str) -> None:
    assert refused(post(service, body(), Origin=origin), 403)["type"] == "urn:judge:problem:not-local"


@pytest.mark.parametrize("origin", ["http://localhost:3000", "https://127.0.0.1", "http://[::1]:5"])
def test_pages_of_this_machine(service: Any, origin: str) -> None:
    assert post(service, body(), Origin=origin).status == 200
