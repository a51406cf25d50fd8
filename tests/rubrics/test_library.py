from __future__ import annotations

import pytest

from rubrics import Binary, Rubric, lint, shipped


def test_what_ships() -> None:
    assert shipped() == ("faithful-summary", "helpfulness", "instruction-following", "support-reply")


@pytest.mark.parametrize("name", shipped())
def test_shipped_rubric_is_named_as_its_file_and_lints_clean(name: str) -> None:
    rubric = Rubric.load(name)
    assert rubric.name == name
    assert rubric.version is not None
    assert [finding for finding in lint(rubric) if finding.severity == "warning"] == []


def test_shapes_others_rely_on() -> None:
    summary = Rubric.load("faithful-summary")
    assert [criterion.id for criterion in summary.criteria] == ["coherence", "consistency", "fluency", "relevance"]
    assert {criterion.answers for criterion in summary.criteria} == {(1, 2, 3, 4, 5)}
    support = Rubric.load("support-reply")
    assert support.criterion("resolves").required == 3
    assert isinstance(support.criterion("promises"), Binary)
    assert support.criterion("correct").answers == ("no", "yes", "cannot_tell")
    assert len(support.examples) == 1
