"""What a stub judge does with each request: limits, faults, behaviours, and a record of it all."""

from __future__ import annotations

import argparse
import json
import math
import random
import re
import time
from collections import Counter
from dataclasses import dataclass, replace
from hashlib import blake2b, sha256
from typing import Any

from stub import chat, messages, responses
from stub.ask import VERBATIM, Ask, Dialect, asked_for, written
from stub.batches import BatchDesk
from stub.behaviour import NORMAL, REFUSED, WAYS, Behaviour
from stub.stored import Shelf
from stub.verdicts import dumps, said

DIALECTS: dict[str, Dialect] = {
    "/v1/chat/completions": chat,
    "/v1/responses": responses,
    "/v1/messages": messages,
}


@dataclass(slots=True)
class Call:
    """One request as /calls lists it. `answered` is null until all of a reply was written."""

    n: int
    body_sha256: str
    seed: str = ""
    items: tuple[str, ...] = ()
    answered: int | None = None
    fault: str | None = None
    body: str | None = None
    path: str = ""
    batch: str | None = None
    custom_id: str | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    body: bytes
    head: str = ""
    content_type: str = "application/json"
    way: str = "whole"  # or hang, reset, trickle, cut_stream


class StubJudge:
    """Decides the replies and counts."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.seed_regex, self.item_regex = re.compile(options.seed_regex), re.compile(options.item_regex)
        limited = Behaviour("status", status=429, code="rate_limit_exceeded", retry_after=f"{options.retry_after:g}")
        self.faults = (
            ("429", options.rate_429, limited),
            ("500", options.rate_500, Behaviour("status")),
            ("truncated", options.rate_truncated, Behaviour("length", finish=options.truncated_finish)),
            ("badbody", options.rate_badbody, Behaviour("cut_body")),
            ("reset", options.rate_reset, Behaviour("reset")),
        )
        self.in_flight = self.connections = 0
        self.reset()

    def reset(self) -> None:
        self.random = random.Random(self.options.fault_seed)
        self.behaviour = NORMAL
        self.batches, self.shelf = BatchDesk(self.ask_in_batch), Shelf()
        self.calls: list[Call] = []
        self.in_flight_max = self.in_flight
        self.status: Counter[str] = Counter()
        self.prompt_tokens = self.completion_tokens = 0
        self.first = self.last = self.due = 0.0

    def stats(self) -> dict[str, Any]:
        names = ("in_flight", "in_flight_max", "connections", "prompt_tokens", "completion_tokens", "status")
        faults = Counter(call.fault for call in self.calls if call.fault)
        counted = {name: getattr(self, name) for name in names}
        counted |= {"uploads": self.batches.uploads, "files": len(self.batches.left())}
        return {**counted, "requests": len(self.calls), "faults": faults, "span_s": max(self.last - self.first, 0.0)}

    def receive(self, path: str, raw: bytes) -> tuple[Call, float, Reply]:
        """The reply to a request, and the seconds to wait before it is sent."""
        self.first = self.first or time.monotonic()
        self.in_flight += 1
        self.in_flight_max = max(self.in_flight_max, self.in_flight)
        body = raw.decode() if self.options.bodies else None
        call = Call(len(self.calls) + 1, sha256(raw).hexdigest(), body=body, path=path)
        self.calls.append(call)
        dialect = DIALECTS[path]
        try:
            ask = dialect.read(json.loads(raw))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return call, 0.0, _failure(dialect, 400, f"cannot read the request: {error!r}")
        self.prompt_tokens += ask.prompt_tokens
        found = set(filter(None, self.seed_regex.findall(ask.prompt)))
        seed = blake2b(("|".join(sorted(found)) or ask.prompt).encode(errors="surrogatepass"), digest_size=16).digest()
        call.seed, call.items = seed.hex(), tuple(dict.fromkeys(filter(None, self.item_regex.findall(ask.prompt))))
        behaviour = self._behaviour(call)
        low, high = self.options.latency_ms, self.options.latency_max_ms
        delay = random.uniform(low, high) if high > low else low
        if behaviour.mode in {"status", "reset"}:
            delay = self.options.fault_latency_ms
        reply = self._reply(path, call.n, ask, seed, behaviour)
        if ask.given.get("background") and ask.given.get("store") and reply.status == 200:
            return call, 0.0, replace(reply, body=self.shelf.begin(delay / 1000))
        return call, delay / 1000, reply

    def ask_in_batch(self, path: str, raw: bytes, batch: str, custom_id: str) -> tuple[int, bytes]:
        """The answer to a question of a batch."""
        call, _, reply = self.receive(path, raw)
        call.batch, call.custom_id = batch, custom_id
        self.finished(call, str(reply.status), reply.status)
        return reply.status, reply.body

    def finished(self, call: Call, word: str, answered: int | None) -> None:
        self.in_flight -= 1
        self.last = time.monotonic()
        self.status[word] += 1
        call.answered = answered

    def _behaviour(self, call: Call) -> Behaviour:
        """What the limits, the faults drawn and /behave make of a call, in this order."""
        if wait := self._wait():
            call.fault = "limit"
            return Behaviour("status", status=429, code="rate_limit_exceeded", retry_after=math.ceil(wait))
        drawn = self.random.random()
        for name, rate, behaviour in self.faults:
            if drawn < rate:
                call.fault = name
                return behaviour
            drawn -= rate
        behaviour = self.behaviour.next()
        call.fault = None if behaviour.mode == "normal" else behaviour.mode
        return behaviour

    def _wait(self) -> float:
        """Seconds by which a request is above a limit."""
        options, now = self.options, time.monotonic()
        wait = 0.0
        if options.max_concurrency and self.in_flight > options.max_concurrency:
            wait = options.retry_after
        elif options.rpm:
            each = 60 / options.rpm
            due = max(self.due, now - each * (options.rpm_burst - 1))
            wait = max(due - now, 0.0)
            self.due = due if wait else due + each
        return wait

    def _reply(self, path: str, number: int, ask: Ask, seed: bytes, behaviour: Behaviour) -> Reply:
        dialect, mode = DIALECTS[path], behaviour.mode
        if mode == "status":
            return _told_to_fail(dialect, behaviour)
        features, code = REFUSED.get(mode, ((), None))
        fields = [dialect.FIELDS[feature] for feature in features if feature in dialect.FIELDS]
        if param := next((field for field in fields if asked_for(ask.given, field)), None):
            return _failure(dialect, 400, f"Unsupported parameter: {param!r}", code, param)
        if mode == "html":
            return Reply(200, b"<html><body>Welcome</body></html>", content_type="text/html")
        if mode == "empty_object":
            return Reply(200, b"{}")
        text = said(ask.schema, seed, behaviour, ask.last_user)
        self.completion_tokens += written(text)
        body = dumps(dialect.complete(number, ask, text, behaviour, seed)).replace(dumps(VERBATIM), text or "").encode()
        if mode == "cut_body":
            body = body[: len(body) // 2]
        elif mode != "drop":
            self.shelf.keep(path, ask.given, json.loads(body), body)
        # A reset comes after the answer was made, a drop before.
        return Reply(200, body, way="reset" if mode == "drop" else mode if mode in WAYS else "whole")


def _told_to_fail(dialect: Dialect, behaviour: Behaviour) -> Reply:
    fields = {"retry-after": behaviour.retry_after, "location": behaviour.location}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value is not None)
    message = behaviour.message or f"told to answer {behaviour.status}"
    body = dialect.fail(behaviour.status, message, behaviour.code, None)
    if behaviour.metadata is not None:
        body["error"]["metadata"] = behaviour.metadata
    return Reply(behaviour.status, dumps(body).encode(), head)


def _failure(dialect: Dialect, status: int, message: str, code: str | None = None, param: str | None = None) -> Reply:
    return Reply(status, dumps(dialect.fail(status, message, code, param)).encode())
