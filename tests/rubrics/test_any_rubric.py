"""What holds for every rubric, on generated ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rubrics import Rubric, RubricError, answer_schema, in_parts, lint, lowest, overall
from rubrics.brief import as_yaml, brief
from tests.generated import ANY, RUBRICS, Data, answers, other_name, shuffled, under_other_names


def values(draw: st.DataObject, rubric: Rubric) -> tuple[dict[str, float], list[str]]:
    """Scores of some criteria, and others that do not apply."""
    scores: dict[str, float] = {}
    excused = []
    for criterion in rubric.leaves:
        given = draw.draw(st.none() | answers(criterion))
        mark = criterion.read(given)
        if given == "not_applicable":
            excused.append(criterion.id)
        elif mark is not None and mark.value is not None:
            scores[criterion.id] = mark.value
    return scores, excused


@ANY
@given(RUBRICS)
def test_one_rubric_through_yaml_json_and_itself(data: Data) -> None:
    rubric = Rubric.parse(data)
    assert Rubric.loads(yaml.safe_dump(data, sort_keys=False), "r.yaml") == rubric
    assert Rubric.loads(json.dumps(data, indent="\t"), "r.json") == rubric
    assert Rubric.model_validate_json(rubric.model_dump_json()) == rubric
    assert Rubric.loads(rubric.model_dump_json()).hash == rubric.hash


@ANY
@given(RUBRICS)
def test_the_brief_form_is_the_same_rubric(data: Data) -> None:
    rubric = Rubric.parse(data)
    assert Rubric.parse(brief(rubric)) == rubric
    assert Rubric.loads(as_yaml(rubric), "r.yaml") == rubric


@ANY
@given(RUBRICS)
def test_lint_says_one_line_each_and_changes_nothing(data: Data) -> None:
    rubric = Rubric.parse(data)
    before = rubric.hash
    assert all(str(finding).isprintable() for finding in lint(rubric))
    assert Rubric.parse(data).hash == before


@ANY
@given(RUBRICS)
def test_schema_keeps_to_the_strict_subset(data: Data) -> None:
    schema = answer_schema(Rubric.parse(data))
    assert schema["type"] == "object"
    assert sum(len(node.get("enum", ())) for node in nodes(schema)) <= 1000
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


@ANY
@given(RUBRICS, st.data())
def test_schema_takes_right_answers_and_no_others(data: Data, draw: st.DataObject) -> None:
    rubric = Rubric.parse(data)
    answer: Data = {each.id: {"reason": "r", "score": draw.draw(answers(each))} for each in rubric.leaves}
    validator = jsonschema.Draft202012Validator(answer_schema(rubric))
    validator.validate(answer)
    some = draw.draw(st.sampled_from(rubric.leaves)).id
    wrong: list[Data] = [
        {**answer, "extra": answer[some]},
        {id_: given for id_, given in answer.items() if id_ != some},
        {**answer, some: {**answer[some], "extra": 1}},
        {**answer, some: {"score": answer[some]["score"]}},
        {**answer, some: {"reason": "r", "score": "off the scale"}},
        {**answer, some: {"reason": "r", "score": None}},
    ]
    if rubric.criterion(some).listed:
        wrong.append({**answer, some: {"reason": "r", "score": 1001}})
    for each in wrong:
        with pytest.raises(jsonschema.ValidationError):
            validator.validate(each)


@ANY
@given(RUBRICS, st.integers(1, 4))
def test_parts_hold_every_criterion_once_and_in_order(data: Data, most: int) -> None:
    rubric = Rubric.parse(data)
    parts = in_parts(rubric, most)
    assert [criterion for part in parts for criterion in part.leaves] == list(rubric.leaves)
    assert {len(part.leaves) for part in parts[:-1]} <= {most}
    assert {part.instructions for part in parts} == {rubric.instructions}
    asked = [id_ for part in parts for id_ in answer_schema(part)["properties"]]
    assert asked == list(answer_schema(rubric)["properties"])


@ANY
@given(RUBRICS, st.data(), st.randoms(use_true_random=False))
def test_the_order_of_writing_does_not_change_the_overall(data: Data, draw: st.DataObject, chance: Any) -> None:
    rubric = Rubric.parse(data)
    scores, excused = values(draw, rubric)
    there, here = (overall(Rubric.parse(one), scores, excused) for one in (shuffled(data, chance), data))
    assert (there.passed, there.complete) == (here.passed, here.complete)
    assert (there.value, there.low, there.high) == pytest.approx((here.value, here.low, here.high))
    assert lowest(Rubric.parse(shuffled(data, chance))) == pytest.approx(lowest(rubric))


@ANY
@given(RUBRICS, st.data())
def test_the_names_of_criteria_do_not_change_the_overall(data: Data, draw: st.DataObject) -> None:
    rubric = Rubric.parse(data)
    scores, excused = values(draw, rubric)
    renamed = overall(
        Rubric.parse(under_other_names(data)),
        {other_name(id_): score for id_, score in scores.items()},
        [other_name(id_) for id_ in excused],
    )
    assert renamed == overall(rubric, scores, excused)


@ANY
@given(RUBRICS, st.data())
def test_the_overall_keeps_to_its_bounds(data: Data, draw: st.DataObject) -> None:
    rubric = Rubric.parse(data)
    scores, excused = values(draw, rubric)
    result = overall(rubric, scores, excused)
    assert lowest(rubric) - 1e-9 <= result.low <= result.high <= 1 + 1e-9
    if result.value is not None:
        assert result.low == result.value == result.high


FIELDS = (
    *("name", "criteria", "sections", "examples", "answers", "id", "question", "scale", "weight", "required"),
    *("levels", "level", "value", "minimum", "maximum", "step", "anchors", "points", "tie"),
)
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(("ordinal", "binary", "categorical", "numeric", "points", "preference", "a")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(FIELDS) | st.text(), inner, max_size=6),
)


@ANY
@given(RUBRICS, st.sampled_from(FIELDS), ANYTHING)
def test_a_wrong_part_is_refused_in_one_line_or_fits(data: Data, field: str, wrong: object) -> None:
    first, *rest = data["criteria"]
    criteria = [{**first, field: wrong}, *rest]
    deep = {"name": "any", "sections": [{"id": "inner", "criteria": criteria}, {"id": "spoilt", field: wrong}]}
    for spoilt in ({**data, field: wrong}, {**data, "criteria": criteria}, deep, wrong):
        assert told(partial(Rubric.parse, spoilt)).isprintable()
        assert told(partial(Rubric.loads, json.dumps(spoilt), "r.json")).isprintable()


@ANY
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
