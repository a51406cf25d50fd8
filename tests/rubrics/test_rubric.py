from __future__ import annotations

import json

import pytest

from rubrics import Rubric

LONG = """
name: long
version: "7"
description: Not part of the hash.
instructions: "Read twice.\\nThen grade."
criteria:
  - id: depth
    question: How deep?
    weight: 1.0
    not_applicable: The question does not apply to this output.
    cannot_tell: null
    required: null
    scale: ordinal
    levels:
      - {level: 1, value: 1.0, description: flat}
      - {level: 2, value: 2.0, description: deep}
  - id: safe
    question: Is it safe?
    scale: binary
    weight: 2
"""
SHORT = """\ufeff
criteria:
- {scale: ordinal, levels: {2: deep, 1: flat}, not_applicable: true, question: "How deep? ", id: depth}
- {id: safe, scale: binary, question: 'Is it safe?', weight: 2.0, cannot_tell: false, levels: {yes: }}
instructions: |
  Read twice.   \r
  Then grade.

name: short
"""
TWIN = """{"name": "twin", "instructions": "Read twice.\\nThen grade.", "criteria": [
\t{"id": "depth", "scale": "ordinal", "question": "How deep?", "levels": {"1": "flat", "2": "deep"},
\t "not_applicable": true},
\t{"id": "safe", "scale": "binary", "question": "Is it safe?", "weight": 2}]}"""


def test_one_hash_for_every_way_of_writing_one_rubric() -> None:
    rubrics = [Rubric.loads(LONG), Rubric.loads(SHORT), Rubric.loads(TWIN)]
    rubrics.append(Rubric.parse(json.loads(rubrics[0].model_dump_json())))
    assert {rubric.hash for rubric in rubrics} == {rubrics[0].hash}
    assert len(rubrics[0].hash) == 64
    assert rubrics[0] != rubrics[1]  # the names differ


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("weight: 2", "weight: 2.5"),
        ("Read twice", "Read once"),
        ("description: flat", "description: shallow"),
        ("required: null", "required: 2"),
        ("cannot_tell: null", "cannot_tell: true"),
        ("How deep?", "How deep is it?"),
        ("id: safe", "id: harmless"),
    ],
)
def test_hash_changes_with_whatever_can_change_a_grade(old: str, new: str) -> None:
    assert old in LONG
    assert Rubric.loads(LONG.replace(old, new)).hash != Rubric.loads(LONG).hash


def test_hash_of_a_copy_is_its_own() -> None:
    rubric = Rubric.loads(LONG)
    before = rubric.hash
    assert rubric.model_copy(update={"instructions": "Be brief."}).hash != before
    assert rubric.model_copy(update={"name": "other"}).hash == before


def test_json_round_trip_and_lookup() -> None:
    rubric = Rubric.load("support-reply")
    again = Rubric.model_validate_json(rubric.model_dump_json())
    assert again == rubric
    assert again.hash == rubric.hash
    assert hash(again) == hash(rubric)
    assert again.criterion("tone").listed == (1, 2, 3, 4)
    with pytest.raises(KeyError):
        again.criterion("Tone")


def test_version_may_be_a_whole_number() -> None:
    assert Rubric.loads(LONG.replace('"7"', "7")).version == "7"


def test_the_order_of_an_examples_answers_does_not_matter() -> None:
    example = {
        "output": "x",
        "answers": {"safe": {"reason": "r", "score": "yes"}, "depth": {"reason": "r", "score": "not_applicable"}},
    }
    rubric = Rubric.parse({**Rubric.loads(LONG).model_dump(), "examples": [example]})
    example["answers"] = dict(reversed(example["answers"].items()))
    assert Rubric.parse({**Rubric.loads(LONG).model_dump(), "examples": [example]}).hash == rubric.hash
