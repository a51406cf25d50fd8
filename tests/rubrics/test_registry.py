from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from rubrics import Rubric, RubricError

GOOD = """\
name: t
criteria:
  - id: a
    scale: ordinal
    question: How good?
    levels:
      1: bad
      2: good
  - id: b
    scale: binary
    question: Is it?
examples:
  - output: x
    answers:
      a: {reason: r, score: 1}
      b: {reason: r, score: yes}
"""
LEVELS = "    levels:\n      1: bad\n      2: good\n"

MISTAKES = [
    ("criteria:\n", "critera:\n", "2: critera: no such field; write criteria"),
    ("    question: Is it?\n", "", "9: criteria[1].question: missing; write"),
    ("    question: Is it?\n", "    qestion: Is it?\n", "11: criteria[1].qestion: no such field; write question"),
    ("Is it?", "[1]", "11: criteria[1].question: [1] is not text; write"),
    ("Is it?", '" "', "11: criteria[1].question: the text is blank; write at least one word"),
    ("Is it?", '"a\\0"', "11: criteria[1].question: the text holds a NUL character; write"),
    ("name: t", "name: Tea Time", "1: name: 'Tea Time' is not a plain name; write lower-case"),
    ("name: t\n", "", "1: name: missing; write lower-case"),
    ("name: t\n", "name: t\nversion: 1.10\n", "2: version: 1.1 is not text; write text, in quotes"),
    ("name: t\n", "name: t\nname: u\n", "2: 'name' is already on line 1; write it once"),
    ("      2: good", "      1: good", "8: criteria[0].levels: 1 is already on line 7; write it once"),
    ("id: b", "id: 2b", "9: criteria[1].id: '2b' is not a plain name; write letters"),
    ("id: b", "id: A", "9: criteria[1].id: id A is too like a; write another id"),
    ("id: b", "id: a", "9: criteria[1].id: id a is there already; write another id"),
    ("id: b", "id: Overall", "9: criteria[1].id: Overall names the whole grade; write another id"),
    (
        "scale: binary",
        "scale: likert",
        "10: criteria[1].scale: 'likert' is no known scale; write one of binary, ordinal",
    ),
    ("    scale: binary\n", "", "9: criteria[1].scale: missing; write one of binary, ordinal"),
    ("      1: bad\n", "", "6: criteria[0].levels: too few; write 2 to 100 levels"),
    (LEVELS, "", "3: criteria[0].levels: missing; write 2 to 100 levels"),
    (LEVELS, "    levels: good\n", "6: criteria[0].levels: 'good' is not a list of levels; write `name: description`"),
    (LEVELS, "    levels: [1, two]\n", "6: criteria[0].levels: some levels are numbers and some are words; write all"),
    (LEVELS, "    levels: [ok, OK]\n", "6: criteria[0].levels: two levels have the same name; write a different"),
    (LEVELS, "    levels:\n    - 1\n    - true\n", "8: criteria[0].levels[1].level: True is not the name of a level"),
    (LEVELS, "    levels:\n    - 1\n    - cannot_tell\n", "8: criteria[0].levels[1].level: cannot_tell is not a level"),
    (LEVELS, "    levels:\n    - 1: bad\n", "7: criteria[0].levels[0]: no level is named here; write `level: name`"),
    (
        LEVELS,
        "    levels: [{level: 1, value: 2}, 3]\n",
        "6: criteria[0].levels: some levels have a value and some have none",
    ),
    (LEVELS, "    levels: [{level: 1, valu: 2}, 3]\n", "6: criteria[0].levels[0].valu: no such field; write value"),
    (
        LEVELS,
        "    levels: [{level: 1, value: 2}, {level: 3, value: 3}]\n",
        "6: criteria[0].levels: a level that is a num",
    ),
    (
        LEVELS,
        "    levels: [{level: a, value: 2}, {level: b, value: 2}]\n",
        "6: criteria[0].levels: the values do not rise",
    ),
    ("1: bad", "1: [bad]", "7: criteria[0].levels[1]: ['bad'] is not text; write what the level looks like"),
    ("1: bad", "true: bad", "7: criteria[0].levels: 'true' cannot be a key; write text, in quotes"),
    (LEVELS, LEVELS + "    required: 3\n", "9: criteria[0].required: 3 is no level of a; write one of 1, 2"),
    (LEVELS, LEVELS + "    required: '2'\n", "9: criteria[0].required: '2' is no level of a; write one of 1, 2"),
    (LEVELS, LEVELS + "    weight: 0\n", "9: criteria[0].weight: 0 is too small; write a number above 0"),
    (LEVELS, LEVELS + "    weight: 1e400\n", "9: criteria[0].weight: inf is not a finite number; write"),
    (LEVELS, LEVELS + "    weight: true\n", "9: criteria[0].weight: True is not a number; write"),
    (
        LEVELS,
        LEVELS + "    cannot_tell: 5\n",
        "9: criteria[0].cannot_tell: 5 is not text; write true, false or a sentence",
    ),
    ("Is it?", "Is it?\n    levels: [yes, maybe]", "12: criteria[1].levels: 'maybe' is neither yes nor no; write"),
    ("Is it?", "Is it?\n    levels: [yes, yes]", "12: criteria[1].levels: 'yes' comes twice; write yes and no once"),
    (
        "Is it?",
        "Is it?\n    levels: [{level: yes, value: 3}]",
        "12: criteria[1].levels: no is worth 0 and yes is worth 1",
    ),
    ("  - output: x", "  - outptu: x", "13: examples[0].outptu: no such field; write output"),
    ("score: 1}", "score: 3}", "15: examples[0].answers.a.score: 3 is no answer to a; write one of 1, 2"),
    ("score: 1}", "score: 1.0}", "15: examples[0].answers.a.score: 1.0 is no answer to a; write one of 1, 2"),
    ("b: {reason", "c: {reason", "16: examples[0].answers.c: 'c' is no criterion; write one of a, b"),
    ("      b: {reason: r, score: yes}\n", "", "14: examples[0].answers.b: no answer to b; write an answer to every"),
    ("reason: r, score: 1", "score: 1", "15: examples[0].answers.a.reason: missing; write"),
    ("name: t", "name: [t", "2: not YAML: "),
    ("name: t", "name: !!python/name:os.system t", "1: the tag 'tag:yaml.org...ame:os.system' is not read; write the"),
    ("name: t", "---\nname: t\n---", "4: a second document begins here; write one rubric a file"),
]


@pytest.mark.parametrize(("old", "new", "expected"), MISTAKES, ids=[expected for _, _, expected in MISTAKES])
def test_a_mistake_is_told_in_one_line_with_its_place(old: str, new: str, expected: str) -> None:
    assert old in GOOD
    with pytest.raises(RubricError) as caught:
        Rubric.loads(GOOD.replace(old, new, 1), "r.yaml")
    assert str(caught.value).startswith(f"r.yaml:{expected}")
    assert "\n" not in str(caught.value)
    assert "; write " in str(caught.value)


SECTIONED = """\
name: t
sections:
  - id: facts
    description: What is said.
    weight: 2
    criteria:
      - id: points_a
        scale: points
        question: It says four.
        points: 3
  - id: form
    sections:
      - id: layout
        criteria:
          - id: kind
            scale: categorical
            question: Which?
            levels: [note, letter]
          - id: length
            scale: numeric
            question: How long?
            minimum: 0
            maximum: 9
            step: 3
            anchors:
              0: None.
              9: Long.
"""
DEEP = "sections[1].sections[0].criteria"
SECTIONED_MISTAKES = [
    ("id: facts", "id: 2facts", "3: sections[0].id: '2facts' is not a plain name; write letters"),
    ("weight: 2", "wieght: 2", "5: sections[0].wieght: no such field; write weight"),
    ("weight: 2", "weight: -1", "5: sections[0].weight: -1 is too small; write a number above 0"),
    ("weight: 2", "scale: binary", "5: sections[0].scale: no such field; write one of criteria, sections, id"),
    ("points: 3", "points: 0", "10: sections[0].criteria[0].points: 0 points count for nothing; write points above or"),
    ("points: 3", "points: -3", "6: sections[0].criteria: no points can be earned here; write a criterion with points"),
    ("points: 3", "point: 3", "10: sections[0].criteria[0].point: no such field; write points"),
    ("        points: 3\n", "", "7: sections[0].criteria[0].points: missing; write points above 0 for what is good"),
    (
        "points: 3",
        "points: 3\n      - {id: other, scale: binary, question: Is it?}",
        "6: sections[0].criteria: points and other scales have no common sum; write a section for the points criteria",
    ),
    ("id: form", "id: Facts", "11: sections[1].id: id Facts is too like facts; write another id"),
    ("id: layout", "id: facts", "13: sections[1].sections[0].id: id facts is there already; write another id"),
    ("id: kind", "id: points-a", f"15: {DEEP}[0].id: id points-a is too like points_a; write another id"),
    ("[note, letter]", "[note, Note]", f"18: {DEEP}[0].levels: two levels have the same name; write"),
    ("[note, letter]", "[note, letter]\n            tie: no", f"19: {DEEP}[0].tie: no such field; write"),
    ("scale: numeric", "scale: number", f"20: {DEEP}[1].scale: 'number' is no known scale; write one of binary"),
    ("minimum: 0", "minimum: none", f"22: {DEEP}[1].minimum: 'none' is not a number; write the lowest number"),
    ("            minimum: 0\n", "", f"19: {DEEP}[1].minimum: missing; write the lowest number of the scale"),
    ("maximum: 9", "maximum: -9", f"22: {DEEP}[1].minimum: the minimum is not below the maximum; write a smaller"),
    ("step: 3", "step: 4", f"24: {DEEP}[1].step: the steps do not lead from the minimum to the maximum; write"),
    ("step: 3", "step: 0", f"24: {DEEP}[1].step: 0 is too small; write a number from 0.000001 up"),
    ("9: Long.", "8: Long.", f"27: {DEEP}[1].anchors['8']: '8' is not on the scale; write an anchor that is"),
    ("0: None.", "'0': None.\n              0: Nil.", f"27: {DEEP}[1].anchors: 0 is already on line 26; write it once"),
    ("0: None.", "0:", f"26: {DEEP}[1].anchors['0']: None is not text; write"),
]


@pytest.mark.parametrize(
    ("old", "new", "expected"), SECTIONED_MISTAKES, ids=[expected for _, _, expected in SECTIONED_MISTAKES]
)
def test_a_mistake_in_a_section_has_its_line_too(old: str, new: str, expected: str) -> None:
    assert old in SECTIONED
    with pytest.raises(RubricError) as caught:
        Rubric.loads(SECTIONED.replace(old, new, 1), "r.yaml")
    assert str(caught.value).startswith(f"r.yaml:{expected}")


WHOLE_MISTAKES = [
    ("name: t", "1: criteria: nothing to grade here; write at least one criterion or section"),
    ("name: t\ncriteria: []\nsections: []", "2: criteria: nothing to grade here"),
    ("name: t\nsections:\n- {id: a, criteria: []}", "3: sections[0].criteria: nothing to grade here"),
    ("name: t\nsections: {id: a}", "2: sections: {'id': 'a'} is not a list; write a list of 1 to 500 sections"),
    (
        "name: t\ncriteria:\n- {id: a, scale: preference, question: q}\n- {id: b, scale: binary, question: q}",
        "2: criteria: some criteria ask for pairs and some for one output; write two rubrics",
    ),
    (
        "name: t\nsections:\n"
        + "".join(f"{'  ' * depth}- id: s{depth}\n{'  ' * depth}  sections:\n" for depth in range(12))
        + f"{'  ' * 12}- {{id: s12, criteria: [{{id: a, scale: binary, question: q}}]}}",
        "3: sections[0]: sections nested more than 12 deep; write them flatter",
    ),
]


@pytest.mark.parametrize(("text", "expected"), WHOLE_MISTAKES, ids=[expected for _, expected in WHOLE_MISTAKES])
def test_a_rubric_that_asks_nothing_whole_is_refused(text: str, expected: str) -> None:
    with pytest.raises(RubricError) as caught:
        Rubric.loads(text, "r.yaml")
    assert str(caught.value).startswith(f"r.yaml:{expected}")


def test_the_unspoilt_texts_load() -> None:
    assert [criterion.id for criterion in Rubric.loads(SECTIONED).leaves] == ["points_a", "kind", "length"]
    assert Rubric.loads(GOOD).examples[0].answers["b"].score == "yes"


def test_json_mistakes_have_lines_too() -> None:
    text = '{"name": "t",\n"criteria": [\n{"id": "a", "scale": "binary",\n"question": 3}]}'
    with pytest.raises(RubricError, match=r"^r\.json:4: criteria\[0\]\.question: 3 is not text"):
        Rubric.loads(text, "r.json")
    with pytest.raises(RubricError, match=r"^r\.json:2: 'name' is already on line 1; write it once$"):
        Rubric.loads('{"name": "t",\n"name": "t"}', "r.json")
    with pytest.raises(RubricError, match=r"^r\.json:2: not JSON: .*; write valid JSON$"):
        Rubric.loads('{"name":\n', "r.json")
    with pytest.raises(RubricError, match=r"^r\.json:4: criteria\[0\]\.question: the text holds half of a surrogate"):
        Rubric.loads(text.replace('"question": 3', '"question": "\\udc00"'), "r.json")


def test_plain_data_has_a_path_and_no_line() -> None:
    with pytest.raises(RubricError) as caught:
        Rubric.parse({"name": "t", "criteria": [{"id": "a", "scale": "binary", "question": "Is it?", 3: 4}]}, "item 7")
    assert (caught.value.file, caught.value.line, caught.value.path) == ("item 7", None, "criteria[0][3]")
    assert str(caught.value).startswith("item 7: criteria[0][3]: no such field; write one of id, question")
    others: tuple[object, ...] = (None, 3, [], "x")
    for data in others:
        with pytest.raises(RubricError, match=r"is not a mapping; write `key: value` lines$"):
            Rubric.parse(data)


def test_load_takes_files_and_shipped_names(tmp_path: Path) -> None:
    (tmp_path / "r.YML").write_text(GOOD, encoding="utf-8-sig")
    (tmp_path / "r.json").write_text(Rubric.loads(GOOD).model_dump_json(), encoding="utf-8")
    assert Rubric.load(tmp_path / "r.YML") == Rubric.load(str(tmp_path / "r.json")) == Rubric.loads(GOOD)
    assert Rubric.load("helpfulness").name == "helpfulness"


@pytest.mark.parametrize(
    ("ref", "expected"),
    [
        ("helpfulnes", "'helpfulnes': no rubric of this name ships; did you mean helpfulness? write one of agent-"),
        ("none.yaml", "none.yaml: cannot be read (No such file or directory); write the path"),
        ("a/helpfulness", "a/helpfulness: not a rubric file; write a path that ends in .yaml"),
        (Path("helpfulness"), "helpfulness: not a rubric file"),
        ("\0.yaml", "'\\x00.yaml': cannot be read ("),
        ("", "'': no rubric of this name ships"),
    ],
)
def test_what_cannot_be_found(ref: str | Path, expected: str) -> None:
    with pytest.raises(RubricError) as caught:
        Rubric.load(ref)
    assert str(caught.value).startswith(expected)


def test_a_directory_is_no_rubric(tmp_path: Path) -> None:
    (tmp_path / "d.yaml").mkdir()
    with pytest.raises(RubricError, match="cannot be read"):
        Rubric.load(tmp_path / "d.yaml")


def test_an_error_survives_pickling() -> None:
    error = RubricError("bad; write good", "r.yaml", 3, "criteria[0]")
    assert str(pickle.loads(pickle.dumps(error))) == str(error) == "r.yaml:3: criteria[0]: bad; write good"


def test_importing_does_not_import_yaml() -> None:
    code = "import sys, rubrics; sys.exit('yaml' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
