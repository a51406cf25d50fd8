"""Databases as people meet them: shown, copied, upgraded, out of reach."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy.engine import make_url

from judge.store import migrations
from judge.store.database import backend_of
from judge.store.tables import REVISION

if TYPE_CHECKING:
    from tests.conftest import Postgres
    from tests.e2e.conftest import Terminal

GRADE = ("grade", "items.jsonl", "--rubric", "reply.yaml", "--judge", "simulated", "--json")
FIRST = "0001"


@pytest.fixture
def empty(anywhere: Terminal, request: pytest.FixtureRequest) -> Terminal:
    """The folder, with a database of each kind that has no tables yet."""
    url = "sqlite:///empty.db"
    if "JUDGE_DATABASE_URL" in anywhere.environment:
        server: Postgres = request.getfixturevalue("postgres_server")
        url = server.database("TEMPLATE template0")
    return replace(anywhere, environment=anywhere.environment | {"JUDGE_DATABASE_URL": url})


@pytest.fixture
def restored(request: pytest.FixtureRequest) -> Callable[[Path], str]:
    """The URL of a database that was made of a copy."""

    def made_of(copy: Path) -> str:
        if not copy.read_bytes().startswith(b"PGDMP"):
            return f"sqlite:///{copy}"
        server: Postgres = request.getfixturevalue("postgres_server")
        url = server.database("TEMPLATE template0")
        target = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        subprocess.run(["pg_restore", "--exit-on-error", f"--dbname={target}", str(copy)], check=True)
        return url

    return made_of


def test_a_database_is_shown_copied_and_gone_back_to(anywhere: Terminal, restored: Callable[[Path], str]) -> None:
    id = anywhere.run(*GRADE).json["run"]["id"]
    shown = anywhere.run("db", "status")
    assert shown.out.splitlines()[0].startswith(("database  .judge/judge.db", "database  postgresql://"))
    assert "rows      1 runs, 40 items, 0 calls" in shown.out
    assert ("size" in shown.out) == ("postgresql" not in shown.out)
    upgraded = anywhere.run("db", "upgrade")
    assert (upgraded.status, "this program's version already" in upgraded.err) == (0, True)
    copied = anywhere.run("db", "backup", "--out", "copy")
    assert (copied.status, copied.out) == (0, ""), copied.err
    again = anywhere.run("db", "backup", "--out", "copy")
    assert (again.status, again.err) == (2, "judge: copy: is there already; name another file\n")
    kept = anywhere.run("runs", "export", id).out
    assert kept.count("\n") == 40
    assert anywhere.run("runs", "delete", id, "--yes").status == 0
    back = restored(anywhere.folder / "copy")
    assert anywhere.run("runs", "export", id, JUDGE_DATABASE_URL=back).out == kept


def test_an_older_database_is_refused_until_it_is_upgraded(empty: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(empty.folder)
    backend, config = backend_of(empty.environment["JUDGE_DATABASE_URL"]), Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))

    def older(connection: object) -> None:
        config.attributes["connection"] = connection
        command.upgrade(config, FIRST)

    backend.transact(older)
    backend.close()
    refused = empty.run(*GRADE)
    assert refused.status == 2
    (line,) = refused.err.splitlines()
    assert line.endswith("with: judge db upgrade")
    assert f"schema    {FIRST}; this program's is {REVISION}" in empty.run("db", "status").out
    upgraded = empty.run("db", "upgrade")
    assert upgraded.status == 0
    assert upgraded.err.splitlines()[-1].endswith(f": schema {FIRST} is now {REVISION}")
    copies = [path.name.startswith(f"empty.db.{FIRST}-") for path in empty.folder.glob("*.backup")]
    assert copies == ([True] if "sqlite" in empty.environment["JUDGE_DATABASE_URL"] else [])
    assert empty.run(*GRADE).status == 0


def test_no_command_shows_the_password(on_postgres: Terminal) -> None:
    url = on_postgres.environment["JUDGE_DATABASE_URL"].replace("://postgres@", "://postgres:s3cret@")
    said = [
        on_postgres.run(*command, JUDGE_DATABASE_URL=url)
        for command in (GRADE, ("db", "status"), ("db", "upgrade"), ("db", "backup", "--out", "copy"), ("doctor",))
    ]
    assert [one.status for one in said] == [0] * 5, said
    assert not any("s3cret" in one.out + one.err for one in said)


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
