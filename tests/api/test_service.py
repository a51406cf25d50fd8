"""The service around the grading: rubrics, health, request ids, its operator's folders, its description."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from sqlalchemy.engine import make_url

from api.app import create_app
from judge import Rubric, RubricError, SetupError
from judge.store.store import Store
from rubrics import shipped

OWN = """
name: own
criteria:
  - {id: clear, scale: binary, question: "Is it clear?"}
"""
BROKEN = """
class Broken:
    kind = "simulated"
    fingerprint = "f" * 64

    def __init__(self, judge): ...

    def verdicts(self, item, rubric, sample):
        raise KeyError("s3cret")
"""


#: Media types of answers that are no JSON.
STREAMED = {"text/csv", "text/event-stream", "text/plain"}


def folder(path: Path, **files: str) -> Path:
    path.mkdir()
    for name, text in files.items():
        (path / f"{name}.yaml").write_text(text)
    return path


def test_rubrics_are_those_that_ship_and_the_operators(serve: Any, tmp_path: Path) -> None:
    client = serve(RUBRICS_DIR=folder(tmp_path / "rubrics", any_name=OWN))
    listed = client.get("/v1/rubrics").json
    assert listed["object"] == "list"
    assert [entry["name"] for entry in listed["data"]] == [*shipped(), "own"]
    own = {"name": "own", "version": None, "description": "", "hash": Rubric.loads(OWN).hash, "criteria": ["clear"]}
    own |= {"revision": None, "created_at": None}
    assert listed["data"][-1] == own
    assert client.grades(["Hi."], rubric="own").json["rubric"] == {"name": "own", "hash": own["hash"]}


@pytest.mark.parametrize("name", shipped())
def test_a_whole_rubric_sent_back_grades_as_its_name_does(service: Any, name: str) -> None:
    whole = service.get(f"/v1/rubrics/{name}").json
    inline, named = (service.grades(["Hi."], rubric=rubric).json for rubric in (whole, name))
    assert inline == named
    assert inline["rubric"] == {"name": name, "hash": Rubric.load(name).hash}


def test_what_is_not_there_is_a_problem(service: Any) -> None:
    missing, path, method = service.get("/v1/rubrics/none"), service.get("/v1"), service.send("PUT", "/v1/grades")
    assert [reply.status for reply in (missing, path, method)] == [404, 404, 405]
    assert missing.json["type"] == "urn:judge:problem:no-such-rubric"
    assert {reply.json["type"] for reply in (path, method)} == {"about:blank"}
    assert "GET /openapi.json" in path.json["detail"]
    assert "`Allow`" in method.json["detail"]
    assert method.headers["Allow"] == "POST"
    assert {reply.headers["Content-Type"] for reply in (missing, path, method)} == {"application/problem+json"}


def test_health_is_that_of_the_store(serve: Any, store: Store, database_url: str) -> None:
    def rename(table: str, to: str) -> None:
        store.change(lambda connection, _: connection.exec_driver_sql(f"ALTER TABLE {table} RENAME TO {to}"))

    client = serve()
    assert client.get("/healthz").json["status"] == "ok"
    rename("call", "gone")
    try:
        reply = client.get("/healthz")
    finally:
        rename("gone", "call")
    assert (reply.status, reply.json["type"]) == (503, "urn:judge:problem:store-unavailable")
    assert make_url(database_url).database.encode() not in reply.raw
    assert client.get("/healthz").json["status"] == "ok"


def test_a_request_keeps_its_name(service: Any) -> None:
    def named(name: str) -> str:
        return str(service.send("GET", "/healthz", headers={"X-Request-ID": name}).headers["X-Request-ID"])

    assert named("run 7 / item ~") == "run 7 / item ~"
    assert named("x" * 128) == "x" * 128
    made = {named(name) for name in ("", "x" * 129, "caf\xe9", "a\tb")}
    assert len(made) == 4
    assert {len(name) for name in made} == {32}


def test_a_fault_of_the_service_is_told_without_particulars(
    serve: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_source.py").write_text(BROKEN)
    monkeypatch.syspath_prepend(tmp_path)
    client = serve(JUDGES_DIR=folder(tmp_path / "judges", broken="provider: broken_source:Broken\n"))
    reply = client.grades(["Hi."], judge="broken")
    assert (reply.status, reply.json["type"]) == (500, "urn:judge:problem:internal")
    assert len(reply.headers["X-Request-ID"]) == 32
    assert b"s3cret" not in reply.raw
    assert client.get("/healthz").status == 200


@pytest.mark.parametrize(
    ("setting", "files", "error"),
    [
        ("RUBRICS_DIR", {"mine": OWN.replace("own", "helpfulness")}, "two rubrics are named 'helpfulness'"),
        ("RUBRICS_DIR", {"own": "name: own"}, "own.yaml:1: criteria: nothing to grade here"),
        ("JUDGES_DIR", {"simulated": "provider: simulated"}, "two judges are named 'simulated'"),
        ("JUDGES_DIR", {"local": "model: m"}, "local.yaml: `provider`"),
        ("JUDGES_DIR", None, "there: cannot be read"),
    ],
)
def test_a_folder_that_cannot_be_used_is_told_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, files: dict[str, str] | None, error: str
) -> None:
    there = tmp_path / "there" if files is None else folder(tmp_path / "there", **files)
    monkeypatch.setenv(f"JUDGE_{setting}", str(there))
    with pytest.raises((SetupError, RubricError), match=error):
        create_app(f"sqlite:///{tmp_path}/never.db")
    assert not (tmp_path / "never.db").exists()


def contents(operation: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every media type of an operation: where it stands, and what it says."""
    if "requestBody" in operation:
        yield from (("request", content) for content in operation["requestBody"]["content"].values())
    for status, response in operation["responses"].items():
        media = "application/json" if status.startswith("2") else "application/problem+json"
        if status == "204":
            assert "content" not in response
            continue
        named = list(response["content"])
        assert named == [media] or (status == "200" and STREAMED.intersection(named)), status
        yield from ((status, content) for content in response["content"].values())


def examples(content: dict[str, Any], schemas: dict[str, Any]) -> list[Any]:
    if "example" in content:
        return [content["example"]]
    if "examples" in content:
        return [example["value"] for example in content["examples"].values()]
    return list(content["schema"]["examples"])


def test_the_description_is_valid_and_has_an_example_for_everything(service: Any) -> None:
    document = service.get("/openapi.json").json
    assert document["openapi"].startswith("3.1")
    assert "HTTPValidationError" not in document["components"]["schemas"]
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    for operation in operations:
        for where, content in contents(operation):
            shown = examples(content, document)
            assert shown, (operation["operationId"], where)
            for example in shown:
                # References lead from the root of the whole document.
                Draft202012Validator({**document, **content["schema"]}).validate(example)
        for parameter in operation.get("parameters", []):
            assert parameter["schema"]["examples"] or parameter["examples"]


def test_answers_are_as_described(service: Any) -> None:
    document = service.get("/openapi.json").json
    content = document["paths"]["/v1/grades"]["post"]["requestBody"]["content"]["application/json"]
    asked = [{"rubric": None, **example, "judge": "simulated"} for example in content["schema"]["examples"]]
    answers = [
        *(("/v1/grades", "post", service.grades([], **one)) for one in asked),
        ("/v1/rubrics", "get", service.get("/v1/rubrics")),
        ("/v1/rubrics/{name}", "get", service.get("/v1/rubrics/support-reply")),
        ("/healthz", "get", service.get("/healthz")),
    ]
    for path, method, reply in answers:
        assert reply.status == 200
        schema = document["paths"][path][method]["responses"]["200"]["content"]["application/json"]["schema"]
        Draft202012Validator({**document, **schema}).validate(json.loads(reply.raw))
