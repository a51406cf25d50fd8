"""The real `judge`, in a folder of its own, with an environment that holds no key."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from tests.e2e.forks import Forks
from tests.pictures import SCHEMES, Picture, decoded

if TYPE_CHECKING:
    from tests.conftest import Postgres, Stub

RUBRIC = """\
name: reply
criteria:
  - id: clear
    question: Is the reply easy to follow?
    scale: ordinal
    levels: {1: "No.", 2: "Partly.", 3: "Yes."}
  - id: right
    question: Is what the reply says right?
    scale: binary
"""
#: Verdicts of the stub depend on these alone, whatever else a prompt says.
SEED = ("--seed-regex", r"ITEM-\d+")
#: Warnings are errors for the commands too, and they reach loopback only.
GUARD = Path(__file__).parents[1] / "guard"
#: aiohttp advises against bodies of megabytes in one piece; the openai SDK gives it them so.
WARNINGS = "error,ignore:Sending a large body directly:ResourceWarning"
PRICE = {"input": 1.0, "output": 10.0}
#: A command that takes longer hangs.
LONGEST_S = 60.0
Row = dict[str, Any]
#: What a program may say before anybody reads it; one that may say no more stands still.
PIPE_BYTES = 1024 * 1024
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
#: Nothing of the browser's own is to be fetched, and no name is to be looked up.
ALONE = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run", "--no-default-browser-check", "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one document on standard output."""
        return json.loads(self.out)


@dataclass(frozen=True, slots=True)
class Terminal:
    """A folder in which commands are run."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    forks: Forks | None = None

    def run(self, *arguments: str, stdin: str | None = None, **variables: str) -> Ended:
        """Runs `judge` with these arguments to its end, in a process that has its imports done where one may."""
        environment = self.environment | variables
        if self.forks is not None and self.forks.takes(environment, stdin):
            return Ended(*self.forks.run(arguments, self.folder, environment, stdin, LONGEST_S))
        done = subprocess.run(
            [sys.executable, "-m", "judge", *arguments],
            cwd=self.folder,
            env=environment,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            encoding="utf-8",
            timeout=LONGEST_S,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Starts `judge` in a process group of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "judge", *arguments],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            start_new_session=True,
            pipesize=PIPE_BYTES,
        )

    def beside(self, name: str) -> Terminal:
        """A copy of this folder, within it, for commands that run at the same time."""
        kept = [path for path in self.folder.iterdir() if path.is_file() or path.name == ".judge"]
        folder = self.folder / name
        folder.mkdir()
        for path in kept:
            (shutil.copytree if path.is_dir() else shutil.copy2)(path, folder / path.name)
        return Terminal(folder, self.environment, self.forks)

    def write(self, name: str, text: str | bytes) -> Path:
        path = self.folder / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    def rows(self, name: str) -> list[Row]:
        """A JSONL file, read."""
        return [json.loads(line) for line in (self.folder / name).read_text("utf-8").splitlines()]

    def judge(self, stub: Stub, name: str = "judge.yaml", **changes: object) -> str:
        """Describes the stub in a YAML file, which is JSON, and returns its name."""
        described = {"provider": "openai", "model": "stub-1", "base_url": stub.base_url, "max_tokens": 256}
        self.write(name, json.dumps(described | {"price": PRICE} | changes))
        return name

    def sql(self, statement: str) -> list[Any]:
        """Runs one statement beside the commands, and returns its rows."""
        connected: Any = sqlite3.connect(self.folder / ".judge" / "judge.db", isolation_level=None)
        if (url := self.environment.get("JUDGE_DATABASE_URL")) is not None:
            connected = psycopg.connect(url, autocommit=True)
        with closing(connected) as database:
            done = database.execute(statement)
            return list(done.fetchall()) if done.description else []

    def count(self, table: str, where: str = "1 = 1") -> int:
        """Rows of a table."""
        ((rows,),) = self.sql(f"SELECT count(*) FROM {table} WHERE {where}")
        return int(rows)

    def wait(self, process: subprocess.Popen[str], holds: Callable[[], bool]) -> None:
        """Waits until something holds, while a command is at work."""
        until = time.monotonic() + 20
        while not holds():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < until, "waited in vain"
            time.sleep(0.005)


def items(count: int) -> list[Row]:
    """Items whose verdicts differ."""
    return [{"id": f"i{n}", "input": f"ITEM-{n}: where is my order?", "output": f"Reply {n}."} for n in range(count)]


def jsonl(rows: list[Row]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database with all tables, to begin from: making one takes longer than most tests here."""
    folder = tmp_path_factory.mktemp("migrated")
    subprocess.run([sys.executable, "-m", "judge", "doctor"], cwd=folder, check=True, capture_output=True)
    return folder / ".judge"


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    """What commands are forked from."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    guarded = {"PYTHONPATH": str(GUARD), "PYTHONWARNINGS": WARNINGS}
    with Forks(kept | {"COLUMNS": "120"} | guarded) as made:
        yield made


@pytest.fixture
def terminal(tmp_path: Path, migrated: Path, forks: Forks) -> Terminal:
    """A folder with an empty database, 40 items and a rubric."""
    shutil.copytree(migrated, tmp_path / ".judge")
    made = Terminal(tmp_path, forks.environment, forks)
    made.write("items.jsonl", jsonl(items(40)))
    made.write("reply.yaml", RUBRIC)
    return made


@pytest.fixture
def on_postgres(terminal: Terminal, postgres_server: Postgres) -> Iterator[Terminal]:
    """The same folder, with an empty database on a server."""
    with postgres_server.lent() as url:
        yield replace(terminal, environment=terminal.environment | {"JUDGE_DATABASE_URL": url})


@pytest.fixture(params=["terminal", "on_postgres"], ids=["sqlite", "postgresql"])
def anywhere(request: pytest.FixtureRequest) -> Terminal:
    """The folder, with a database of each kind."""
    found: Terminal = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def many(terminal: Terminal) -> None:
    """200 items, in many.jsonl."""
    terminal.write("many.jsonl", jsonl(items(200)))


@pytest.fixture
def slow(stub: Callable[..., Stub]) -> Stub:
    """A stub that takes 300 ms for an answer."""
    return stub(*SEED, "--latency-ms", "300")


@pytest.fixture
def quick(stub: Callable[..., Stub]) -> Stub:
    """A stub that answers at once, and whose calls hold their bodies."""
    return stub(*SEED, "--bodies")


@pytest.fixture
def browser(tmp_path: Path) -> list[str]:
    """How to start a browser, but for what it is to open. Skips where there is none."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip("a page is looked at in Chromium; install it with: apt-get install chromium")
    return [found, *ALONE, f"--user-data-dir={tmp_path / 'browser'}"]


@pytest.fixture
def seen(browser: list[str], tmp_path: Path) -> Callable[..., Picture]:
    """Takes a picture of a file: `seen(page, "dark", (width, height))`."""

    def taken(page: Path, scheme: str, size: tuple[int, int]) -> Picture:
        shot = tmp_path / f"{scheme}-{size[0]}.png"
        look = [f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}", f"--window-size={size[0]},{size[1]}"]
        command = [*browser, *look, f"--screenshot={shot}", page.as_uri()]
        subprocess.run(command, capture_output=True, timeout=60, check=True)
        picture = decoded(shot.read_bytes())
        assert picture.pixels.shape == (size[1], size[0], 3)
        return picture

    return taken
