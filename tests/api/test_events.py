"""A run as it goes on: every grade once, whenever and wherever a reader comes again."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

import pytest

from api.feed import MOST_OF_ONE, Feed
from judge import Judge, logs
from judge.client import Client as Typed
from judge.client import ServiceError
from judge.events import Event, events_of
from judge.grades import Grade
from judge.keys import Scope
from judge.session import Session
from judge.sessions import Sessions
from judge.store import open_store
from judge.store.endings import Mark
from tests.api.conftest import JSON, Client, no_room, running
from tests.api.test_access import ask
from tests.api.test_runs import body, ended, judges, submit

if TYPE_CHECKING:
    from pathlib import Path

    from judge.store.store import Store
    from tests.conftest import Stub


def parsed(raw: bytes) -> list[Event]:
    """The events of a stream that has ended."""

    async def told() -> list[Event]:
        async def chunks() -> Any:
            for place in range(0, len(raw), 7):  # cut anywhere
                yield raw[place : place + 7]

        return [event async for event in events_of(chunks())]

    return asyncio.run(told())


def follow(client: Client, run: str, last: str | None = None, until: Callable[[Event], bool] | None = None) -> Any:
    """The events of a run after one, to the end of the stream or to an event, after which the connection is cut."""
    headers = {} if last is None else {"Last-Event-ID": last}
    with closing(http.client.HTTPConnection("127.0.0.1", client.port, timeout=20)) as connection:
        connection.request("GET", f"/v1/runs/{run}/events", headers=headers)
        reply = connection.getresponse()
        if reply.status == 204:
            return []
        assert (reply.status, reply.headers["Content-Type"]) == (200, "text/event-stream; charset=utf-8")
        raw = b""
        while line := reply.readline():
            raw += line
            if until is not None and line == b"\n" and (found := parsed(raw)) and until(found[-1]):
                return found
        return parsed(raw)


def items_of(events: list[Event]) -> list[str]:
    return [event.told.item for event in events if isinstance(event.told, Grade)]


def kinds(events: list[Event]) -> list[str]:
    """Of the events that are not grades: how the run stood."""
    return [event.told.status for event in events if not isinstance(event.told, Grade)]


def test_a_run_is_told_from_its_beginning_to_its_end(
    serve: Callable[..., Client], stub: Callable[..., Stub], tmp_path: Path
) -> None:
    client = serve(JUDGES_DIR=judges(tmp_path / "judges", stub("--latency-ms", "100"), concurrency=4))
    run = submit(client, body(20, judge="local")).json["id"]
    told = follow(client, run)
    assert sorted(items_of(told)) == sorted(f"i{n}" for n in range(20))
    assert kinds(told) in (["queued", "running", "completed"], ["running", "completed"], ["queued", "completed"])
    assert [event.last for event in told] == [False] * (len(told) - 1) + [True]
    grades = {one["item"]: one for one in client.get(f"/v1/runs/{run}/grades").json["data"]}
    said = {event.told.item: event.told for event in told if isinstance(event.told, Grade)}
    assert {item: json.loads(grade.model_dump_json(by_alias=True)) for item, grade in said.items()} == grades
    assert follow(client, run, told[-1].id) == []  # 204: a browser does not come again


def test_whoever_comes_again_after_any_event_gets_exactly_the_others(service: Client) -> None:
    run = submit(service, body(12, "told in parts")).json["id"]
    ended(service, run)
    whole = follow(service, run)
    assert len(whole) == 13
    for place, event in enumerate(whole[:-1]):
        assert follow(service, run, event.id) == whole[place + 1 :], place


def test_another_process_goes_on_where_the_first_one_was(
    stub: Callable[..., Stub], tmp_path: Path, database_url: str
) -> None:
    settings: dict[str, Any] = {"DATABASE_URL": database_url, "KEYLESS": 1}
    settings["JUDGES_DIR"] = judges(tmp_path / "judges", stub("--latency-ms", "50"), concurrency=2)
    with running(**settings) as client:
        run = submit(client, body(40, judge="local")).json["id"]
        told = follow(client, run, until=lambda event: isinstance(event.told, Grade) and event.told.item == "i7")
    while kinds(told)[-1] != "completed":
        with running(**settings) as client:
            told += follow(client, run, told[-1].id, until=lambda event: event.id.startswith(("19.", "31.")))
    assert sorted(items_of(told)) == sorted(f"i{n}" for n in range(40))


def test_what_is_graded_again_is_told_again_and_nothing_else(
    serve: Callable[..., Client], stub: Callable[..., Stub], tmp_path: Path
) -> None:
    server = stub("--seed-regex", r"ITEM-\d+")
    client = serve(JUDGES_DIR=judges(tmp_path / "judges", server, concurrency=4))
    asked = body(6, judge="local")
    asked["items"] = asked["items"][:3]
    first = submit(client, asked).json["id"]
    assert ended(client, first)["graded"] == 3
    server.behave("refusal")
    run = submit(client, body(6, judge="local", name="refused")).json["id"]
    assert ended(client, run)["graded"] == 6
    before = follow(client, run)
    refused = {event.told.item for event in before if isinstance(event.told, Grade) and event.told.outcome != "scored"}
    assert refused == {"i3", "i4", "i5"}, before  # the others were answered before
    server.behave("normal")
    client.send("POST", f"/v1/runs/{run}/resume", json.dumps({"retry_failed": True}), JSON)
    after = follow(client, run, before[-1].id)
    again = set(items_of(after))
    assert again <= refused
    assert len(items_of(after)) == len(again)
    assert after[-1].last
    assert sorted(items_of(follow(client, run))) == sorted(f"i{n}" for n in range(6))


def test_a_cancelled_run_ends_its_streams_when_the_answers_under_way_are_there(
    serve: Callable[..., Client], stub: Callable[..., Stub], tmp_path: Path
) -> None:
    client = serve(JUDGES_DIR=judges(tmp_path / "judges", stub("--latency-ms", "200"), concurrency=2))
    run = submit(client, body(30, judge="local")).json["id"]
    told = follow(client, run, until=lambda event: isinstance(event.told, Grade))
    client.send("POST", f"/v1/runs/{run}/cancel")
    told += follow(client, run, told[-1].id)
    assert (told[-1].last, kinds(told)[-1]) == (True, "cancelled")
    assert len(items_of(told)) == client.get(f"/v1/runs/{run}").json["graded"] < 30
    client.send("POST", f"/v1/runs/{run}/resume", "{}", JSON)
    told += follow(client, run, told[-1].id)
    assert kinds(told)[-1] == "completed"
    assert sorted(items_of(told)) == sorted(f"i{n}" for n in range(30))


def test_streams_are_bounded_and_give_their_room_back(
    serve: Callable[..., Client], stub: Callable[..., Stub], tmp_path: Path
) -> None:
    server = stub()
    client = serve(JUDGES_DIR=judges(tmp_path / "judges", server))
    first = submit(client, body(1, judge="local")).json["id"]
    assert ended(client, first)["status"] == "completed"  # how to ask is known
    server.behave("hang")
    run = submit(client, body(1, "hangs", judge="local")).json["id"]

    def opened(several: ExitStack) -> bytes:
        one = several.enter_context(socket.create_connection(("127.0.0.1", client.port), timeout=20))
        one.sendall(f"GET /v1/runs/{run}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        return one.recv(12)

    with ExitStack() as several:
        assert {opened(several) for _ in range(MOST_OF_ONE)} == {b"HTTP/1.1 200"}
        refused = client.get(f"/v1/runs/{run}/events")
        assert no_room(refused, "streams", MOST_OF_ONE)
        assert client.get(f"/v1/runs/{run}").status == 200
    until = time.monotonic() + 10
    with ExitStack() as several:
        while opened(several) != b"HTTP/1.1 200":
            assert time.monotonic() < until, "no room was given back"
            time.sleep(0.1)


def test_what_serves_all_is_logged_as_nobodys(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str | None] = []
    opened, marks = Session.open, store.endings.marks

    async def opening(*told: Any, **how: Any) -> Session:
        seen.append(logs.request_id.get())
        return await opened(*told, **how)

    def asked(*told: Any) -> Any:
        seen.append(logs.request_id.get())
        return marks(*told)

    async def followed() -> None:
        logs.request_id.set("of the first")
        monkeypatch.setattr(Session, "open", opening)
        sessions, feed = Sessions(store), Feed()
        await sessions.get(Judge.load("simulated"), 1)
        await sessions.close()
        monkeypatch.setattr(store.endings, "marks", asked)
        with feed.watch(store, "0" * 12, Mark(1, "running", None, None, 0)) as watch:
            assert await watch.changed(10)
        await feed.close()

    asyncio.run(followed())
    assert (len(seen) > 1, set(seen)) == (True, {None})


def test_ids_that_no_event_has_are_refused(service: Client) -> None:
    run = submit(service, body(1, "odd ids")).json["id"]
    long = "9" * 11
    for odd in ("x", "1", "1.1", "-1.1.running", "1.1.asleep", "1.1.run ning", f"{long}.1.running", "1.1.running.1"):
        refused = service.send("GET", f"/v1/runs/{run}/events", headers={"Last-Event-ID": odd})
        assert (refused.status, refused.json["type"]) == (422, "urn:judge:problem:invalid-request"), odd
    for path, status in ((f"/v1/runs/{'0' * 12}/events", 404), ("/v1/runs/latest/events", 422)):
        assert service.get(path).status == status


def test_a_run_that_is_deleted_ends_its_stream(
    serve: Callable[..., Client], stub: Callable[..., Stub], tmp_path: Path, database_url: str
) -> None:
    client = serve(JUDGES_DIR=judges(tmp_path / "judges", stub("--latency-ms", "300"), concurrency=1, max_tokens=1000))
    run = submit(client, body(5, judge="local", budget_usd=0.002)).json["id"]
    assert ended(client, run)["status"] == "paused"
    told = follow(client, run)
    assert kinds(told) == ["paused"]
    with open_store(database_url) as store:
        store.change(store.runs.remove, run)
    assert client.send("GET", f"/v1/runs/{run}/events", headers={"Last-Event-ID": told[-1].id}).status == 404


def test_tenants_follow_their_own_runs_alone(serve: Callable[..., Client], key: Callable[..., str]) -> None:
    client = serve(KEYLESS="")
    ours, theirs = (key(Scope.ADMIN, tenant=tenant) for tenant in ("ours", "theirs"))
    run = ask(client, ours, "POST", "/v1/runs", body(2, "followed")).json["id"]
    assert ask(client, theirs, "GET", f"/v1/runs/{run}/events").status == 404
    assert items_of(parsed(ask(client, ours, "GET", f"/v1/runs/{run}/events").raw)) == ["i0", "i1"]


def test_the_client_follows_a_run(service: Client) -> None:
    run = submit(service, body(20, "followed by the client")).json["id"]

    async def told(run: str, after: str | None = None) -> list[Event]:
        async with Typed(f"http://127.0.0.1:{service.port}") as client:
            return [event async for event in client.events(run, after)]

    found = asyncio.run(told(run))
    assert (found[-1].last, sorted(items_of(found))) == (True, sorted(f"i{n}" for n in range(20)))
    assert asyncio.run(told(run, found[-4].id)) == found[-3:]
    assert asyncio.run(told(run, found[-1].id)) == []
    with pytest.raises(ServiceError, match="There is no such run"):
        asyncio.run(told("0" * 12))
