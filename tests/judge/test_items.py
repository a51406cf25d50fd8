from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from judge import Item
from judge.items import plain


def complaint(**fields: Any) -> str:
    with pytest.raises(ValidationError) as raised:
        Item.model_validate({"id": "1", "output": "x", **fields})
    return plain(raised.value)


def test_an_item_is_what_was_given() -> None:
    item = Item.model_validate({"id": 7, "output": ""})
    assert (item.id, item.output, item.input, item.metadata) == ("7", "", None, {})
    with pytest.raises(ValidationError, match="frozen"):
        item.output = "y"


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"id": ""}, "`id` "),
        ({"id": "x" * 257}, "`id` "),
        ({"id": True}, "`id` "),
        ({"id": 1.0}, "`id` "),
        ({"output": None}, "`output` "),
        ({"output": 3}, "`output` "),
        ({"output": "a\x00b"}, "`output` contains a NUL character; remove it"),
        ({"id": "\x00"}, "`id` contains a NUL"),
        ({"input": "\ud800"}, "`input` contains half of a surrogate pair"),
        ({"metadata": {"a": {"\udfff": 1}}}, "`metadata` contains half of a surrogate pair"),
        ({"metadata": "a"}, "`metadata` must be an object"),
        ({"rubric": "mine"}, "`rubric` must be a rubric as an object; name one of a file with --rubric"),
        ({"metadata": {"a": [float("inf")]}}, "`metadata` holds inf, which is no JSON number"),
        ({"metadata": {"a": b"b"}}, "`metadata` holds a value of type bytes, which JSON has not"),
        ({"context": 3}, "`context` is neither text nor a list of texts"),
        ({"context": ["a", 3]}, "`context.1` "),
        ({"context": ["\x00"]}, "`context.0` contains a NUL character; remove it"),
        ({"images": 3}, "`images` "),
        ({"images": [None]}, "`images.0` "),
        ({"score": 3}, "`score` is not a field of an item; the fields are id, input, output"),
    ],
)
def test_what_is_no_item_is_told_in_one_line(fields: dict[str, Any], told: str) -> None:
    assert complaint(**fields).startswith(told)
    assert "\n" not in complaint(**fields)


@pytest.mark.parametrize("missing", ["id", "output"])
def test_what_is_missing_names_the_flag(missing: str) -> None:
    with pytest.raises(ValidationError) as raised:
        Item.model_validate({name: "x" for name in ("id", "output") if name != missing})
    assert plain(raised.value) == f"no `{missing}`; add it, or name the column that holds it with --{missing}"


def own(levels: list[str]) -> dict[str, Any]:
    """A rubric whose levels are a mapping, worst first: their order is the scale."""
    criterion = {"id": "c", "question": "Good?", "scale": "ordinal", "levels": dict.fromkeys(levels, "")}
    return {"name": "own", "criteria": [criterion]}


def test_the_hash_is_of_what_is_graded_alone() -> None:
    item = Item(id="1", input="q", output="a", metadata={"x": 1})
    assert item.hash == Item(id="2", input="q", output="a").hash
    others: list[dict[str, Any]] = [
        {"input": "a", "output": "q"},
        {"input": "q", "output": "a", "reference": ""},
        {"input": "q", "output": "a", "context": "c"},
        {"output": "a"},
        {"input": "q", "output": "a", "rubric": own(["poor", "good"])},
        {"input": "q", "output": "a", "rubric": own(["good", "poor"])},
    ]
    said = {"role": "user", "content": "a"}
    image = {"type": "image_url", "image_url": {"url": "https://a.example/1"}}
    others += [
        {"input": "q", "output": [said]},
        {"input": "q", "output": [{**said, "role": "assistant"}]},
        {"input": "q", "output": [said, said]},
        {"input": "q", "output": [{**said, "content": [image]}]},
        {"input": "q", "output": "a", "context": ["c"]},
        {"input": "q", "output": "a", "images": ["https://a.example/1"]},
        {"input": "q", "output": "a", "images": ["https://a.example/2"]},
    ]
    assert len({item.hash, *(Item.model_validate({"id": "1", **other}).hash for other in others)}) == 14
    turned = dict(reversed(own(["poor", "good"]).items()))
    assert Item(id="1", output="a", rubric=turned).hash == Item(id="1", output="a", rubric=own(["poor", "good"])).hash


def test_items_of_text_have_the_hash_that_they_always_had() -> None:
    item = Item(id="1", input="q", output="a", reference="r", context="c")
    assert item.hash == "fb3f8321aa07317d224aa4cd36e03ad1cfd3bc3d8b6a3815944b086fc79cb07e"
    assert Item(id="1", output="é").hash == "acecf7b68276a311c8c8c7c5f5a11cd45fc5bea3e289df9a7d81bbeb7656dad5"


def test_text_that_looks_like_an_escape_can_be_stored() -> None:
    assert Item(id="1", output="x", metadata={"code": r"\u0000"}).metadata == {"code": r"\u0000"}
