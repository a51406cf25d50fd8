"""Batches, as OpenAI and Anthropic have them: questions that are handed over together and answered some time later.

    POST /v1/files    GET /v1/files/{id}/content    DELETE /v1/files/{id}
    POST /v1/batches    GET /v1/batches    GET /v1/batches/{id}    POST /v1/batches/{id}/cancel
    POST /v1/messages/batches, and GET, GET {id}, GET {id}/results, POST {id}/cancel beneath it

A question is asked of the same stub judge as a live one, once, when its batch is done, and stands in /calls. Results
come in another order than the questions. POST /batching says how batches are to behave.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

from stub.verdicts import dumps

MESSAGES, BATCHES, FILES = "/v1/messages/batches", "/v1/batches", "/v1/files"
PATHS = (MESSAGES, BATCHES, FILES)


@dataclass(slots=True)
class Batching:
    """How batches behave: all of them, from the next one on.

    `delay_s` until one is done, `cancel_s` until one that was taken back is, with `kept` answers. `create` is what
    becomes of the next `times` attempts to make one: a status, `reset` (made, and the connection cut), `reset_before`
    (cut, and not made), `hang` (made, and never answered); `upload_hang` is that of a file. Each attempt takes
    `create_s` on its way. Of the questions so many
    are `expired`, `errored`, answered and counted but `missing` from the results, or `uncounted` and missing. The
    results are not there for `results_404` requests. Lists show a batch after `unlisted_s`. A `refusal` fails it. No
    file is deleted where they are `undeletable`.
    """

    delay_s: float = 0.0
    cancel_s: float = 0.0
    kept: int = 0
    create: str = ""
    times: int = 1
    create_s: float = 0.0
    expired: int = 0
    errored: int = 0
    missing: int = 0
    uncounted: int = 0
    results_404: int = 0
    unlisted_s: float = 0.0
    refusal: str = ""
    undeletable: bool = False


@dataclass(slots=True)
class Batch:
    """A batch, and what became of its questions."""

    id: str
    path: str
    questions: list[tuple[str, bytes]]
    behaviour: Batching
    metadata: dict[str, str] = field(default_factory=dict)
    file: str = ""
    made_at: float = field(default_factory=time.time)
    cancelled_at: float | None = None
    done: bool = False
    answers: list[tuple[str, bytes]] = field(default_factory=list)
    failures: list[tuple[str, int, bytes]] = field(default_factory=list)
    unanswered: list[tuple[str, str]] = field(default_factory=list)
    missing: int = 0

    @property
    def total(self) -> int:
        return len(self.questions)


#: Answers a question at a path: the status, and the body of the reply.
Asked = Callable[[str, bytes, str, str], tuple[int, bytes]]
Response = tuple[int, bytes, str]  # status, body, way


class BatchDesk:
    """Takes batches, and answers them through `ask`."""

    def __init__(self, ask: Asked) -> None:
        self.ask, self.behaviour = ask, Batching()
        self.files: dict[str, bytes] = {}
        self.uploads, self.deleted = 0, set[str]()
        self.batches: dict[str, Batch] = {}

    def listed(self) -> list[dict[str, Any]]:
        """All batches, for the tests."""
        return [
            {"id": one.id, "questions": [name for name, _ in one.questions], "done": one.done, "metadata": one.metadata}
            | {"cancelled": one.cancelled_at is not None}
            for one in self.batches.values()
        ]

    def left(self) -> list[str]:
        """The files that are kept."""
        made = [_openai(one) for one in self.batches.values() if not one.path.startswith("/v1/messages")]
        files = [one[field] for one in made for field in ("output_file_id", "error_file_id") if one[field]]
        return [file for file in (*self.files, *files) if file not in self.deleted]

    def on_its_way_s(self, method: str, path: str) -> float:
        """How long a request takes before it is here."""
        return self.behaviour.create_s if method == "POST" and path in (BATCHES, MESSAGES) else 0.0

    def respond(self, method: str, path: str, query: str, body: bytes) -> Response:
        """The reply to a request, and how it is sent."""
        parts, given = path.strip("/").split("/"), {name: values[0] for name, values in parse_qs(query).items()}
        anthropic = path.startswith(MESSAGES)
        for one in self.batches.values():
            self._advance(one)
        match method, parts[2 + anthropic - 1 :]:
            case "POST", ["files"]:
                return self._upload(body)
            case "GET", ["files", id, "content"] if id not in self.deleted:
                return self._content(id)
            case "DELETE", ["files", id] if id in self.left() and not self.behaviour.undeletable:
                self.deleted.add(id)
                return 200, dumps({"id": id, "object": "file", "deleted": True}).encode(), "whole"
            case "POST", ["batches"]:
                return self._create(anthropic, body)
            case "GET", ["batches"]:
                return self._list(anthropic, given)
            case "GET", ["batches", id] if id in self.batches:
                return 200, self._shown(self.batches[id]), "whole"
            case "POST", ["batches", id, "cancel"] if id in self.batches:
                return self._cancel(self.batches[id])
            case "GET", ["batches", id, "results"] if id in self.batches and self.batches[id].done:
                return self._results(self.batches[id], b"".join(self._anthropic_lines(self.batches[id])))
        return _failure(404, f"no such thing: {method} {path}")

    def _upload(self, body: bytes) -> Response:
        boundary = body.partition(b"\r\n")[0]
        parts = [part.partition(b"\r\n\r\n") for part in body.split(boundary)[1:-1]]
        content = next(data.removesuffix(b"\r\n") for head, _, data in parts if b'name="file"' in head)
        purpose = next(data.strip() for head, _, data in parts if b'name="purpose"' in head)
        if purpose != b"batch":
            return _failure(400, "the purpose is not batch")
        self.uploads += 1
        id = f"file-{self.uploads}"
        self.files[id] = content
        told = {"id": id, "object": "file", "bytes": len(content), "filename": "requests.jsonl", "purpose": "batch"}
        return 200, dumps(told).encode(), "hang" if self._faulty("upload_hang") else "whole"

    def _faulty(self, fault: str) -> bool:
        behaviour = self.behaviour
        if behaviour.create != fault or behaviour.times <= 0:
            return False
        behaviour.times -= 1
        return True

    def _create(self, anthropic: bool, body: bytes) -> Response:
        given, fault = json.loads(body), self.behaviour.create
        if fault.isdecimal() and self._faulty(fault):
            return _failure(int(fault), f"told to answer {fault}")
        if self._faulty("reset_before"):
            return 200, b"", "reset"
        id = f"{'msgbatch' if anthropic else 'batch'}_{len(self.batches) + 1}"
        if anthropic:
            questions = [(one["custom_id"], dumps(one["params"]).encode()) for one in given["requests"]]
            made = Batch(id, "/v1/messages", questions, self.behaviour)
        else:
            if given["completion_window"] != "24h" or given["input_file_id"] not in self.left():
                return _failure(400, "no such file, or window")
            lines = [json.loads(line) for line in self.files[given["input_file_id"]].splitlines()]
            if any(line["url"] != given["endpoint"] or line["method"] != "POST" for line in lines):
                return _failure(400, "a line is for another endpoint")
            questions = [(line["custom_id"], dumps(line["body"]).encode()) for line in lines]
            made = Batch(id, given["endpoint"], questions, self.behaviour, given.get("metadata") or {})
            made.file = given["input_file_id"]
        if len({name for name, _ in questions}) < len(questions) or any(len(name) > 64 for name, _ in questions):
            return _failure(400, "names are too long, or occur twice")
        self.batches[id] = made
        way = "reset" if self._faulty("reset") else "hang" if self._faulty("hang") else "whole"
        return 200, self._shown(made), way

    def _list(self, anthropic: bool, given: dict[str, str]) -> Response:
        shown = [
            one
            for one in reversed(self.batches.values())
            if one.id.startswith("msgbatch") == anthropic and time.time() - one.made_at >= one.behaviour.unlisted_s
        ]
        after = given.get("after") or given.get("after_id")
        ids = [one.id for one in shown]
        first = ids.index(after) + 1 if after in ids else 0
        page = shown[first : first + int(given.get("limit", 20))]
        told = {"object": "list", "data": [json.loads(self._shown(one)) for one in page]}
        told |= {"first_id": None, "last_id": page[-1].id if page else None, "has_more": shown[-1:] != page[-1:]}
        return 200, dumps(told).encode(), "whole"

    def _cancel(self, one: Batch) -> Response:
        if one.done or one.cancelled_at is not None:
            return _failure(409, "it is not in progress")
        one.cancelled_at = time.time()
        self._advance(one)
        return 200, self._shown(one), "whole"

    def _content(self, id: str) -> Response:
        place, _, which = id.partition("-of-")
        if which not in self.batches:
            return (200, self.files[id], "whole") if id in self.files else _failure(404, "no such file")
        one = self.batches[which]
        return self._results(one, b"".join(_output(one) if place == "out" else _errors(one)))

    def _results(self, one: Batch, content: bytes) -> Response:
        if one.behaviour.results_404 > 0:
            one.behaviour.results_404 -= 1
            return _failure(404, "the results are not there yet")
        return 200, content, "whole"

    def _advance(self, one: Batch) -> None:
        """Answers its questions when their time has come."""
        now, behaviour = time.time(), one.behaviour
        taken_back = one.cancelled_at is not None and now - one.cancelled_at >= behaviour.cancel_s
        if one.done or not (taken_back or now - one.made_at >= behaviour.delay_s):
            return
        one.done = True
        if behaviour.refusal:
            return
        questions = list(one.questions)
        if taken_back:
            questions, rest = questions[: behaviour.kept], questions[behaviour.kept :]
            one.unanswered += [(name, "cancelled") for name, _ in rest]
        del questions[len(questions) - behaviour.uncounted :]
        expired = [questions.pop() for _ in range(min(behaviour.expired, len(questions)))]
        one.unanswered += [(name, "expired") for name, _ in expired]
        errored = [questions.pop() for _ in range(min(behaviour.errored, len(questions)))]
        one.failures += [(name, 400, _failure(400, "told to fail")[1]) for name, _ in errored]
        for name, body in reversed(questions):
            status, reply = self.ask(one.path, body, one.id, name)
            if status == 200:
                one.answers.append((name, reply))
            else:
                one.failures.append((name, status, reply))
        for _ in range(behaviour.missing):
            one.answers.pop()
            one.missing += 1

    def _shown(self, one: Batch) -> bytes:
        return dumps(_anthropic(one) if one.path == "/v1/messages" else _openai(one)).encode()

    def _anthropic_lines(self, one: Batch) -> Iterator[bytes]:
        for name, reply in one.answers:
            yield b'{"custom_id":"%s","result":{"type":"succeeded","message":%s}}\n' % (name.encode(), reply)
        for name, _, reply in one.failures:
            error = {"type": "error", "error": json.loads(reply).get("error")}
            yield dumps({"custom_id": name, "result": {"type": "errored", "error": error}}).encode() + b"\n"
        for name, why in one.unanswered:
            kind = {"cancelled": "canceled"}.get(why, why)
            yield dumps({"custom_id": name, "result": {"type": kind}}).encode() + b"\n"


def _openai(one: Batch) -> dict[str, Any]:
    elapsed, delay = time.time() - one.made_at, one.behaviour.delay_s
    status = "validating" if elapsed < delay * 0.1 else "in_progress" if elapsed < delay * 0.9 else "finalizing"
    if one.cancelled_at is not None:
        status = "cancelled" if one.done else "cancelling"
    elif one.done:
        status = "failed" if one.behaviour.refusal else "expired" if one.unanswered else "completed"
    errors = {"object": "list", "data": [{"code": "told", "message": one.behaviour.refusal}]}
    failed = len(one.failures) + len(one.unanswered)
    return {
        "id": one.id,
        "object": "batch",
        "endpoint": one.path,
        "completion_window": "24h",
        "input_file_id": one.file,
        "created_at": int(one.made_at),
        "status": status,
        "metadata": one.metadata,
        "errors": errors if status == "failed" else None,
        "output_file_id": f"out-of-{one.id}" if one.answers else None,
        "error_file_id": f"err-of-{one.id}" if failed else None,
        "request_counts": {"total": one.total, "completed": len(one.answers) + one.missing, "failed": failed},
    }


def _output(one: Batch) -> Iterator[bytes]:
    for name, reply in one.answers:
        head = dumps({"id": f"batch_req_{name}", "custom_id": name, "error": None}).removesuffix("}").encode()
        yield b'%s,"response":{"status_code":200,"request_id":"r","body":%s}}\n' % (head, reply)


def _errors(one: Batch) -> Iterator[bytes]:
    for name, status, reply in one.failures:
        response = {"status_code": status, "request_id": "r", "body": json.loads(reply)}
        yield dumps({"id": "b", "custom_id": name, "response": response, "error": None}).encode() + b"\n"
    for name, why in one.unanswered:
        error = {"code": f"batch_{why}", "message": why}
        yield dumps({"id": "b", "custom_id": name, "response": None, "error": error}).encode() + b"\n"


def _anthropic(one: Batch) -> dict[str, Any]:
    why = [why for _, why in one.unanswered]
    counts = {
        "processing": 0 if one.done else one.total,
        "succeeded": len(one.answers) + one.missing,
        "errored": len(one.failures),
        "canceled": why.count("cancelled"),
        "expired": why.count("expired"),
    }
    # Whatever else it says, all of them always come to the whole.
    counts["errored"] += one.total - sum(counts.values())
    status = "ended" if one.done else "canceling" if one.cancelled_at is not None else "in_progress"
    return {
        "id": one.id,
        "type": "message_batch",
        "processing_status": status,
        "request_counts": counts,
        "created_at": datetime.fromtimestamp(one.made_at, UTC).isoformat(),
        "ended_at": None,
        "results_url": "http://203.0.113.1/elsewhere" if one.done else None,
    }


def _failure(status: int, message: str) -> Response:
    error = {"type": "invalid_request_error", "message": message, "code": None, "param": None}
    return status, dumps({"type": "error", "error": error}).encode(), "whole"
