"""docs/deploy.md and the files beside it: started as they stand, and held against the code."""

from __future__ import annotations

import ast
import asyncio
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from configparser import RawConfigParser
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import yaml
from sqlalchemy import text
from sqlalchemy.engine import make_url

from api import feed, lines
from api.app import MOST_GRADING, MOST_OF_ONE
from api.bodies import LARGEST_BYTES
from api.envelopes import DEADLINE_S, LONGEST_DEADLINE_S
from api.registering import LONGEST_CALL_S
from api.routes import events, results
from api.settings import ServiceSettings
from judge import queue
from judge.chunks import CHUNK_ITEMS
from judge.cli import COMMANDS
from judge.client import Client
from judge.items import Item
from judge.judges import Judge
from judge.ledger import SETTLING_S
from judge.settings import Settings
from judge.store import open_store
from judge.store.jobs import SILENCE_S
from judge.store.postgres import PATIENCE_S
from judge.worker import MOST_WANTED
from tests.e2e.test_serve import Service, free_port, offering, sent
from tests.e2e.test_workers import figures

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Postgres, Stub
    from tests.e2e.conftest import Terminal

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "deploy.md").read_text("utf-8")
FILES = ROOT / "docs" / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((FILES / "compose.yaml").read_text("utf-8"))
SERVE, WORKER, NO_WORKER = "judge-serve.service", "judge-worker@.service", "judge-serve.service.d/no-worker.conf"
PROGRAM = "/opt/judge/bin/judge"
#: With the default of a judge.
CALL_S = Judge.model_fields["timeout_s"].default + SETTLING_S
#: With the most that a judge made through the API may have.
LONGEST_S = LONGEST_CALL_S + SETTLING_S
SETTING = re.compile(r"\bJUDGE_[A-Z_]+\b")


def unit(*names: str) -> RawConfigParser:
    """A unit with what is dropped into it: of a key that stands twice, the last one."""
    parsed = RawConfigParser(strict=False, delimiters="=", comment_prefixes="#", empty_lines_in_values=False)
    parsed.optionxform = str  # type: ignore[assignment, method-assign]
    assert parsed.read([FILES / name for name in names], "utf-8") == [str(FILES / name) for name in names]
    return parsed


def arguments(*names: str) -> list[str]:
    """What a unit gives the program."""
    program, *given = shlex.split(unit(*names)["Service"]["ExecStart"])
    assert program == PROGRAM
    return given


def environment(place: Terminal) -> dict[str, str]:
    """What judge.env sets, with the folders that there are here."""
    lines = (FILES / "judge.env").read_text("utf-8").splitlines()
    named = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    here = {"/etc/judge": f"{place.folder}", "/var/lib/judge": f"{place.folder}/.judge"}
    return {name: re.sub("/etc/judge|/var/lib/judge", lambda one: here[one[0]], value) for name, value in named.items()}


def at(port: int, given: list[str]) -> list[str]:
    """The same, on another port of loopback alone."""
    changed = list(given)
    values = {"--host": "127.0.0.1", "--port": str(port), "--metrics-host": "127.0.0.1", "--metrics-port": str(port)}
    for option in values.keys() & set(changed):
        changed[changed.index(option) + 1] = values[option]
    return changed


@pytest.mark.parametrize(("name", "longest_s"), [(SERVE, LONGEST_S + LONGEST_DEADLINE_S), (WORKER, LONGEST_S)])
def test_a_unit_ends_kindly_comes_back_and_may_do_little(name: str, longest_s: float) -> None:
    service = unit(name)["Service"]
    assert (service["KillSignal"], service["Restart"]) == ("SIGTERM", "always")
    assert longest_s <= int(service["TimeoutStopSec"]) <= longest_s + 60
    assert unit(name)["Unit"]["StartLimitIntervalSec"] == "0"
    assert (service["User"], service["EnvironmentFile"]) == ("judge", "/etc/judge/judge.env")
    assert (service["NoNewPrivileges"], service["ProtectSystem"]) == ("yes", "strict")
    # Whoever holds a call must be seen in /proc, or is taken for ended.
    assert not {"ProtectProc", "PrivatePIDs"} & set(service)


@pytest.mark.parametrize("name", [SERVE, WORKER])
def test_systemd_takes_the_units(name: str, tmp_path: Path) -> None:
    if (analyze := shutil.which("systemd-analyze")) is None:
        pytest.skip("systemd-analyze is not installed")
    program = tmp_path / "judge"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    made = tmp_path / name.replace("@", "@1")
    for source, target in ((name, made), (NO_WORKER, tmp_path / NO_WORKER)):
        target.parent.mkdir(exist_ok=True)
        target.write_text((FILES / source).read_text("utf-8").replace(PROGRAM, str(program)))
    done = subprocess.run([analyze, "verify", "--man=no", str(made)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


async def graded(port: int, key: str) -> tuple[str, int]:
    """What became of a run of 30 items."""
    items = [Item(id=f"i{n}", input=f"ITEM-{n}", output=f"Reply {n}.") for n in range(30)]
    async with Client(f"http://127.0.0.1:{port}", key) as client:
        run = await client.submit(items, rubric="reply", judge="local")
        ended = await client.wait(run.id)
    return ended.status, ended.graded


@pytest.mark.parametrize("several", [False, True], ids=["one machine", "more than one"])
def test_what_the_units_start_grades_what_callers_submit(
    terminal: Terminal, stub: Callable[..., Stub], several: bool, request: pytest.FixtureRequest
) -> None:
    server, port, other = stub("--seed-regex", r"ITEM-\d+"), free_port(), free_port()
    place = offering(terminal, server)
    place = replace(place, environment={**terminal.environment, **environment(place)})
    commands = [arguments(SERVE)]
    if several:
        commands = [arguments(SERVE, NO_WORKER), arguments(WORKER)]
        place.environment["JUDGE_DATABASE_URL"] = request.getfixturevalue("postgres_url")
    key = place.run("keys", "create", "ci").out.strip()
    checked = [part.replace("8400", str(port)) for part in COMPOSE["services"]["serve"]["healthcheck"]["test"]]
    assert checked[:2] == ["CMD", "python"]
    check = [sys.executable, *checked[2:]]
    assert subprocess.run(check, capture_output=True).returncode != 0
    with ExitStack() as running:
        processes = [
            running.enter_context(place.start(*at(to, given)))
            for to, given in zip((port, other), commands, strict=False)
        ]
        try:
            service = Service(processes[0], port)
            place.wait(processes[0], lambda: service.ask("GET", "/healthz") is not None)
            assert subprocess.run(check, capture_output=True).returncode == 0
            assert asyncio.run(graded(port, key)) == ("completed", 30)
            assert sent(server).total() == 30
            owners = (place if several else terminal).sql("SELECT owner FROM call WHERE run IS NOT NULL")
            senders = {owner.split(":")[1] for (owner,) in owners}
            assert senders == {str(processes[-1].pid)}
            if several:
                assert sum(figures(other)["judge_calls_total"].values()) == 30
        finally:
            for process in processes:
                process.send_signal(signal.SIGTERM)
            told = [process.communicate(timeout=20)[1] for process in processes]
    assert not any("Traceback" in one or key in one for one in told), told
    assert all(process.returncode in (0, -signal.SIGTERM) for process in processes)


def test_containers_run_what_the_units_do() -> None:
    services = COMPOSE["services"]
    assert set(services) == {"serve", "worker", "postgres"}
    worker = services["worker"]["command"]
    assert at(0, worker) == at(0, [*arguments(WORKER)[:3], "--metrics-host", "", *arguments(WORKER)[3:]])
    # Its loopback is its own; whoever is on the network of this project may read, and nobody else.
    assert (worker[4], "ports" in services["worker"]) == ("0.0.0.0", False)
    assert f"| `compose.yaml` | port {worker[6]} of each worker's container" in PAGE
    assert f"dns_sd_configs: [{{names: [worker], type: A, port: {worker[6]}}}]" in PAGE
    assert at(0, services["serve"]["command"]) == at(0, arguments(SERVE, NO_WORKER))
    (image,) = re.findall(r"^CMD (\[.*\])$", (FILES / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    assert at(0, yaml.safe_load(image)) == at(0, arguments(SERVE))
    waits = {name: services[name]["stop_grace_period"] for name in ("serve", "worker")}
    assert {name: 60 * int(wait.removesuffix("m")) for name, wait in waits.items()} == {
        "serve": LONGEST_DEADLINE_S + 60,
        "worker": int(unit(WORKER)["Service"]["TimeoutStopSec"]),
    }
    for name in ("serve", "worker"):
        assert services[name]["environment"]["JUDGE_DATABASE_URL"].startswith("postgresql://judge@postgres/")
        assert (services[name]["env_file"], services[name]["read_only"]) == (".env", True)
        scratch = services[name]["environment"]["TMPDIR"]  # on disk: what is below /tmp is in memory
        assert f"scratch:{scratch}" in services[name]["volumes"]
        assert f"--group judge --mode 700 {scratch}" in (FILES / "Dockerfile").read_text("utf-8")
        assert not {"hostname", "network_mode", "pid"} & set(services[name])
    secret = services["postgres"]["environment"]["POSTGRES_PASSWORD"]
    assert re.fullmatch(r"\$\{PGPASSWORD:\?.+\}", secret)
    assert "docs/deploy/.env" in (ROOT / ".gitignore").read_text("utf-8").splitlines()


def test_workers_of_a_machine_have_ports_of_their_own_for_figures() -> None:
    option = " ".join(arguments(WORKER)[3:])
    assert option.startswith("--metrics-port ")
    assert PAGE.count(option) == 1
    ports = {n: int(option.split()[1].replace("%i", str(n))) for n in range(1, 100)}
    assert len(set(ports.values())) == len(ports)
    assert min(ports.values()) > 1023, "only root may listen there"
    assert max(ports.values()) < 32768, "those from there on are lent to whoever connects"
    assert f"`127.0.0.1:{ports[1]}`, `127.0.0.1:{ports[12]}`: " in PAGE
    assert f"{ports[1]} of the first, {ports[12]} of the twelfth" in (FILES / WORKER).read_text("utf-8")
    watched = (ROOT / "docs" / "observability.md").read_text("utf-8")
    assert f'targets: ["127.0.0.1:{ports[1]}", "127.0.0.1:{ports[2]}"]' in watched


def test_compose_takes_its_file(tmp_path: Path) -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True).returncode:
        pytest.skip("docker compose is not installed")
    folder = tmp_path / "docs" / "deploy"
    shutil.copytree(FILES, folder)
    (folder / ".env").write_text("PGPASSWORD=made-up\n")
    done = subprocess.run([docker, "compose", "config", "--quiet"], cwd=folder, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_image_has_all_that_it_is_built_from(tmp_path: Path) -> None:
    dockerfile = (FILES / "Dockerfile").read_text("utf-8")
    copied = {name for line in re.findall(r"^COPY (?!--)(.+) \S+$", dockerfile, re.MULTILINE) for name in line.split()}
    ignored = (FILES / "Dockerfile.dockerignore").read_text("utf-8").split()
    assert (ignored[0], {one[1:] for one in ignored if one.startswith("!")}) == ("*", copied)
    for name in copied:
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy2)(source, tmp_path / name)
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "made"]
    done = subprocess.run(build, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    (wheel,) = (tmp_path / "made").glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    assert {"api/app.py", "judge/cli/serve.py", "judge/queue.py", "rubrics/library/helpfulness.yaml"} <= held
    last = dockerfile.rpartition("FROM ")[2]
    assert re.search(r"^USER judge$", last, re.MULTILINE)
    assert "ca-certificates" in last
    version = re.match(r"python:3\.(\d+)-slim\n", last)
    assert version is not None
    assert int(version[1]) >= 11
    assert ".[postgres,parquet]" in dockerfile
    assert PAGE.count("'.[postgres,parquet]'") == 2


def test_every_setting_that_is_read_is_listed_and_no_other() -> None:
    table = PAGE[PAGE.index("| variable |") :]
    listed = re.findall(r"^\| `(JUDGE_\w+)` \|", table, re.MULTILINE)
    texts = {
        node.value
        for package in ("api", "judge", "rubrics")
        for file in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert "JUDGE_" not in texts, "a name is put together where nobody can search for it"
    assert sorted(listed) == sorted(one for one in texts if SETTING.fullmatch(one))
    pages = [PAGE, *(file.read_text("utf-8") for file in FILES.rglob("*") if file.is_file())]
    pages += [(ROOT / name).read_text("utf-8") for name in ("README.md", "docs/database.md")]
    assert {name for page in pages for name in SETTING.findall(page)} == set(listed)
    settings = Settings()
    assert f"| `JUDGE_DATABASE_URL` | `{settings.database_url}` |" in PAGE
    assert f"| `JUDGE_MAX_OUTPUT_BYTES` | {settings.max_output_bytes} |" in PAGE


def test_the_figures_are_those_of_the_code() -> None:
    words = " ".join(PAGE.split())
    assert f"says each second that it lives; after {SILENCE_S:.0f} seconds of silence" in words
    assert (queue.HEARTBEAT_S, queue.RESCUE_S, SILENCE_S) == (1, 1, 4)
    assert f"interval '{SILENCE_S:.0f} seconds'" in PAGE
    assert f"`timeout_s` ({CALL_S - SETTLING_S:.0f} seconds unless" in words
    assert f"and {SETTLING_S:.0f} seconds more" in words
    assert f"wait up to {PATIENCE_S:.0f} seconds" in words
    assert f"`judge worker --chunks {queue.CHUNKS_AT_ONCE}` grades up to {queue.CHUNKS_AT_ONCE} chunks" in words
    assert words.count(f"chunks of {CHUNK_ITEMS} items") == 2
    assert f"({DEADLINE_S:.0f} seconds unless they say so, at most {LONGEST_DEADLINE_S:.0f})" in words
    assert f"bodies of {LARGEST_BYTES // 2**20} MiB" in words
    assert f"At most {MOST_WANTED} runs of a tenant" in words
    assert f"client_max_body_size {LARGEST_BYTES // 2**20}m;" in PAGE
    assert f"client_max_body_size {ServiceSettings().max_upload_bytes // 2**30}g;" in PAGE
    assert f"every {events.KEEPALIVE_S:.0f} seconds, and ends its streams after {events.LONGEST_S:.0f}" in words
    uploads, exports, streams, grading = lines.MOST_UPLOADS, results.MOST_EXPORTS, feed.MOST_STREAMS, MOST_GRADING
    assert (uploads, exports) == (2 * lines.MOST_OF_ONE, 2 * results.MOST_OF_ONE)
    assert (streams, grading) == (2 * feed.MOST_OF_ONE, 2 * MOST_OF_ONE)
    told = (
        f"receives {uploads} uploads, has {exports} exports as CSV or Parquet on disk, has {streams} streams of events"
    )
    assert f"{told} open and is at work on {grading} requests" in words
    worker_s, serve_s = (unit(name)["Service"]["TimeoutStopSec"] for name in (WORKER, SERVE))
    assert f"the units have {worker_s} seconds for a worker and {int(serve_s):,} for a service" in words
    assert f"`timeout_s` above {LONGEST_CALL_S:.0f}, the most that one made through the API may have" in words


def test_a_process_has_no_more_connections_than_are_said(postgres_url: str, postgres_server: Postgres) -> None:
    (tables, more) = re.findall(r"up to (\d+)(?: connections| more for the queue)", PAGE)
    counted = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{make_url(postgres_url).database}'"

    def rest() -> None:
        store.ask(lambda connection, _: connection.execute(text("SELECT pg_sleep(0.3)")))

    most = 0
    with open_store(postgres_url) as store, ThreadPoolExecutor(2 * int(tables)) as threads:
        resting = [threads.submit(rest) for _ in range(3 * int(tables))]
        while not all(one.done() for one in resting):
            ((now,),) = postgres_server.sql(counted)
            most = max(most, now)
            time.sleep(0.02)
        for one in resting:
            one.result()
    assert most == int(tables)
    assert int(more) == queue.MOST_CONNECTIONS + 1  # the one that listens is not of the pool
    assert f"for {int(tables) + int(more)} a process" in PAGE


def test_what_is_to_be_watched_can_be_asked(postgres_url: str) -> None:
    (block,) = re.findall(r"^```sql\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    with psycopg.connect(postgres_url) as connection:
        found = [connection.execute(one).fetchall() for one in block.split(";") if one.strip()]
    assert found == [[(0,)], [(0,)], [], [], [(1,)]]


def test_the_commands_and_files_of_the_page_are_there(terminal: Terminal) -> None:
    shown = "".join(re.findall(r"^```sh\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE))
    commands = [shlex.split(line, comments=True)[1:] for line in re.findall(r"^judge [a-z].*$", shown, re.MULTILINE)]
    assert [" ".join(one[:2]) for one in commands] == ["doctor", "keys create", "db backup", "db upgrade"]
    for command in commands:
        done = terminal.run(*(part.replace("/var/lib/judge", str(terminal.folder)) for part in command))
        assert done.status == 0, done.err
    assert set(re.findall(r"`judge ([a-z]+)", PAGE)) <= set(COMMANDS)
    named = re.findall(r"docs/deploy/(judge\S+|Dockerfile)", shown) + re.findall(r"\]\(deploy/(\S+)\)", PAGE)
    assert {SERVE, WORKER, "judge.env", "judge-serve.service.d", "compose.yaml", "Dockerfile"} == set(named)
    assert all((FILES / name).exists() for name in named)
