"""The sockets of a stub judge, and the endpoints about itself."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import socket
import struct
import sys
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from http import HTTPStatus

from stub.batches import PATHS, Batching
from stub.behaviour import MODES, Behaviour
from stub.judge import DIALECTS, Reply, StubJudge
from stub.stored import CHAT, RESPONSES, Keeping
from stub.verdicts import dumps

FLAGS = (
    "port=0 latency-ms=0 latency-max-ms=0 rate-429=0 rate-500=0 rate-truncated=0 rate-badbody=0 rate-reset=0 "
    "fault-seed=1 fault-latency-ms=5 retry-after=1 rpm=0 rpm-burst=10 max-concurrency=0"
)
#: A status of Anthropic's that no standard has.
PHRASES = {529: "Overloaded"}


def route(judge: StubJudge, method: str, target: str, body: bytes) -> Reply:
    """Batches, what was kept, and the endpoints about the stub itself."""
    path, _, query = target.partition("?")
    if path.startswith(PATHS):
        status, raw, way = judge.batches.respond(method, path, query, body)
        return Reply(status, raw, way=way)
    if method == "GET" and path.startswith((CHAT, RESPONSES)):
        status, raw = judge.shelf.respond(path, query)
        return Reply(status, raw)
    match method, path:
        case "GET", "/batches":
            return Reply(200, dumps(judge.batches.listed()).encode())
        case "POST", "/batching":
            judge.batches.behaviour = Batching(**json.loads(body))
            return Reply(200, b"{}")
        case "POST", "/keeping":
            judge.shelf.behaviour = Keeping(**json.loads(body))
            return Reply(200, b"{}")
        case "GET", "/stats":
            return Reply(200, dumps(judge.stats()).encode())
        case "GET", "/calls":
            return Reply(200, dumps([asdict(call) for call in judge.calls]).encode())
        case "POST", "/reset":
            judge.reset()
            return Reply(200, b"{}")
        case "POST", "/behave":
            try:
                behaviour = Behaviour(**json.loads(body))
            except (ValueError, TypeError) as error:
                return _complaint(400, f"cannot behave so: {error}")
            if behaviour.mode not in MODES.split():
                return _complaint(400, f"no mode {behaviour.mode!r}; there are {MODES}")
            judge.behaviour = behaviour
            return Reply(200, b"{}")
    return _complaint(404, f"no such endpoint: {method} {path}")


def _complaint(status: int, message: str) -> Reply:
    return Reply(status, dumps({"error": {"message": message}}).encode())


def head(reply: Reply) -> bytes:
    """The head of a reply; that of a `cut_stream` promises more bytes than will come."""
    length = len(reply.body) * (2 if reply.way == "cut_stream" else 1)
    phrase = PHRASES.get(reply.status) or HTTPStatus(reply.status).phrase
    fields = f"content-type: {reply.content_type}\r\ncontent-length: {length}\r\n{reply.head}\r\n"
    return f"HTTP/1.1 {reply.status} {phrase}\r\n{fields}".encode()


def break_off(writer: asyncio.StreamWriter) -> None:
    """Ends a connection with a reset."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def gone(reader: asyncio.StreamReader) -> bool:
    """Whether the client has left, be it by closing its side or by a reset, which is no end of file to a reader."""
    return reader.at_eof() or reader.exception() is not None


async def answer(
    judge: StubJudge, path: str, raw: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Receives one call, and answers it after its latency if the client is still there."""
    call, delay, reply = judge.receive(path, raw)
    if reply.way == "hang":
        await reader.read()
    elif delay:
        await asyncio.sleep(delay)
    if gone(reader):
        return judge.finished(call, "client_gone", None)
    if reply.way == "reset":
        judge.finished(call, "reset", None)
        return break_off(writer)
    writer.write(head(reply))
    if reply.way == "trickle":
        for byte in reply.body[:-1]:
            writer.write(bytes([byte]))
            await asyncio.sleep(0.05)
            if gone(reader):
                return judge.finished(call, "client_gone", None)
    writer.write(reply.body[-1:] if reply.way == "trickle" else reply.body)
    if reply.way == "cut_stream":
        judge.finished(call, "cut", None)
        return writer.close()
    return judge.finished(call, str(reply.status), reply.status)


async def connection(judge: StubJudge, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Keep-alive, bodies with a Content-Length, one request at a time."""
    judge.connections += 1
    with suppress(asyncio.IncompleteReadError, ConnectionError):  # a client may go at any moment
        while not writer.is_closing():
            lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            method, path, _ = lines[0].split(" ")
            fields = dict(line.lower().split(":", 1) for line in lines[1:] if line)
            body = await reader.readexactly(int(fields.get("content-length", "0")))
            if method == "POST" and path in DIALECTS:
                await answer(judge, path, body, reader, writer)
            else:
                await asyncio.sleep(judge.batches.on_its_way_s(method, path))
                reply = route(judge, method, path, body)
                if reply.way == "hang":
                    await reader.read()
                if reply.way in {"hang", "reset"}:
                    break_off(writer)
                else:
                    writer.write(head(reply) + reply.body)
    judge.connections -= 1
    writer.close()


def options(description: str | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
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


async def serve(judge: StubJudge) -> None:
    server = await asyncio.start_server(partial(connection, judge), "127.0.0.1", int(judge.options.port), backlog=4096)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    sys.stdout.write(f"stub judge on http://127.0.0.1:{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await stop.wait()
