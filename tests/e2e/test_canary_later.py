"""A key and a prompt, looked for after faults of answers that come later: those of batches, and those looked up.

A server stands between the judges and a stub. It passes on what it is asked, and spoils the replies to some requests:
the first part of the address names the fault.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

from tests.conftest import listening
from tests.e2e.conftest import SEED, jsonl
from tests.e2e.test_canary import ECHO, GRADE, KEY, PROMPT, Heard, Service, no_key_is_kept, place, without_reasons
from tests.e2e.test_canary import items as made_items

if TYPE_CHECKING:
    from tests.conftest import Stub
    from tests.e2e.conftest import Terminal
    from tests.e2e.test_canary import Collector

#: That file's fixture.
loudest = place
#: In the place of a status: the connection is cut, or nothing is said.
CUT, SILENT = 0, -1
CHAT, RESPONSES = "/v1/chat/completions", "/v1/responses"
BATCHES, FILES, MESSAGES = "/v1/batches", "/v1/files", "/v1/messages/batches"
#: An error, of which a provider could make a word for counts.
ERROR = {
    "type": f"{KEY} {PROMPT}",
    "code": f"{KEY} {PROMPT}",
    "param": ECHO,
    "message": ECHO,
    "metadata": {"raw": ECHO},
}
WHOLE = {"type": "error", "error": ERROR}
#: What becomes of a reply: another status and body.
Spoils = Callable[[bytes], tuple[int, bytes]]


def says(status: int) -> Spoils:
    """A server that fails, and says too much."""
    return lambda reply: (status, json.dumps(WHOLE).encode())


def tells(**fields: Any) -> Spoils:
    """An object, with some fields changed."""
    return lambda reply: (200, json.dumps(json.loads(reply) | fields).encode())


def lines(**fields: Any) -> Spoils:
    """Results of a batch that all say this."""

    def spoils(reply: bytes) -> tuple[int, bytes]:
        names = [json.loads(line)["custom_id"] for line in reply.splitlines()]
        return 200, jsonl([{"custom_id": name} | fields for name in names]).encode()

    return spoils


def babbles(reply: bytes) -> tuple[int, bytes]:
    return 200, ECHO.encode()


def breaks(reply: bytes) -> tuple[int, bytes]:
    return CUT, b""


def hangs(reply: bytes) -> tuple[int, bytes]:
    return SILENT, b""


@dataclass(frozen=True, slots=True)
class Fault:
    """The replies to such requests, as `METHOD /path`, are spoilt so often; `comes_to` is in what is told of the run.

    With `first`, which spoils the replies to what is asked of items, it is no batch: the answers are looked up.
    """

    provider: str
    of: str
    spoils: Spoils
    comes_to: str
    times: int = 1000
    first: Spoils | None = None
    items: int = 2


NO_BATCH, WHICH, DENIED = "the provider took no batch", "cannot be asked which batches", "denied access to its batches"
REFUSED, SCORED, LOST = "the provider refused a batch", '"scored"', '"lost"'
FAILED = {"status": "failed", "error": ERROR, "errors": {"data": [ERROR]}}
STRANGE = {"id": ECHO, "model": PROMPT, "choices": ECHO, "content": ECHO}
CONTENT, RESULTS = f"GET {FILES}/.+/content", f"GET {MESSAGES}/.+/results"
begins = tells(status="in_progress", output=[])
#: The slowest first.
FAULTS = {
    "list-hangs": Fault("openai", f"GET {CHAT}", hangs, LOST, first=breaks),
    "response-hangs": Fault("openai-responses", f"GET {RESPONSES}/.+", hangs, LOST, first=begins),
    "upload-500": Fault("openai", f"POST {FILES}", says(500), NO_BATCH),
    "list-500": Fault("openai", f"GET {CHAT}", says(500), LOST, first=breaks),
    "response-500": Fault("openai-responses", f"GET {RESPONSES}/.+", says(500), LOST, first=begins),
    "list-404": Fault("openai", f"GET {CHAT}", says(404), LOST, first=breaks),
    "list": Fault("openai", f"GET {CHAT}", babbles, LOST, first=breaks),
    "found": Fault("openai", f"GET {CHAT}/.+", babbles, LOST, first=breaks),
    "response-404": Fault("openai-responses", f"GET {RESPONSES}/.+", says(404), LOST, first=begins),
    "response": Fault("openai-responses", f"GET {RESPONSES}/.+", babbles, '"not_json"', first=begins),
    "response-failed": Fault(
        "openai-responses", f"GET {RESPONSES}/.+", tells(**FAILED), "failed 10 times in a row", first=begins, items=30
    ),
    "upload-401": Fault("openai", f"POST {FILES}", says(401), NO_BATCH),
    "create-400": Fault("openai", f"POST {BATCHES}", says(400), NO_BATCH),
    "create-500": Fault("openai", f"POST {BATCHES}", says(500), SCORED),  # it was made, and is found
    "batches-401": Fault("openai", f"(POST|GET) {BATCHES}", says(500), WHICH),
    "status-401": Fault("openai", rf"GET {BATCHES}/\w+", says(401), DENIED),
    "status-500": Fault("openai", rf"GET {BATCHES}/\w+", says(500), SCORED, times=1),
    "refused": Fault("openai", rf"GET {BATCHES}/\w+", tells(**FAILED), REFUSED),
    "content-403": Fault("openai", CONTENT, says(403), DENIED),
    "content": Fault("openai", CONTENT, babbles, LOST),
    "errors": Fault("openai", CONTENT, lines(response={"status_code": 400, "body": WHOLE}), SCORED),
    "expired": Fault("openai", CONTENT, lines(response=None, error=ERROR), SCORED),
    "strange": Fault("openai", CONTENT, lines(response={"status_code": 200, "body": STRANGE}), SCORED),
    "files": Fault("openai", f"DELETE {FILES}/.+", says(500), SCORED),
    "messages-401": Fault("anthropic", f"POST {MESSAGES}", says(401), NO_BATCH),
    "messages": Fault("anthropic", f"(POST|GET) {MESSAGES}", says(500), WHICH),
    "messages-403": Fault("anthropic", rf"GET {MESSAGES}/\w+", says(403), DENIED),
    "results": Fault("anthropic", RESULTS, babbles, LOST),
    "results-errors": Fault("anthropic", RESULTS, lines(result={"type": "errored", "error": WHOLE}), SCORED),
    "results-strange": Fault("anthropic", RESULTS, lines(result={"type": "succeeded", "message": STRANGE}), SCORED),
}


@dataclass(slots=True)
class Between:
    """The server: how often each fault happened, and what came with its name."""

    url: str
    happened: Counter[str] = field(default_factory=Counter)
    came: dict[str, bytes] = field(default_factory=dict)

    def really(self, name: str) -> bool:
        """Whether a fault happened to somebody who had sent the key and the prompt."""
        sent = self.came[name]
        return self.happened[name] > 0 and KEY.encode() in sent and PROMPT.encode() in sent


@contextmanager
def between(stub: Stub) -> Iterator[Between]:
    """A server before a stub."""

    class Meddling(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            name, _, path = self.path[1:].partition("/")
            made.came[name] = made.came.get(name, b"") + bytes(self.headers) + body
            with closing(HTTPConnection(stub.url.removeprefix("http://"), timeout=20)) as onward:
                onward.request(self.command, f"/{path}", body)
                reply = onward.getresponse()
                self.reply(*self.spoilt(name, path.partition("?")[0], body, reply.status, reply.read()))

        do_GET = do_DELETE = do_POST

        def spoilt(self, name: str, path: str, body: bytes, status: int, raw: bytes) -> tuple[int, bytes]:
            fault = FAULTS[name]
            if re.fullmatch(fault.of, f"{self.command} /{path}") and made.happened[name] < fault.times:
                made.happened[name] += 1
                return fault.spoils(raw)
            if fault.first is not None and self.command == "POST" and PROMPT.encode() in body:
                return fault.first(raw)
            return status, raw

        def reply(self, status: int, raw: bytes) -> None:
            if status == SILENT:
                self.connection.recv(1)  # whoever asks leaves
            if status in (CUT, SILENT):
                self.close_connection = True
                return
            self.send_response(status)
            for head, value in (("Content-Type", "application/json"), ("Content-Length", len(raw)), ("Retry-After", 0)):
                self.send_header(head, str(value))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: object) -> None: ...

    with listening(Meddling) as url:
        made = Between(url)
        yield made


def described(terminal: Terminal, meddler: Between, stub: Stub, name: str) -> str:
    """Writes down the judge that has a fault."""
    fault = FAULTS[name]
    told = {"provider": fault.provider, "api_key_env": "THE_KEY", "timeout_s": 3, "store": fault.first is not None}
    base_url = f"{meddler.url}/{name}" + "/v1" * (fault.provider != "anthropic")
    return terminal.judge(stub, f"judges/{name}.yaml", **told, base_url=base_url)


def served(service: Service, name: str, heard: Heard) -> None:
    """A run of the judge that has a fault, to its end; then all that can be asked about it."""
    fault = FAULTS[name]
    asked = {"rubric": "helpfulness", "judge": name, "mode": "live" if fault.first else "batch"}
    path = "/v1/runs/" + service.json("POST", "/v1/runs", asked | {"items": made_items(fault.items, name)})["id"]
    said = service.ask("GET", f"{path}/events").decode()  # until nothing more happens
    told = [json.loads(line[6:]) for line in said.splitlines() if line.startswith("data: ")]
    heard.add(f"{name}: events", json.dumps(without_reasons(told)))
    heard.add(f"{name}: run", service.ask("GET", path))
    assert json.loads(heard.texts[f"{name}: run"])["status"] in {"paused", "completed"}
    found = [json.loads(line) for line in service.ask("GET", f"{path}/export").splitlines()]
    heard.add(f"{name}: grades", json.dumps(without_reasons(found)))
    heard.add(f"{name}: summary", service.ask("GET", f"{path}/summary"))
    came = [heard.texts[f"{name}: {where}"] for where in ("run", "grades", "summary")]
    assert any(fault.comes_to.encode() in text for text in came), (name, came)


def test_a_service_leaves_neither_of_what_comes_later(
    loudest: tuple[Terminal, Collector], stub: Callable[..., Stub]
) -> None:
    (terminal, collector), heard, server = loudest, Heard(), stub(*SEED)
    terminal = replace(terminal, environment=terminal.environment | {"JUDGE_LOOKUP_LAG_S": "1"})
    with between(server) as meddler:
        for name in FAULTS:
            described(terminal, meddler, server, name)
        service = Service(terminal)
        try:
            with ThreadPoolExecutor(12) as threads:
                for done in [threads.submit(served, service, name, heard) for name in FAULTS]:
                    done.result()
            heard.add("metrics", service.ask("GET", "/metrics"))
        finally:
            said = service.close()
    assert [name for name in FAULTS if not meddler.really(name)] == []
    heard.add("log", said)
    heard.add("events", b"".join(collector.came))
    assert b"gen_ai.evaluation.result" in heard.texts["events"]
    heard.check(service.key)
    no_key_is_kept(terminal)
    told = {json.loads(line)["message"] for line in said.splitlines()}
    assert told >= {"call", "run paused", "files of a batch are not deleted"}


def test_a_command_leaves_neither_of_a_batch(loudest: tuple[Terminal, Collector], stub: Callable[..., Stub]) -> None:
    terminal, heard, server = loudest[0], Heard(), stub(*SEED)
    terminal.write("items.jsonl", jsonl(made_items(2, "b")))
    with between(server) as meddler:
        file = described(terminal, meddler, server, "refused")
        ended = terminal.run("grade", "items.jsonl", *GRADE, "--judge", file, "--batch", "--json")
    assert meddler.really("refused")
    assert (ended.status, REFUSED in ended.err) == (3, True), ended.err
    heard.add("output", ended.out)
    heard.add("standard error", ended.err)
    heard.check()
    no_key_is_kept(terminal)
