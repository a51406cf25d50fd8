"""Databases and files that cannot be written, that are too new, or that another process holds."""

from __future__ import annotations

import sqlite3
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Stub
    from tests.e2e.conftest import Ended, Terminal

GRADE = ("grade", "items.jsonl", "--rubric", "reply.yaml", "--judge", "judge.yaml")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk with room for 10 MB, most of which the ballast takes."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=10m", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(mount, capture_output=True).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("a small disk needs the right to mount one")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def refusal(ended: Ended) -> str:
    assert (ended.status, ended.out) == (2, ""), ended
    (line,) = ended.err.splitlines()
    assert line.startswith("judge: ")
    return line


def test_a_full_disk_stops_the_run_and_with_room_it_goes_on(
    terminal: Terminal, quick: Stub, many: None, small_disk: Path
) -> None:
    terminal.judge(quick)
    command = ("grade", "many.jsonl", *GRADE[2:], "--concurrency", "4")
    place = {"JUDGE_DATABASE_URL": f"sqlite:///{small_disk}/judge.db"}
    stopped = terminal.run(*command, "--quiet", **place)
    assert "Traceback" not in stopped.err
    line = stopped.err.splitlines()[-1]
    assert "the disk is full" in line
    assert "start the same command again" in line
    assert stopped.status == 3, stopped.err
    asked = [call["body_sha256"] for call in quick.calls() if call["items"]]
    assert 0 < len(asked) < 200
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    resumed = terminal.run(*command, "--json", "--out", "grades.jsonl", **place)
    outcomes = Counter(row["outcome"] for row in terminal.rows("grades.jsonl"))
    assert outcomes == {"scored": 200}  # what was under way when the disk was full found room in the ballast
    assert resumed.status == 0
    sent = Counter(call["body_sha256"] for call in quick.calls() if call["items"])
    assert max(sent.values()) == 1


def test_a_disk_without_room_for_what_will_be_owed_is_refused(
    terminal: Terminal, quick: Stub, small_disk: Path
) -> None:
    terminal.judge(quick)
    (small_disk / "filler").write_bytes(bytes(4_000_000))
    line = refusal(terminal.run(*GRADE, JUDGE_DATABASE_URL=f"sqlite:///{small_disk}/judge.db"))
    assert "less than 8 MB are left; make room" in line
    assert quick.stats()["requests"] == 0


@pytest.mark.parametrize("place", ["/proc/none/judge.db", "items.jsonl/judge.db", "read-only/judge.db"])
def test_a_place_that_cannot_be_written_is_refused(terminal: Terminal, quick: Stub, place: str) -> None:
    terminal.judge(quick)
    folder = terminal.folder / "read-only"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(folder)]
    if place.startswith("read-only") and subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a read-only folder needs the right to mount one")
    try:
        line = refusal(terminal.run(*GRADE, JUDGE_DATABASE_URL=f"sqlite:///{place}"))
    finally:
        if folder.is_mount():
            subprocess.run(["umount", str(folder)], check=True)
    assert place in line
    assert "JUDGE_DATABASE_URL" in line
    assert quick.stats()["requests"] == 0


def test_an_out_file_that_cannot_be_written_is_refused_before_anything_is_sent(terminal: Terminal, quick: Stub) -> None:
    terminal.judge(quick)
    for out in ("none/grades.jsonl", "items.jsonl/grades.jsonl", "."):
        line = refusal(terminal.run(*GRADE, "--out", out))
        assert "name a" in line, line
    assert "is not a file of grades" in refusal(terminal.run(*GRADE, "--limit", "1", "--out", "items.jsonl"))
    assert [call for call in quick.calls() if call["items"]] == []


def test_a_database_of_a_newer_version_is_left_alone(terminal: Terminal, quick: Stub) -> None:
    terminal.judge(quick)
    path = terminal.folder / ".judge" / "judge.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE alembic_version SET version_num = '9999'")
        db.commit()
    line = refusal(terminal.run(*GRADE))
    assert "newer version" in line
    assert "9999" in line
    assert "upgrade" in line
    assert quick.stats()["requests"] == 0
    assert terminal.count("alembic_version", "version_num = '9999'") == 1


def test_what_is_no_database_is_left_alone(terminal: Terminal, quick: Stub) -> None:
    terminal.judge(quick)
    terminal.write("notes.txt", "not a database, but notes " * 100)
    line = refusal(terminal.run(*GRADE, JUDGE_DATABASE_URL="sqlite:///notes.txt"))
    assert "notes.txt" in line
    assert (terminal.folder / "notes.txt").read_text("utf-8").startswith("not a database")
    for url in ("nonsense", "mysql://localhost/judge"):
        assert "JUDGE_DATABASE_URL" in refusal(terminal.run(*GRADE, JUDGE_DATABASE_URL=url))
