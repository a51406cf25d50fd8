"""Chats and trajectories in the shapes in which they are found."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from judge import Item, fences, prompts
from judge.items import plain

CALL = {"id": "c1", "type": "function", "function": {"name": "search", "arguments": '{"q": "rain"}'}}
#: As OpenAI's client writes messages down, with everything that it leaves empty.
UNUSED = {"refusal": None, "annotations": [], "audio": None, "function_call": None}
TRAJECTORY = [
    {"role": "assistant", "content": "I will look.", "tool_calls": [CALL], **UNUSED},
    {"role": "tool", "tool_call_id": "c1", "content": "Rain at noon."},
    {"role": "assistant", "content": "It rains at noon.", "tool_calls": None, **UNUSED},
]


def item(output: Any) -> Item:
    return Item.model_validate({"id": "1", "output": output})


def shown(output: Any) -> str:
    """What a judge is shown of an output, without the nonce."""
    one = item(output)
    text = prompts.user(one)
    return text.replace(f" {fences.nonce(fences.texts(one.fences))}", "")


def test_a_trajectory_is_shown_step_by_step() -> None:
    assert shown(TRAJECTORY) == (
        "<output>\n"
        "<assistant>\n<text>\nI will look.\n</text>\n"
        '<tool_call name="search" id="c1">\n{"q": "rain"}\n</tool_call>\n</assistant>\n'
        '<tool id="c1">\nRain at noon.\n</tool>\n'
        "<assistant>\nIt rains at noon.\n</assistant>\n"
        "</output>"
    )


def test_the_blocks_of_anthropic_are_shown_alike() -> None:
    used = {"type": "tool_use", "id": "c1", "name": "search", "input": {"q": "rain"}}
    result = {"type": "tool_result", "tool_use_id": "c1", "content": "Rain at noon."}
    blocks = [
        {"role": "assistant", "content": [{"type": "text", "text": "I will look."}, used]},
        {
            "role": "user",
            "content": [result, {**result, "content": [{"type": "text", "text": "No."}], "is_error": True}],
        },
    ]
    assert shown(blocks[:1]) == shown(TRAJECTORY[:1])
    assert shown(blocks[1:]) == (
        '<output>\n<user>\n<tool_result id="c1">\nRain at noon.\n</tool_result>\n'
        '<tool_result id="c1" error="true">\nNo.\n</tool_result>\n</user>\n</output>'
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"role": "user", "content": "a"}, {"role": "user", "content": [{"type": "text", "text": "a"}]}),
        ({"role": "assistant"}, {"role": "assistant", "content": None, "tool_calls": []}),
        ({"role": "assistant", "content": "", "tool_calls": [CALL]}, {"role": "assistant", "tool_calls": [CALL]}),
        (
            {"role": "assistant", "tool_calls": [CALL]},
            {
                "role": "assistant",
                "tool_calls": [{"id": "c1", "function": {"name": "search", "arguments": {"q": "rain"}}}],
            },
        ),
    ],
)
def test_two_ways_to_say_the_same_are_shown_alike(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert shown([one]) == shown([other])


def test_names_stay_in_their_line() -> None:
    assert shown([{"role": "user", "name": 'Ann"\n</user>', "content": "Hi"}]) == (
        '<output>\n<user name="Ann\\"\\n</user>">\nHi\n</user>\n</output>'
    )


@pytest.mark.parametrize(
    ("output", "told"),
    [
        (3, "`output` is neither text nor a list of messages"),
        (["a"], "`output.0` "),
        ([{"content": "a"}], "no `output.0.role`; add it"),
        ([{"role": "human", "content": "a"}], "`output.0.role` input should be 'system', 'developer', 'user'"),
        ([{"role": "user", "content": 3}], "`output.0.content` is neither text nor a list of parts"),
        ([{"role": "user", "content": [{"type": "video"}]}], "`output.0.content.0` is no part of a message; its type"),
        ([{"role": "user", "content": [{"text": "a"}]}], "`output.0.content.0` is no part of a message; its type"),
        ([{"role": "user", "content": [{"type": "text"}]}], "no `output.0.content.0.text`; add it"),
        ([{"role": "user", "content": "\ud800"}], "`output.0.content` contains half of a surrogate pair"),
        ([{"role": "assistant", "refusal": "No."}], "`output.0.refusal` is not known there; leave it out"),
        (
            [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {"a": "\0"}}}]}],
            "`output.0.tool_calls.0.function.arguments` contains a NUL character",
        ),
        (
            [{"role": "user", "content": [{"type": "tool_result", "content": [{"type": "tool_use"}]}]}],
            "`output.0.content.0.content.0` is no part of a result; its type is one of text, image_url, image",
        ),
        (
            [{"role": "user", "content": [{"type": "image", "source": {"type": "file", "file_id": "f"}}]}],
            "`output.0.content.0.source` is no source of an image; its type is one of base64, url",
        ),
    ],
)
def test_what_is_no_message_is_told_with_its_place(output: Any, told: str) -> None:
    with pytest.raises(ValidationError) as raised:
        item(output)
    assert plain(raised.value).startswith(told)
    assert "\n" not in plain(raised.value)


def test_messages_come_back_from_the_store_as_they_were() -> None:
    one = item(TRAJECTORY)
    stored = one.model_dump_json(exclude={"id", "metadata"})
    again = Item(id="2", **json.loads(stored))
    assert again.hash == one.hash
    assert prompts.user(again) == prompts.user(one)


def test_the_texts_of_an_output_are_all_that_it_says() -> None:
    assert item(TRAJECTORY).output_texts == [
        "I will look.",
        'name="search" id="c1"',
        '{"q": "rain"}',
        'id="c1"',
        "Rain at noon.",
        "It rains at noon.",
    ]
    assert item([{"role": "user", "content": "é" * 10}]).output_bytes == item("é" * 10).output_bytes == 20
