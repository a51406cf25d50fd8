"""The client, against a real service: what it sends, what it makes of refusals, and that it asks again."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

from judge import Grade, Item, Judge, Rubric
from judge.client import Client, GivenLabel, ServiceError
from judge.client_transport import ATTEMPTS, read
from judge.events import Event, events_of
from judge.keys import Scope
from judge.statuses import RunStatus
from tests.api.conftest import Client as Plain
from tests.api.test_runs import body as api_body
from tests.api.test_runs import ended, submit

if TYPE_CHECKING:
    from pathlib import Path

ITEMS = [Item(id=f"i{n}", input="Hello?", output=f"Answer {n}.") for n in range(7)]


def url(service: Plain) -> str:
    return f"http://127.0.0.1:{service.port}"


def test_a_run_from_submission_to_grades(service: Plain) -> None:
    async def told() -> None:
        async with Client(url(service)) as client:
            run = await client.submit(ITEMS, rubric="helpfulness", judge="simulated", name="of the client", samples=2)
            assert (run.name, run.items, run.samples) == ("of the client", 7, 2)
            done = await client.wait(run.id, every_s=0.02)
            assert (done.status, done.graded) == ("completed", 7)
            grades = [grade async for grade in client.grades(run.id)]
            assert [grade.item for grade in grades] == [item.id for item in ITEMS]
            at_once = await client.grade(ITEMS, rubric=Rubric.load("helpfulness"), judge="simulated", samples=2)
            assert [grade.criteria for grade in at_once] == [grade.criteria for grade in grades]
            assert done in await client.runs()
            again = await client.submit(ITEMS, rubric="helpfulness", judge="simulated", name="of the client", samples=2)
            assert again.id == run.id
            resumed = await client.resume(run.id, retry_failed=True)
            assert resumed.id == run.id
            assert (await client.wait(run.id, every_s=0.02)).status == "completed"

    asyncio.run(told())


def test_all_else_that_the_service_does(service: Plain, tmp_path: Path) -> None:
    question = {"id": "clear", "scale": "binary", "question": "Is it clear?"}
    own = [item.model_copy(update={"rubric": {"name": "own", "criteria": [question]}}) for item in ITEMS]

    async def told() -> None:
        async with Client(url(service)) as client:
            run = await client.upload(iter(own), judge="simulated", name="own", mode="live", retry_failed=True)
            assert (await client.wait(run.id, every_s=0.02)).graded == 7
            (grade,) = await client.grade(own[:1], judge="simulated", resend_lost=True)
            assert list(grade.criteria) == ["clear"]
            assert (await client.resume(run.id, mode="live")).id == run.id
            (rendered,) = (await client.render(own[:1], judge="openai/gpt-6-luna")).data
            assert [call.criteria for call in rendered.calls] == [("clear",)]
            other = await client.submit(ITEMS, rubric="helpfulness", judge="simulated", fresh=True, resend_lost=True)
            assert (await client.wait(other.id, every_s=0.02)).graded == 7

            summary = await client.summary(other.id)
            assert (summary.overall.n, summary.criteria[0].n, summary.trust) == (7, 7, "uncalibrated")
            assert (await client.summary(run.id)).totals.own_rubrics == 7
            assert (await client.compare(run.id, other.id)).shared == 7
            assert sum(one.calls for one in (await client.costs("day", begins=date(2026, 1, 1))).data) >= 0
            exported = await client.export(run.id, tmp_path / "grades.jsonl")
            grades = [grade async for grade in client.grades(run.id)]
            assert [Grade.model_validate_json(line) for line in exported.read_text().splitlines()] == grades
            assert (await client.export(run.id, tmp_path / "grades.csv", format="csv")).read_text().startswith("item,")
            with pytest.raises(ServiceError, match="There is no such run"):
                await client.export("0" * 12, tmp_path / "none.jsonl")

            said: list[GivenLabel] = [
                {"item": item.id, "annotator": who, "score": 1 + place % 5}
                for place, item in enumerate(ITEMS)
                for who in ("ann", "bob")
            ]
            assert (await client.add_labels("by client", said, run=other.id)).new == 14
            assert [one.name for one in await client.label_sets()] == ["by client"]
            assert len({(one.item, one.annotator) async for one in client.labels("by client")}) == 14
            assert await client.calibrations() == []
            with pytest.raises(ServiceError, match=r"There is no such label set\. /labels: GET /v1"):
                await client.calibrate(other.id, "none", alpha=0.2)
            with pytest.raises(ServiceError, match="There is no such calibration"):
                await client.calibration("0" * 12)

    asyncio.run(told())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["grades.csv", "grades.jsonl"]


def test_rubrics_and_judges_are_registered(service: Plain) -> None:
    async def told() -> None:
        async with Client(url(service)) as client:
            question = {"id": "clear", "scale": "binary", "question": "Is it clear?"}
            for version in (1, 2, 2):
                rubric = Rubric.parse({"name": "by-client", "criteria": [question], "description": f"v{version}"})
                assert await client.register(rubric) == f"by-client@{version}"
            judge = Judge(name="by-client", provider="simulated", options={"seed": 4})
            assert await client.register(judge) == "by-client@1"
            (grade,) = await client.grade(ITEMS[:1], rubric="by-client@1", judge="by-client")
            assert (grade.rubric.hash, grade.judge.name) == (rubric.hash, "by-client@1")
            with pytest.raises(ServiceError, match="/judge/ca_file: Leave it out"):
                await client.register(judge.model_copy(update={"ca_file": "a.pem"}))

    asyncio.run(told())


def test_refusals_say_what_is_wrong_and_are_not_asked_again(service: Plain) -> None:
    async def refused(**fields: Any) -> ServiceError:
        async with Client(url(service)) as client:
            with pytest.raises(ServiceError) as caught:
                await client.submit(ITEMS, **{"rubric": "helpfulness", "judge": "simulated"} | fields)
            return caught.value

    begun = time.monotonic()
    wrong = asyncio.run(refused(judge="none"))
    assert (wrong.status, wrong.type) == (422, "urn:judge:problem:judge-setup")
    assert wrong.errors[0]["pointer"] == "/judge"
    assert "There is no judge of this name. /judge: Name one of simulated" in str(wrong)
    assert asyncio.run(refused(samples=0)).errors[0]["pointer"] == "/samples"
    assert time.monotonic() - begun < 2

    async def missing() -> None:
        async with Client(url(service)) as client:
            with pytest.raises(ServiceError, match="There is no such run"):
                await client.status("0" * 12)

    asyncio.run(missing())


def test_a_key_goes_along(serve: Callable[..., Plain], key: Callable[..., str]) -> None:
    service = serve(KEYLESS="")
    text = key(Scope.READ)

    async def told() -> None:
        async with Client(url(service), key=text) as client:
            assert await client.runs() == []
            with pytest.raises(ServiceError) as caught:
                await client.submit(ITEMS, rubric="helpfulness", judge="simulated")
            assert caught.value.status == 403
        async with Client(url(service)) as client:
            with pytest.raises(ServiceError) as caught:
                await client.runs()
            assert caught.value.status == 401
            assert text not in str(caught.value)

    asyncio.run(told())


def test_what_may_pass_is_asked_again_and_one_submission_is_made() -> None:
    heads: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        heads.append(head)
        body = b'{"type":"urn:judge:problem:overloaded","title":"Full","status":429,"detail":"Later.","errors":[]}'
        status = "429 Too Many Requests"
        if len(heads) == 2:
            writer.close()  # no answer at all
            return
        if len(heads) == 4:
            body, status = b'{"type":"x","title":"Odd","status":400,"detail":"No.","errors":[]}', "400 Bad Request"
        told = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nRetry-After: 0\r\nConnection: close\r\n\r\n"
        writer.write(told.encode() + body)
        await writer.drain()
        writer.close()

    async def asked() -> ServiceError:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, Client(f"http://127.0.0.1:{port}") as client:
            with pytest.raises(ServiceError) as caught:
                await client.submit(ITEMS, rubric="helpfulness", judge="simulated")
        return caught.value

    assert asyncio.run(asked()).status == 400
    keys = {line for head in heads for line in head.split("\r\n") if line.lower().startswith("idempotency-key")}
    assert (len(heads), len(keys)) == (4, 1)


@pytest.mark.parametrize(
    ("type_", "headers", "passing"),
    [("not-now", "", False), ("not-now", "Retry-After: 0\r\n", True), ("idempotency-key-in-use", "", True)],
)
def test_a_conflict_is_asked_again_where_that_may_help(
    type_: str, headers: str, passing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("judge.client_transport.FIRST_WAIT_S", 0.001)
    asked = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        await reader.readuntil(b"\r\n\r\n")
        body = json.dumps(
            {"type": f"urn:judge:problem:{type_}", "title": "No", "status": 409, "detail": "No."}
        ).encode()
        head = f"HTTP/1.1 409 Conflict\r\nContent-Length: {len(body)}\r\n{headers}Connection: close\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()

    async def told() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server, Client(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}") as client:
            with pytest.raises(ServiceError) as caught:
                await client.cancel("0" * 12)
        assert (caught.value.status, caught.value.passing) == (409, passing)

    asyncio.run(told())
    assert asked == (ATTEMPTS if passing else 1)


def test_what_a_newer_service_adds_is_passed_over(service: Plain) -> None:
    run = ended(service, submit(service, api_body(1, "newer")).json["id"])
    grade = service.get(f"/v1/runs/{run['id']}/grades").json["data"][0]
    grade["criteria"]["helpfulness"]["mood"], grade["mood"] = "good", {"a": [1]}
    assert read(RunStatus, {**run, "mood": "good"}).id == run["id"]
    with pytest.raises(ServiceError, match="RunStatus as this version does not know it"):
        read(RunStatus, {**run, "status": "dreaming"})

    async def chunks() -> AsyncIterator[bytes]:
        yield b": comment\n\nevent: mood\nid: 1\ndata: {}\n\nretry\n\n"
        yield f"event: grade\nid: 2\nextra\ndata: {json.dumps(grade)}\n\n".encode()
        yield f"event: end\nid: 3\ndata: {json.dumps({**run, 'mood': 'good'})}\n\n".encode()

    async def told() -> list[Event]:
        return [event async for event in events_of(chunks())]

    first, last = asyncio.run(told())
    assert (first.id, last.id, last.last) == ("2", "3", True)
    assert isinstance(first.told, Grade)


def test_a_service_that_is_not_there_is_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("judge.client_transport.FIRST_WAIT_S", 0.001)

    async def asked() -> None:
        async with Client("http://127.0.0.1:9", timeout_s=2) as client:
            with pytest.raises(ServiceError, match=r"does not answer .*; is `judge serve` up"):
                await client.runs()
        with pytest.raises(RuntimeError, match="async with Client"):
            await Client().runs()

    asyncio.run(asked())
