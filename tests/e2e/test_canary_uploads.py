"""Keys and a prompt, looked for after uploads that are refused, broken or cut off: as in test_canary.py."""

from __future__ import annotations

import gzip
import json
import socket
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tests.e2e.conftest import jsonl
from tests.e2e.test_canary import KEY, PROMPT, Heard, Service, items, place, tables

if TYPE_CHECKING:
    from tests.e2e.conftest import Terminal
    from tests.e2e.test_canary import Collector

#: That file's fixture.
loudest = place
FIRST = {"rubric": "helpfulness", "judge": "simulated"}
GOOD = jsonl([FIRST, *items(2, "u")]).encode()
LARGE = jsonl([FIRST, {"id": "1", "output": PROMPT * 1_000}]).encode()
PACKED, GZIP = gzip.compress(GOOD), {"Content-Encoding": "gzip"}
LIMITS = {"JUDGE_MAX_UPLOAD_ITEMS": "3", "JUDGE_MAX_UPLOAD_BYTES": "20000"}
PATH = "/v1/runs/upload"
LINE, NO_JSON, ENCODING, SIZE = "invalid-request", "invalid-json", "invalid-encoding", "too-large"


def first(**fields: Any) -> bytes:
    return jsonl([FIRST | fields, *items(1, "f")]).encode()


#: What is sent, with which heads, and the problem that it is.
FAULTY: dict[str, tuple[bytes, dict[str, str], str]] = {
    "no JSON at first": (f"{PROMPT} {KEY}\n".encode() + GOOD, {}, NO_JSON),
    "no such rubric": (first(rubric=PROMPT), {}, "invalid-rubric"),
    "no such judge": (first(judge=KEY), {}, "judge-setup"),
    "no such mode": (first(mode=f"{PROMPT} {KEY}"), {}, LINE),
    "no JSON": (GOOD + f"{PROMPT} {KEY}\n".encode(), {}, LINE),
    "a line that is cut": (GOOD[:-9], {}, LINE),
    "no text": (jsonl([FIRST, {"id": "1", "output": [PROMPT, KEY]}, *items(1, "t")]).encode(), {}, LINE),
    "equal ids": (jsonl([FIRST, *[{"id": PROMPT, "output": KEY}] * 2]).encode(), {}, LINE),
    "not UTF-8": (GOOD + b"\xff" + PROMPT.encode() + b"\n", {}, LINE),
    "too many": (jsonl([FIRST, *items(4, "m")]).encode(), {}, SIZE),
    "too large": (LARGE, {}, SIZE),
    "too large when it is unpacked": (gzip.compress(LARGE), GZIP, SIZE),
    "no gzip": (GOOD, GZIP, ENCODING),
    "broken gzip": (PACKED[:40] + PROMPT.encode() + PACKED[80:], GZIP, ENCODING),
    "gzip that is cut": (PACKED[:-20], GZIP, ENCODING),
    "another encoding": (GOOD, {"Content-Encoding": f"{KEY} {PROMPT}"}, "other-encoding"),
    "another kind": (GOOD, {"Content-Type": f"text/{KEY}; of={PROMPT}"}, "not-lines"),
    "another key": (GOOD, {"Authorization": f"Bearer {KEY}"}, "no-key"),
    "a key that cannot be kept": (GOOD, {"Idempotency-Key": f"{KEY} {PROMPT} \x7f"}, "invalid-idempotency-key"),
}


def cut_off(service: Service, raw: bytes, heads: str = "") -> None:
    """An upload whose connection ends in the middle."""
    told = f"Host: localhost\r\nAuthorization: Bearer {service.key}\r\nContent-Type: application/jsonl\r\n{heads}"
    head = f"POST {PATH} HTTP/1.1\r\n{told}Content-Length: {len(raw)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as connection:
        connection.sendall(head.encode() + raw[: len(raw) // 2])


def kept(terminal: Terminal) -> bytes:
    """All that is in a database."""
    values = [value for table in tables(terminal) for row in table for value in row]
    return b"\n".join(value if isinstance(value, bytes) else str(value).encode() for value in values)


def test_uploads_leave_neither(loudest: tuple[Terminal, Collector]) -> None:
    terminal, heard = loudest[0], Heard()
    service = Service(replace(terminal, environment=terminal.environment | LIMITS))

    def upload(raw: bytes, heads: dict[str, str]) -> bytes:
        return service.ask("POST", PATH, raw=raw, heads={"Content-Type": "application/jsonl"} | heads)

    try:
        for name, (raw, heads, problem) in FAULTY.items():
            heard.add(name, upload(raw, heads))
            assert f"urn:judge:problem:{problem}".encode() in heard.texts[name], (name, heard.texts[name])
        cut_off(service, GOOD)
        cut_off(service, PACKED, "Content-Encoding: gzip\r\n")
        heard.add("database", kept(terminal))
        heard.add("taken", upload(GOOD, {"Idempotency-Key": KEY}))
        assert b'"status":"queued"' in heard.texts["taken"]
        heard.add("metrics", service.ask("GET", "/metrics"))
    finally:
        said = service.close()
    heard.add("log", said)
    heard.check(service.key)
    found = kept(terminal)
    assert (PROMPT.encode() in found, service.key.encode() in found) == (True, False)
    told = [json.loads(line) for line in said.splitlines()]
    # All arrived: one without a key that stands is told of without its route.
    statuses = [one["status"] for one in told if one.get("route") == PATH]
    assert (len(statuses), statuses.count(499), max(statuses)) == (len(FAULTY) + 2, 2, 499)
    assert not [one for one in told if one["level"] == "error"]
