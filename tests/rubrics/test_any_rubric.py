"""What holds for every rubric, on generated ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from rubrics import Rubric, RubricError, answer_schema

# No digits: the dumper quotes by YAML 1.1 and would leave 1e5, a number in 1.2, without quotes.
WORDS = st.text(st.characters(exclude_categories=["C", "N"]), min_size=1, max_size=20).filter(str.strip)
NAMES = st.from_regex(r"[a-z][a-z ]{0,8}[a-z]", fullmatch=True)
WHEN = st.booleans() | WORDS


def criterion(id_: str) -> st.SearchStrategy[dict[str, Any]]:
    shared = {"id": st.just(id_), "question": WORDS, "weight": st.floats(0.01, 1000)}
    optional = {"not_applicable": WHEN, "cannot_tell": WHEN}
    numbers = st.dictionaries(st.integers(-100, 100), WORDS, min_size=2, max_size=6)
    names = st.lists(NAMES, min_size=2, max_size=6, unique=True)
    return st.fixed_dictionaries(
        {**shared, "scale": st.just("ordinal"), "levels": numbers | names}, optional=optional
    ) | st.fixed_dictionaries({**shared, "scale": st.just("binary")}, optional=optional)


RUBRICS = st.fixed_dictionaries(
    {
        "name": st.just("any"),
        "criteria": st.integers(1, 5).flatmap(lambda n: st.tuples(*(criterion(f"c{i}") for i in range(n))).map(list)),
    },
    optional={"instructions": WORDS, "description": WORDS, "version": st.integers(0, 99)},
)


@settings(deadline=None)  # the first example pays for imports
@given(RUBRICS)
def test_one_rubric_through_yaml_json_and_itself(data: dict[str, Any]) -> None:
    rubric = Rubric.parse(data)
    assert Rubric.loads(yaml.safe_dump(data, sort_keys=False), "r.yaml") == rubric
    assert Rubric.loads(json.dumps(data, indent="\t"), "r.json") == rubric
    assert Rubric.model_validate_json(rubric.model_dump_json()) == rubric
    assert Rubric.loads(rubric.model_dump_json()).hash == rubric.hash


@settings(deadline=None)  # the first example pays for imports
@given(RUBRICS)
def test_schema_keeps_to_the_strict_subset(data: dict[str, Any]) -> None:
    schema = answer_schema(Rubric.parse(data))
    assert schema["type"] == "object"
    for node in nodes(schema):
        assert set(node) in (
            {"type", "properties", "required", "additionalProperties"},
            {"type", "enum"},
            {"type"},
            {"anyOf"},
        )
        if node.get("type") == "object":
            assert node["required"] == list(node["properties"])
            assert node["additionalProperties"] is False


@settings(deadline=None)  # the first example pays for imports
@given(RUBRICS, st.data())
def test_schema_takes_right_answers_and_no_others(data: dict[str, Any], draw: st.DataObject) -> None:
    rubric = Rubric.parse(data)
    answer: dict[str, Any] = {
        each.id: {"reason": "r", "score": draw.draw(st.sampled_from(each.answers))} for each in rubric.criteria
    }
    validator = jsonschema.Draft202012Validator(answer_schema(rubric))
    validator.validate(answer)
    some = draw.draw(st.sampled_from(rubric.criteria)).id
    wrong = (
        {**answer, "extra": answer[some]},
        {id_: given for id_, given in answer.items() if id_ != some},
        {**answer, some: {**answer[some], "extra": 1}},
        {**answer, some: {"score": answer[some]["score"]}},
        {**answer, some: {"reason": "r", "score": "off the scale"}},
        {**answer, some: {"reason": "r", "score": 101}},
        {**answer, some: {"reason": "r", "score": None}},
    )
    for each in wrong:
        with pytest.raises(jsonschema.ValidationError):
            validator.validate(each)


FIELDS = ("name", "criteria", "levels", "level", "value", "scale", "id", "question", "examples", "answers", "weight")
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(("ordinal", "binary", "a")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(FIELDS) | st.text(), inner, max_size=6),
)


@settings(deadline=None)  # the first example pays for imports
@given(RUBRICS, st.sampled_from(FIELDS), ANYTHING)
def test_a_wrong_part_is_refused_in_one_line_or_fits(data: dict[str, Any], field: str, wrong: object) -> None:
    first, *rest = data["criteria"]
    for spoilt in ({**data, field: wrong}, {**data, "criteria": [{**first, field: wrong}, *rest]}, wrong):
        assert told(partial(Rubric.parse, spoilt)).isprintable()
        assert told(partial(Rubric.loads, json.dumps(spoilt), "r.json")).isprintable()


@settings(deadline=None)  # the first example pays for imports
@given(st.text() | st.text("{}[]:,-&*!|>'\"#%@` \n\ta1?"))
def test_no_text_breaks_the_reader(text: str) -> None:
    for source in ("r.yaml", "r.json"):
        with pytest.raises(RubricError) as caught:
            Rubric.loads(text, source)
        assert str(caught.value).isprintable()


def told(read: Callable[[], Rubric]) -> str:
    """The error's line, or the hash of a rubric that loads after all."""
    try:
        return read().hash
    except RubricError as error:
        return str(error)


def nodes(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield schema
    for child in (*schema.get("properties", {}).values(), *schema.get("anyOf", ())):
        yield from nodes(child)
