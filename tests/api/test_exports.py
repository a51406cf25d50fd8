"""Exports that lie on disk before they are sent: so many at once, and what a full disk comes to."""

from __future__ import annotations

import http.client
import logging
import os
import socket
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import pytest

from api.routes import results
from api.routes.results import MOST_EXPORTS, MOST_OF_ONE
from judge.keys import Scope
from tests.api.conftest import Client, no_room
from tests.api.test_access import ask, done
from tests.api.test_runs import body, ended, submit

#: More than the sockets between a service and a client take in.
LARGE_BYTES = 64 * 1024 * 1024


def a_run(client: Client, count: int = 1) -> str:
    """The path of the exports of a run that has ended."""
    run = submit(client, body(count, "exported")).json["id"]
    ended(client, run)
    return f"/v1/runs/{run}/export"


def hold(several: ExitStack, client: Client, path: str, key: str = "") -> bytes:
    """The status of an export that is not read any further, as long as the stack lasts."""
    connection = several.enter_context(socket.create_connection(("127.0.0.1", client.port), timeout=20))
    told = key and f"Authorization: Bearer {key}\r\n"
    connection.sendall(f"GET {path}?format=csv HTTP/1.1\r\nHost: localhost\r\n{told}\r\n".encode())
    return connection.recv(12)


def large(file: IO[bytes], **_: Any) -> None:
    """Writes a file that takes no room on the disk."""
    file.truncate(LARGE_BYTES)


def test_a_full_disk_is_said_before_the_answer_begins_and_with_room_it_goes_on(
    serve: Callable[..., Client], small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    client = serve()
    one, many = a_run(client), a_run(client, 200)  # one fits into the buffer of a file, and is written by the last word
    filler = small_disk / "filler"
    with pytest.raises(OSError, match="No space left"):
        filler.write_bytes(bytes(2_000_000))
    logging.getLogger("api").addHandler(caplog.handler)
    try:
        for path in (one, many) * MOST_OF_ONE:  # and none keeps its place
            for as_format in ("csv", "parquet"):
                refused = client.get(f"{path}?format={as_format}")
                assert (refused.status, refused.json["type"]) == (503, "urn:judge:problem:store-unavailable")
                assert refused.headers["Retry-After"] == "5"
    finally:
        logging.getLogger("api").removeHandler(caplog.handler)
    said = {record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR}
    advice = "make room for it, or name another folder in TMPDIR"
    assert said == {f"an export cannot be kept on disk (No space left on device); {advice}"}
    assert client.get(one).status == 200  # JSON lines lie nowhere
    filler.unlink()
    assert client.get(f"{many}?format=csv").raw.count(b"\n") == 201
    assert client.get(f"{many}?format=parquet").raw.startswith(b"PAR1")


def test_a_folder_that_is_gone_is_said_too(
    serve: Callable[..., Client], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = serve()
    path = a_run(client)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    assert client.get(f"{path}?format=csv").json["type"] == "urn:judge:problem:store-unavailable"


def test_files_are_bounded_and_who_leaves_gives_the_place_back(
    serve: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = serve()
    path = a_run(client)
    with ExitStack() as several, monkeypatch.context() as written:
        written.setattr(results, "_csv", large)
        assert {hold(several, client, path) for _ in range(MOST_OF_ONE)} == {b"HTTP/1.1 200"}
        for as_format in ("csv", "parquet"):
            assert no_room(client.get(f"{path}?format={as_format}"), "exports", MOST_OF_ONE)
        assert client.get(path).status == 200  # JSON lines lie nowhere
        missing = client.get(f"/v1/runs/{'0' * 12}/export?format=csv")
        assert missing.status == 404
    until = time.monotonic() + 10
    with ExitStack() as several:
        while hold(several, client, path) != b"HTTP/1.1 200":
            assert time.monotonic() < until, "no room was given back"
            time.sleep(0.1)


def test_one_tenant_keeps_no_other_out(
    serve: Callable[..., Client], key: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = serve(KEYLESS="")
    keys = [key(Scope.ADMIN, tenant=tenant) for tenant in ("ours", "theirs", "others")]
    paths = []
    for text in keys:
        run = ask(client, text, "POST", "/v1/runs", body(1, "of a tenant")).json["id"]
        done(client, text, run)
        paths.append(f"/v1/runs/{run}/export")
    monkeypatch.setattr(results, "_csv", large)
    with ExitStack() as several:
        for text, path in zip(keys[:2], paths[:2], strict=True):
            assert {hold(several, client, path, text) for _ in range(MOST_OF_ONE)} == {b"HTTP/1.1 200"}
            assert no_room(ask(client, text, path=f"{path}?format=csv"), "exports", MOST_OF_ONE)
        assert no_room(ask(client, keys[2], path=f"{paths[2]}?format=csv"), "all-exports", MOST_EXPORTS)


def test_what_ends_or_breaks_gives_its_place_back(
    serve: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = serve()
    path = f"{a_run(client)}?format=csv"

    def unreadable(file: IO[bytes], **_: Any) -> None:
        with open(os.devnull, "wb") as other:
            os.dup2(other.fileno(), file.fileno())

    def failing(file: IO[bytes], **_: Any) -> None:
        raise RuntimeError

    for _ in range(MOST_EXPORTS + 1):
        assert client.get(path).status == 200
    with monkeypatch.context() as written:
        written.setattr(results, "_csv", failing)
        assert {client.get(path).status for _ in range(MOST_EXPORTS + 1)} == {500}
        written.setattr(results, "_csv", unreadable)
        for _ in range(MOST_EXPORTS + 1):
            with pytest.raises(http.client.HTTPException):  # it was begun, and has no end
                client.get(path)
    assert client.get(path).status == 200
