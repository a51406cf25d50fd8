"""Items that are at hand, as a dataset."""

from __future__ import annotations

from pathlib import Path

import pytest

from judge import InputError
from judge.datasets import Dataset, Given
from judge.items import Item


def test_items_at_hand_are_the_dataset_that_a_file_of_them_is(tmp_path: Path) -> None:
    items = [Item(id=f"i{n}", input="Why?", output=f"Reply {n}.", metadata={"doc": n}) for n in range(3)]
    path = f"{tmp_path}/items.jsonl"
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(one.model_dump_json(exclude_defaults=True) + "\n" for one in items)
    given = Given("anchors", items)
    assert given.scan().hash == Dataset(path).scan().hash
    assert list(given.unchanged_since(given.scan())) == items
    assert given.name == "anchors"


def test_none_is_refused_and_so_are_pictures_for_a_judge_that_sees_none() -> None:
    with pytest.raises(InputError, match="no items to grade"):
        Given("anchors", []).scan()
    seen = Item(id="i", output="A cat.", images=["https://example.org/cat.png"])
    assert Given("anchors", [seen], images=True).scan().images == 1
    with pytest.raises(InputError, match="anchors:1: "):
        Given("anchors", [seen], images=False).scan()
