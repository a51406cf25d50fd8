from __future__ import annotations

import json
from typing import Any

import pytest

from rubrics import Categorical, Ordinal, Points, Rubric, RubricError, overall
from rubrics.importers import Imported, read

ABSTAINING = "changed: CANNOT_ASSESS becomes cannot_tell, which leaves the overall open"


def option(label: str, value: float, **more: object) -> dict[str, object]:
    return {"label": label, "value": value, **more}


def imported(*criteria: dict[str, Any], **more: Any) -> Imported:
    return read(json.dumps({"criteria": criteria, **more}), "autorubric", "essay.json")


def rubric_of(*criteria: dict[str, Any]) -> Rubric:
    return imported(*criteria).rubrics[0]


YAML = """\
guidelines: Judge for a beginner.
sections:
  - name: facts
    criteria:
      - {name: accuracy, weight: 10, requirement: The facts are right.}
      - {requirement: The sources are named.}
  - {name: style, weight: 5, requirement: It reads well., author: me}
"""


def test_weights_and_guidelines_are_kept() -> None:
    found = read(YAML, source="Essay 1.yaml")
    (rubric,) = found.rubrics
    assert (rubric.name, rubric.instructions) == ("essay-1", "Judge for a beginner.")
    assert [(c.id, c.scale, c.weight, c.cannot_tell is None) for c in rubric.leaves] == [
        ("accuracy", "binary", 10.0, False),
        ("the_sources_are_named", "binary", 10.0, False),
        ("style", "binary", 5.0, False),
    ]
    assert found.losses == (
        "left out: name of a section (section 1)",
        "left out: author (style)",
        f"{ABSTAINING} (accuracy, the_sources_are_named, style)",
    )


def test_a_blank_requirement_is_told_and_the_rest_is_there() -> None:
    rubric = [{"requirement": "It is right."}, {"requirement": " "}, {"requirement": "It is short."}]
    item = {"submission": "So.", "ground_truth": ["MET", "MET", "UNMET"]}
    found = read(json.dumps({"rubric": rubric, "items": [item]}), source="essay.json")
    assert [criterion.id for criterion in found.rubrics[0].leaves] == ["it_is_right", "it_is_short"]
    assert found.items[0]["metadata"]["ground_truth"] == {"it_is_right": "MET", "it_is_short": "UNMET"}
    assert "left out: a blank requirement (c2)" in found.losses


@pytest.mark.parametrize(
    "data",
    [
        [{"requirement": "It is right."}],
        {"rubric": [{"requirement": "It is right."}]},
        {"rubric": {"criteria": [{"requirement": "It is right."}]}},
        {"rubric": {"sections": [{"criteria": [{"requirement": "It is right."}]}]}},
        {"sections": [{"requirement": "It is right."}]},
    ],
)
def test_every_form_of_a_rubric_is_read(data: object) -> None:
    (rubric,) = read(json.dumps(data), "autorubric").rubrics
    assert [criterion.question for criterion in rubric.leaves] == ["It is right."]


def test_weights_of_both_signs_are_points() -> None:
    found = imported(
        {"name": "good", "weight": 10, "requirement": "a"}, {"name": "bad", "weight": -15, "requirement": "b"}
    )
    (rubric,) = found.rubrics
    assert [criterion.points for criterion in rubric.leaves if isinstance(criterion, Points)] == [10.0, -15.0]
    # autorubric: clip((10 - 15) / 10) = 0; here it is told that nothing is cut off
    assert overall(rubric, {"good": 10.0, "bad": -15.0}).value == pytest.approx(-0.5)
    assert found.losses == (
        "changed: by a weight below 0, the score can fall below 0 (bad)",
        f"{ABSTAINING} (good, bad)",
    )


def test_weights_below_0_alone_are_faults_avoided() -> None:
    rubric = rubric_of({"name": "a", "weight": -1, "requirement": "a"}, {"name": "b", "weight": -3, "requirement": "b"})
    assert [(criterion.scale, criterion.answers[:2]) for criterion in rubric.leaves] == [("ordinal", ("yes", "no"))] * 2
    # autorubric: 1 + (-3) / 4 where b is met; here (1 * 1 + 3 * 0) / 4
    met = {c.id: c.read("yes" if c.id == "b" else "no") for c in rubric.leaves}
    assert overall(rubric, {id_: mark.value for id_, mark in met.items() if mark}).value == pytest.approx(0.25)


def test_options_are_levels_and_what_does_not_apply_is_a_word() -> None:
    options = [option("Good", 1.0), option("N/A - nothing said", 0, na=True), option("Bad", 0), option("Fair", 0.4)]
    (criterion,) = rubric_of({"name": "a", "weight": 2, "requirement": "How?", "options": options}).leaves
    assert isinstance(criterion, Ordinal)
    assert [(level.level, level.value) for level in criterion.levels] == [("Bad", 0.0), ("Fair", 0.4), ("Good", 1.0)]
    assert (criterion.not_applicable, criterion.weight) == ("N/A - nothing said", 2.0)


@pytest.mark.parametrize(
    ("options", "scale_type", "weight", "expected"),
    [
        # nominal: in their order, as labels with values
        ([option("x", 1), option("y", 0)], "nominal", 1, [("x", 1.0), ("y", 0.0)]),
        # two of one value have no order
        ([option("x", 0), option("y", 1), option("z", 1)], "ordinal", 1, [("x", 0.0), ("y", 1.0), ("z", 1.0)]),
        # a weight below 0: the high value is the worse
        ([option("x", 0.3), option("y", 1)], "nominal", -2, [("x", 0.7), ("y", 0.0)]),
        # one value for all: labels
        ([option("x", 0.5), option("y", 0.5)], "nominal", 1, [("x", None), ("y", None)]),
    ],
)
def test_options_without_order_are_labels(
    options: list[dict[str, object]], scale_type: str, weight: float, expected: list[tuple[str, float | None]]
) -> None:
    given = {"name": "a", "weight": weight, "requirement": "Which?", "options": options, "scale_type": scale_type}
    (criterion,) = rubric_of(given).leaves
    assert isinstance(criterion, Categorical)
    assert [(level.level, level.value) for level in criterion.levels] == expected


def test_a_label_too_long_to_answer_with_becomes_the_description() -> None:
    long = "So good that it is worth more than sixty-four characters to say how good it is"
    options = [option("cannot_tell", 0), option(long, 1)]
    (criterion,) = rubric_of({"requirement": "How?", "options": options}).leaves
    assert criterion.told == (("option 1", "cannot_tell"), ("option 2", long))


def test_what_changes_its_meaning_is_told() -> None:
    options = [option("Low", 0.2), option("High", 1)]
    found = imported(
        {"name": "a", "weight": 5, "requirement": "How?", "options": options, "aggregation": "mean"},
        {"name": "b", "weight": -2, "requirement": "It rambles."},
        {"name": "c", "weight": 0, "requirement": "It is blue."},
    )
    assert found.losses == (
        "left out: aggregation (a)",
        "left out: weight 0, which counts for nothing (c)",
        "changed: by a weight below 0, points lost become points not earned (b)",
        "changed: values are stretched to run from 0 to 1 (a)",
        f"{ABSTAINING} (b)",
    )


DATASET = {
    "name": "Essays",
    "prompt": "Write an essay.",
    "reference_submission": "A good one.",
    "rubric": [{"name": "a", "requirement": "a"}, {"name": "z", "weight": 0, "requirement": "z"}, {"requirement": "b"}],
    "items": [
        {
            "submission": "One.",
            "description": "first",
            "ground_truth": ["MET", "MET", "UNMET"],
            "ground_truth_reasons": ["so", None, None],
        },
        {
            "submission": "Two.",
            "description": "second",
            "prompt": "Write another.",
            "reference_submission": "Better.",
            "rubric": [{"name": "own", "requirement": "own"}],
        },
    ],
}


def test_a_dataset_brings_its_items() -> None:
    found = read(json.dumps(DATASET), source="d.json")
    assert [rubric.name for rubric in found.rubrics] == ["essays"]
    assert found.items == (
        {
            "id": "item-1",
            "input": "Write an essay.",
            "output": "One.",
            "reference": "A good one.",
            "metadata": {
                "description": "first",
                "ground_truth": {"a": "MET", "b": "UNMET"},
                "ground_truth_reasons": {"a": "so"},
            },
        },
        {
            "id": "item-2",
            "input": "Write another.",
            "output": "Two.",
            "reference": "Better.",
            "metadata": {"description": "second"},
            "rubric": found.items[1]["rubric"],
        },
    )
    assert [criterion.id for criterion in Rubric.parse(found.items[1]["rubric"]).leaves] == ["own"]


def test_a_shared_rubric_that_no_item_uses_is_not_made() -> None:
    items = [DATASET["items"][1]]  # type: ignore[index]
    assert read(json.dumps({**DATASET, "items": items})).rubrics == ()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({**DATASET, "rubric": None}, "a.json: item-1: no rubric for it; write one beside it or for the dataset"),
        ({"criteria": {"a": 1}}, "a.json: no list of criteria; write one under `criteria`"),
        ([{"weight": 1}], "a.json: [0].requirement: field required; write what the format asks for"),
        ([{"requirement": "x", "options": []}], "a.json: criteria[0].levels: too few"),
        ([{"requirement": "x", "weight": 0}], "a.json: criteria: nothing to grade here"),
    ],
)
def test_what_is_no_rubric_is_refused(data: object, expected: str) -> None:
    with pytest.raises(RubricError) as caught:
        read(json.dumps(data), "autorubric", "a.json")
    assert str(caught.value).startswith(expected)
