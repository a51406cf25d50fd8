from __future__ import annotations

import pytest

from rubrics import Rubric, lint


def found(*criteria: dict[str, object], **more: object) -> list[tuple[str, str]]:
    data = {"name": "linted", "instructions": "For the reader.", "criteria": criteria, **more}
    return [(finding.severity, str(finding)) for finding in lint(Rubric.parse(data))]


def binary(id_: str, question: str, **fields: object) -> dict[str, object]:
    described = {"yes": "It is.", "no": "It is not."}
    return {"id": id_, "scale": "binary", "question": question, "levels": described, **fields}


def points(id_: str, question: str, worth: float, **fields: object) -> dict[str, object]:
    return {"id": id_, "scale": "points", "question": question, "points": worth, **fields}


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


def test_notes_come_after_the_warnings() -> None:
    bare = {"id": "bare", "scale": "binary", "question": "Is it polite?"}
    count = {"id": "count", "scale": "numeric", "question": "How many?", "minimum": 0, "maximum": 3}
    half = {"id": "half", "scale": "binary", "question": "Is it right?", "levels": {"yes": "It is."}}
    assert found(bare, count, half) == [
        ("warning", "half: no description of no: say what each level looks like"),
        ("note", "bare: neither yes nor no is described: fine where the question leaves no doubt"),
        ("note", "count: no anchors: say what its lowest and its highest number look like"),
    ]


def test_many_bare_answers_are_one_note() -> None:
    bare = [{"id": f"b{n}", "scale": "binary", "question": f"Is it {n}?"} for n in range(7)]
    (note,) = found(*bare)
    assert note[1].startswith("b0, b1, b2, b3, b4 and 2 more: neither yes nor no is described")


@pytest.mark.parametrize(
    ("question", "worth", "said"),
    [
        ("Does it contain errors?", None, "a: yes counts as good, and the question asks for a fault (errors): turn it"),
        ("Is it misleading?", None, "a: yes counts as good, and the question asks for a fault (misleading): turn it"),
        ("Is it free of errors?", None, None),
        ("Does it avoid rude words?", None, None),
        ("Doesn't it mislead?", None, None),
        ("It invents a source.", 3, "a: gives points for what reads like a fault (invents): points below 0?"),
        ("It does not invent a source.", 3, None),
        ("It greets the reader.", -3, "a: takes points for what does not read like a fault: points above 0, or"),
        ("It invents a source.", -3, None),
        ("It never says when.", -3, None),
    ],
)
def test_polarity_is_read_off_the_words(question: str, worth: float | None, said: str | None) -> None:
    asked = binary("a", question) if worth is None else points("a", question, worth)
    more = [] if worth is None else [points("b", "It is brief.", 3)]
    warnings = [text for severity, text in found(asked, *more) if severity == "warning"]
    assert [text[: len(said or "")] for text in warnings] == ([] if said is None else [said])


@pytest.mark.parametrize(
    ("criterion", "warned"),
    [
        (points("a", "It is kind.", 3, required="no"), True),
        (points("a", "It is kind.", 3, required="yes"), False),
        (binary("a", "Is it kind?", required="no"), True),
        ({"id": "a", "scale": "numeric", "question": "q", "minimum": 0, "maximum": 1, "required": 0}, True),
        ({"id": "a", "scale": "numeric", "question": "q", "minimum": 0, "maximum": 1, "required": 0.1}, False),
    ],
)
def test_a_requirement_that_every_output_meets_is_warned_of(criterion: dict[str, object], warned: bool) -> None:
    said = "a: requires its lowest level, which every output reaches"
    assert (("warning", said) in found(criterion)) == warned


def test_an_id_that_begins_like_another_is_warned_of() -> None:
    asked = [binary("tone", "Is it kind?"), binary("tone-of-end", "Is its end kind?"), binary("tones", "Is it rich?")]
    assert found(*asked) == [
        ("warning", "tone-of-end: begins like tone: a judge may take one for the other"),
    ]


def test_weight_is_weighed_node_by_node() -> None:
    inner = {"id": "inner", "criteria": [binary("a", "Is it a?", weight=95), binary("b", "Is it b?", weight=5)]}
    assert found(binary("c", "Is it c?"), sections=[inner]) == [
        ("warning", "a: holds over 90% of the weight: the others hardly count")
    ]
    heavy = {**inner, "weight": 19, "criteria": [binary("a", "Is it a?")]}
    assert found(binary("c", "Is it c?"), sections=[heavy]) == [
        ("warning", "inner: holds over 90% of the weight: the others hardly count")
    ]
    earned = [points("a", "It is a.", 95), points("b", "It is b.", 5), points("c", "It is wrong.", -900)]
    assert found(*earned) == [("warning", "a: holds over 90% of the weight: the others hardly count")]


def test_labels_alone_are_warned_of() -> None:
    label = {
        "id": "kind",
        "scale": "categorical",
        "question": "Which?",
        "levels": {"note": "Short.", "letter": "Long."},
    }
    assert found(label) == [("warning", "no criterion has values: there will be labels, and no overall score")]
    section = {"id": "kinds", "criteria": [label]}
    assert found(binary("a", "Is it a?"), sections=[section]) == [
        ("warning", "kinds: has no criterion with values: its weight never counts")
    ]


def test_what_no_example_shows_is_a_note() -> None:
    shown = {"output": "x", "answers": {"a": {"reason": "r", "score": "yes"}, "n": {"reason": "r", "score": 1}}}
    count = {"id": "n", "scale": "numeric", "question": "q", "minimum": 0, "maximum": 3, "anchors": {"0": "None."}}
    assert found(binary("a", "Is it a?"), count, examples=[shown]) == [("note", "a: no worked example shows no")]


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        (points("a", "It mentions aspirin.", 3), points("b", "It does not mention aspirin.", 3), True),
        (points("a", "It never mentions aspirin.", 3), points("b", "It mentions aspirin.", 3), True),
        (binary("a", "Does it mention aspirin?"), binary("b", "Does it not mention aspirin?"), True),
        (points("a", "It mentions aspirin.", 3), points("b", "It does not mention aspirin.", -3), False),
        (points("a", "It mentions aspirin.", 3), points("b", "It does not mention ibuprofen.", 3), False),
        (points("a", "It does not mention aspirin.", 3), points("b", "It never mentions ibuprofen.", 3), False),
        (binary("a", "Does it say what to do?"), binary("b", "Does it say what not to do?"), False),
        (binary("a", "Does it say what is known?"), binary("b", "Does it not say what is known?"), True),
    ],
)
def test_a_maximum_that_no_output_reaches_is_warned_of(
    one: dict[str, object], other: dict[str, object], said: bool
) -> None:
    warning = ("warning", "b: asks the opposite of a: no output reaches the maximum of both")
    assert (warning in found(one, other)) == said


def test_levels_described_alike_are_warned_of() -> None:
    levels = {1: "It is wrong.", 2: "It is  right", 3: "It is right."}
    asked = {"id": "a", "scale": "ordinal", "question": "Is it right?", "levels": levels}
    assert found(asked) == [("warning", "a: 2 and 3 are described alike: one is never chosen")]
