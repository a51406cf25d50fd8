"""A judge on loopback: OpenAI chat completions with deterministic verdicts, faults on demand, and a record of calls.

    python tests/stub_judge.py --port 0 --latency-ms 200

A verdict is made from the JSON schema in the request (response_format, forced tool, or written in the prompt). Each
value is fixed by a hash of its path in the schema and of the prompt's matches of --seed-regex (of all the prompt
without one), so that equal work gets equal verdicts in any order.

    POST /v1/chat/completions    GET /stats    GET /calls    POST /behave    POST /reset (all as at the start)

Faults are drawn for each request from --fault-seed: --rate-429 (with --retry-after), --rate-500, --rate-truncated (half
the text), --rate-badbody (a whole HTTP reply with half the JSON body), --rate-reset (after the request was read).
With --latency-max-ms the latency is uniform from --latency-ms to there; above --rpm or --max-concurrency comes a 429.

Standard library only.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import random
import re
import signal
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from hashlib import blake2b, sha256
from http import HTTPStatus
from typing import Any

REASON = "It addresses the stated request and supports its main claim, with a minor omission in the second part."
Verdict = dict[str, Any]


def dumps(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def pick(seed: bytes, path: str, count: int) -> int:
    """A number in [0, count), fixed by seed and path."""
    return int.from_bytes(blake2b(seed + path.encode(), digest_size=8).digest(), "big") % count


def fill(schema: dict[str, Any], seed: bytes, path: str = "$") -> Any:
    """A value that fits the schema: the parts of JSON schema that judges are given."""
    if "enum" in schema:
        return schema["enum"][pick(seed, path, len(schema["enum"]))]
    if "anyOf" in schema:
        return fill(next(option for option in schema["anyOf"] if option.get("type") != "null"), seed, path)
    match schema.get("type"):
        case "object":
            return {name: fill(part, seed, f"{path}.{name}") for name, part in schema.get("properties", {}).items()}
        case "array":
            return [fill(schema["items"], seed, f"{path}[{i}]") for i in range(max(schema.get("minItems", 1), 1))]
        case "integer":
            low, high = schema.get("minimum", 1), schema.get("maximum", 5)
            return low + pick(seed, path, high - low + 1)
        case "boolean":
            return pick(seed, path, 2) == 1
    return REASON[pick(seed, path, len(REASON) // 2) :]


def changed(verdict: Verdict, **changes: object) -> Verdict:
    """The verdict with another answer on its first criterion."""
    name = next(iter(verdict))
    return {**verdict, name: {**verdict[name], **changes}}


def out_of_range(verdict: Verdict) -> str:
    score = next(iter(verdict.values()))["score"]
    return dumps(changed(verdict, score=99 if isinstance(score, int) else "no_such_level"))


#: Modes that spoil the text of a verdict.
SPOILT: dict[str, Callable[[Verdict], str]] = {
    "two_objects": lambda verdict: f"{dumps(verdict)}\n{dumps(changed(verdict, reason='second thoughts'))}",
    "out_of_range": out_of_range,
    "nan": lambda verdict: dumps(changed(verdict, score=math.nan)),
    "missing": lambda verdict: dumps(dict([*verdict.items()][:-1])),
    "extra": lambda verdict: dumps({**verdict, "extra": next(iter(verdict.values()))}),
    "duplicate_key": lambda verdict: f"{dumps(changed(verdict, reason='said first'))[:-1]},{dumps(verdict)[1:]}",
}
#: Modes that refuse what a request asks for: the parameters, the code, and what is told.
REFUSED = {
    "no_json_schema": (("response_format",), None, "response_format json_schema is not supported"),
    "no_tools_no_schema": (("response_format", "tools"), None, "response_format and tools are not supported"),
    "no_temperature": (("temperature",), "unsupported_parameter", "Unsupported parameter: 'temperature'"),
    "max_completion_tokens": (("max_tokens",), "unsupported_parameter", "Use 'max_completion_tokens' instead"),
}
MODES = (
    "normal prose two_objects out_of_range nan missing extra duplicate_key html empty_object cut_body cut_stream reset "
    "refusal content_filter length status no_json_schema no_tools_no_schema no_temperature max_completion_tokens hang "
    "trickle copy_to_reason wrap_candidate model"
)
FLAGS = (
    "port=0 latency-ms=0 latency-max-ms=0 rate-429=0 rate-500=0 rate-truncated=0 rate-badbody=0 rate-reset=0 "
    "fault-seed=1 fault-latency-ms=5 retry-after=1 rpm=0 rpm-burst=10 max-concurrency=0"
)


def text_of(content: object) -> str:
    if isinstance(content, list):
        return "\n".join(part.get("text", "") for part in content)
    return content if isinstance(content, str) else ""


def schema_in(prompt: str) -> dict[str, Any] | None:
    """A JSON schema written in the prompt: the outermost object around the first "properties"."""
    at = prompt.find('"properties"')
    start = prompt.rfind("\n\n", 0, at)
    while at >= 0 and (start := prompt.find("{", start + 1, at)) >= 0:
        try:
            found, end = json.JSONDecoder().raw_decode(prompt, start)
        except ValueError:
            end = 0  # a brace of the text around it
        if end > at and "properties" in found:
            return dict(found)
    return None


@dataclass(frozen=True, slots=True)
class Ask:
    """One request."""

    given: dict[str, Any]
    prompt: str
    last_user: str
    schema: dict[str, Any] | None
    tool: str | None
    prompt_tokens: int

    @classmethod
    def read(cls, given: dict[str, Any]) -> Ask:
        texts = [(message["role"], text_of(message.get("content"))) for message in given["messages"]]
        prompt = "\n".join(text for _, text in texts)
        last_user = next((text for role, text in reversed(texts) if role == "user"), "")
        form, tools, tool = given.get("response_format"), given.get("tools"), None
        schema = form["json_schema"]["schema"] if form and form.get("type") == "json_schema" else None
        if schema is None and tools:
            tool, schema = tools[0]["function"]["name"], tools[0]["function"]["parameters"]
        characters = len(prompt) + sum(len(dumps(part)) for part in (form, tools) if part)
        return cls(given, prompt, last_user, schema or schema_in(prompt), tool, (characters + 3) // 4)


@dataclass(slots=True)
class Behaviour:
    """How replies look: after `after` normal ones, for `count` requests or for good."""

    mode: str = "normal"
    after: int = 0
    count: int | None = None
    status: int = 500
    code: str | None = None
    retry_after: float | str | None = None
    model: str | None = None
    finish: str = "length"

    def next(self) -> Behaviour:
        if self.after > 0:
            self.after -= 1
            return NORMAL
        if self.count is not None:
            self.count -= 1
        return NORMAL if self.count is not None and self.count < 0 else self


NORMAL = Behaviour()


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


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    body: bytes
    head: str = ""
    content_type: str = "application/json"
    way: str = "whole"  # or hang, reset, trickle, cut_stream


def failure(status: int, message: str, code: str | None = None, param: str | None = None, head: str = "") -> Reply:
    kinds = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 429: "requests"}
    error = {"message": message, "type": kinds.get(status, "server_error"), "param": param, "code": code}
    return Reply(status, dumps({"error": error}).encode(), head)


def completion(number: int, ask: Ask, text: str | None, behaviour: Behaviour) -> bytes:
    """A chat completion, with no text for a refusal."""
    mode, written = behaviour.mode, (len(text or "") + 3) // 4
    finish = {"length": behaviour.finish, "content_filter": "content_filter"}.get(mode, "stop")
    refusal = "I cannot help with that." if mode == "refusal" else None
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": refusal}
    if ask.tool and text and mode != "prose":
        call = {"id": f"call_{number}", "type": "function", "function": {"name": ask.tool, "arguments": text}}
        message |= {"content": None, "tool_calls": [call]}
        finish = "tool_calls" if finish == "stop" else finish
    total = ask.prompt_tokens + written
    reply = {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": behaviour.model or ask.given.get("model"),
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish}],
        "usage": {"prompt_tokens": ask.prompt_tokens, "completion_tokens": written, "total_tokens": total},
    }
    return dumps(reply).encode()


class Stub:
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
        self.calls: list[Call] = []
        self.in_flight_max = self.in_flight
        self.status: Counter[str] = Counter()
        self.prompt_tokens = self.completion_tokens = 0
        self.first = self.last = self.due = 0.0

    def stats(self) -> dict[str, Any]:
        names = ("in_flight", "in_flight_max", "connections", "prompt_tokens", "completion_tokens", "status")
        faults = Counter(call.fault for call in self.calls if call.fault)
        counted = {name: getattr(self, name) for name in names}
        return {**counted, "requests": len(self.calls), "faults": faults, "span_s": max(self.last - self.first, 0.0)}

    def receive(self, raw: bytes) -> tuple[Call, float, Reply]:
        """The reply to a request, and the seconds to wait before it is sent."""
        self.first = self.first or time.monotonic()
        self.in_flight += 1
        self.in_flight_max = max(self.in_flight_max, self.in_flight)
        call = Call(len(self.calls) + 1, sha256(raw).hexdigest(), body=raw.decode() if self.options.bodies else None)
        self.calls.append(call)
        try:
            ask = Ask.read(json.loads(raw))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return call, 0.0, failure(400, f"cannot read the request: {error!r}")
        self.prompt_tokens += ask.prompt_tokens
        found = set(filter(None, self.seed_regex.findall(ask.prompt)))
        seed = blake2b(("|".join(sorted(found)) or ask.prompt).encode(errors="surrogatepass"), digest_size=16).digest()
        call.seed, call.items = seed.hex(), tuple(dict.fromkeys(filter(None, self.item_regex.findall(ask.prompt))))
        behaviour = self._behaviour(call)
        low, high = self.options.latency_ms, self.options.latency_max_ms
        delay = random.uniform(low, high) if high > low else low
        if behaviour.mode in {"status", "reset"}:
            delay = self.options.fault_latency_ms
        return call, delay / 1000, self._reply(call.n, ask, seed, behaviour)

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

    def _reply(self, number: int, ask: Ask, seed: bytes, behaviour: Behaviour) -> Reply:
        mode = behaviour.mode
        if mode == "status":
            head = "" if behaviour.retry_after is None else f"retry-after: {behaviour.retry_after}\r\n"
            return failure(behaviour.status, f"told to answer {behaviour.status}", behaviour.code, head=head)
        names, code, message = REFUSED.get(mode, ((), None, ""))
        if param := next((name for name in names if ask.given.get(name) is not None), None):
            return failure(400, message, code, param)
        if mode == "html":
            return Reply(200, b"<html><body>Welcome</body></html>", content_type="text/html")
        if mode == "empty_object":
            return Reply(200, b"{}")
        text = self._text(ask, seed, mode)
        self.completion_tokens += (len(text or "") + 3) // 4
        body = completion(number, ask, text, behaviour)
        if mode == "cut_body":
            body = body[: len(body) // 2]
        return Reply(200, body, way=mode if mode in {"hang", "reset", "trickle", "cut_stream"} else "whole")

    def _text(self, ask: Ask, seed: bytes, mode: str) -> str | None:
        if mode in {"refusal", "content_filter"}:
            return None
        if ask.schema is None or mode == "prose":
            return "The work is good on the whole, and nothing more is to be said about it."
        verdict = fill(ask.schema, seed)
        text = SPOILT.get(mode, dumps)(verdict)
        if mode == "copy_to_reason":
            return dumps({name: {**answer, "reason": ask.last_user} for name, answer in verdict.items()})
        if mode == "wrap_candidate":
            return f"{ask.last_user}\n{text}\n{ask.last_user}"
        return text[: len(text) // 2] if mode == "length" else text


def route(stub: Stub, method: str, path: str, body: bytes) -> Reply:
    """The endpoints about the stub itself."""
    match method, path:
        case "GET", "/stats":
            return Reply(200, dumps(stub.stats()).encode())
        case "GET", "/calls":
            return Reply(200, dumps([asdict(call) for call in stub.calls]).encode())
        case "POST", "/reset":
            stub.reset()
            return Reply(200, b"{}")
        case "POST", "/behave":
            try:
                behaviour = Behaviour(**json.loads(body))
            except (ValueError, TypeError) as error:
                return failure(400, f"cannot behave so: {error}")
            if behaviour.mode not in MODES.split():
                return failure(400, f"no mode {behaviour.mode!r}; there are {MODES}")
            stub.behaviour = behaviour
            return Reply(200, b"{}")
    return failure(404, f"no such endpoint: {method} {path}")


def head(reply: Reply) -> bytes:
    """The head of a reply; that of a `cut_stream` promises more bytes than will come."""
    length = len(reply.body) * (2 if reply.way == "cut_stream" else 1)
    fields = f"content-type: {reply.content_type}\r\ncontent-length: {length}\r\n{reply.head}\r\n"
    return f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}\r\n{fields}".encode()


async def chat(stub: Stub, raw: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Receives one call, and answers it after its latency if the client is still there."""
    call, delay, reply = stub.receive(raw)
    if reply.way == "hang":
        await reader.read()
    elif delay:
        await asyncio.sleep(delay)
    if reader.at_eof():
        return stub.finished(call, "client_gone", None)
    if reply.way == "reset":
        stub.finished(call, "reset", None)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return writer.transport.abort()
    writer.write(head(reply))
    if reply.way == "trickle":
        for byte in reply.body[:-1]:
            writer.write(bytes([byte]))
            await asyncio.sleep(0.05)
            if reader.at_eof():
                return stub.finished(call, "client_gone", None)
    writer.write(reply.body[-1:] if reply.way == "trickle" else reply.body)
    if reply.way == "cut_stream":
        stub.finished(call, "cut", None)
        return writer.close()
    return stub.finished(call, str(reply.status), reply.status)


async def connection(stub: Stub, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Keep-alive, bodies with a Content-Length, one request at a time."""
    stub.connections += 1
    with suppress(asyncio.IncompleteReadError, ConnectionError):  # a client may go at any moment
        while not writer.is_closing():
            lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            method, path, _ = lines[0].split(" ")
            fields = dict(line.lower().split(":", 1) for line in lines[1:] if line)
            body = await reader.readexactly(int(fields.get("content-length", "0")))
            if (method, path) == ("POST", "/v1/chat/completions"):
                await chat(stub, body, reader, writer)
            else:
                reply = route(stub, method, path, body)
                writer.write(head(reply) + reply.body)
    stub.connections -= 1
    writer.close()


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for flag in FLAGS.split():
        name, default = flag.split("=")
        parser.add_argument(f"--{name}", type=float, default=float(default), help=f"default {default}")
    parser.add_argument("--truncated-finish", choices=("length", "stop"), default="length")
    parser.add_argument("--seed-regex", default="", help="the matches in a prompt that decide its verdict")
    parser.add_argument("--item-regex", help="the matches that /calls lists; those of --seed-regex if not given")
    parser.add_argument("--bodies", action="store_true", help="/calls lists the requests' bodies, too")
    given = parser.parse_args()
    given.item_regex = given.seed_regex if given.item_regex is None else given.item_regex
    return given


async def serve(stub: Stub) -> None:
    server = await asyncio.start_server(partial(connection, stub), "127.0.0.1", int(stub.options.port), backlog=4096)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    sys.stdout.write(f"stub judge on http://127.0.0.1:{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await stop.wait()


if __name__ == "__main__":
    asyncio.run(serve(Stub(options())))
