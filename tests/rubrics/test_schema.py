from __future__ import annotations

import json

from rubrics import Rubric, answer_schema

RUBRIC = """
name: small
criteria:
  - {id: zeal, scale: ordinal, question: How keen, levels: [1, 2]}
  - {id: ease, scale: ordinal, question: How easy, levels: [1, 2], not_applicable: true, cannot_tell: true}
  - {id: care, scale: binary, question: Any care, cannot_tell: true}
"""
SCHEMA = """
{"type": "object", "properties": {
  "zeal": {"type": "object", "properties": {
     "reason": {"type": "string"}, "score": {"type": "integer", "enum": [1, 2]}},
     "required": ["reason", "score"], "additionalProperties": false},
  "ease": {"type": "object", "properties": {
     "reason": {"type": "string"}, "score": {"anyOf": [
        {"type": "integer", "enum": [1, 2]}, {"type": "string", "enum": ["not_applicable", "cannot_tell"]}]}},
     "required": ["reason", "score"], "additionalProperties": false},
  "care": {"type": "object", "properties": {
     "reason": {"type": "string"}, "score": {"type": "string", "enum": ["no", "yes", "cannot_tell"]}},
     "required": ["reason", "score"], "additionalProperties": false}},
 "required": ["zeal", "ease", "care"], "additionalProperties": false}
"""


def test_schema_of_a_small_rubric_to_the_byte() -> None:
    # Compared as text: the order of properties is what makes a judge reason before it scores.
    assert json.dumps(answer_schema(Rubric.loads(RUBRIC))) == json.dumps(json.loads(SCHEMA))


def test_schema_is_made_once_for_equal_rubrics() -> None:
    assert answer_schema(Rubric.loads(RUBRIC)) is answer_schema(Rubric.loads(RUBRIC))
