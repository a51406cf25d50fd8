"""The client, against a real service: what it sends, what it makes of refusals, and that it asks again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from judge import Item, Judge, Rubric
from judge.client import Client, ServiceError
from judge.keys import Scope
from tests.api.conftest import Client as Plain

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


def test_a_service_that_is_not_there_is_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("judge.client.FIRST_WAIT_S", 0.001)

    async def asked() -> None:
        async with Client("http://127.0.0.1:9", timeout_s=2) as client:
            with pytest.raises(ServiceError, match=r"does not answer .*; is `judge serve` up"):
                await client.runs()
        with pytest.raises(RuntimeError, match="async with Client"):
            await Client().runs()

    asyncio.run(asked())
