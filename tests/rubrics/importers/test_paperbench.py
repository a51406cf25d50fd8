from __future__ import annotations

import json
from typing import Any

import pytest

from rubrics import Rubric, RubricError, overall
from rubrics.brief import as_yaml
from rubrics.importers import read


def task(id_: str, requirements: str, weight: float, *sub_tasks: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": id_, "requirements": requirements, "weight": weight, "sub_tasks": list(sub_tasks), **more}


TREE = task(
    "root",
    "The core contributions of the paper have been reproduced.",
    1,
    task(
        "n1",
        "The method is implemented.",
        3,
        task("l1", "The loss of equation 3 is implemented.", 2, task_category="Code Development"),
        task("l2", "Training runs to the end.", 1, task_category="Code Execution"),
        task("l3", "The licence is read.", 0, finegrained_task_category="Data Processing & Preparation"),
    ),
    task("l4", "Table 1 ranks the methods alike.", 1, task_category="Result Analysis"),
    task("n2", "What is not needed.", 2, task("l5", "An appendix is there.", 0)),
)


def test_a_tree_keeps_its_weights_and_its_categories() -> None:
    imported = read(json.dumps(TREE), source="some/Paper 7.json")
    (rubric,) = imported.rubrics
    assert (rubric.name, imported.items) == ("paper-7", ())
    assert [(c.id, c.question, c.weight) for c in rubric.leaves] == [
        ("table_1_ranks_the_methods_alike", "Result Analysis: Table 1 ranks the methods alike.", 1.0),
        ("the_loss_of_equation_3_is", "Code Development: The loss of equation 3 is implemented.", 2.0),
        ("training_runs_to_the_end", "Code Execution: Training runs to the end.", 1.0),
    ]
    (section,) = rubric.sections
    assert (section.id, section.description, section.weight) == (
        "the_method_is_implemented",
        "The method is implemented.",
        3.0,
    )
    assert rubric.instructions.startswith("The core contributions of the paper have been reproduced.\n\n")
    assert {"Code Development", "Code Execution", "Result Analysis"} == {
        line.partition(":")[0] for line in rubric.instructions.splitlines()[3:]
    }
    # PaperBench: n1 (2 * 1 + 1 * 0) / 3; root (3 * 2/3 + 1 * 0) / 4
    met = {"the_loss_of_equation_3_is": 1.0, "training_runs_to_the_end": 0.0, "table_1_ranks_the_methods_alike": 0.0}
    assert overall(rubric, met).value == pytest.approx(0.5)
    assert Rubric.loads(as_yaml(rubric), "r.yaml") == rubric


def test_a_leaf_without_a_requirement_is_told_and_the_rest_is_there() -> None:
    blank = task("l6", " ", 2, task_category="Code Execution")
    found = read(json.dumps({**TREE, "sub_tasks": [*TREE["sub_tasks"], blank]}), source="some/Paper 7.json")
    assert found.rubrics == read(json.dumps(TREE), source="some/Paper 7.json").rubrics
    assert "left out: a blank requirement (node l6)" in found.losses


def test_what_has_no_place_is_told() -> None:
    assert read(json.dumps({**TREE, "judge": "o3"}), "paperbench").losses == (
        "left out: judge (node root)",
        "changed: ids are made from the requirements (node root, node l4, node n1 and 3 more)",
        "left out: weight 0, which counts for nothing (node l3, node l5)",
        "left out: nothing in it counts (node n2)",
    )


def test_a_leaf_alone_is_a_rubric_of_one_criterion() -> None:
    (rubric,) = read(json.dumps(task("x", "It runs.", 0)), source="one.json").rubrics
    assert [(criterion.id, criterion.question) for criterion in rubric.leaves] == [("it_runs", "It runs.")]


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        (task("x", "It runs.", -1), "p.json: weight: input should be greater than or equal to 0; write"),
        (task("x", "It runs.", 1, {"id": "y", "sub_tasks": []}), "p.json: sub_tasks[0].requirements: field required"),
        (task("x", "It runs.", 1, task("y", "a", 0)), "p.json: criteria: nothing to grade here"),
    ],
)
def test_a_tree_that_cannot_be_read_is_refused(tree: dict[str, Any], expected: str) -> None:
    with pytest.raises(RubricError) as caught:
        read(json.dumps(tree), source="p.json")
    assert str(caught.value).startswith(expected)
