"""What would be sent: shown, and then seen to be what is sent, to the byte."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from judge.judges import OUTPUT_MODES
from rubrics import Rubric, answer_schema
from tests.api.conftest import JSON, Client, Reply
from tests.api.test_service import folder
from tests.api.test_shelf import PRICE, rubric

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Stub

PIXEL = "data:image/png;base64,iVBORw0KGgo="
ITEMS = [
    {"id": "plain", "input": "What is it?", "output": "It is 4.", "reference": "4", "context": "2 + 2"},
    {"id": "odd", "output": 'é \U0001f600 "quoted" \\ </output> \u2028 {{x}}'},
    {"id": "own", "output": "Short.", "rubric": rubric("its-own", "Is it short?")},
]
PATHS = {"openai": "/v1", "openai-responses": "/v1", "anthropic": ""}


def render(client: Client, items: list[dict[str, Any]], **fields: Any) -> Reply:
    body = {"items": items, "rubric": "support-reply", "judge": "local", **fields}
    return client.send("POST", "/v1/render", json.dumps(body), JSON)


def grades(client: Client, items: list[dict[str, Any]], **fields: Any) -> Reply:
    body = {"items": items, "rubric": "support-reply", "judge": "local", **fields}
    return client.send("POST", "/v1/grades", json.dumps(body), JSON)


def bodies(rendering: Any) -> list[str]:
    return [call["body"] for one in rendering["data"] for call in one["calls"]]


@pytest.mark.parametrize("mode", OUTPUT_MODES)
@pytest.mark.parametrize("provider", PATHS)
def test_what_is_shown_is_what_is_sent(
    serve: Callable[..., Client], stub: Callable[..., Stub], tmp_path: Path, provider: str, mode: str
) -> None:
    local = stub("--bodies")
    told = {"provider": provider, "model": "m", "base_url": local.url + PATHS[provider], "price": PRICE, "mode": mode}
    told |= {"criteria_per_call": 2, "images": True, "max_tokens": 700, "reasoning_effort": "low"}
    client = serve(JUDGES_DIR=folder(tmp_path / "judges", local=json.dumps(told)))
    seen = {
        "role": "user",
        "content": [{"type": "text", "text": "Look."}, {"type": "image_url", "image_url": {"url": PIXEL}}],
    }
    items = [*ITEMS, {"id": "seen", "input": [seen], "output": "A dot."}]
    shown = render(client, items)
    assert shown.status == 200, shown.json
    assert local.stats()["requests"] == 0
    assert (shown.json["mode"], shown.json["probed"], shown.json["judge"]) == (mode, False, "local")
    graded = grades(client, items)
    assert graded.status == 200, graded.json
    sent = [call["body"] for call in local.calls()]
    assert sorted(bodies(shown.json)) == sorted(sent[1:])  # the first one is the probe
    again = render(client, items).json
    assert again == {**shown.json, "probed": True}
    assert local.stats()["requests"] == len(sent)


def test_messages_and_schema_are_those_of_the_body(service: Client) -> None:
    shown = render(service, ITEMS, judge="openai/gpt-6-luna").json
    whole = Rubric.load("support-reply")
    for one, asked in zip(shown["data"], (whole, whole, Rubric.parse(ITEMS[2]["rubric"])), strict=True):
        (call,) = one["calls"]
        body = json.loads(call["body"])
        assert [[message["role"], message["content"]] for message in call["messages"]] == [
            [message["role"], message["content"]] for message in body["messages"]
        ]
        assert call["answer_schema"] == body["response_format"]["json_schema"]["schema"] == answer_schema(asked)
        assert call["criteria"] == list(asked.ids)
        assert (body["model"], body["max_completion_tokens"]) == ("gpt-6-luna", 4096)
    assert shown["rubric"] == {"name": whole.name, "hash": whole.hash}


def test_what_the_judge_does_not_take_is_left_out_once_that_is_known(
    serve: Callable[..., Client], stub: Callable[..., Stub], tmp_path: Path
) -> None:
    local = stub()
    local.behave("no_temperature")
    told = {"provider": "openai", "model": "m", "base_url": local.base_url, "price": PRICE, "temperature": 0}
    client = serve(JUDGES_DIR=folder(tmp_path / "judges", local=json.dumps(told)))
    before = render(client, ITEMS[:1]).json
    assert grades(client, ITEMS[:1]).status == 200
    after = render(client, ITEMS[:1]).json
    assert [json.loads(bodies(one)[0]).get("temperature") for one in (before, after)] == [0, None]
    assert [one["probed"] for one in (before, after)] == [False, True]


def test_a_registered_judge_is_shown_without_its_server_being_asked(service: Client) -> None:
    told = {"name": "mine", "provider": "anthropic", "model": "m", "base_url": "https://llm.example", "price": PRICE}
    assert service.send("POST", "/v1/judges", json.dumps({"judge": told}), JSON).status in (200, 201)
    shown = render(service, ITEMS[:1], judge="mine", samples=3).json
    assert (shown["judge"], shown["samples"]) == ("mine@1", 3)
    assert json.loads(bodies(shown)[0])["model"] == "m"


def test_where_no_model_is_asked_there_is_nothing_to_show(service: Client) -> None:
    shown = render(service, ITEMS, judge="simulated").json
    assert [one["calls"] for one in shown["data"]] == [[], [], []]
    assert (shown["mode"], shown["probed"]) == (None, False)


def test_what_cannot_be_shown_is_refused(serve: Callable[..., Client], tmp_path: Path) -> None:
    client = serve(JUDGES_DIR=folder(tmp_path / "judges", own="provider: some_module:Provider\n"))
    many = {"name": "many", "criteria": [{"id": f"c{n}", "scale": "binary", "question": f"{n}?"} for n in range(400)]}
    large = [{"id": "1", "output": "x" * 3_000_000}]
    pair = {"name": "pair", "criteria": [{"id": "better", "scale": "preference", "question": "Which?"}]}
    for asked, kind in (
        ({"judge": "own"}, "judge-setup"),
        ({"judge": "none"}, "judge-setup"),
        ({"rubric": "none"}, "invalid-rubric"),
        ({"rubric": pair}, "invalid-rubric"),
        ({"items": [{**ITEMS[0], "rubric": pair}]}, "invalid-rubric"),
        ({"items": [ITEMS[0], ITEMS[0]]}, "invalid-request"),
        ({"items": large, "rubric": many}, "invalid-request"),
    ):
        refused = render(client, **{"items": ITEMS[:1], "judge": "openai/gpt-6-luna", **asked})
        assert (refused.status, refused.json["type"]) == (422, f"urn:judge:problem:{kind}"), asked
