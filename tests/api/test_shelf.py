"""Rubrics and judges by name: registered through the API, revised, kept apart, and held off this machine."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

import pytest

from judge import Judge, Rubric, SetupError
from judge.keys import Scope
from judge.servers import Servers
from judge.shelf import ASKED
from rubrics import shipped
from tests.api.conftest import JSON, Client, Reply
from tests.api.test_access import ask
from tests.api.test_runs import body, ended, submit
from tests.api.test_service import folder
from tests.conftest import listening

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Stub

PRICE = {"input": 1, "output": 1}
SIMULATED = {"name": "mine", "provider": "simulated", "options": {"seed": 3}}
SERVED = {"name": "mine", "provider": "openai", "model": "m", "base_url": "https://llm.example.com/v1", "price": PRICE}


def rubric(name: str = "mine", question: str = "Is it clear?", **fields: Any) -> dict[str, Any]:
    return {"name": name, "criteria": [{"id": "clear", "scale": "binary", "question": question}], **fields}


def register(client: Client, kind: str, thing: dict[str, Any]) -> Reply:
    return client.send("POST", f"/v1/{kind}s", json.dumps({kind: thing}), JSON)


def pointers(reply: Reply) -> list[str]:
    return [fault["pointer"] for fault in reply.json["errors"]]


def test_a_registered_rubric_is_graded_by_under_its_name(serve: Callable[..., Client]) -> None:
    client = serve()
    first, second = rubric(), rubric(question="Is it short?", version=7)
    made = register(client, "rubric", first)
    assert (made.status, made.headers["Location"]) == (201, "/v1/rubrics/mine@1")
    assert (made.json["revision"], made.json["hash"]) == (1, Rubric.parse(first).hash)
    again = register(client, "rubric", first)
    assert (again.status, again.json) == (200, made.json)
    assert register(client, "rubric", second).json["revision"] == 2
    hashes = [Rubric.parse(one).hash for one in (first, second)]
    for ref, hash_ in (("mine", hashes[1]), ("mine@1", hashes[0]), ("mine@2", hashes[1]), (hashes[0], hashes[0])):
        assert Rubric.parse(client.get(f"/v1/rubrics/{ref}").json).hash == hash_
        assert client.grades(["Hi."], rubric=ref).json["rubric"] == {"name": "mine", "hash": hash_}
        run = submit(client, body(1, ref, rubric=ref)).json
        assert run["rubric"] == {"name": "mine", "hash": hash_}
    for ref in ("mine@3", "mine@0", "mine@01", "mine@", "mine@x", "@1", "other", "0" * 64, "mine@9999999999"):
        assert client.get(f"/v1/rubrics/{ref}").json["type"] == "urn:judge:problem:no-such-rubric", ref
        assert client.grades(["Hi."], rubric=ref).json["type"] == "urn:judge:problem:invalid-rubric"
    listed = client.get("/v1/rubrics").json["data"]
    assert [one["name"] for one in listed] == [*shipped(), "mine"]
    assert (listed[-1]["revision"], listed[-1]["version"]) == (2, "7")


def test_a_rubric_that_was_sent_along_is_found_by_the_hash_that_grades_say(service: Client) -> None:
    sent = rubric("sent-along", "Is it there?")
    hash_ = submit(service, body(1, rubric=sent)).json["rubric"]["hash"]
    assert Rubric.parse(service.get(f"/v1/rubrics/{hash_}").json) == Rubric.parse(sent)
    assert service.grades(["Hi."], rubric=hash_).json["rubric"] == {"name": "sent-along", "hash": hash_}
    assert service.get("/v1/rubrics/sent-along").status == 404
    own = [{"id": "1", "output": "Hi.", "rubric": rubric("of-one-item", "Is it one?")}]
    run = submit(service, {"items": own, "judge": "simulated"}).json
    assert service.get(f"/v1/rubrics/{run['rubric']['hash']}").status == 404  # it has no criteria
    assert service.get(f"/v1/rubrics/{Rubric.parse(own[0]['rubric']).hash}").json["name"] == "of-one-item"


def test_content_registered_again_is_what_the_name_stands_for(serve: Callable[..., Client]) -> None:
    client = serve()
    for question, revision in (("A?", 1), ("B?", 2), ("A?", 1), ("A?", 1), ("C?", 3), ("B?", 2)):
        made = register(client, "rubric", rubric(question=question))
        assert made.json["revision"] == revision
        assert client.get("/v1/rubrics/mine").json["criteria"][0]["question"] == question
    assert register(client, "rubric", rubric("other", "A?")).json["revision"] == 1
    assert register(client, "rubric", rubric(question="A?", description="for people")).json["revision"] == 4


def test_a_name_registered_by_many_at_once_has_every_content_once(serve: Callable[..., Client]) -> None:
    client = serve()
    with ThreadPoolExecutor(8) as several:
        told = list(several.map(lambda n: register(client, "rubric", rubric(question=f"{n % 4}?")), range(24)))
    assert sorted(reply.status for reply in told) == [200] * 20 + [201] * 4
    found = {(reply.json["hash"], reply.json["revision"]) for reply in told}
    assert {revision for _, revision in found} == {1, 2, 3, 4}
    assert len(found) == 4


def test_lists_are_read_page_by_page(serve: Callable[..., Client]) -> None:
    client = serve()
    for n in range(5):
        register(client, "rubric", rubric(f"r{n}"))
        register(client, "judge", SIMULATED | {"name": f"j{n}"})
    for kind, own in (("rubric", list(shipped())), ("judge", ["simulated"])):
        names, path = [], f"/v1/{kind}s?limit=2"
        while True:
            page = client.get(path).json
            names += [one["name"] for one in page["data"]]
            if not page["has_more"]:
                break
            path = f"/v1/{kind}s?limit=2&after={names[-1]}"
        assert names == [*own, *(f"{kind[0]}{n}" for n in range(5))]


@pytest.mark.parametrize("odd", ["%00", "a%00", "%F0%9F%98%80", "x" * 129, "openai/" + "x" * 200, "%ff", "@"])
def test_odd_names_stand_for_nothing(service: Client, odd: str) -> None:
    for kind in ("rubrics", "judges"):
        assert service.get(f"/v1/{kind}/{odd}").status in (404, 422)
        assert service.get(f"/v1/{kind}?after={odd}").status == 422
        assert service.get(f"/v1/{kind}?limit={odd}").status == 422


@pytest.mark.parametrize("name", ["helpfulness", "own"])
def test_the_names_of_the_shelf_are_taken(serve: Callable[..., Client], tmp_path: Path, name: str) -> None:
    client = serve(RUBRICS_DIR=folder(tmp_path / "rubrics", any=json.dumps(rubric("own"))))
    refused = register(client, "rubric", rubric(name, "Is it mine?"))
    assert (refused.status, refused.json["type"]) == (409, "urn:judge:problem:name-taken")
    assert client.get(f"/v1/rubrics/{name}").json["criteria"][0]["question"] != "Is it mine?"


def test_the_operators_name_comes_first_and_a_registered_revision_stays(
    serve: Callable[..., Client], tmp_path: Path
) -> None:
    client = serve()
    assert register(client, "judge", SIMULATED).status == 201
    later = serve(JUDGES_DIR=folder(tmp_path / "judges", mine="provider: simulated\noptions: {seed: 7}\n"))
    fingerprints = [submit(later, body(1, judge=ref)).json["judge"]["fingerprint"] for ref in ("mine", "mine@1")]
    assert len(set(fingerprints)) == 2
    assert [one["revision"] for one in later.get("/v1/judges").json["data"]] == [None, None]
    assert register(later, "judge", SIMULATED).json["type"] == "urn:judge:problem:name-taken"
    shown = later.get(f"/v1/judges/{fingerprints[1]}").json
    assert (shown["name"], shown["revision"]) == ("mine", 1)


def test_rubrics_are_linted_and_refused_before_anything_is_kept(service: Client) -> None:
    told = service.send("POST", "/v1/rubrics/lint", json.dumps({"rubric": rubric()}), JSON)
    assert [one["severity"] for one in told.json["data"]] == ["warning", "note"]
    for path in ("/v1/rubrics", "/v1/rubrics/lint"):
        wrong = service.send("POST", path, json.dumps({"rubric": {"name": "mine"}}), JSON)
        assert (wrong.status, wrong.json["type"]) == (422, "urn:judge:problem:invalid-rubric")
        for sent in ({}, {"rubric": "helpfulness"}, {"rubric": None}, {"rubric": rubric(), "more": 1}):
            assert service.send("POST", path, json.dumps(sent), JSON).json["type"].endswith(("request", "rubric"))
    large = rubric(instructions="x" * 2_500_000)
    assert register(service, "rubric", large).json["detail"] == "The rubric is too large to be kept."
    assert register(service, "rubric", rubric("a" * 64)).json["type"] == "urn:judge:problem:invalid-request"
    assert [one["name"] for one in service.get("/v1/rubrics").json["data"]] == list(shipped())


def test_a_registered_judge_grades_as_one_revision_and_a_run_keeps_it(serve: Callable[..., Client]) -> None:
    client = serve()
    made = register(client, "judge", SIMULATED)
    assert (made.status, made.headers["Location"]) == (201, "/v1/judges/mine@1")
    run = submit(client, body(2, "kept", judge="mine")).json["id"]
    assert ended(client, run)["status"] == "completed"
    assert register(client, "judge", SIMULATED | {"options": {"seed": 5}}).json["revision"] == 2
    graded = {ref: client.grades(["Hi."], judge=ref).json["judge"] for ref in ("mine", "mine@1", "mine@2")}
    assert [graded[ref]["name"] for ref in graded] == ["mine@2", "mine@1", "mine@2"]
    assert graded["mine"] == graded["mine@2"] != graded["mine@1"]
    # Graded again it is by the judge that it began with, whatever the name stands for by now.
    asked = {"retry_failed": True}
    assert client.send("POST", f"/v1/runs/{run}/resume", json.dumps(asked), JSON).status == 202
    found = ended(client, run)
    assert (found["status"], found["judge"]["name"]) == ("completed", "mine@1")
    shown = client.get(f"/v1/judges/{found['judge']['fingerprint']}").json
    assert (shown["name"], shown["revision"], shown["description"]["options"]) == ("mine", 1, {"seed": 3})
    assert client.get("/v1/judges/mine").json["description"]["options"] == {"seed": 5}
    assert client.get(f"/v1/judges/{made.json['hash']}").json["revision"] == 1
    for ref in ("none", "mine@3", "0" * 64, "openai/", "nobody/m", "../mine"):
        assert client.get(f"/v1/judges/{ref}").status == 404, ref


def test_judges_are_listed_and_the_operators_are_shown_without_what_is_this_machines(
    serve: Callable[..., Client], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = "provider: openai\nmodel: m\nbase_url: http://10.1.2.3/v1\napi_key_env: INNER_KEY\nheaders: {X-A: s3cret}\n"
    client = serve(JUDGES_DIR=folder(tmp_path / "judges", local=told + "proxy: http://10.9.9.9\ntemperature: 0\n"))
    listed = client.get("/v1/judges")
    assert [one["name"] for one in listed.json["data"]] == ["simulated", "local"]
    assert listed.json["providers"] == sorted(ASKED)
    shown = client.get("/v1/judges/local")
    assert (shown.json["model"], shown.json["description"]["temperature"]) == ("m", 0)
    for private in (b"10.1.2.3", b"INNER_KEY", b"s3cret", b"10.9.9.9"):
        assert private not in shown.raw + listed.raw
    assert client.get("/v1/judges/openai/gpt-5-mini").json["model"] == "gpt-5-mini"


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"api_key_env": "OPENAI_API_KEY"}, "/judge/api_key_env"),
        ({"api_key_env": None}, "/judge/api_key_env"),
        ({"headers": {"Authorization": "Bearer x"}}, "/judge/headers"),
        ({"proxy": "http://127.0.0.1:1"}, "/judge/proxy"),
        ({"ca_file": "/etc/passwd"}, "/judge/ca_file"),
        ({"public_only": False}, "/judge/public_only"),
        ({"options": {"file": "/etc/passwd"}}, "/judge/options"),
        ({"provider": "recorded", "options": {"file": "/etc/passwd"}}, "/judge/provider"),
        ({"provider": "litellm", "model": "openai/m"}, "/judge/provider"),
        ({"provider": "os:system"}, "/judge/provider"),
        ({"provider": "simulated"}, "/judge/base_url"),
        ({"model": ""}, "/judge/model"),
        ({"timeout_s": 601}, "/judge/timeout_s"),
        ({"price": None}, "/judge/price"),
        ({"base_url": None}, "/judge/price"),
        ({"base_url": None, "price": None, "rpm": 0.1}, "/judge/rpm"),
        ({"base_url": "http://127.0.0.1:1/v1"}, "/judge/base_url"),
        ({"base_url": "http://[::ffff:7f00:1]/v1"}, "/judge/base_url"),
        ({"base_url": "http://169.254.169.254/latest"}, "/judge/base_url"),
        ({"base_url": "http://2130706433"}, "/judge/base_url"),
        ({"base_url": "https://a@127.0.0.1"}, "/judge/base_url"),
        ({"base_url": "https://a.example?x"}, "/judge/base_url"),
        ({"base_url": "file:///etc/passwd"}, "/judge/base_url"),
        ({"base_url": "gopher://a.example"}, "/judge/base_url"),
        ({"temperature": "0"}, "/judge/temperature"),
        ({"name": "mine@1"}, "/judge/name"),
        ({"name": "openai/m"}, "/judge/name"),
        ({"name": "Mine"}, "/judge/name"),
        ({"name": "f" * 64}, "/judge/name"),
        ({"wrong": 1}, "/judge/wrong"),
    ],
)
def test_a_judge_of_the_api_names_nothing_of_this_machine(
    service: Client, fields: dict[str, Any], pointer: str
) -> None:
    refused = register(service, "judge", SERVED | fields)
    assert (refused.status, refused.json["type"]) == (422, "urn:judge:problem:invalid-request")
    assert pointer in pointers(refused)
    assert service.get("/v1/judges/mine").status == 404


def test_a_judge_too_large_is_refused(service: Client) -> None:
    large = register(service, "judge", SERVED | {"base_url": "https://a" + "-a" * 1_000_000 + ".example"})
    assert (large.status, large.json["detail"]) == (422, "The judge is too large to be kept.")


def test_options_of_a_simulated_judge_are_checked(service: Client) -> None:
    refused = register(service, "judge", SIMULATED | {"options": {"noise": 7}})
    assert (refused.status, refused.json["type"]) == (422, "urn:judge:problem:judge-setup")


def test_the_names_of_judges_and_providers_are_taken(serve: Callable[..., Client], tmp_path: Path) -> None:
    client = serve(JUDGES_DIR=folder(tmp_path / "judges", local="provider: simulated\n"))
    for name in ("simulated", "local", "openai", "recorded"):
        assert register(client, "judge", SIMULATED | {"name": name}).json["type"] == "urn:judge:problem:name-taken"


def test_a_judge_at_a_name_of_this_network_is_refused_where_it_is_connected(
    serve: Callable[..., Client], stub: Callable[..., Stub]
) -> None:
    client, local = serve(), stub()
    port = local.url.rpartition(":")[2]
    assert register(client, "judge", SERVED | {"base_url": f"http://localhost:{port}/v1"}).status == 201
    refused = client.grades(["Hi."], judge="mine")
    assert (refused.status, refused.json["type"]) == (422, "urn:judge:problem:judge-setup")
    assert "no public address" in refused.json["detail"]
    run = submit(client, body(1, judge="mine"))
    assert (run.status, run.json["type"]) == (422, "urn:judge:problem:judge-setup")
    assert local.stats()["requests"] == 0


def test_a_server_that_the_operator_lists_is_asked(serve: Callable[..., Client], stub: Callable[..., Stub]) -> None:
    local, other = stub(), stub()
    client = serve(PRIVATE_SERVERS=local.url)
    assert register(client, "judge", SERVED | {"base_url": local.base_url}).status == 201
    assert client.grades(["Hi."], judge="mine").json["data"][0]["outcome"] == "scored"
    run = submit(client, body(3, judge="mine")).json["id"]
    assert ended(client, run)["status"] == "completed"
    # Another port of the same machine is another server.
    assert "/judge/base_url" in pointers(register(client, "judge", SERVED | {"base_url": other.base_url}))
    # What holds for all who ask it is the operator's.
    assert "/judge/rpm" in pointers(register(client, "judge", SERVED | {"base_url": local.base_url, "rpm": 1}))
    assert other.stats()["requests"] == 0


@contextmanager
def redirecting(location: str = "") -> Iterator[tuple[str, list[str]]]:
    """A server that answers all with a redirect, and the keys that came to it."""
    keys: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            keys.append(self.headers.get("Authorization") or self.headers.get("X-Api-Key") or "")
            self.send_response(307)
            self.send_header("Location", location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with listening(Handler) as url:
        yield url, keys


@pytest.mark.parametrize("provider", ["openai", "openai-responses", "anthropic"])
def test_a_key_goes_to_the_one_server_that_it_is_for(
    serve: Callable[..., Client], monkeypatch: pytest.MonkeyPatch, provider: str
) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.setenv(name, "sk-of-the-provider")
    monkeypatch.setenv("THE_KEY", "sk-of-the-server")
    with redirecting() as (elsewhere, others), redirecting(elsewhere) as (keyed, ours):
        client = serve(PRIVATE_SERVERS=f"{keyed} {elsewhere}", SERVER_KEYS=f"{keyed}=THE_KEY")
        for name, url in (("keyed", keyed), ("other", elsewhere), ("again", keyed.replace("127.0.0.1", "localhost"))):
            told = SERVED | {"name": name, "provider": provider, "base_url": url}
            assert register(client, "judge", told).status == 201
            before = len(ours), len(others)
            assert client.grades(["Hi."], judge=name).status == 422
            assert (len(ours) > before[0], len(others) > before[1]) == (name == "keyed", name == "other")
        assert {key.removeprefix("Bearer ") for key in ours} == {"sk-of-the-server"}
        assert {key.removeprefix("Bearer ") for key in others} == {"none"}


def test_settings_of_servers_are_checked_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_KEY", "sk")
    for private, keys, error in (
        ("127.0.0.1:8000", "", "JUDGE_PRIVATE_SERVERS: '127.0.0.1:8000' is not written plainly"),
        ("", "https://a.example", "names the variable 'https://a.example', which is not set"),
        ("", "https://a.example=NOT_SET", "names the variable 'NOT_SET', which is not set"),
        ("", "a.example=THE_KEY", "JUDGE_SERVER_KEYS: 'a.example' is not written plainly"),
        ("", "http://a.example=THE_KEY", "a key would go to http://a.example:80 in the open"),
    ):
        monkeypatch.setenv("JUDGE_PRIVATE_SERVERS", private)
        monkeypatch.setenv("JUDGE_SERVER_KEYS", keys)
        with pytest.raises(SetupError, match=error):
            Servers.read()
    monkeypatch.setenv("JUDGE_PRIVATE_SERVERS", "http://inner:8000/v1")
    monkeypatch.setenv("JUDGE_SERVER_KEYS", "https://A.example=THE_KEY http://inner:8000=THE_KEY")
    servers = Servers.read()
    bound = {
        url: servers.bound(Judge(name="j", provider="openai", model="m", base_url=url))
        for url in ("https://a.example/v1", "https://a.example:444/v1", "http://a.example", "http://inner:8000/any")
    }
    assert [one.key_variable for one in bound.values()] == ["THE_KEY", None, None, "THE_KEY"]
    assert [one.public_only for one in bound.values()] == [True, True, True, False]


def test_tenants_name_their_own(serve: Callable[..., Client], key: Callable[..., str]) -> None:
    client = serve(KEYLESS="")
    ours, theirs = (key(Scope.ADMIN, tenant=tenant) for tenant in ("ours", "theirs"))
    assert ask(client, ours, "POST", "/v1/rubrics", {"rubric": rubric()}).status == 201
    assert ask(client, ours, "POST", "/v1/judges", {"judge": SIMULATED}).status == 201
    used = ask(client, ours, "POST", "/v1/runs", body(1, rubric="mine", judge="mine")).json
    rubric_hash, judge_hash = used["rubric"]["hash"], ask(client, ours, path="/v1/judges/mine").json["hash"]
    sent = ask(client, ours, "POST", "/v1/runs", body(1, rubric=rubric("sent", "Sent?"))).json["rubric"]["hash"]
    hidden = [f"rubrics/{sent}", "rubrics/mine", "rubrics/mine@1", f"rubrics/{rubric_hash}"]
    hidden += ["judges/mine", "judges/mine@1", f"judges/{judge_hash}", f"judges/{used['judge']['fingerprint']}"]
    until = time.monotonic() + 10
    while ask(client, ours, path=f"/v1/runs/{used['id']}").json["status"] != "completed":
        assert time.monotonic() < until
        time.sleep(0.02)
    for path in hidden:
        assert ask(client, ours, path=f"/v1/{path}").status == 200, path
        assert ask(client, theirs, path=f"/v1/{path}").status == 404, path
    for kind in ("rubrics", "judges"):
        assert "mine" in [one["name"] for one in ask(client, ours, path=f"/v1/{kind}").json["data"]]
        assert "mine" not in [one["name"] for one in ask(client, theirs, path=f"/v1/{kind}").json["data"]]
    for asked in (body(1, judge="mine"), body(1, rubric="mine"), body(1, judge=judge_hash)):
        assert ask(client, theirs, "POST", "/v1/runs", asked).status == 422
    # The same name is theirs too, for something else.
    assert ask(client, theirs, "POST", "/v1/rubrics", {"rubric": rubric(question="Other?")}).json["revision"] == 1
    assert ask(client, ours, path="/v1/rubrics/mine").json["criteria"][0]["question"] == "Is it clear?"
