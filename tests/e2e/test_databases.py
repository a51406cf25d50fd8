"""Databases as people meet them: shared, shown, copied, out of reach."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.conftest import Stub
    from tests.e2e.conftest import Terminal

GRADE = ("grade", "items.jsonl", "--rubric", "helpfulness", "--judge", "judges/local.yaml")


@contextmanager
def serving(terminal: Terminal) -> Iterator[int]:
    """`judge serve`, as long as the block lasts. Gives its port."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = int(free.getsockname()[1])
    with terminal.start("serve", "--port", str(port)) as process:
        try:
            until = time.monotonic() + 20
            while ask(port, "GET", "/healthz") is None:
                assert process.poll() is None, process.communicate()
                assert time.monotonic() < until, "the service did not start"
                time.sleep(0.02)
            yield port
        finally:
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=20)
    assert "Traceback" not in said, said


def ask(port: int, method: str, path: str, body: Any = None) -> Any:
    """The JSON that comes back; None where nobody listens."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=40)) as connection:
        try:
            connection.request(method, path, json.dumps(body), {"Content-Type": "application/json"})
        except ConnectionRefusedError:
            return None
        return json.load(connection.getresponse())


def test_a_command_and_a_service_pay_once_for_what_both_ask(
    on_postgres: Terminal, stub: Callable[..., Stub], tmp_path: Path
) -> None:
    server = stub("--seed-regex", r"ITEM-\d+", "--latency-ms", "100")
    (tmp_path / "judges").mkdir()
    on_postgres.judge(server, "judges/local.yaml", concurrency=4)
    terminal = replace(on_postgres, environment=on_postgres.environment | {"JUDGE_JUDGES_DIR": "judges"})
    rows = terminal.rows("items.jsonl")
    asked = {"items": rows[::-1], "rubric": "helpfulness", "judge": "local"}
    with serving(terminal) as port, terminal.start(*GRADE, "--out", "grades.jsonl") as command:
        while server.stats()["requests"] < 4:
            assert command.poll() is None, command.communicate()
            time.sleep(0.01)
        served = {one["item"]: one["score"] for one in ask(port, "POST", "/v1/grades", asked)["data"]}
        said = command.communicate(timeout=30)
    assert command.returncode == 0, said
    assert {row["item"]: row["score"] for row in terminal.rows("grades.jsonl")} == served
    assert len(served) == 40
    calls = Counter(call["body_sha256"] for call in server.calls() if call["items"])
    assert (len(calls), max(calls.values())) == (40, 1)
    both = terminal.count("call", "run IS NOT NULL"), terminal.count("call", "run IS NULL")
    assert min(both) > 0, "one of them asked for everything, so nothing was shared"


def test_the_database_is_shown_copied_and_never_with_its_password(on_postgres: Terminal) -> None:
    url = on_postgres.environment["JUDGE_DATABASE_URL"].replace("://postgres@", "://postgres:s3cret@")
    done = on_postgres.run("grade", "items.jsonl", "-r", "reply.yaml", "-j", "simulated", JUDGE_DATABASE_URL=url)
    assert done.status == 0, done.err
    said = [
        on_postgres.run(*command, JUDGE_DATABASE_URL=url)
        for command in (("db", "status"), ("db", "upgrade"), ("db", "backup", "--out", "copy.dump"), ("doctor",))
    ]
    assert [one.status for one in said] == [0] * 4, said
    assert "rows      1 runs, 40 items, 0 calls" in said[0].out
    assert (on_postgres.folder / "copy.dump").read_bytes().startswith(b"PGDMP")
    assert not any("s3cret" in one.out + one.err for one in (done, *said))


@pytest.mark.parametrize("url", ["postgresql://nobody:s3cret@127.0.0.1:1/judge", "postgresql://127.0.0.1:1/judge"])
def test_a_server_that_is_not_there_is_one_line_at_once(terminal: Terminal, url: str) -> None:
    began = time.monotonic()
    refused = terminal.run("runs", "list", JUDGE_DATABASE_URL=url)
    assert (refused.status, refused.out) == (2, "")
    (line,) = refused.err.splitlines()
    assert line.startswith("judge: postgresql://")
    assert "cannot be reached" in line
    assert "s3cret" not in line
    assert time.monotonic() - began < 20


def test_a_file_is_shown_copied_and_upgraded(terminal: Terminal) -> None:
    done = terminal.run("grade", "items.jsonl", "-r", "reply.yaml", "-j", "simulated", "--quiet")
    assert done.status == 0
    shown = terminal.run("db", "status")
    assert shown.out.splitlines()[0] == "database  .judge/judge.db"
    assert "rows      1 runs, 40 items, 0 calls" in shown.out
    assert "MB" in shown.out
    assert terminal.run("db", "backup", "--out", "copy.db").status == 0
    again = terminal.run("db", "backup", "--out", "copy.db")
    assert (again.status, again.err) == (2, "judge: copy.db: is there already; name another file\n")
    assert "copy.db" in terminal.run("db", "status", JUDGE_DATABASE_URL="sqlite:///copy.db").out
    upgraded = terminal.run("db", "upgrade")
    assert (upgraded.status, "this program's version already" in upgraded.err) == (0, True)
    assert terminal.run("runs", "list", JUDGE_DATABASE_URL="sqlite:///copy.db").out == terminal.run("runs", "list").out
