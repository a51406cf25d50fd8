from __future__ import annotations

from rubrics import Rubric, lint


def test_every_warning_on_one_poor_rubric() -> None:
    rubric = Rubric.loads("""
name: poor
criteria:
  - {id: a, scale: ordinal, question: "Is it good?", levels: {1: bad, 2: , 3: }, weight: 100, required: 1}
  - {id: b, scale: binary, question: "is it GOOD", levels: {yes: good, no: bad}}
""")
    assert [warning.split(":")[:2] for warning in lint(rubric)] == [
        ["no instructions", " say who reads the output and what matters most"],
        ["a", " no description of 2, 3"],
        ["a", " requires its lowest level, which every output reaches"],
        ["a", " holds over 90% of the weight"],
        ["b", " asks the same as a"],
    ]


def test_a_schema_over_the_strict_limit_is_warned_of() -> None:
    levels = {str(step): "described" for step in range(11)}
    criteria = [{"id": f"c{n}", "scale": "ordinal", "question": f"Question {n}?", "levels": levels} for n in range(91)]
    assert lint(Rubric.parse({"name": "wide", "instructions": "x", "criteria": criteria[:90]})) == ()
    assert lint(Rubric.parse({"name": "wide", "instructions": "x", "criteria": criteria})) == (
        "1001 answers in all, over the 1000 a strict schema may hold: split the rubric",
    )
