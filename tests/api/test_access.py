"""Keys: who may ask for what, and sees whose runs."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest

from judge import keys
from judge.keys import Scope
from judge.runs import Options
from judge.store import open_store
from tests.api.conftest import JSON, Client, Reply, running
from tests.api.test_runs import body


@pytest.fixture
def client(serve: Callable[..., Client]) -> Client:
    return serve(KEYLESS="")


def ask(client: Client, text: str | None, method: str = "GET", path: str = "/v1/runs", asked: Any = None) -> Reply:
    headers = {} if text is None else {"Authorization": f"Bearer {text}"}
    return client.send(method, path, None if asked is None else json.dumps(asked), JSON | headers)


def operations(client: Client) -> list[tuple[str, str]]:
    paths = client.get("/openapi.json").json["paths"]
    known = {"name": "helpfulness"}
    filled = {path: re.sub(r"{(\w+)}", lambda part: known.get(part[1], "0" * 12), path) for path in paths}
    return [(method.upper(), filled[path]) for path, of in paths.items() for method in of if path != "/healthz"]


def test_a_key_is_known_by_its_checksum_and_kept_as_a_hash() -> None:
    id_, text = keys.made()
    assert keys.id_of(text) == id_
    assert len({keys.made()[1] for _ in range(100)}) == 100
    for place in range(len(text)):
        other = text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :]
        assert keys.id_of(other) is None, place
    for odd in ("", "judge", "judge__", "judge_é_é", text[:-1], f"{text} ", text.upper()):
        assert keys.id_of(odd) is None
    assert text.split("_", 2)[2] not in keys.hashed(text)


def test_nothing_is_answered_without_a_key_that_stands(client: Client, key: Callable[..., str]) -> None:
    good = key(Scope.READ)
    assert ask(client, good).status == 200
    id_, (_, _, secret) = keys.id_of(good), keys.made()[1].split("_", 2)
    others = [keys.made()[1], f"judge_{id_}_{secret}", key(Scope.READ, expires_in=-1), good[:-1]]
    wrong: list[str | None] = [None, "", "x", *others]
    for text in wrong:
        for method, path in operations(client):
            refused = ask(client, text, method, path, {} if method == "POST" else None)
            assert (refused.status, refused.json["type"]) == (401, "urn:judge:problem:no-key"), (text, method, path)
            assert refused.headers["WWW-Authenticate"] == "Bearer"
            assert len(refused.headers["X-Request-ID"]) == 32
    for header in (f"Basic {good}", good, f"Bearer {good}, Bearer {good}"):
        assert client.send("GET", "/v1/runs", headers={"Authorization": header}).status == 401
    assert client.get("/healthz").status == client.get("/openapi.json").status == 200


def test_a_refusal_does_not_wait_for_the_body(client: Client) -> None:
    begun = time.monotonic()
    refused = client.send("POST", "/v1/runs", b"{", JSON | {"Content-Length": "1000000"})
    assert refused.status == 401
    assert time.monotonic() - begun < 5


def test_a_key_may_do_what_its_scopes_say(client: Client, key: Callable[..., str]) -> None:
    of = {scope: key(scope) for scope in Scope}
    for method, path in operations(client):
        usual = Scope.GRADE if method == "POST" else Scope.METRICS if path == "/metrics" else Scope.READ
        labelling = method == "POST" and path.startswith(("/v1/label-sets/", "/v1/calibrations"))
        needed = Scope.LABEL if labelling else usual
        asked = {} if method == "POST" else None
        for scope, text in of.items():
            allowed = scope == needed or (scope == Scope.ADMIN and needed != Scope.METRICS)  # which is of all tenants
            told = ask(client, text, method, path, asked)
            assert (told.status == 403) != allowed, (method, path, told.json)
            assert told.status != 401
    assert ask(client, of[Scope.READ], "POST", "/v1/runs", body(1)).status == 403
    assert ask(client, of[Scope.GRADE], "POST", "/v1/runs", body(1)).status == 202


def test_a_revoked_key_is_refused_within_a_second(client: Client, key: Callable[..., str], database_url: str) -> None:
    text = key(Scope.READ)
    assert ask(client, text).status == 200
    with open_store(database_url) as store:
        assert store.change(store.keys.revoke, keys.id_of(text))
        assert not store.change(store.keys.revoke, keys.id_of(text))
    time.sleep(1.1)
    assert ask(client, text).status == 401


def test_tenants_see_their_own_runs_and_no_others(client: Client, key: Callable[..., str]) -> None:
    ours, theirs = (key(Scope.ADMIN, tenant=tenant) for tenant in ("ours", "theirs"))
    asked = body(3, "tenants")
    run = ask(client, ours, "POST", "/v1/runs", asked).json["id"]
    other = ask(client, theirs, "POST", "/v1/runs", asked).json["id"]
    assert run != other
    for text, own, foreign in ((ours, run, other), (theirs, other, run)):
        assert [one["id"] for one in ask(client, text).json["data"]] == [own]
        for method, path in (("GET", ""), ("GET", "/grades"), ("POST", "/cancel"), ("POST", "/resume")):
            hidden = ask(client, text, method, f"/v1/runs/{foreign}{path}", {} if method == "POST" else None)
            missing = ask(client, text, method, f"/v1/runs/{'0' * 12}{path}", {} if method == "POST" else None)
            assert (hidden.status, {**hidden.json, "request_id": ""}) == (404, {**missing.json, "request_id": ""}), path
    key_ = {"Idempotency-Key": "shared"}
    told = [
        client.send("POST", "/v1/runs", json.dumps(body(1, tenant)), JSON | key_ | {"Authorization": f"Bearer {text}"})
        for tenant, text in (("ours", ours), ("theirs", theirs))
    ]
    assert [one.status for one in told] == [202, 202]  # a key of one tenant is not one of the other
    assert told[0].json["id"] != told[1].json["id"]


def test_a_service_takes_up_what_any_tenant_wants(database_url: str, key: Callable[..., str]) -> None:
    text = key(Scope.ADMIN, tenant="theirs")
    with running(DATABASE_URL=database_url) as first:
        run = ask(first, text, "POST", "/v1/runs", body(2, "taken up")).json["id"]
        done(first, text, run)
    with open_store(database_url, "theirs") as store:  # as one leaves it that is killed before it begins
        store.change(store.submissions.add, run, "simulated", asdict(Options()))
    with running(DATABASE_URL=database_url) as second:
        done(second, text, run)


def done(client: Client, text: str, run: str) -> None:
    until = time.monotonic() + 10
    while (found := ask(client, text, "GET", f"/v1/runs/{run}").json)["status"] != "completed":
        assert time.monotonic() < until, found
        time.sleep(0.02)
