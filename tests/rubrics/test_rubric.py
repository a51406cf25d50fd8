from __future__ import annotations

import json
from typing import Any

import pytest

from rubrics import Rubric, RubricError

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


TREE = """
name: tree
instructions: Read it.
criteria:
  - {id: first, scale: binary, question: Is it first?, weight: 2}
sections:
  - id: outer
    weight: 3
    criteria:
      - {id: second, scale: ordinal, question: How second?, levels: [1, 2], required: 2}
    sections:
      - id: inner
        criteria:
          - {id: third, scale: numeric, question: How third?, minimum: 0, maximum: 1}
  - id: gains
    criteria:
      - {id: good, scale: points, question: It is good, points: 3}
      - {id: bad, scale: points, question: It is bad, points: -2}
      - {id: worse, scale: points, question: It is worse, points: -3}
examples:
  - output: x
    answers:
      worse: {reason: r6, score: yes}
      bad: {reason: r5, score: no}
      good: {reason: r4, score: yes}
      third: {reason: r3, score: 0.5}
      second: {reason: r2, score: 2}
      first: {reason: r1, score: no}
"""


def test_leaves_are_all_criteria_in_the_order_of_writing() -> None:
    rubric = Rubric.loads(TREE)
    assert list(rubric.ids) == ["first", "second", "third", "good", "bad", "worse"]
    assert [criterion.id for criterion in rubric.leaves] == list(rubric.ids)
    assert rubric.criterion("third") is rubric.leaves[2]


@pytest.mark.parametrize(
    ("old", "new", "asked_alike"),
    [
        ("weight: 3", "weight: 4", True),
        ("weight: 2", "weight: 5", True),
        ("points: -2", "points: -4", True),
        ("required: 2", "required: 1", True),
        ("name: tree", "name: bush", True),
        ("Read it.", "Read it twice.", False),
        ("How third?", "How far third?", False),
        ("maximum: 1", "maximum: 2", False),
        ("id: inner", "id: middle", False),
        ("reason: r4", "reason: r7", False),
    ],
)
def test_the_asked_hash_changes_with_what_a_judge_is_shown_alone(old: str, new: str, asked_alike: bool) -> None:
    assert old in TREE
    one, other = Rubric.loads(TREE), Rubric.loads(TREE.replace(old, new))
    assert (one.asked_hash == other.asked_hash) == asked_alike
    assert (one.hash == other.hash) == (old == "name: tree")


def test_values_of_levels_are_not_asked_and_criteria_named_like_fields_are() -> None:
    def named_points(**fields: Any) -> Rubric:
        levels = [{"level": "bad", "value": 0}, {"level": "good", "value": fields.get("value", 1)}]
        criterion = {"id": "points", "scale": "ordinal", "question": "How?", "levels": levels}
        answers = {"points": {"reason": fields.get("reason", "r"), "score": "good"}}
        return Rubric.parse({"name": "t", "criteria": [criterion], "examples": [{"output": "x", "answers": answers}]})

    assert named_points(value=9).asked_hash == named_points().asked_hash
    assert named_points(reason="other").asked_hash != named_points().asked_hash


def test_an_example_may_answer_with_any_number_of_a_range() -> None:
    with pytest.raises(RubricError) as caught:
        Rubric.loads(TREE.replace("score: 0.5", "score: 1.5"), "r.yaml")
    assert str(caught.value) == (
        "r.yaml:26: examples[0].answers.third.score: 1.5 is no answer to third; write a number from 0 to 1"
    )


def test_sections_nest_twelve_deep_and_no_deeper() -> None:
    node: dict[str, Any] = {"id": "s0", "criteria": [{"id": "a", "scale": "binary", "question": "Is it?"}]}
    for depth in range(1, 12):
        node = {"id": f"s{depth}", "sections": [node]}
    twelve = Rubric.parse({"name": "deep", "sections": [node]})
    assert Rubric.loads(twelve.model_dump_json(), "deep.json") == twelve
    for more in (1, 300, 50_000):
        for depth in range(more):
            node = {"id": f"t{depth}", "sections": [node]}
        with pytest.raises(RubricError) as caught:
            Rubric.parse({"name": "deep", "sections": [node]})
        assert str(caught.value).startswith("<data>: sections[0]")
        assert len(str(caught.value)) < 200
