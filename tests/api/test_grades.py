"""Grades over HTTP."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from judge import Grade, Item, Judge, Rubric, grade, prompts
from judge.store import open_store
from tests.api.conftest import no_room

JUDGE = """
provider: openai
model: m
base_url: {url}
api_key_env: null
concurrency: {concurrency}
price: {{input: 1, output: 2}}
"""


@pytest.fixture
def local_judge(tmp_path: Path) -> Callable[..., Path]:
    """A folder with one judge, named `local`, at a stub."""

    def write(url: str, concurrency: int = 8) -> Path:
        folder = tmp_path / "judges"
        folder.mkdir()
        (folder / "local.yaml").write_text(JUDGE.format(url=url, concurrency=concurrency))
        return folder

    return write


def test_grades_are_those_of_the_library_in_the_order_of_the_items(service: Any, tmp_path: Path) -> None:
    outputs = [f"Answer {n}." for n in range(100)]
    reply = service.grades(outputs, samples=2)
    rubric, judge = Rubric.load("helpfulness"), Judge.load("simulated")
    assert reply.status == 200
    got = [Grade.model_validate_json(json.dumps(one)) for one in reply.json["data"]]
    assert [one.item for one in got] == [str(n) for n in range(100)]
    with open_store(f"sqlite:///{tmp_path}/beside.db") as store:
        for place in (0, 42, 99):
            item = Item(id=str(place), output=outputs[place])
            assert got[place] == asyncio.run(grade(item, rubric, judge, samples=2, store=store))
    assert reply.json["rubric"] == {"name": "helpfulness", "hash": rubric.hash}
    assert reply.json["judge"]["kind"] == "simulated"
    assert reply.json["judge"]["fingerprint"] == got[0].judge.fingerprint


def test_an_item_may_bring_a_rubric_of_its_own(service: Any) -> None:
    own = {"name": "own", "criteria": [{"id": "polite", "scale": "binary", "question": "Is it polite?"}]}
    items = [{"id": "a", "output": "Hi", "metadata": {"big": 10**30}}, {"id": "b", "output": "Hi", "rubric": own}]
    data = service.grades([], items=items).json["data"]
    assert [list(one["criteria"]) for one in data] == [["helpfulness"], ["polite"]]
    assert data[0]["metadata"] == {"big": 10**30}


def test_items_that_each_bring_a_rubric_need_no_other(service: Any) -> None:
    own = {"name": "own", "criteria": [{"id": "polite", "scale": "binary", "question": "Is it polite?"}]}
    items = [{"id": "a", "output": "Hi", "rubric": own}, {"id": "b", "output": "Hi"}]
    reply = service.grades([], items=items[:1], rubric=None)
    assert (reply.status, reply.json["rubric"]["name"]) == (200, Rubric.of_each_item().name)
    assert list(reply.json["data"][0]["criteria"]) == ["polite"]
    refused = service.grades([], items=items, rubric=None)
    assert (refused.status, refused.json["errors"]) == (
        422,
        [{"detail": "Items without a rubric of their own: 1; name one here.", "pointer": "/rubric"}],
    )


PAIRS = {"name": "pairs", "criteria": [{"id": "better", "scale": "preference", "question": "Which is better?"}]}
OF_PAIRS = "asks which of two outputs is better; pairs come with judge compare; write another scale"


def test_a_rubric_of_pairs_is_refused_before_anything_is_asked(
    serve: Any, stub: Any, local_judge: Any, tmp_path: Path
) -> None:
    judge = stub()
    (tmp_path / "rubrics").mkdir()
    (tmp_path / "rubrics" / "pairs.yaml").write_text(json.dumps(PAIRS))
    client = serve(JUDGES_DIR=local_judge(judge.base_url), RUBRICS_DIR=tmp_path / "rubrics")
    plain = [{"id": str(n), "output": f"Answer {n}."} for n in range(3)]
    own = client.grades([], items=[*plain, {"id": "3", "output": "x", "rubric": PAIRS}], judge="local")
    asked = [client.grades([], items=plain, rubric=rubric, judge="local") for rubric in (PAIRS, "pairs")]
    assert own.json["errors"] == [{"detail": OF_PAIRS, "pointer": "/items/3/rubric"}]
    for reply in asked:
        assert reply.json["errors"] == [{"detail": f"{OF_PAIRS}, or name another rubric", "pointer": "/rubric"}]
    for reply in (own, *asked):
        assert (reply.status, reply.json["type"]) == (422, "urn:judge:problem:invalid-rubric")
    assert judge.stats()["requests"] == 0
    assert client.grades([], items=plain, judge="local").status == 200


CHAT = {
    "id": "chat",
    "input": [{"role": "user", "content": [{"type": "text", "text": "Where is my order?"}]}],
    "output": [
        {"role": "assistant", "tool_calls": [{"id": "c1", "function": {"name": "look_up", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c1", "content": "shipped"},
        {"role": "assistant", "content": "On its way."},
    ],
    "context": ["Orders are shipped in a day.", "Parcels take a week."],
}
SEEN = {"id": "seen", "output": "A parcel.", "images": ["https://a.example/parcel.png"]}


def test_chats_and_contexts_reach_the_judge_as_from_a_file(serve: Any, stub: Any, local_judge: Any) -> None:
    judge = stub("--bodies")
    client = serve(JUDGES_DIR=local_judge(judge.base_url))
    reply = client.grades([], items=[CHAT], judge="local")
    assert (reply.status, reply.json["data"][0]["outcome"]) == (200, "scored")
    body = json.loads(judge.calls()[-1]["body"])
    assert body["messages"][-1]["content"] == prompts.user(Item.model_validate(CHAT))


def test_images_go_to_a_judge_that_takes_them_and_to_no_other(serve: Any, stub: Any, local_judge: Any) -> None:
    judge = stub("--bodies")
    folder = local_judge(judge.base_url)
    client = serve(JUDGES_DIR=folder)
    reply = client.grades([], items=[CHAT, SEEN], judge="local")
    assert (reply.status, reply.json["errors"][0]["pointer"]) == (422, "/items/1")
    assert judge.stats()["requests"] == 0
    (folder / "sees.yaml").write_text((folder / "local.yaml").read_text("utf-8") + "images: true\n")
    assert serve(JUDGES_DIR=folder).grades([], items=[SEEN], judge="sees").status == 200
    _, picture = json.loads(judge.calls()[-1]["body"])["messages"][-1]["content"]
    assert picture["image_url"]["url"] == "https://a.example/parcel.png"


def test_items_of_every_shape_are_as_described(service: Any) -> None:
    schemas = service.get("/openapi.json").json["components"]["schemas"]
    validator = Draft202012Validator({"components": {"schemas": schemas}, "$ref": "#/components/schemas/GradesRequest"})
    for item in (CHAT, SEEN, {**SEEN, "images": SEEN["images"][0]}, {"id": 1, "output": "x"}):
        request = {"items": [item], "rubric": "helpfulness", "judge": "simulated"}
        validator.validate(request)
        assert service.grades([], items=[item]).status == 200
    for wrong in ({"output": [{"content": "x"}]}, {"context": 3}, {"output": [{"role": "user", "content": [{}]}]}):
        request = {"items": [CHAT | wrong], "rubric": "helpfulness", "judge": "simulated"}
        assert not validator.is_valid(request)
        assert service.grades([], items=[CHAT | wrong]).status == 422


def test_equal_requests_at_once_are_paid_once(serve: Any, stub: Any, local_judge: Any) -> None:
    judge = stub("--latency-ms", "100")
    client = serve(JUDGES_DIR=local_judge(judge.base_url))
    with ThreadPoolExecutor() as pool:
        asked = [pool.submit(client.grades, ["One.", "Two.", "Three."], judge="local") for _ in range(2)]
        first, second = (one.result().json for one in asked)
    assert judge.stats()["requests"] == 1 + 3  # one finds out how to ask
    assert first["usage"]["calls"] + second["usage"]["calls"] == 3
    assert first["usage"]["reused"] + second["usage"]["reused"] == 3
    assert [one["criteria"] for one in first["data"]] == [one["criteria"] for one in second["data"]]
    tokens = [first["usage"][name] + second["usage"][name] for name in ("prompt_tokens", "completion_tokens")]
    paid = first["usage"]["cost_usd"] + second["usage"]["cost_usd"]
    assert paid == pytest.approx((tokens[0] * 1 + tokens[1] * 2) / 1e6)
    assert paid > 0


def test_what_one_item_suffers_is_an_outcome_and_no_number(serve: Any, stub: Any, local_judge: Any) -> None:
    judge = stub()
    client = serve(JUDGES_DIR=local_judge(judge.base_url))
    assert client.grades(["Fine."], judge="local").json["data"][0]["outcome"] == "scored"
    judge.behave("refusal")
    reply = client.grades(["Odd."], judge="local")
    [refused] = reply.json["data"]
    assert (reply.status, refused["outcome"], refused["score"]) == (200, "refused", None)
    assert (refused["low"], refused["high"]) == (0.0, 1.0)


def test_items_left_at_the_deadline_are_failures_and_are_not_sent(serve: Any, stub: Any, local_judge: Any) -> None:
    judge = stub("--latency-ms", "700")
    client = serve(JUDGES_DIR=local_judge(judge.base_url, concurrency=1))
    client.grades(["Finds out how to ask."], judge="local")
    began = time.monotonic()
    data = client.grades(["One.", "Two.", "Three."], judge="local", deadline_s=1).json["data"]
    assert time.monotonic() - began < 2
    causes = [(one["outcome"], one["criteria"]["helpfulness"]["cause"]) for one in data]
    assert causes == [("scored", None), ("judge_error", "deadline"), ("judge_error", "deadline")]
    assert [one["judge"]["fingerprint"] for one in data] == [data[0]["judge"]["fingerprint"]] * 3
    assert judge.stats()["requests"] == 1 + 1 + 1


def test_the_deadline_holds_while_it_is_found_out_how_to_ask(serve: Any, stub: Any, local_judge: Any) -> None:
    judge = stub("--latency-ms", "5000")
    client = serve(JUDGES_DIR=local_judge(judge.base_url))
    began = time.monotonic()
    late = client.grades(["One."], judge="local", deadline_s=1)
    assert time.monotonic() - began < 4
    assert (late.status, late.json["type"]) == (503, "urn:judge:problem:judge-paused")
    assert int(late.headers["Retry-After"]) > 0
    assert client.grades(["One."], judge="local", deadline_s=30).json["data"][0]["outcome"] == "scored"
    assert judge.stats()["requests"] == 1 + 1  # what was found out meanwhile is known


def test_a_judge_that_refuses_its_key_pauses(serve: Any, stub: Any, local_judge: Any) -> None:
    judge = stub()
    client = serve(JUDGES_DIR=local_judge(judge.base_url))
    client.grades(["Fine."], judge="local")
    judge.behave("status", status=401)
    reply = client.grades(["One.", "Two."], judge="local")
    assert (reply.status, reply.json["type"]) == (503, "urn:judge:problem:judge-paused")
    assert reply.headers["Retry-After"] == "30"
    assert client.grades(["Fine."], judge="simulated").status == 200


def test_so_many_are_graded_at_once_and_one_more_later(
    serve: Any, stub: Any, local_judge: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.app.MOST_OF_ONE", 1)
    judge = stub()
    client = serve(JUDGES_DIR=local_judge(judge.base_url))
    assert client.grades(["How to ask."], judge="local").status == 200
    judge.behave("hang")
    sent = judge.stats()["requests"]
    with ThreadPoolExecutor(1) as aside:
        asked = aside.submit(client.grades, ["Waits."], judge="local", deadline_s=4)
        until = time.monotonic() + 4
        while judge.stats()["requests"] == sent:
            assert time.monotonic() < until
            assert not asked.done()
            time.sleep(0.01)
        refused = client.grades(["One more."])
        assert no_room(refused, "grades", 1)
        assert asked.result().status == 200
    assert client.grades(["One more."]).status == 200


def test_a_judge_that_cannot_be_set_up_is_tried_again(serve: Any, stub: Any, local_judge: Any) -> None:
    judge = stub()
    client = serve(JUDGES_DIR=local_judge(judge.base_url))
    judge.behave("prose")
    reply = client.grades(["One."], judge="local")
    assert (reply.status, reply.json["type"]) == (422, "urn:judge:problem:judge-setup")
    assert reply.json["errors"][0]["pointer"] == "/judge"
    judge.behave("normal")
    assert client.grades(["One."], judge="local").json["data"][0]["outcome"] == "scored"


def test_an_answer_cut_off_at_the_deadline_stays_lost(serve: Any, stub: Any, local_judge: Any) -> None:
    judge = stub()
    client = serve(JUDGES_DIR=local_judge(judge.base_url))
    client.grades(["Finds out how to ask."], judge="local")
    judge.behave("hang")
    [late] = client.grades(["One."], judge="local", deadline_s=1).json["data"]
    assert (late["outcome"], late["criteria"]["helpfulness"]["cause"]) == ("judge_error", "deadline")
    judge.behave("normal")
    again = client.grades(["One."], judge="local").json
    assert (again["data"][0]["outcome"], again["usage"]["calls"]) == ("lost", 0)
    assert judge.stats()["requests"] == 1 + 1 + 1
