"""Bodies, ids and requests that nobody means well, made out of good ones. Each says `s3cret`, which no answer may."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from typing import Any

SECRET = "s3cret"
DEEP = 300


def malformed(good: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    """Bodies that are no JSON in the strict sense, of one that is."""
    raw = json.dumps(good).encode()

    def also(value: str) -> bytes:
        return raw[:-1] + b', "s3cret": ' + value.encode("utf-8", "surrogatepass") + b"}"

    yield "cut", raw[:-1]
    yield "two values", raw + b"{}"
    yield "a comma at its end", raw[:-1] + b",}"
    yield "single quotes", raw.replace(b'"', b"'")
    yield "a comment", raw + b"// s3cret"
    yield "bytes that are no UTF-8", also('"s3cret"').replace(b's3cret"}', b's3cret\xff"}')
    yield "an overlong slash", also('"s3cret"').replace(b's3cret"}', b's3cret\xc0\xaf"}')
    yield "a raw surrogate", also('"s3cret\ud800"')
    yield "latin-1", also('"s3cret"').replace(b's3cret"}', b's3cr\xe9t"}')
    yield "utf-16", raw.decode().encode("utf-16")
    yield "utf-16 without a mark", raw.decode().encode("utf-16-le")
    yield "utf-32", raw.decode().encode("utf-32")
    yield "a byte order mark", b"\xef\xbb\xbf" + raw
    yield "a NUL byte", raw + b"\0"
    yield "NaN", also("NaN")
    yield "Infinity", also("Infinity")
    yield "-Infinity", also("-Infinity")
    yield "1e999", also("1e999")
    yield "an endless integer", also("9" * 5000)
    yield "a number of zeros", also("000")
    yield "hexadecimal", also("0xff")
    yield "half an escaped pair", also('"s3cret\\ud800"')
    yield "the other half", also('"\\udfffs3cret"')
    yield "half a pair as a key", also('{"s3cret\\ud800": 1}')
    yield "an escaped NUL", also('"s3cret\\u0000"')
    yield "an escaped NUL as a key", also('{"\\u0000s3cret": 1}')
    yield "lists in lists", also("[" * DEEP + "]" * DEEP)
    yield "objects in objects", also('{"a":' * DEEP + "1" + "}" * DEEP)
    yield "lists without an end", also("[" * 100_000)
    yield "a key twice", raw[:-1] + b', "s3cret": 1, "s3cret": 2}'
    yield "a key twice within", also('{"s3cret": 1, "s3cret": 1}')
    yield "more values than fit", also("[" + "0," * 200_000 + "0]")


#: What no field is.
OTHERS: tuple[Any, ...] = ([[SECRET]], {"other": [SECRET]}, -1e308, 10**300, "", True)


def wrong(good: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Bodies of JSON that are no requests: each part of a good one, of another type, and with a part too many."""
    for place, kind in _parts(good):
        for other in OTHERS:
            if isinstance(kind, type(other)) and not isinstance(other, dict | list):
                continue
            if other == "" and isinstance(kind, list):  # what is several may be one
                continue
            yield f"{'/'.join(map(str, place))} is {str(other)[:20]}", _changed(good, place, other)
        if isinstance(kind, dict):
            yield f"{'/'.join(map(str, place))} has more", _changed(good, place, kind | {"unknown": SECRET})
    yield "more", good | {"unknown": SECRET}


def _parts(value: Any, place: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    of = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, part in of:
        yield (*place, step), part
        yield from _parts(part, (*place, step))


def _changed(good: Any, place: tuple[str | int, ...], other: Any) -> Any:
    made = json.loads(json.dumps(good))
    within = made
    for step in place[:-1]:
        within = within[step]
    within[place[-1]] = other
    return made


#: Whole bodies that are JSON and no object.
NO_OBJECT = (b"", b"null", b"[]", b'"s3cret"', b"0", b"true", b"{}", b'[{"s3cret": 1}]')

#: In the place of an id, as a path has it. The service's own ids are twelve hexadecimal digits.
IDS = (
    "..%2F..%2Fetc%2Fpasswd",
    "%2e%2e",
    "..%5c..%5c",
    "%00",
    "5c0e7b1f9a42%00",
    "5c0e7b1f9a42%0a",
    "%0a5c0e7b1f9a42",
    "5C0E7B1F9A42",
    "5c0e7b1f9a4",
    "5c0e7b1f9a42a",
    "%D9%A0" * 12,  # digits, of another script
    "%EF%BC%90" * 12,  # wide ones
    "%FF%FE",
    "%ED%A0%80",
    "%252e%252e",
    "'%20OR%20'1'='1",
    "%3Bdrop%20table%20runs",
    "%25",
    "*",
    "latest",
    "-1",
    "null",
    "x" * 5_000,
    "%F0%9F%92%A9",
)

CURSORS = (
    "-2",
    "-99999999999999999999",
    "2147483648",
    "9" * 400,
    "1e3",
    "0x10",
    "%00",
    "",
    "NaN",
    "1.5",
    "[0]",
    "latest",
)
LIMITS = ("0", "-1", "501", "99999999999999999999", "1e2", "NaN", "", "%00", "ten")
EVENT_IDS = ("", "x", "1", "1.1", "1.1.nothing", "-1.0.none", "1.1.none.1", "99999999999.0.none", "1.1.none\t.", "é")
IDEMPOTENCY_KEYS = (
    "",
    '"',
    '""',
    "a b",
    '"unclosed',
    'un"closed',
    "x" * 256,
    f'"{"x" * 256}"',
    "é",
    '"\\x"',
    '"a", "b"',
)
CONTENT_TYPES = (
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application",
    "*/*",
    "",
)

#: What no request is, on the wire; `{head}` is a good one up to its length.
ON_THE_WIRE: dict[str, bytes] = {
    "two lengths": b"{head}Content-Length: 5\r\nContent-Length: 6\r\n\r\n{}    ",
    "a length and chunks": b"{head}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "a negative length": b"{head}Content-Length: -1\r\n\r\n",
    "a length with a sign": b"{head}Content-Length: +2\r\n\r\n{}",
    "a length in hexadecimal": b"{head}Content-Length: 0x2\r\n\r\n{}",
    "a length of words": b"{head}Content-Length: s3cret\r\n\r\n{}",
    "a length of thousands of digits": b"{head}Content-Length: " + b"9" * 5000 + b"\r\n\r\n{}",
    "two lengths in one": b"{head}Content-Length: 2, 3\r\n\r\n{}",
    "another transfer": b"{head}Transfer-Encoding: s3cret\r\n\r\n{}",
    "chunked twice": b"{head}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "a chunk of no number": b"{head}Transfer-Encoding: chunked\r\n\r\ns3cret\r\n{}\r\n0\r\n\r\n",
    "a chunk longer than it says": b"{head}Transfer-Encoding: chunked\r\n\r\n1\r\n{}s3cret\r\n0\r\n\r\n",
    "a negative chunk": b"{head}Transfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n",
    "a chunk too large for numbers": b"{head}Transfer-Encoding: chunked\r\n\r\n" + b"f" * 40 + b"\r\n{}",
    "a header without a colon": b"{head}s3cret\r\n\r\n",
    "a header with a space in its name": b"{head}Content-Length : 2\r\n\r\n{}",
    "a folded header": b"{head}Content-Length:\r\n 2\r\n\r\n{}",
    "a NUL in a header": b"{head}X-Other: s3\0cret\r\nContent-Length: 2\r\n\r\n{}",
    "a header too long": b"{head}X-Other: " + b"s3cret" * 100_000 + b"\r\nContent-Length: 2\r\n\r\n{}",
    "too many headers": b"{head}" + b"X-Other: s3cret\r\n" * 10_000 + b"Content-Length: 2\r\n\r\n{}",
    "a path too long": b"GET /" + b"s3cret" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a path with spaces": b"GET /v1/s3 cret HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a path with bytes": b"GET /v1/\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "no version": b"GET /v1/runs\r\n\r\n",
    "no host": b"GET /v1/runs HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /v1/runs HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03s3cret\r\n\r\n",
}  # fmt: skip

PATHS = (
    "/v1",
    "/v1/",
    "//v1/runs",
    "/v1//runs",
    "/v1/runs/",
    "/v1/runs/.",
    "/v1/../v1/runs",
    "/V1/runs",
    "/v1/runs;x=1",
    "/v1/runs%00",
    "/v1/runs%2f5c0e7b1f9a42",
    "/openapi.json/..",
    "/healthz/",
    "/healthz/../v1/runs",
    "/docs",
    "/redoc",
    "/static/../../etc/passwd",
    "/.env",
    "/v1/keys",
    "*",
)


def bomb(size: int) -> bytes:
    """Zeros in gzip, a thousandth as large as they are."""
    packing: Any = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    block = bytes(1 << 20)
    return b"".join(packing.compress(block) for _ in range(size >> 20)) + bytes(packing.flush())
