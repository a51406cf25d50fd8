from __future__ import annotations

import json
from typing import Any

import pytest

from rubrics import Categorical, Numeric, RubricError
from rubrics.importers import read

SCORE: dict[str, Any] = {
    "type": "score_model",
    "name": "Quality of summary",
    "model": "gpt-4.1",
    "range": [1, 7],
    "input": [
        {"role": "system", "content": "Be strict."},
        {"role": "user", "content": "Rate {{sample.output_text}} against {{item.reference}}."},
        {"role": "assistant", "content": "{{ sample.output_text }}"},
    ],
    "sampling_params": {"temperature": 0},
}
LABEL: dict[str, Any] = {
    "type": "label_model",
    "name": "tone",
    "model": "gpt-4.1",
    "input": [{"role": "developer", "content": [{"type": "input_text", "text": "Label the tone."}]}],
    "labels": ["calm", "angry", "flat"],
    "passing_labels": ["calm", "flat"],
}
EXACT = {"type": "string_check", "name": "same", "input": "{{sample.output_text}}", "reference": "x", "operation": "eq"}


def test_a_score_grader_is_a_number_in_its_range() -> None:
    found = read(json.dumps({"grader": SCORE}), source="g.json")
    (rubric,) = found.rubrics
    (criterion,) = rubric.leaves
    assert isinstance(criterion, Numeric)
    assert (rubric.name, rubric.instructions) == ("quality-of-summary", "Be strict.")
    assert (criterion.id, criterion.minimum, criterion.maximum) == ("quality_of_summary", 1.0, 7.0)
    assert criterion.question == "Rate the output against [item.reference]."
    assert found.losses == (
        "left out: model (Quality of summary)",
        "left out: sampling_params (Quality of summary)",
        "changed: {{item.reference}} becomes [item.reference] (Quality of summary)",
    )


def test_the_range_is_0_to_1_and_the_threshold_required() -> None:
    given = {**SCORE, "range": None, "pass_threshold": 0.6}
    (criterion,) = read(json.dumps(given)).rubrics[0].leaves
    assert isinstance(criterion, Numeric)
    assert (criterion.minimum, criterion.maximum, criterion.required) == (0.0, 1.0, 0.6)


@pytest.mark.parametrize("threshold", [0.8, 7.5, -1])
def test_a_threshold_outside_the_range_is_told_and_the_rest_is_there(threshold: float) -> None:
    outside = {**SCORE, "name": "odd", "pass_threshold": threshold}
    found = read(json.dumps([outside, {**SCORE, "pass_threshold": 7}, LABEL]), source="g.json")
    odd, kept, tone = found.rubrics[0].leaves
    assert isinstance(odd, Numeric)
    assert (odd.id, odd.minimum, odd.maximum, odd.required) == ("odd", 1.0, 7.0, None)
    assert isinstance(kept, Numeric)
    assert (kept.required, tone.id) == (7.0, "tone")
    assert "left out: a pass_threshold outside the range (odd)" in found.losses


def test_a_label_grader_passes_where_its_label_does() -> None:
    (rubric,) = read(json.dumps(LABEL)).rubrics
    (criterion,) = rubric.leaves
    assert isinstance(criterion, Categorical)
    assert (rubric.instructions, criterion.question) == ("Label the tone.", "tone")
    assert [(level.level, level.value) for level in criterion.levels] == [("calm", 1.0), ("angry", 0.0), ("flat", 1.0)]
    assert [criterion.passes(value) for value in (0.0, 1.0)] == [False, True]


@pytest.mark.parametrize("passing", [[], ["calm", "angry", "flat"]])
def test_labels_that_all_pass_or_all_fail_are_labels_alone(passing: list[str]) -> None:
    (criterion,) = read(json.dumps({**LABEL, "passing_labels": passing})).rubrics[0].leaves
    assert not criterion.valued


@pytest.mark.parametrize(
    "held",
    [
        {"type": "multi", "name": "all", "graders": {"a": SCORE, "b": LABEL, "c": EXACT}, "calculate_output": "a+b"},
        {"testing_criteria": [SCORE, LABEL, EXACT], "name": "eval", "metadata": {"k": "v"}},
        [SCORE, LABEL, EXACT],
    ],
)
def test_several_graders_are_criteria_of_one_rubric(held: object) -> None:
    found = read(json.dumps(held), source="g.json")
    (rubric,) = found.rubrics
    assert (rubric.name, rubric.instructions) == ("g", "")
    assert [(criterion.id, criterion.question) for criterion in rubric.leaves] == [
        ("quality_of_summary", "Be strict.\n\nRate the output against [item.reference]."),
        ("tone", "Label the tone."),
    ]
    told = {
        "left out: calculate_output (the file)",
        "left out: metadata (the file)",
        "left out: a string_check grader, which asks no judge (same)",
        "left out: model (Quality of summary, tone)",
    }
    assert told >= {line for line in found.losses if not line.startswith(("changed", "left out: sampling"))}
    assert "left out: a string_check grader, which asks no judge (same)" in found.losses


def test_a_formula_and_pictures_are_told() -> None:
    picture = {"role": "user", "content": {"type": "input_image", "image_url": "https://example.org/a.png"}}
    multi = {
        "type": "multi",
        "name": "all",
        "graders": {"a": {**LABEL, "input": [*LABEL["input"], picture]}},
        "calculate_output": "0.5*a",
    }
    losses = read(json.dumps(multi), source="g.json").losses
    assert "left out: calculate_output (the file)" in losses
    assert "left out: a part of a message that is not text (tone)" in losses


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (EXACT, "g.json: no score_model or label_model grader; write at least one"),
        ({**SCORE, "range": [1]}, "g.json: range[1]: field required; write what the format asks for"),
        ({**SCORE, "range": [3, 3]}, "g.json: criteria[0].minimum: the minimum is not below the maximum"),
        ({"grader": {**LABEL, "labels": ["one"]}}, "g.json: criteria[0].levels: too few"),
        ({**LABEL, "input": "hello"}, "g.json: input: input should be a valid tuple"),
    ],
)
def test_a_grader_that_cannot_be_asked_is_refused(given: dict[str, Any], expected: str) -> None:
    with pytest.raises(RubricError) as caught:
        read(json.dumps(given), source="g.json")
    assert str(caught.value).startswith(expected)
