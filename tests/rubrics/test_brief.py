from __future__ import annotations

import pytest

from rubrics import Rubric, shipped
from rubrics.brief import as_yaml, brief

SHORT = """\
name: short
version: '2'
instructions: |-
  Read it.

  Then grade.
criteria:
- id: kind
  question: Which?
  scale: categorical
  levels:
  - note
  - letter
- id: deep
  question: How deep?
  scale: ordinal
  weight: 2.5
  required: 2
  levels:
    1: Flat.
    2: ''
- id: worth
  question: What is it worth?
  scale: ordinal
  levels:
  - level: little
    value: 1
  - level: much
    value: 10
    description: More than it cost.
- id: digits
  question: Which number, as text?
  scale: ordinal
  levels:
  - level: '1'
    description: One.
  - level: '2'
sections:
- id: facts
  description: What is said.
  weight: 3
  criteria:
  - id: four
    question: It says four.
    scale: points
    points: 3
"""


def test_nothing_is_written_that_goes_without_saying() -> None:
    assert as_yaml(Rubric.loads(SHORT)) == SHORT


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_rubric_is_the_same_in_its_brief_form(name: str) -> None:
    rubric = Rubric.load(name)
    assert Rubric.parse(brief(rubric)) == rubric
    assert Rubric.loads(as_yaml(rubric), "r.yaml") == rubric
