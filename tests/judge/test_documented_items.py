"""docs/items.md, and the examples: every item in them is one."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import get_args

import pytest

from judge import Item, prompts
from judge.datasets import Dataset
from judge.items import FIELDS
from judge.messages import PARTS, Message

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "items.md").read_text("utf-8")
BLOCKS = re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)


def test_every_field_role_and_part_is_named() -> None:
    roles = get_args(Message.model_fields["role"].annotation)
    assert len(roles) == 5
    for name in (*FIELDS, *roles, *PARTS):
        assert f"`{name}`" in TEXT or f'"{name}"' in TEXT
    used = {field for block in BLOCKS for field in json.loads(block)}
    assert used == set(FIELDS) - {"rubric"}


@pytest.mark.parametrize("block", BLOCKS)
def test_every_example_is_an_item(tmp_path: Path, block: str) -> None:
    (tmp_path / "photo.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "items.jsonl").write_text(json.dumps(json.loads(block)))
    assert Dataset(str(tmp_path / "items.jsonl")).scan().count == 1


def test_an_item_is_shown_as_it_says() -> None:
    (shown,) = re.findall(r"```\n(<output CODE>.*?)```", TEXT, re.DOTALL)
    item = Item.model_validate(json.loads(BLOCKS[1]))
    text = prompts.user(item)
    assert shown in text.replace(text[text.rindex(" ") + 1 : -1], "CODE")


def test_the_agent_runs_of_the_examples_are_items() -> None:
    items = list(Dataset(str(ROOT / "examples" / "agent_runs.jsonl")))
    assert len(items) == 6
    assert all(isinstance(item.output, list) for item in items)
    assert {item.metadata["quality"] for item in items} == {"good", "poor"}
