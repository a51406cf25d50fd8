from __future__ import annotations

from rubrics import Rubric, lint


def test_every_warning_on_one_poor_rubric() -> None:
    rubric = Rubric.loads("""
name: poor
criteria:
  - {id: a, scale: ordinal, question: "Is it good?", levels: {1: bad, 2: , 3: }, weight: 100, required: 1}
  - {id: b, scale: binary, question: "is it GOOD", levels: {yes: good, no: bad}}
""")
    assert [str(finding).split(":")[:2] for finding in lint(rubric)] == [
        ["no instructions", " say who reads the output and what matters most"],
        ["b", " asks the same as a"],
        ["a", " holds over 90% of the weight"],
        ["a", " no description of 2, 3"],
        ["a", " requires its lowest level, which every output reaches"],
    ]


def test_a_schema_over_the_strict_limit_is_warned_of() -> None:
    levels = {str(step): "described" for step in range(50)}
    criteria = [{"id": f"c{n}", "scale": "ordinal", "question": f"Question {n}?", "levels": levels} for n in range(21)]
    assert lint(Rubric.parse({"name": "wide", "instructions": "x", "criteria": criteria[:20]})) == ()
    (finding,) = lint(Rubric.parse({"name": "wide", "instructions": "x", "criteria": criteria}))
    assert str(finding) == "1050 answers in one call, over the 1000 a strict schema may hold: write fewer levels"
