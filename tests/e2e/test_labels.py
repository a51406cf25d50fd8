"""Labels of people: in, listed, handed out and deleted; and what is refused because it would be taken wrongly."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.conftest import items, jsonl

if TYPE_CHECKING:
    from tests.e2e.conftest import Ended, Terminal

COUNT = 40
Take = Callable[..., "Ended"]
WHOLE = ("item", "annotator", "clear", "right")


@pytest.fixture
def graded(terminal: Terminal) -> Terminal:
    """A run of 40 items, four of each document."""
    rows = [{**one, "metadata": {"document": f"D{n // 4}"}} for n, one in enumerate(items(COUNT))]
    terminal.write("items.jsonl", jsonl(rows))
    assert terminal.run("grade", "items.jsonl", "-r", "reply.yaml", "-j", "simulated", "--quiet").status == 0
    return terminal


def write(terminal: Terminal, name: str = "labels.csv", count: int = COUNT, **more: str) -> str:
    """Labels of the first items; more columns and other values by keyword, `{n}` being the number of the item."""
    path = terminal.folder / name
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, dict.fromkeys((*WHOLE, *more)))
        writer.writeheader()
        for n in range(count):
            row = {"item": f"i{n}", "annotator": "ann", "clear": n % 3 + 1, "right": "yes" if n % 2 else "no"}
            told = {key: value.replace("{n}", str(n)).replace("{n//4}", str(n // 4)) for key, value in more.items()}
            writer.writerow(row | told)
    return name


def imported(terminal: Terminal, name: str, *more: str) -> Ended:
    return terminal.run("labels", "import", name, "--run", "latest", *more)


def calibrated(terminal: Terminal, labels: str, *more: str) -> Ended:
    return terminal.run("calibrate", "--run", "latest", "--labels", labels, "--name", "c", "--json", *more)


def refused(ended: Ended, *told: str) -> None:
    assert ended.status == 2, ended.out + ended.err
    assert ended.err.count("\n") == 1
    for words in told:
        assert words in ended.err


BOTH = pytest.mark.parametrize("take", [imported, calibrated])


@BOTH
def test_a_sheet_that_was_never_drawn_is_refused(graded: Terminal, take: Take) -> None:
    refused(take(graded, write(graded, sheet="madeup")), "the sheet madeup was not drawn in")
    assert graded.count("label") == 0


@BOTH
def test_files_of_one_name_are_not_taken_together_unasked(graded: Terminal, take: Take) -> None:
    assert take(graded, write(graded, "x/labels.csv")).status == 0
    other = write(graded, "y/labels.csv", annotator="bob")
    refused(take(graded, other), "there is a label set labels", "x/labels.csv", f"labels import {other}", "--name")
    assert graded.count("label", "annotator = 'bob'") == 0
    assert take(graded, "./x/labels.csv").status == 0  # the same file, once more
    assert imported(graded, other, "--name", "labels").status == 0


@BOTH
def test_what_a_file_did_is_said(graded: Terminal, take: Take) -> None:
    assert f"labels: {2 * COUNT} new labels, 0 revised, 0 the same" in take(graded, write(graded)).err
    told = take(graded, write(graded, clear="1", mood="good")).err
    assert "labels: 0 new labels, 26 revised, 54 the same\n" in told
    assert "not read: mood\n" in told
    assert f"40 of the {COUNT} items of run " in told
    graded.write("labels.csv", "item,annotator,clear,right\ni0,ann,1,yes\ni1,ann,1,no\ni7,bob,2,\n")
    assert "one label alone, too few to tell how people agree: bob (item i7)" in take(graded, "labels.csv").err


@BOTH
def test_items_of_something_else_are_refused(graded: Terminal, take: Take) -> None:
    refused(take(graded, write(graded, item="x{n}")), "x0, x1", "such as i0, i1")
    assert graded.count("label") == graded.count("label_set") == 0


def test_looks_are_counted_whatever_the_seed(graded: Terminal) -> None:
    write(graded)
    counts = [calibrated(graded, "labels.csv", "--seed", seed).json["openings"] for seed in ("0", "1", "0", "7")]
    assert counts == [1, 2, 3, 4]
    assert graded.sql("SELECT seed, number FROM opening ORDER BY number") == [(0, 1), (1, 2), (0, 3), (7, 4)]


@BOTH
def test_an_item_stays_in_its_group(graded: Terminal, take: Take) -> None:
    assert imported(graded, write(graded, doc="D{n//4}"), "--group", "doc", "--name", "more").status == 0
    other = write(graded, "more.csv", annotator="bob", doc="E{n}")
    named = ("--name", "more") if take is imported else ()
    if take is calibrated:
        graded.sql(f"UPDATE label SET source = '{(graded.folder / other).resolve()}'")
    refused(
        take(graded, other, "--group", "doc", *named),
        "more.csv: item 'i0' is in group 'D0' in the set, row 2 says 'E0'; item 'i1'",
        "row 6 says 'E4'; and 35 rows more",
    )
    assert graded.count("label", "annotator = 'bob'") == 0


def test_a_set_names_all_groups_or_none(graded: Terminal) -> None:
    write(graded, doc="D{n//4}")
    lines = (graded.folder / "labels.csv").read_text().splitlines(keepends=True)
    graded.write("part.csv", "".join(lines[:11]))
    assert imported(graded, "part.csv", "--group", "doc", "--name", "set").status == 0
    assert imported(graded, "labels.csv", "--name", "set").status == 0
    refused(calibrated(graded, "set"), "10 of the 40 items", "label set set", "such as i10", "--group")
    assert graded.count("opening") == 0
    # What a later file says nothing of stays; what it adds is added.
    assert graded.count("label", "item_id = 'i3' AND \"group\" IS NULL") == 0
    again = imported(graded, "labels.csv", "--name", "set", "--group", "doc")
    assert (
        "set: 0 new labels, 0 revised, 20 the same, 60 the same with a group or a sample that they had not" in again.err
    )
    assert calibrated(graded, "set").status == 0


def test_a_column_of_groups_must_be_somewhere(graded: Terminal) -> None:
    write(graded)
    refused(imported(graded, "labels.csv", "--group", "nosuch"), "labels.csv: no column 'nosuch'")
    refused(imported(graded, "labels.csv", "--group", "document"), "no column 'document'", "judge calibrate")
    refused(calibrated(graded, "labels.csv", "--group", "nosuch"), "no column 'nosuch'", "metadata")
    assert graded.count("label") == 0
    made = calibrated(graded, "labels.csv", "--group", "document")
    assert (made.status, made.json["binding"]["group"]) == (0, "document")
    assert sum(part["groups"] for part in made.json["labels"]["parts"].values()) == 10
    assert calibrated(graded, "labels", "--group", "document").status == 0
    refused(calibrated(graded, "labels", "--group", "nosuch"), "has no 'nosuch' in its metadata")


def test_groups_of_a_set_are_not_contradicted(graded: Terminal) -> None:
    assert imported(graded, write(graded, "same.csv", doc="D{n//4}"), "--group", "doc").status == 0
    assert imported(graded, write(graded, "other.csv", doc="E{n}"), "--group", "doc").status == 0
    assert calibrated(graded, "same", "--group", "document").status == 0
    refused(
        calibrated(graded, "other", "--group", "document"),
        "item 'i0' is in group 'E0' in the label set other and 'D0' by 'document'",
        "leave --group out",
    )
    refused(calibrated(graded, "same", "--group", "doc"), "label set same names its groups itself", "leave --group out")


def test_a_sample_can_be_declared_later(graded: Terminal) -> None:
    assert imported(graded, write(graded, count=30)).status == 0
    elsewhere = calibrated(graded, "labels").json["populations"]["clear"]
    later = imported(graded, "labels.csv", "--sampled-from", "latest")
    assert "0 new labels, 0 revised, 0 the same, 60 the same with a group or a sample that they had not" in later.err
    declared = calibrated(graded, "labels").json["populations"]["clear"]
    assert ("elsewhere" in elsewhere["why"], elsewhere["labels"]["value"]) == (True, None)
    assert ("elsewhere" in declared["why"], declared["labels"]["value"]) == (False, pytest.approx(2))
    assert " 60 the same\n" in imported(graded, "labels.csv").err  # says nothing of a sample: it stays
    revised = imported(graded, write(graded, count=30, clear="1"))
    assert "20 revised, 40 the same\n" in revised.err
    assert graded.count("label", "sampled_from IS NULL") == 60  # the first ones, and no later one


def test_a_name_with_a_dot_is_a_name(graded: Terminal) -> None:
    assert imported(graded, write(graded), "--name", "team.v2").status == 0
    assert calibrated(graded, "team.v2").status == 0
    write(graded, "team.v2.csv")
    (graded.folder / "team.v2.csv").rename(graded.folder / "team.jsonl")
    refused(calibrated(graded, "none.csv"), "there is no label set 'none.csv', nor a file of that name")
    rows = [{"item": f"i{n}", "clear": 1, "right": "yes"} for n in range(COUNT)]
    graded.write("team.v2", jsonl(rows))
    refused(calibrated(graded, "team.v2"), "team.v2 is a label set and a file", "./team.v2")
    made = calibrated(graded, "./team.v2")
    assert (made.status, made.json["binding"]["label_set"]) == (0, "team")


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if "sheet" in path.name}


def test_sheets_are_written_all_or_none(graded: Terminal) -> None:
    sheet = ("labels", "sheet", "latest", "--n", "5", "--annotators", "3")
    for taken in ("sheet-3.csv", "sheet-guide.txt"):
        graded.write(taken, "mine")
        refused(graded.run(*sheet), f"{taken}: is there already")
        assert files(graded.folder) == {taken}
        (graded.folder / taken).unlink()
    refused(graded.run(*sheet, "--out", "none/sheet.csv"), "none", "No such file")
    refused(graded.run(*sheet, "--out", "."), "name a file")
    assert graded.count("sheet") == 0
    graded.sql("CREATE TRIGGER full BEFORE INSERT ON sheet BEGIN SELECT RAISE(ABORT, 'full'); END")
    assert graded.run(*sheet).status != 0
    assert files(graded.folder) == set()
    graded.sql("DROP TRIGGER full")
    assert graded.run(*sheet).status == 0
    assert files(graded.folder) == {"sheet-guide.txt", "sheet-1.csv", "sheet-2.csv", "sheet-3.csv"}


def test_a_draw_is_written_down_before_its_files_are_there(graded: Terminal) -> None:
    # The last step, by which a file gets its name, fails for one of three: none may be left.
    code = (
        "import sys, pathlib\n"
        "from judge.cli import main\n"
        "real = pathlib.Path.replace\n"
        "def replace(path, to):\n"
        "    if to.name == 'sheet-1.csv': raise OSError(28, 'No space left on device')\n"
        "    return real(path, to)\n"
        "pathlib.Path.replace = replace\n"
        "sys.argv = ['judge', 'labels', 'sheet', 'latest', '--n', '5', '--annotators', '2']\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=graded.folder, env=graded.environment, capture_output=True, text=True
    )
    assert done.returncode == 2, done.stderr
    assert "sheet-1.csv: cannot be written (No space left on device)" in done.stderr
    assert files(graded.folder) == set()
    assert graded.count("sheet") == 1  # a draw without files does no harm


def test_more_items_than_there_are_draws_all_of_them(graded: Terminal) -> None:
    done = graded.run("labels", "sheet", "latest", "--n", "200")
    assert done.status == 0, done.err
    assert f"has {COUNT} graded items, fewer than 200: all of them are drawn" in done.err
    with (graded.folder / "sheet.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == COUNT
    assert graded.count("sheet_item", "drawn AND probability = 1") == COUNT


def test_a_file_of_a_european_spreadsheet_is_read(graded: Terminal) -> None:
    write(graded)
    text = (graded.folder / "labels.csv").read_text()
    graded.write("labels.csv", "\ufeff" + text.replace(",", ";"))
    assert f"labels: {2 * COUNT} new labels" in imported(graded, "labels.csv").err


def test_sets_are_listed_with_people_and_dates(graded: Terminal) -> None:
    assert imported(graded, write(graded)).status == 0
    (one,) = graded.run("labels", "list", "--json").json
    assert (one["name"], one["labels"], one["items"], one["annotators"]) == ("labels", 80, 40, 1)
    ((at,),) = graded.sql("SELECT created_at FROM label_set")
    assert one["created_at"] == at
    shown = graded.run("labels", "list").out
    assert re.search(r"^labels +80 labels +40 items +1 annotators +\d{4}-\d\d-\d\d \d\d:\d\d$", shown, re.MULTILINE)


def test_a_set_is_deleted_unless_a_calibration_rests_on_it(graded: Terminal) -> None:
    assert imported(graded, write(graded), "--name", "first").status == 0
    assert imported(graded, "labels.csv", "--name", "second").status == 0
    assert calibrated(graded, "second").status == 0
    asked = graded.run("labels", "delete", "first", stdin="n\n")
    assert (asked.status, graded.count("label")) == (2, 160)
    assert "Delete the label set first and its 80 labels?" in asked.err
    done = graded.run("labels", "delete", "first", "--yes")
    assert (done.status, done.err) == (0, "the label set first is deleted\n")
    assert graded.sql("SELECT name FROM label_set") == [("second",)]
    assert graded.count("label") == 80
    refused(graded.run("labels", "delete", "second", "--yes"), "c v1 rests on the label set second")
    refused(graded.run("labels", "delete", "first", "--yes"), "there is no label set 'first'")
    assert graded.count("label") == 80


def test_calibrations_are_listed_with_dates(graded: Terminal) -> None:
    assert graded.run("calibrations", "list", "--json").json == []
    assert calibrated(graded, write(graded)).status == 0
    (one,) = graded.run("calibrations", "list", "--json").json
    ((id_, at, run),) = graded.sql("SELECT id, created_at, run FROM calibration")
    assert (one["id"], one["name"], one["version"], one["created_at"]) == (id_, "c", 1, at)
    assert (one["label_set"], one["seed"], one["run"]) == ("labels", 0, run)
    assert "body" not in one
    shown = graded.run("calibrations", "list").out
    assert re.search(rf"^{id_} +\d{{4}}-\d\d-\d\d \d\d:\d\d  c v1  labels labels  ", shown)


def test_what_was_divided_otherwise_is_not_compared(graded: Terminal) -> None:
    """With groups that came later, held-out items of the one calibration are what the other was fitted on."""
    write(graded, document="D{n//4}")
    assert imported(graded, "labels.csv").status == 0
    assert calibrated(graded, "labels", "--name", "before").status == 0
    assert imported(graded, "labels.csv", "--group", "document").status == 0
    assert calibrated(graded, "labels", "--name", "after").status == 0
    refused(graded.run("calibrations", "compare", "before", "after"), "the labels (labels, labels) differ")
    again = graded.run("calibrations", "show", "before", "--json").json
    assert again["labels"]["parts"]["test"]["groups"] == again["labels"]["parts"]["test"]["items"]


def test_labels_of_other_texts_under_the_same_ids_are_refused(graded: Terminal) -> None:
    assert graded.run("labels", "sheet", "latest", "--n", "10", "--out", "sheet.csv").status == 0
    with (graded.folder / "sheet.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    with (graded.folder / "sheet.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows({**row, "annotator": "ann", "clear": "1", "right": "yes"} for row in rows)
    assert imported(graded, "sheet.csv", "--name", "team").status == 0
    assert calibrated(graded, "team").status == 0
    changed = [{**one, "output": "Something else."} for one in items(COUNT)]
    graded.write("items.jsonl", jsonl(changed))
    assert graded.run("grade", "items.jsonl", "-r", "reply.yaml", "-j", "simulated", "--quiet").status == 0
    refused(calibrated(graded, "team"), "the labels of 10 items", "where these items read otherwise")


def test_labels_of_items_that_are_not_in_a_recording_are_told(terminal: Terminal) -> None:
    rows = [
        {"item": f"i{n}", "criterion": id_, "score": score}
        for n in range(COUNT)
        for id_, score in (("clear", n % 3 + 1), ("right", "yes"))
    ]
    terminal.write("said.jsonl", jsonl(rows))
    terminal.write("said.yaml", "{provider: recorded, options: {file: said.jsonl}}")
    write(terminal, count=30)
    terminal.write("labels.csv", (terminal.folder / "labels.csv").read_text() + "stranger,ann,1,yes\n")
    recorded = ("calibrate", "--recorded", "said.yaml", "--rubric", "reply.yaml", "--name", "c")
    made = terminal.run(*recorded, "--labels", "labels.csv", "--json")
    assert made.status == 0, made.err
    assert (made.json["labels"]["unknown"], made.json["labels"]["unlabelled"]) == (["stranger"], 10)
    assert "labelled and not judged: stranger" in terminal.run("calibrations", "show", "c").out
    terminal.write("others.csv", "item,annotator,clear,right\nx1,ann,1,yes\n")
    refused(terminal.run(*recorded, "--labels", "others.csv", "--quiet"), "belongs to an item that was judged", "x1")
    refused(terminal.run(*recorded, "--labels", "labels", "--system", "model"), "leave it out with --recorded")
    assert terminal.count("calibration") == 1
