from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from rubrics import Rubric, Section

BINARY = {"id": "a", "scale": "binary", "question": "Is it?"}
GAIN = {"id": "g", "scale": "points", "question": "It greets", "points": 2}
LOSS = {"id": "l", "scale": "points", "question": "It lies", "points": -2}


def test_a_section_walks_its_own_criteria_before_those_within() -> None:
    inner = {"id": "inner", "criteria": [{**BINARY, "id": "b"}]}
    section = Section.model_validate({"id": "outer", "sections": [inner], "criteria": [BINARY]})
    assert [criterion.id for criterion in section.walk()] == ["a", "b"]
    assert (section.weight, section.description, section.by_points) == (1.0, "", False)


def test_a_section_of_points_alone_is_by_points() -> None:
    assert Section.model_validate({"id": "s", "criteria": [GAIN, LOSS]}).by_points


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "nothing to grade here"),
        ({"criteria": [LOSS]}, "no points can be earned here"),
        ({"criteria": [GAIN, BINARY]}, "points and other scales have no common sum"),
        ({"criteria": [GAIN], "sections": [{"id": "i", "criteria": [BINARY]}]}, "points and other scales"),
        ({"criteria": [BINARY], "weight": 0}, "greater than 0"),
        ({"criteria": [BINARY], "id": "overall"}, "names the whole grade"),
        ({"criteria": [{**BINARY, "id": f"c{n}"} for n in range(501)]}, "at most 500 items"),
    ],
)
def test_a_section_that_cannot_be_counted_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Section.model_validate({"id": "s", **fields})


def test_a_criterion_and_a_section_may_share_an_id() -> None:
    rubric = Rubric.parse({"name": "t", "sections": [{"id": "a", "criteria": [BINARY]}]})
    assert list(rubric.ids) == ["a"]


def test_the_weights_of_sections_are_part_of_the_hash() -> None:
    one, other = (
        Rubric.parse({"name": "t", "criteria": [BINARY], "sections": [{"id": "s", "weight": w, "criteria": [GAIN]}]})
        for w in (1, 2)
    )
    assert one.hash != other.hash
