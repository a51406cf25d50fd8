from __future__ import annotations

import pytest

from rubrics import Binary, Rubric, lint, lowest, shipped


def test_what_ships() -> None:
    assert shipped() == (
        "agent-trajectory",
        "code-review",
        "faithful-summary",
        "helpfulness",
        "instruction-following",
        "rag-groundedness",
        "safety-refusal",
        "support-reply",
        "translation",
        "writing-quality",
    )


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


def test_every_scale_but_preference_ships() -> None:
    scales = {criterion.scale for name in shipped() for criterion in Rubric.load(name).leaves}
    assert scales == {"binary", "ordinal", "categorical", "numeric", "points"}


def test_points_can_be_lost_in_the_conduct_of_an_agent() -> None:
    rubric = Rubric.load("agent-trajectory")
    assert [section.id for section in rubric.sections if section.by_points] == ["conduct"]
    # 4 points always apply and 19 can be lost; weights are 4 and 2, as there may be no report.
    assert lowest(rubric) == pytest.approx(2 * -19 / 4 / 6)
