"""A key and a prompt, looked for wherever they must not be: after every fault, with every log at its loudest."""

from __future__ import annotations

import csv
import io
import json
import re
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import listening
from tests.e2e.conftest import GUARD, SEED, jsonl
from tests.e2e.test_serve import free_port
from tests.outcomes import PROVIDERS, ROUTED
from tests.stub.behaviour import MODES

if TYPE_CHECKING:
    from tests.conftest import Stub
    from tests.e2e.conftest import Terminal

KEY, PROMPT = "sk-canary-8c1f0e5b7a", "CANARY-9d2c: the graded text of a customer"
#: A server that says too much.
ECHO = f"Cannot serve {PROMPT!r} with the key {KEY}: internal details follow"
LITELLM = find_spec("litellm") is not None
GRADE = ("--rubric", "reply.yaml")
STATUSES = (400, 408, 409, 413, 422, 425, 429, 500, 502, 503, 529)
LOUD = {
    "JUDGE_LOG_LEVEL": "debug", "ANTHROPIC_LOG": "debug", "OPENAI_LOG": "debug", "LITELLM_LOG": "DEBUG",
    "PYTHONASYNCIODEBUG": "1", "JUDGE_OTEL": "events", "THE_KEY": KEY,
}  # fmt: skip
#: On the path of the programs under test: everything that a logger could say is wanted.
LOUDEST = f"""
import logging, runpy
runpy.run_path({str(GUARD / "sitecustomize.py")!r})
logging.basicConfig(level=logging.DEBUG)
"""
FAILING = f"""
class Failing:
    kind = "failing"
    fingerprint = "f" * 64

    def __init__(self, judge): ...

    def verdicts(self, item, rubric, sample):
        secret = item.output
        raise KeyError(secret, {KEY!r})
"""
#: Where what a judge said of an item is kept, as docs/observability.md says.
REASONS = re.compile(r"(^|\.)reason$")


def faults() -> Iterator[dict[str, Any]]:
    """Every way in which the stub can fail, once; a server's words always hold the canaries."""
    for mode in MODES.split():
        if mode not in {"normal", "status"}:
            yield {"mode": mode, "text": f"{PROMPT} {KEY}", "message": ECHO}
    for status in STATUSES:
        told = {"status": status, "message": ECHO, "code": PROMPT, "metadata": {"raw": ECHO}}
        yield {"mode": "status", "retry_after": 0, **told}


def chain(steps: list[dict[str, Any]]) -> dict[str, Any]:
    """A behaviour that lets the probe pass, is then each of these for one request, and refuses the key in the end."""
    made: dict[str, Any] = {"mode": "status", "status": 401, "message": ECHO}
    for step in [*reversed(steps), {"mode": "normal"}]:
        made = {**step, "count": 1, "then": made}
    return made


@dataclass(slots=True)
class Collector:
    """What arrives at a collector of OpenTelemetry, as raw bytes."""

    url: str
    came: list[bytes] = field(default_factory=list)


@contextmanager
def collecting() -> Iterator[Collector]:
    """A server that takes whatever is sent to it."""

    class Taking(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collector.came.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with listening(Taking) as url:
        collector = Collector(url)
        yield collector


@dataclass(slots=True)
class Heard:
    """All that came out of a program, by where."""

    texts: dict[str, bytes] = field(default_factory=dict)

    def add(self, where: str, text: str | bytes) -> None:
        self.texts[where] = text.encode() if isinstance(text, str) else text

    def check(self, *more: str) -> None:
        for where, text in self.texts.items():
            for canary in (KEY, PROMPT, "CANARY-9d2c", "graded text of a customer", *more):
                assert canary.encode() not in text, (where, text[max(text.find(canary.encode()) - 300, 0) :][:600])


def without_reasons(value: Any) -> Any:
    """Grades without what the judge said, which may quote what was graded."""
    if isinstance(value, list):
        return [without_reasons(one) for one in value]
    if isinstance(value, dict):
        return {name: without_reasons(one) for name, one in value.items() if not REASONS.search(name)}
    return value


every_judge = pytest.mark.parametrize("name", PROVIDERS)


def described(terminal: Terminal, name: str, stub: Stub, file: str) -> None:
    """Writes a judge of each kind down."""
    if name in ROUTED and not LITELLM:
        pytest.skip("litellm is not installed here; make test-litellm has it")
    told = {"provider": name.partition(",")[0], "model": ROUTED.get(name, "stub-1"), "api_key_env": "THE_KEY"}
    timeout_s = 4.0 if name in ROUTED else 2.0  # litellm takes long over its first call
    terminal.judge(stub, file, **told, base_url=stub.url + PROVIDERS[name], timeout_s=timeout_s, concurrency=8)


@pytest.fixture
def place(terminal: Terminal) -> Iterator[tuple[Terminal, Collector]]:
    """A folder in which every log is at its loudest, and events go to a collector."""
    path = terminal.folder / "path"
    path.mkdir()
    (path / "sitecustomize.py").write_text(LOUDEST)
    (path / "failing.py").write_text(FAILING)
    with collecting() as collector:
        told = {
            "PYTHONPATH": str(path),
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_BLRP_SCHEDULE_DELAY": "100",
        }
        told |= {"JUDGE_JUDGES_DIR": "judges"}
        (terminal.folder / "judges").mkdir()
        terminal.write("judges/failing.yaml", json.dumps({"provider": "failing:Failing"}))
        yield replace(terminal, environment=terminal.environment | LOUD | told), collector


def items(count: int, said: str) -> list[dict[str, Any]]:
    told = {"input": PROMPT, "output": PROMPT, "context": PROMPT, "reference": PROMPT}
    return [
        {"id": f"{said}{n}", **{name: f"ITEM-{n}{said} {text}" for name, text in told.items()}} for n in range(count)
    ]


@every_judge
def test_a_command_leaves_neither(place: tuple[Terminal, Collector], stub: Callable[..., Stub], name: str) -> None:
    terminal, collector = place
    heard, ways, server = Heard(), list(faults()), stub(*SEED)
    described(terminal, name, server, "judge.yaml")
    terminal.write("items.jsonl", jsonl(items(len(ways), "c")))
    server.behave(**chain(ways))
    ended = terminal.run("grade", "items.jsonl", *GRADE, "--judge", "judge.yaml", "--out", "grades.jsonl")
    assert (ended.status, "refused the key" in ended.err, "debug call" in ended.err) == (3, True, True), ended.err
    assert {one["fault"] for one in server.calls()} >= {way["mode"] for way in ways}
    heard.add("output", ended.out)
    heard.add("standard error", ended.err)
    heard.add("grades", json.dumps(without_reasons(terminal.rows("grades.jsonl"))))
    heard.add("events", b"".join(collector.came))
    assert b"gen_ai.evaluation.result" in heard.texts["events"]
    heard.check()
    no_key_is_kept(terminal)


def test_a_program_that_fails_says_where_and_not_what(place: tuple[Terminal, Collector]) -> None:
    terminal, heard = place[0], Heard()
    terminal.write("items.jsonl", jsonl(items(2, "m")))
    failed = terminal.run("grade", "items.jsonl", *GRADE, "--judge", "judges/failing.yaml")
    assert (failed.status, "KeyError" in failed.err, "failing.py:10 verdicts" in failed.err) == (1, True, True)
    heard.add("output", failed.out + failed.err)
    heard.check()


class Service:
    """A `judge serve` for those who have a key."""

    def __init__(self, terminal: Terminal, *flags: str) -> None:
        made = terminal.run("keys", "create", "canary", "--scope", "admin", "--scope", "metrics")
        self.key = made.out.strip()
        self.port = free_port()
        self.process = terminal.start("serve", "--port", str(self.port), *flags)
        terminal.wait(self.process, lambda: self.ask("GET", "/healthz") != b"")

    def ask(
        self, method: str, path: str, body: Any = None, raw: bytes | None = None, heads: dict[str, str] | None = None
    ) -> bytes:
        """The body of the answer; nothing where nobody listens."""
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"} | (heads or {})
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=40)) as connection:
            try:
                connection.request(method, path, raw if body is None else json.dumps(body), headers)
            except ConnectionRefusedError:
                return b""
            return connection.getresponse().read()

    def json(self, method: str, path: str, body: Any = None) -> Any:
        return json.loads(self.ask(method, path, body))

    def close(self) -> str:
        self.process.terminate()
        said, err = self.process.communicate(timeout=30)
        return said + err


def served(service: Service, name: str, server: Stub, heard: Heard) -> None:
    """All faults of one judge over HTTP, by single grades and by a run; then all that can be asked about it."""
    ways = list(faults())
    server.behave(**chain(ways))
    rubric = {"name": "r", "criteria": [{"id": "clear", "question": "Is it clear?", "scale": "binary"}]}
    asked = {"rubric": rubric, "judge": name}
    reply = service.json("POST", "/v1/grades", {**asked, "items": items(6, f"{name}g"), "deadline_s": 10})
    heard.add(f"{name}: grades", json.dumps(without_reasons(reply)))
    path = "/v1/runs/" + service.json("POST", "/v1/runs", {**asked, "items": items(len(ways), f"{name}r")})["id"]
    wait(lambda: service.json("GET", path)["status"] == "paused")
    assert {one["fault"] for one in server.calls()} >= {way["mode"] for way in ways}
    heard.add(f"{name}: run", service.ask("GET", path))
    assert b"refused the key" in heard.texts[f"{name}: run"]
    heard.add(f"{name}: refused", service.ask("POST", "/v1/grades", {**asked, "items": items(2, f"{name}q")}))
    assert b"urn:judge:problem:judge-paused" in heard.texts[f"{name}: refused"]
    found = [json.loads(line) for line in service.ask("GET", f"{path}/export").splitlines()]
    assert found
    heard.add(f"{name}: jsonl", json.dumps(without_reasons(found)))
    table = io.StringIO(service.ask("GET", f"{path}/export?format=csv").decode())
    heard.add(f"{name}: csv", json.dumps(without_reasons(list(csv.DictReader(table)))))
    heard.add(f"{name}: parquet", json.dumps(without_reasons(parquet(service, path)), default=str))
    heard.add(f"{name}: summary", service.ask("GET", f"{path}/summary"))


def failing(service: Service, heard: Heard) -> None:
    """A judge that fails as no judge may, and requests that nobody means well."""
    asked = {"rubric": "helpfulness", "judge": "failing"}
    heard.add("failure", service.ask("POST", "/v1/grades", {**asked, "items": items(1, "f")}))
    assert b"urn:judge:problem:internal" in heard.texts["failure"]
    path = "/v1/runs/" + service.json("POST", "/v1/runs", {**asked, "items": items(1, "g")})["id"]
    wait(lambda: service.json("GET", path)["status"] == "paused")
    heard.add("failed run", service.ask("GET", path))
    for method, address, raw in hostile():
        heard.add(f"hostile {method} {address}", service.ask(method, address, raw=raw))


def test_a_service_leaves_neither(place: tuple[Terminal, Collector], stub: Callable[..., Stub]) -> None:
    (terminal, collector), heard = place, Heard()
    names = {re.sub(r"\W+", "-", name): name for name in PROVIDERS if LITELLM or name not in ROUTED}
    servers = {ours: stub(*SEED) for ours in names}
    for ours, name in names.items():
        described(terminal, name, servers[ours], f"judges/{ours}.yaml")
    service = Service(terminal)
    try:
        with ThreadPoolExecutor() as threads:
            for done in [threads.submit(served, service, ours, server, heard) for ours, server in servers.items()]:
                done.result()
        failing(service, heard)
        heard.add("metrics", service.ask("GET", "/metrics"))
    finally:
        said = service.close()
    heard.add("log", said)
    heard.add("events", b"".join(collector.came))
    assert all(f'judge="{ours}"'.encode() in heard.texts["metrics"] for ours in names)
    assert b"gen_ai.evaluation.result" in heard.texts["events"]
    heard.check()
    no_key_is_kept(terminal)
    assert service.key not in said
    told = [json.loads(line) for line in said.splitlines()]  # JSON, and nothing else
    assert {one["message"] for one in told} >= {"call", "grade", "request", "run begun", "run stopped", "run paused"}
    assert any(one.get("error") == "KeyError" and one["trace"] for one in told)
    assert all(len(one["request_id"]) == 32 for one in told if one["logger"].startswith("api."))
    assert not any("request_id" in one for one in told if one["message"].startswith("run "))  # they belong to none


def test_workers_leave_neither(place: tuple[Terminal, Collector], stub: Callable[..., Stub], postgres_url: str) -> None:
    (terminal, collector), heard, server, ways = place, Heard(), stub(*SEED), list(faults())
    terminal = replace(terminal, environment=terminal.environment | {"JUDGE_DATABASE_URL": postgres_url})
    described(terminal, "openai", server, "judges/openai.yaml")
    server.behave(**chain(ways))
    service = Service(terminal, "--no-worker")
    worker = terminal.start("worker")
    try:
        asked = {"rubric": "helpfulness", "judge": "openai", "items": items(len(ways), "w")}
        path = "/v1/runs/" + service.json("POST", "/v1/runs", asked)["id"]
        wait(lambda: service.json("GET", path)["status"] == "paused")
        assert {one["fault"] for one in server.calls()} >= {way["mode"] for way in ways}
        heard.add("run", service.ask("GET", path))
        told = [line[6:] for line in service.ask("GET", f"{path}/events").decode().splitlines() if line[:6] == "data: "]
        assert told
        heard.add("events of the run", json.dumps(without_reasons([json.loads(line) for line in told])))
    finally:
        worker.terminate()
        out, err = worker.communicate(timeout=30)
        heard.add("service", service.close())
    heard.add("worker", out + err)
    heard.add("events", b"".join(collector.came))
    assert b"gen_ai.evaluation.result" in heard.texts["events"]
    assert b"refused the key" in heard.texts["run"]
    logged = {json.loads(line)["message"] for line in err.splitlines() if line.startswith("{")}
    assert {"call", "grade", "run begun", "run paused"} <= logged
    heard.check()


def hostile() -> Iterator[tuple[str, str, bytes | None]]:
    quoted = PROMPT.replace(" ", "%20")
    yield "GET", f"/v1/runs?after={quoted}&key={KEY}", None
    yield "GET", f"/v1/rubrics/{quoted}", None
    yield "GET", f"/{quoted}", None
    yield "POST", "/v1/grades", f'{{"items": "{PROMPT}", "{KEY}": NaN'.encode()
    yield "POST", "/v1/grades", json.dumps({"items": [{"id": PROMPT}], "judge": KEY, "more": PROMPT}).encode()
    yield "POST", "/v1/runs", json.dumps({"items": items(1, "x"), "rubric": PROMPT, "judge": "simulated"}).encode()


def wait(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)


def parquet(service: Service, path: str) -> list[dict[str, Any]]:
    reading = pytest.importorskip("pyarrow.parquet", reason="Parquet needs the extra `parquet`")
    table = reading.read_table(io.BytesIO(service.ask("GET", f"{path}/export?format=parquet")))
    return list(table.to_pylist())


def no_key_is_kept(terminal: Terminal) -> None:
    """Looks through a database. Items and answers are in it, and so are prompts."""
    values = [value for table in tables(terminal) for row in table for value in row]
    texts = [str(value).encode() for value in values] + [value for value in values if isinstance(value, bytes)]
    answers = [zlib.decompress(value) for value in values if isinstance(value, bytes) and value[:1] == b"x"]
    assert answers
    assert any(PROMPT.encode() in text for text in texts)
    assert not any(KEY.encode() in text for text in texts)


def tables(terminal: Terminal) -> Iterator[list[Any]]:
    for (name,) in terminal.sql("SELECT name FROM sqlite_master WHERE type = 'table'"):
        yield terminal.sql(f"SELECT * FROM {name}")
