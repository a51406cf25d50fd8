"""Bodies that come compressed: taken as gzip, refused as anything else, and never unpacked beyond the limit."""

from __future__ import annotations

import gzip
import json
import tracemalloc
import zlib
from collections.abc import Callable

import pytest

from api.bodies import LARGEST_BYTES
from tests.api.conftest import JSON, Client, Reply
from tests.api.hostile import bomb
from tests.api.test_runs import body

GZIP = JSON | {"Content-Encoding": "gzip"}
MALFORMED = {
    "not gzip": b"s3cret",
    "empty": b"",
    "zlib": zlib.compress(b"{}"),
    "cut": gzip.compress(b'{"s3cret": 1}' * 1000)[:-9],
    "a wrong sum": gzip.compress(b"{}")[:-8] + b"\0" * 8,
    "more after it": gzip.compress(b"{}") + b"s3cret",
}


def post(service: Client, raw: bytes, **headers: str) -> Reply:
    return service.send("POST", "/v1/grades", raw, GZIP | headers)


def test_a_body_may_come_as_gzip(service: Client) -> None:
    raw = json.dumps(body(3, "packed")).encode()
    plain = service.send("POST", "/v1/grades", raw, JSON)
    for packed in (gzip.compress(raw), gzip.compress(raw[:50]) + gzip.compress(raw[50:])):
        reply = post(service, packed)
        assert (reply.status, reply.json["data"]) == (200, plain.json["data"])
    assert post(service, gzip.compress(raw), **{"Content-Encoding": "X-GZIP"}).status == 200
    assert service.send("POST", "/v1/grades", raw, JSON | {"Content-Encoding": "identity"}).status == 200


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_not_gzip_is_refused(service: Client, name: str) -> None:
    refused = post(service, MALFORMED[name])
    assert (refused.status, refused.json["type"]) == (400, "urn:judge:problem:invalid-encoding")
    assert b"s3cret" not in refused.raw


def test_what_unpacks_to_nothing_is_held_to_the_limit_too(serve: Callable[..., Client]) -> None:
    client = serve(MAX_UPLOAD_BYTES=4000)
    first, item = b'{"rubric": "helpfulness", "judge": "simulated"}', b'{"id": "1", "output": "Yes."}'
    whole, nothing = gzip.compress(first + b"\n" + item), gzip.compress(b"")
    headers = {"Content-Type": "application/jsonl", "Content-Encoding": "gzip"}
    sent = [client.send("POST", "/v1/runs/upload", whole + nothing * count, headers) for count in (100, 300)]
    assert [one.status for one in sent] == [202, 413]


@pytest.mark.parametrize("named", ["br", "zstd", "deflate", "gzip, gzip", "compress", "utf-8"])
def test_other_encodings_are_refused_with_those_that_are_taken(service: Client, named: str) -> None:
    refused = post(service, b"x", **{"Content-Encoding": named})
    assert (refused.status, refused.json["type"]) == (415, "urn:judge:problem:other-encoding")
    assert refused.headers["Accept-Encoding"] == "gzip, identity"


def test_a_bomb_is_refused_before_it_is_unpacked(service: Client) -> None:
    packed = bomb(1 << 30)
    assert len(packed) < 2_000_000
    tracemalloc.start()
    try:
        refused = post(service, packed)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (refused.status, refused.json["type"]) == (413, "urn:judge:problem:too-large")
    assert most < 4 * LARGEST_BYTES  # the service runs in this process
    whole = json.dumps(body(1)).encode()
    assert post(service, gzip.compress(whole + b" " * (LARGEST_BYTES - len(whole)))).status == 200
    assert post(service, gzip.compress(whole + b" " * (LARGEST_BYTES - len(whole) + 1))).status == 413
