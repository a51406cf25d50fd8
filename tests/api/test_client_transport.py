"""What a client sends again where a connection broke, and what it does not, to a server that answers as it is told."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from api.routes.calibrations import ENTRY
from api.routes.examples import GRADES, RUN
from judge import Item
from judge.client import Client, ServiceError
from judge.client_transport import ATTEMPTS, IN_USE

ITEMS = [Item(id=f"i{n}", input="Hello?", output=f"Answer {n}.") for n in range(3)]
GRADED = (200, GRADES.model_dump_json(), "")
#: Status, body and headers of an answer; None for a connection that breaks when the request is there.
Told = tuple[int, str, str] | None


def refusal(status: int, slug: str, headers: str = "") -> Told:
    body = {"type": f"urn:judge:problem:{slug}", "title": "No", "status": status, "detail": "No."}
    return status, json.dumps(body), headers


BUSY = refusal(409, IN_USE, "Retry-After: 0\r\n")


class Server:
    """Answers each request with the next of what it is told, and then with the last of it, again and again."""

    def __init__(self, *told: Told) -> None:
        self._told = told
        self.requests: list[tuple[str, bytes]] = []  # the key by which it is known again, and the body

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:-2])
        body = await reader.readexactly(int(headers["content-length"])) if "content-length" in headers else b""
        while not body.endswith(b"0\r\n\r\n") and "transfer-encoding" in headers:
            body += await reader.read(65536)
        told = self._told[min(len(self.requests), len(self._told) - 1)]
        self.requests.append((headers.get("idempotency-key", ""), body))
        if told is not None:
            status, text, more = told
            writer.write(f"HTTP/1.1 {status} Told\r\nContent-Length: {len(text.encode())}\r\n{more}".encode())
            writer.write(b"Connection: close\r\n\r\n" + text.encode())
            await writer.drain()
        writer.close()

    def asked(self, ask: Callable[[Client], Awaitable[Any]], timeout_s: float = 20.0) -> Any:
        """What a client makes of it."""

        async def told() -> Any:
            server = await asyncio.start_server(self.answer, "127.0.0.1", 0)
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            async with server, Client(url, timeout_s=timeout_s) as client:
                return await ask(client)

        return asyncio.run(told())


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long before the next attempt."""
    monkeypatch.setattr("judge.client_transport.FIRST_WAIT_S", 0.001)
    monkeypatch.setattr("judge.client_transport.LONGEST_WAIT_S", 0.02)


@pytest.mark.parametrize(
    ("ask", "answer"),
    [
        (lambda client: client.calibrate(RUN.id, "team"), ENTRY),
        (lambda client: client.upload(ITEMS, rubric="helpfulness", judge="simulated"), RUN),
    ],
    ids=["calibrate", "upload"],
)
def test_what_the_service_goes_on_with_after_a_connection_broke_is_waited_for(
    ask: Callable[[Client], Awaitable[Any]], answer: Any
) -> None:
    busy = 2 * ATTEMPTS
    server = Server(None, *[BUSY] * busy, (201, answer.model_dump_json(), ""))
    assert server.asked(ask) == answer
    assert len(server.requests) == 1 + busy + 1
    ((key, body),) = set(server.requests)
    assert key
    assert body


def test_it_is_waited_for_as_long_as_the_request_may_take() -> None:
    server, begun = Server(None, BUSY), time.monotonic()
    with pytest.raises(ServiceError) as caught:
        server.asked(lambda client: client.submit(ITEMS, rubric="helpfulness", judge="simulated"), timeout_s=0.5)
    assert (caught.value.status, caught.value.type.endswith(IN_USE)) == (409, True)
    assert 0.5 <= time.monotonic() - begun < 5
    assert len(server.requests) > ATTEMPTS


def graded(resend_lost: bool) -> Callable[[Client], Awaitable[Any]]:
    return lambda client: client.grade(ITEMS, rubric="helpfulness", judge="simulated", resend_lost=resend_lost)


@pytest.mark.parametrize(
    "first",
    [None, refusal(502, "x"), refusal(503, "judge-paused", "Retry-After: 0\r\n"), refusal(504, "x")],
    ids=["broken", "502", "503", "504"],
)
def test_what_may_have_lost_answers_is_not_asked_again_unasked_where_that_pays_once_more(first: Told) -> None:
    server = Server(first, GRADED)
    with pytest.raises(ServiceError, match=r"without resend_lost") as caught:
        server.asked(graded(resend_lost=True))
    assert (caught.value.status, caught.value.passing) == (0 if first is None else first[0], False)
    assert len(server.requests) == 1
    # Without, what is lost stays lost: nothing is paid once more.
    server = Server(first, GRADED)
    assert server.asked(graded(resend_lost=False)) == list(GRADES.data)
    assert len(server.requests) == 2


def test_what_was_not_begun_is_asked_again_in_any_case() -> None:
    server = Server(refusal(429, "overloaded", "Retry-After: 0\r\n"), GRADED)
    assert server.asked(graded(resend_lost=True)) == list(GRADES.data)
    assert len(server.requests) == 2


def test_where_nobody_listens_yet_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("judge.client_transport.LONGEST_WAIT_S", 1.0)
    server = Server(GRADED)

    async def told() -> Any:
        closed = await asyncio.start_server(server.answer, "127.0.0.1", 0)
        port = closed.sockets[0].getsockname()[1]
        closed.close()
        await closed.wait_closed()
        async with Client(f"http://127.0.0.1:{port}") as client:
            asking = asyncio.create_task(graded(resend_lost=True)(client))
            await asyncio.sleep(0.02)
            async with await asyncio.start_server(server.answer, "127.0.0.1", port):
                return await asking

    assert asyncio.run(told()) == list(GRADES.data)
    assert len(server.requests) == 1
