"""The client beside the service's description of itself: it has every operation, and every option of each."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Iterator
from datetime import date
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.app import create_app
from judge import Item, Judge, Rubric, answers
from judge.client import CalibrationOptions, Client, GivenLabel, RunOptions, ServiceError
from judge.client_transport import read
from judge.verdicts import Outcome
from rubrics import shipped
from rubrics.lint import lint
from tests.api.conftest import Client as Plain
from tests.api.conftest import running
from tests.api.test_client import url

if TYPE_CHECKING:
    from pathlib import Path

#: What machines ask for, and no program that grades.
NOT_FOR_CLIENTS = {("get", "/healthz"), ("get", "/metrics")}
ITEMS = [Item(id=f"i{n}", input="Hello?", output=f"Answer {n}.") for n in range(30)]
LABELS: list[GivenLabel] = [
    {"item": item.id, "annotator": who, "score": 1 + (place + later) % 5}
    for place, item in enumerate(ITEMS)
    for who, later in (("ann", 0), ("bob", place % 3 == 0))
]
RUBRIC = Rubric.parse(
    {"name": "kind", "criteria": [{"id": "kind", "scale": "binary", "question": "Is it kind?", "weight": 2}]}
)

Operation = tuple[str, str]


class Seen:
    """A service that takes down which operations answer well, and the names of what came with their requests."""

    def __init__(self) -> None:
        self.operations: dict[Operation, set[str]] = defaultdict(set)

    def around(self, app: ASGIApp) -> ASGIApp:
        """The same service, watched."""

        async def watched(scope: Scope, receive: Receive, send: Send) -> None:
            async def told(message: Message) -> None:
                if message["type"] == "http.response.start" and message["status"] < 300:
                    query = {pair.partition("=")[0] for pair in scope["query_string"].decode().split("&")}
                    headers = {name.decode() for name, _ in scope["headers"]}
                    self.operations[scope["method"].lower(), scope["route"].path_format] |= query | headers
                await send(message)

            await app(scope, receive, told if scope["type"] == "http" else send)

        return watched


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    """What services see that begin in this test."""
    made = Seen()
    monkeypatch.setattr("api.app.create_app", lambda: made.around(create_app()))
    return made


@cache
def description() -> dict[str, Any]:
    """What the service says of itself."""
    return create_app("sqlite://").openapi()


def described() -> Iterator[tuple[Operation, set[str]]]:
    """Every operation, with the names of its options."""
    for path, methods in description()["paths"].items():
        for method, operation in methods.items():
            options = [one for one in operation.get("parameters", ()) if one["in"] != "path"]
            yield (
                (method, path),
                {one["name"].lower() if one["in"] == "header" else one["name"] for one in options},
            )


async def runs(client: Client, folder: Path) -> str:
    """Runs from their estimate to what they come to; the id of one that is done."""
    await client.estimate(ITEMS, rubric="helpfulness", judge="simulated")
    await client.render(ITEMS[:1], rubric="helpfulness", judge="simulated")
    run = await client.submit(ITEMS, rubric="helpfulness", judge="simulated")
    other = await client.upload(ITEMS[:3], rubric=RUBRIC, judge="simulated")
    events = [event async for event in client.events(run.id)]
    after = [event async for event in client.events(run.id, after=events[-2].id)]
    assert [event.id for event in after] == [events[-1].id]
    assert (await client.wait(other.id, every_s=0.02)).graded == 3
    assert (await client.status(run.id)).graded == len([grade async for grade in client.grades(run.id)]) == len(ITEMS)
    assert [grade async for grade in client.grades(run.id, Outcome.LOST, Outcome.REFUSED)] == []
    assert len([grade async for grade in client.grades(run.id, Outcome.SCORED, Outcome.LOST)]) == len(ITEMS)
    newest, before = await client.runs()
    assert await client.runs(after=newest.id) == [before]
    await client.resume(other.id, retry_failed=True)
    await client.cancel(other.id)
    await client.summary(run.id)
    await client.export(run.id, folder / "grades.csv", format="csv")
    assert (await client.compare(run.id, other.id, most=1)).shared == 3
    assert len(await client.grade(ITEMS[:2], rubric="helpfulness", judge="simulated")) == 2
    await client.costs("day", date(2026, 1, 1), date(2100, 1, 1), limit=5)
    assert await client.budgets() == []
    return run.id


async def names(client: Client) -> None:
    """Rubrics and judges, listed and registered."""
    for rubric in (RUBRIC, RUBRIC.model_copy(update={"name": "kinder"}), RUBRIC.model_copy(update={"name": "z"})):
        assert await client.register(rubric) == f"{rubric.name}@1"
    assert [one.name async for one in client.rubrics()] == [*shipped(), "kind", "kinder", "z"]
    assert [one.version async for one in client.rubrics()][-1] is None
    for name in ("kind", "kind@1", RUBRIC.hash):
        assert (await client.rubric(name)).hash == RUBRIC.hash
    assert await client.rubric("helpfulness") == Rubric.load("helpfulness")
    assert await client.lint(RUBRIC) == lint(RUBRIC)

    judge = Judge(name="mine", provider="simulated", options={"seed": 3}, mode="tool", temperature=0.5)
    for one in (judge, judge.model_copy(update={"name": "other"})):
        await client.register(one)
    assert [one.name async for one in client.judges()] == ["simulated", "mine", "other"]
    assert "openai" in await client.providers()
    kept = await client.judge("mine@1")
    assert (kept.name, kept.revision, kept.hash) == ("mine", 1, judge.description_hash)
    assert kept.description == judge.model_copy(update={"name": "mine@1"})
    assert (await client.judge("openai/gpt-6-luna")).model == "gpt-6-luna"


async def labels(client: Client, run: str, folder: Path) -> None:
    """Labels and calibrations."""
    for name in ("a team", "another"):
        assert (await client.add_labels(name, LABELS, run=run)).new == len(LABELS)
    newest, before = await client.label_sets()
    assert await client.label_sets(after=newest.name) == [before]
    assert await client.label_set("a team") == before
    assert len([label async for label in client.labels("a team")]) == before.labels == len(LABELS)
    made = await client.calibrate(run, "a team", name="first")
    assert (await client.calibration(made.id)).labels_hash == made.labels_hash
    assert await client.calibrations(name="first") == [made]
    assert await client.calibrations(after=made.id) == []
    shown = [grade.calibration async for grade in client.grades(run, calibration=made.id)]
    assert {one and one.id for one in shown} == {made.id}
    by = (await client.summary(run, calibration=made.id)).calibration
    assert by is not None
    assert by.id == made.id
    path = await client.export(run, folder / "by it.jsonl", calibration=made.id)
    assert {json.loads(line)["calibration"]["id"] for line in path.read_text().splitlines()} == {made.id}


def test_the_client_has_every_operation_with_all_its_options(
    seen: Seen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("judge.client.PAGE", 20)
    monkeypatch.setattr("judge.client.PAGE_OF_NAMES", 1)

    async def told(service: Plain) -> None:
        async with Client(url(service)) as client:
            await names(client)
            await labels(client, await runs(client, tmp_path), tmp_path)

    with running(DATABASE_URL=f"sqlite:///{tmp_path}/judge.db", KEYLESS=1) as service:
        asyncio.run(told(service))
    expected = {operation: options for operation, options in described() if operation not in NOT_FOR_CLIENTS}
    assert seen.operations.keys() == expected.keys()
    assert {
        operation: missing
        for operation, options in expected.items()
        if (missing := options - seen.operations[operation])
    } == {}


def test_what_is_asked_for_has_every_field_that_the_service_takes() -> None:
    def fields(name: str) -> set[str]:
        return set(description()["components"]["schemas"][name]["properties"])

    assert {*RunOptions.__annotations__, "items", "rubric", "judge", "dry_run"} == fields("RunRequest")
    assert {*CalibrationOptions.__annotations__, "run", "labels"} == fields("CalibrationRequest")
    assert set(GivenLabel.__annotations__) == fields("NewLabel")


def test_a_name_is_one_part_of_the_path_whatever_is_in_it(service: Plain) -> None:
    async def told() -> None:
        async with Client(url(service)) as client:
            for name in ("a?b", "a#b", "../judges", "a/labels", "%2e", "é"):
                for ask in (client.label_set, client.rubric, client.judge):
                    with pytest.raises(ServiceError) as caught:
                        await ask(name)
                    assert caught.value.status in {404, 422}, name
            await client.add_labels("a", LABELS[:1], rubric="helpfulness")
            with pytest.raises(ServiceError, match="name: String should match pattern"):
                await client.label_set("a?b")

    asyncio.run(told())


def test_of_a_rubric_nothing_is_left_out() -> None:
    with pytest.raises(ServiceError, match="a Rubric as this version does not know it"):
        read(Rubric, {**RUBRIC.model_dump(mode="json"), "mood": "good"})
    entry = {"name": "kind", "version": None, "description": "", "hash": "0" * 64, "criteria": ["kind"]}
    assert read(answers.RubricEntry, {**entry, "mood": "good"}).revision is None
