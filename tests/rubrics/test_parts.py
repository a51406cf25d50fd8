from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rubrics import Rubric, RubricError, answer_schema, in_parts, overall
from tests.generated import ANY

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


def test_parts_keep_their_sections_and_what_their_examples_answer() -> None:
    rubric = Rubric.loads(TREE)
    first, second, third = in_parts(rubric, 2)
    assert [[criterion.id for criterion in part.leaves] for part in (first, second, third)] == [
        ["first", "second"],
        ["third", "good"],
        ["bad", "worse"],
    ]
    assert [section.id for section in second.sections] == ["outer", "gains"]
    assert [section.id for section in second.sections[0].sections] == ["inner"]
    assert first.sections[0].sections == ()
    assert list(second.examples[0].answers) == ["good", "third"]
    assert in_parts(rubric, 6) == (rubric,)
    assert in_parts(rubric, 6)[0] is rubric
    assert in_parts(rubric, 2)[1] is second


def test_a_part_may_hold_faults_alone() -> None:
    # As a rubric of its own it could not be scored; as a part of one it is only asked.
    *_, faults = in_parts(Rubric.loads(TREE), 2)
    assert list(answer_schema(faults)["properties"]) == ["bad", "worse"]
    with pytest.raises(RubricError, match="no points can be earned here"):
        Rubric.parse(faults.model_dump())


def test_two_thousand_leaves_come_apart() -> None:
    leaf = "          - {{id: leaf{n}, scale: binary, question: Is requirement {n} met in full, weight: {w}}}\n"
    text = "name: large\ninstructions: Read it.\nsections:\n"
    for outer in range(4):
        text += f"  - id: outer{outer}\n    sections:\n"
        for inner in range(5):
            text += f"      - id: inner{outer}_{inner}\n        criteria:\n"
            begin = 100 * (5 * outer + inner)
            text += "".join(leaf.format(n=n, w=1 + n % 3) for n in range(begin, begin + 100))
    rubric = Rubric.loads(text, "large.yaml")
    parts = in_parts(rubric, 25)
    assert (len(rubric.leaves), len(parts), len(parts[-1].leaves)) == (2000, 80, 25)
    assert overall(rubric, dict.fromkeys(rubric.ids, 1.0)).value == pytest.approx(1.0)


def criterion(number: int, **fields: object) -> dict[str, object]:
    return {"id": f"c{number}", "question": f"Question {number}?", **fields}


@pytest.mark.parametrize(
    ("fields", "sizes"),
    [
        # 1000 answers, not 1050
        ({"scale": "ordinal", "levels": list(range(50))}, [20, 1]),
        # the two words count as answers
        ({"scale": "ordinal", "levels": list(range(48)), "not_applicable": True, "cannot_tell": True}, [20, 1]),
        # 120,000 characters: each has 2 or 3 for its id, 11 for reason and score, and 100 x 64
        ({"scale": "categorical", "levels": [f"{n:064}" for n in range(100)]}, [10, 10, 1]),
        # sixteen unions of types: a range that is not listed, beside words
        ({"scale": "numeric", "minimum": 0, "maximum": 1, "cannot_tell": True}, [16, 5]),
        ({"scale": "numeric", "minimum": 0, "maximum": 1}, [21]),
        ({"scale": "numeric", "minimum": 0, "maximum": 9, "step": 1, "cannot_tell": True}, [21]),
    ],
)
def test_a_part_is_no_larger_than_a_strict_schema_may_be(fields: dict[str, object], sizes: list[int]) -> None:
    rubric = Rubric.parse({"name": "wide", "criteria": [criterion(number, **fields) for number in range(21)]})
    assert [len(part.leaves) for part in in_parts(rubric, 25)] == sizes


WIDE = st.builds(
    lambda levels, long, words: {"levels": [f"{n:0{long}}" for n in range(levels)], "cannot_tell": words},
    st.integers(2, 100),
    st.integers(3, 64),
    st.booleans(),
)


@ANY
@given(st.lists(WIDE, min_size=1, max_size=40), st.integers(1, 100))
def test_no_schema_is_over_the_documented_limits(wide: list[dict[str, Any]], most: int) -> None:
    criteria = [criterion(n, scale="categorical", **fields) for n, fields in enumerate(wide)]
    parts = in_parts(Rubric.parse({"name": "wide", "criteria": criteria}), most)
    assert [leaf.id for part in parts for leaf in part.leaves] == [one["id"] for one in criteria]
    for part in parts:
        assert len(part.leaves) <= most
        properties, enums, characters, depth = counted(answer_schema(part))
        assert properties <= 5000
        assert enums <= 1000
        assert characters <= 120_000
        assert depth <= 10


def counted(schema: dict[str, Any], depth: int = 1) -> tuple[int, int, int, int]:
    """Properties, listed answers, characters of both, and levels of nesting, as OpenAI counts them."""
    properties, listed = schema.get("properties", {}), schema.get("enum", ())
    texts = [*properties, *(answer for answer in listed if isinstance(answer, str))]
    inner = [counted(part, depth + 1) for part in (*properties.values(), *schema.get("anyOf", ()))]
    return (
        len(properties) + sum(part[0] for part in inner),
        len(listed) + sum(part[1] for part in inner),
        sum(map(len, texts)) + sum(part[2] for part in inner),
        max([depth, *(part[3] for part in inner)]),
    )
