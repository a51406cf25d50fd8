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
        ({"metadata": "a"}, "`metadata` "),
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
    assert len({item.hash, *(Item.model_validate({"id": "1", **other}).hash for other in others)}) == 7
    turned = dict(reversed(own(["poor", "good"]).items()))
    assert Item(id="1", output="a", rubric=turned).hash == Item(id="1", output="a", rubric=own(["poor", "good"])).hash
