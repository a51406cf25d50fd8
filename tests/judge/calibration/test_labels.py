from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from judge import InputError, Outcome
from judge.calibration.labelling import label_files
from judge.calibration.labelling.labels import Label, OffScale, answered
from rubrics import Rubric

RUBRIC = Rubric.loads("""
name: reply
criteria:
  - {id: polite, scale: binary, question: Polite?, not_applicable: true, cannot_tell: true}
  - {id: clear, scale: ordinal, question: Clear?, levels: [1, 2, 3]}
  - {id: tone, scale: categorical, question: Which?, levels: [Warm, Plain]}
  - {id: length, scale: numeric, question: How long?, minimum: 0, maximum: 10}
  - {id: rank, scale: ordinal, question: Which rank?, levels: [low, high]}
""")


@pytest.mark.parametrize(
    ("criterion", "given", "value"),
    [
        *(("polite", yes, 1.0) for yes in ("yes", "Yes", " YES ", True, "TRUE", 1, 1.0, "1", "y")),
        *(("polite", no, 0.0) for no in ("no", False, "false", 0, 0.0, "0", "n")),
        *(("clear", two, 2.0) for two in (2, 2.0, "2", "2.0", " 2 ")),
        *(("length", number, 2.5) for number in (2.5, "2.5")),
        *(("rank", high, 1.0) for high in ("high", "HIGH")),
        *(("tone", warm, None) for warm in ("Warm", "warm")),
    ],
)
def test_people_write_one_answer_in_many_ways(criterion: str, given: object, value: float | None) -> None:
    assert answered(RUBRIC.criterion(criterion), given) is not None
    outcome, level, found = answered(RUBRIC.criterion(criterion), given) or (None, None, None)
    assert (outcome, found) == (Outcome.SCORED, value)
    assert level is not None or criterion == "length"


@pytest.mark.parametrize("given", [None, "", "  "])
def test_an_empty_cell_is_no_label(given: object) -> None:
    assert answered(RUBRIC.criterion("clear"), given) is None


@pytest.mark.parametrize(("given", "outcome"), [("n/a", "not_applicable"), ("cannot_tell", "abstained")])
def test_what_has_no_score_is_kept_by_its_name(given: str, outcome: str) -> None:
    assert answered(RUBRIC.criterion("polite"), given) == (outcome, None, None)
    with pytest.raises(OffScale, match="leave the cell empty"):
        answered(RUBRIC.criterion("clear"), given)


@pytest.mark.parametrize(
    ("criterion", "given"),
    [
        *(("clear", wrong) for wrong in (4, 2.5, True, {"a": 1})),
        *(("polite", wrong) for wrong in (2, "maybe")),
        *(("length", wrong) for wrong in (11, "nan", "1e999")),
        *(("tone", 0), ("rank", 1)),
    ],
)
def test_what_is_off_the_scale_is_refused_with_the_answers_there_are(criterion: str, given: object) -> None:
    with pytest.raises(OffScale, match=rf"is no answer to {criterion}, which has "):
        answered(RUBRIC.criterion(criterion), given)


def written(path: Path, rows: list[dict[str, Any]] | str) -> Path:
    path.write_text(rows if isinstance(rows, str) else "".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


LONG = "item,criterion,annotator,score,reason,doc\n1,polite,ann,yes,So.,d1\n1,clear,ann,2,,d1\n2,clear,bob,3.0,,d2\n"
WIDE = "id,annotator,polite,polite.reason,clear,doc\n1,ann,yes,So.,2,d1\n2,bob,,,3,d2\n"


@pytest.mark.parametrize(("text", "form"), [(LONG, "long"), (WIDE, "wide")])
def test_long_and_wide_files_hold_the_same_labels(tmp_path: Path, text: str, form: str) -> None:
    found = label_files.read(written(tmp_path / "labels.csv", text), RUBRIC, "doc")
    assert (found.form, found.repeated, found.skipped) == (form, 0, ())
    assert list(found.labels) == [
        Label("1", "polite", "ann", Outcome.SCORED, "yes", 1.0, "So.", "d1"),
        Label("1", "clear", "ann", Outcome.SCORED, 2, 2.0, None, "d1"),
        Label("2", "clear", "bob", Outcome.SCORED, 3, 3.0, None, "d2"),
    ]


def test_a_column_that_is_nearly_a_criterion_is_asked_about(tmp_path: Path) -> None:
    path = written(tmp_path / "labels.csv", WIDE.replace("clear", "Cleer"))
    with pytest.raises(InputError, match=r"column 'Cleer' is no criterion of .*; is it 'clear'\?.*nothing was taken"):
        label_files.read(path, RUBRIC)
    beside = label_files.read(written(path, WIDE.replace("doc", "clear2")), RUBRIC)  # the criterion has its column
    assert beside.skipped == ("clear2",)


def test_json_lines_and_verdicts_and_items_by_number(tmp_path: Path) -> None:
    rows = [{"item": 7, "criterion": "polite", "verdict": True}, {"item": 7, "criterion": "polite", "verdict": "yes"}]
    found = label_files.read(written(tmp_path / "labels.jsonl", [{**row, "x": 1} for row in rows]), RUBRIC)
    assert [(one.item, one.annotator, one.value) for one in found.labels] == [("7", "people", 1.0)]
    assert (found.repeated, found.skipped) == (1, ("x",))


def test_a_group_that_the_file_does_not_name_is_left_to_the_run(tmp_path: Path) -> None:
    found = label_files.read(written(tmp_path / "labels.csv", LONG), RUBRIC, "topic")
    assert {label.group for label in found.labels} == {None}


def test_rows_without_the_group_are_named_wherever_it_comes_first(tmp_path: Path) -> None:
    rows = [{"item": n, "criterion": "clear", "score": 1} for n in range(3)]
    rows[1]["doc"] = "d1"
    with pytest.raises(InputError, match="row 1: no group in column 'doc'; row 3: no group in column 'doc'; mend"):
        label_files.read(written(tmp_path / "labels.jsonl", rows), RUBRIC, "doc")


@pytest.mark.parametrize("text", [LONG, WIDE])
def test_semicolons_where_the_header_has_them(tmp_path: Path, text: str) -> None:
    comma = label_files.read(written(tmp_path / "a.csv", text), RUBRIC, "doc")
    semicolon = label_files.read(written(tmp_path / "b.csv", "\ufeff" + text.replace(",", ";")), RUBRIC, "doc")
    assert semicolon == comma
    within = label_files.read(written(tmp_path / "c.csv", text.replace("So.", "So; and so.")), RUBRIC, "doc")
    assert (within.labels[0].reason, len(within.labels)) == ("So; and so.", 3)


HEAD = "item,criterion,annotator,score"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            f"{HEAD}\n1,clear,a,9\n",
            r"labels.csv: row 2: '9' is no answer to clear, which has 1, 2, 3",
        ),
        (f"{HEAD}\n1,kind,a,9\n", "labels.csv: row 2: reply has no criterion 'kind'"),
        (f"{HEAD}\n,clear,a,1\n", "labels.csv: row 2: no item is named"),
        (
            f"{HEAD}\n1,clear,a,1\n1,clear,a,2\n",
            "labels.csv: row 3: item '1' on clear by 'a' is labelled otherwise in row 2",
        ),
        (
            f"{HEAD},doc\n1,clear,a,1,x\n1,clear,b,1,y\n",
            "labels.csv: row 3: item '1' is in group 'x'",
        ),
        (f"{HEAD},doc\n1,clear,a,1,\n", "labels.csv: row 2: no group in column 'doc'"),
        (f"{HEAD}\n1,clear,a\n", "labels.csv: row 2: has not the 4 columns"),
        ("item,annotator\n1,a\n", "no labels of reply; write `criterion` and `score`, or a column each: polite"),
        ("name,clear\n1,1\n", "no column `item`"),
        ("item,clear\n1,\n", "holds no label"),
        ("", "holds no label"),
    ],
)
def test_a_file_with_a_bad_row_is_refused_whole(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(InputError, match=told) as caught:
        label_files.read(written(tmp_path / "labels.csv", text), RUBRIC, "doc")
    assert "\n" not in str(caught.value)


def test_many_bad_rows_are_counted(tmp_path: Path) -> None:
    text = f"{HEAD}\n" + "".join(f"{n},clear,a,9\n" for n in range(20))
    with pytest.raises(InputError, match="; and 15 rows more; mend them, nothing was taken"):
        label_files.read(written(tmp_path / "labels.csv", text), RUBRIC)
    with pytest.raises(InputError, match="; and 1 row more; mend them, nothing was taken"):
        label_files.read(written(tmp_path / "labels.csv", "".join(text.splitlines(keepends=True)[:7])), RUBRIC)
    with pytest.raises(InputError, match=r"labels.csv: row 2: '9' is no answer to clear.*; row 3: '9' is no answer"):
        label_files.read(tmp_path / "labels.csv", RUBRIC)
    with pytest.raises(InputError, match=r"none.csv: cannot be read \(No such file"):
        label_files.read(tmp_path / "none.csv", RUBRIC)
