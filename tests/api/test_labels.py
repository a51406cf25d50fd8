"""Labels of people over HTTP: all of them are taken or none, by the same rules as those of files."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from judge.keys import Scope
from judge.store import open_store
from tests.api.conftest import JSON, Client, Reply
from tests.api.test_access import ask
from tests.api.test_runs import body, ended, submit

RUBRIC = {
    "name": "own",
    "criteria": [
        {"id": "clear", "scale": "ordinal", "levels": {1: "No.", 2: "Partly.", 3: "Yes."}, "question": "Is it clear?"},
        {"id": "right", "scale": "binary", "question": "Is it right?", "cannot_tell": True},
    ],
}


def graded(service: Client, salt: str, count: int = 6) -> str:
    asked = body(count, salt, rubric=json.loads(json.dumps(RUBRIC)))
    run: str = submit(service, asked).json["id"]
    ended(service, run)
    return run


def label(n: int, criterion: str | None = "right", score: Any = "yes", annotator: str = "ann", **more: Any) -> Any:
    return {"item": f"i{n}", "criterion": criterion, "score": score, "annotator": annotator, **more}


def add(client: Client, name: str, labels: list[Any], **fields: Any) -> Reply:
    return client.send("POST", f"/v1/label-sets/{name}/labels", json.dumps({"labels": labels, **fields}), JSON)


def counts(reply: Reply) -> tuple[int, int, int, int]:
    assert reply.status == 200, reply.json
    return tuple(reply.json[name] for name in ("new", "changed", "same", "placed"))  # type: ignore[return-value]


def test_labels_are_added_revised_and_listed(service: Client) -> None:
    run = graded(service, "labelled")
    first = [label(n, "clear", n % 3 + 1) for n in range(6)] + [label(n, score=bool(n % 2)) for n in range(5)]
    first.append(label(5, score="cannot_tell", reason="It is cut off.", group="D1"))
    assert counts(add(service, "team", first, run=run)) == (12, 0, 0, 0)
    assert counts(add(service, "team", first, run=run)) == (0, 0, 12, 0)
    changed = [label(0, score="yes"), label(1, score=1), label(2, score=0, group="D2"), label(0, annotator="bob")]
    assert counts(add(service, "team", changed, run=run)) == (1, 1, 1, 1)
    told = service.get("/v1/label-sets/team").json
    assert (told["labels"], told["items"], told["annotators"]) == (13, 6, 2)
    assert told in service.get("/v1/label-sets").json["data"]
    pages, after = [], ""
    while after is not None:
        page = service.get(f"/v1/label-sets/team/labels?limit=5{after and f'&after={after}'}").json
        pages.append(page["data"])
        after = page["next"]
        assert page["has_more"] == (after is not None)
    assert [len(page) for page in pages] == [5, 5, 3]
    found = {(one["item"], one["criterion"], one["annotator"]): one for page in pages for one in page}
    assert found["i0", "right", "ann"]["level"] == "yes"  # the revision
    assert found["i2", "clear", "ann"]["value"] == 3
    unsure = found["i5", "right", "ann"]
    assert (unsure["outcome"], unsure["reason"], unsure["group"]) == ("abstained", "It is cut off.", "D1")


def test_labels_that_are_added_meanwhile_move_no_other(service: Client) -> None:
    said = [{"item": f"p{n}", "annotator": f"é{n}", "score": 1 + n % 5} for n in range(4)]
    assert counts(add(service, "paged", said, rubric="helpfulness")) == (4, 0, 0, 0)
    first = service.get("/v1/label-sets/paged/labels?limit=2").json
    before = [{"item": "a0", "annotator": "ann", "score": 2}, {**said[0], "score": 5}]
    assert counts(add(service, "paged", before, rubric="helpfulness")) == (1, 1, 0, 0)
    rest = service.get(f"/v1/label-sets/paged/labels?limit=2&after={first['next']}").json
    assert [one["item"] for one in first["data"] + rest["data"]] == ["p0", "p1", "p2", "p3"]
    assert (rest["has_more"], rest["next"]) == (False, None)
    for cursor in ("99", "WzEsMiwzXQ==", "WyJcdTAwMDAiLCJiIiwiYyJd", "%C3%A9", "W10="):
        refused = service.get(f"/v1/label-sets/paged/labels?after={cursor}")
        assert (refused.status, refused.json["errors"][0]["parameter"]) == (422, "after"), cursor


def test_sets_come_in_pages(service: Client) -> None:
    for name in ("page-a", "page-b", "page-c"):
        add(service, name, [{"item": "a", "score": 5}], rubric="helpfulness")
    first = service.get("/v1/label-sets?limit=2").json
    assert ([one["name"] for one in first["data"]], first["has_more"]) == (["page-c", "page-b"], True)
    assert service.get("/v1/label-sets?limit=1&after=page-b").json["data"][0]["name"] == "page-a"
    assert service.get("/v1/label-sets?after=none").json["type"] == "urn:judge:problem:no-such-label-set"


def test_a_rubric_stands_in_for_a_run(service: Client) -> None:
    named = [{"item": "a", "score": 5}]
    assert counts(add(service, "alone", named, rubric="helpfulness")) == (1, 0, 0, 0)  # its one criterion
    other = add(service, "alone", [label(0)], rubric=RUBRIC)
    assert (other.status, "answers other questions" in other.json["detail"]) == (422, True)
    assert counts(add(service, "whole", [label(0)], rubric=RUBRIC)) == (1, 0, 0, 0)


def test_labels_of_another_run_are_told_or_refused(service: Client) -> None:
    run = graded(service, "strangers")
    told = add(service, "strangers", [label(0), label(77)], run=run).json["told"]
    assert any("not in run" in line and "i77" in line for line in told)
    none = add(service, "strangers", [label(78), label(79)], run=run)
    assert (none.status, none.json["type"]) == (422, "urn:judge:problem:invalid-request")
    assert service.get("/v1/label-sets/strangers").json["labels"] == 2


FAULTY: dict[str, tuple[dict[str, Any], list[str]]] = {
    "no labels": ({"labels": []}, ["/labels"]),
    "neither run nor rubric": ({"labels": [label(0)], "rubric": None}, [""]),
    "both": ({"labels": [label(0)], "run": "0" * 12}, [""]),
    "no such rubric": ({"labels": [label(0)], "rubric": "s3cret"}, ["/rubric"]),
    "no such run": ({"labels": [label(0)], "rubric": None, "run": "0" * 12}, ["/run"]),
    "no such sample": ({"labels": [label(0)], "sampled_from": "0" * 12}, ["/sampled_from"]),
    "no such criterion": ({"labels": [label(0), label(1, "s3cret")]}, ["/labels/1/criterion"]),
    "no criterion of two": ({"labels": [label(0, None)]}, ["/labels/0/criterion"]),
    "off the scale": (
        {"labels": [label(0, "clear", 4), label(1, "clear", "s3cret"), label(2, score=""), label(3, score=7)]},
        ["/labels/0/score", "/labels/1/score", "/labels/2/score", "/labels/3/score"],
    ),
    "what never applies": ({"labels": [label(0, score="not_applicable")]}, ["/labels/0/score"]),
    "contradictions": ({"labels": [label(0), label(1), label(0, score="no")]}, ["/labels/2"]),
    "two groups": ({"labels": [label(0, group="a"), label(0, "clear", 1, group="b")]}, ["/labels/1/group"]),
    "an unknown field": ({"labels": [label(0, s3cret=1)]}, ["/labels/0/s3cret"]),
    "a score that is a list": ({"labels": [label(0, score=[1])]}, ["/labels/0/score"]),
}


@pytest.mark.parametrize("name", FAULTY)
def test_faults_are_named_by_their_places_and_nothing_is_taken(service: Client, name: str) -> None:
    fields, pointers = FAULTY[name]
    asked = {"rubric": RUBRIC, **fields}
    refused = add(service, "faulty", asked.pop("labels"), **asked)
    assert refused.status == 422, refused.json
    assert [one["pointer"] for one in refused.json["errors"]] == pointers
    assert all("s3cret" not in one["detail"] for one in refused.json["errors"])
    assert service.get("/v1/label-sets/faulty").status == 404


@pytest.mark.parametrize("name", ["-x", "%20x", "a%2Fb", "x" * 129, "..", "é"])
def test_names_that_cannot_be_one_are_refused(service: Client, name: str) -> None:
    assert service.get(f"/v1/label-sets/{name.replace('é', '%C3%A9')}").status in (404, 422)
    refused = add(service, name.replace("é", "%C3%A9"), [label(0)], rubric=RUBRIC)
    assert refused.status in (404, 405, 422), refused.json


def test_only_who_may_label_adds_labels_and_only_to_their_own(
    serve: Callable[..., Client], key: Callable[..., str], database_url: str
) -> None:
    client = serve(KEYLESS="")
    path, asked = "/v1/label-sets/team/labels", {"labels": [label(0)], "rubric": RUBRIC}
    for scopes, status in (((Scope.READ, Scope.GRADE), 403), ((Scope.LABEL,), 200), ((Scope.ADMIN,), 200)):
        assert ask(client, key(*scopes, tenant="ours"), "POST", path, asked).status == status
    theirs = key(Scope.ADMIN, tenant="theirs")
    assert ask(client, theirs, "GET", "/v1/label-sets").json["data"] == []
    assert ask(client, theirs, "GET", "/v1/label-sets/team").status == 404
    assert ask(client, theirs, "GET", path).status == 404
    with open_store(database_url) as store:
        assert len(store.of("ours").ask(store.labels.of_set, "team")) == 1
