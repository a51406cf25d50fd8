"""The commands around grading: runs, rubrics, judges, schema, doctor."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from rubrics import Rubric, answer_schema, shipped

if TYPE_CHECKING:
    from tests.conftest import Stub
    from tests.e2e.conftest import Terminal

SIMULATED = ("grade", "items.jsonl", "--rubric", "reply.yaml", "--judge", "simulated", "--limit", "6", "--json")


def run_of(terminal: Terminal) -> Any:
    """The summary of six simulated grades."""
    return terminal.run(*SIMULATED, "--out", "grades.jsonl").json


def test_runs_list_show_and_export_tell_the_same(anywhere: Terminal) -> None:
    assert "no runs yet" in anywhere.run("runs", "list").out
    assert "no runs yet; make one with: judge grade" in anywhere.run("runs", "show", "latest").err
    found = run_of(anywhere)
    id = found["run"]["id"]
    (listed,) = anywhere.run("runs", "list", "--json").json
    assert listed.keys() == {
        "run", "state", "dataset", "rubric", "judge", "round", "samples", "items", "finished", "lost", "created_at",
        "rescored_from",
        "cost_usd",
    }  # fmt: skip
    assert (listed["run"], listed["state"], listed["finished"]) == (id, "done", 6)
    table = anywhere.run("runs", "list").out
    assert id in table
    assert "(simulated)" in table
    assert anywhere.run("runs", "show", id[:5], "--json").json == found
    lowest = anywhere.run("runs", "show", id, "--lowest", "2", "--json").out.splitlines()
    written = anywhere.rows("grades.jsonl")
    scores = [json.loads(line)["score"] for line in lowest]
    assert scores == sorted(row["score"] for row in written)[:2]
    assert anywhere.run("runs", "export", id).out == (anywhere.folder / "grades.jsonl").read_text("utf-8")
    table_rows = list(csv.DictReader(io.StringIO(anywhere.run("runs", "export", id, "--format", "csv").out)))
    assert [(row["item"], float(row["score"]), row["kind"]) for row in table_rows] == [
        (row["item"], row["score"], "simulated") for row in written
    ]


def test_show_says_when_the_prompt_was_worded_differently(terminal: Terminal, quick: Stub) -> None:
    terminal.judge(quick)
    assert terminal.run("grade", "items.jsonl", "-r", "reply.yaml", "-j", "judge.yaml", "--limit", "1").status == 0
    assert terminal.run("runs", "show", "latest", "--item", "i0").err == ""
    with closing(sqlite3.connect(terminal.folder / ".judge" / "judge.db")) as db:
        db.execute("UPDATE judge SET body = json_set(body, '$.prompt', 'another')")
        db.commit()
    assert "words its messages differently" in terminal.run("runs", "show", "latest", "--item", "i0").err


def test_show_gives_one_grade_with_its_raw_exchange_and_prune_drops_it(anywhere: Terminal, quick: Stub) -> None:
    anywhere.judge(quick)
    quick.behave("refusal", after=2, count=1)
    grade = ("grade", "items.jsonl", "-r", "reply.yaml", "-j", "judge.yaml", "--limit", "3", "--concurrency", "1")
    id = anywhere.run(*grade, "--json").json["run"]["id"]
    shown = anywhere.run("runs", "show", id, "--item", "i0").out
    assert "ITEM-0: where is my order?" in shown
    assert '"object":"chat.completion"' in shown
    assert "asked stub-1, json_schema" in shown
    assert json.dumps(answer_schema(Rubric.load(anywhere.folder / "reply.yaml"))) in shown
    refused = anywhere.run("runs", "show", id, "--outcome", "refused", "--json").json
    assert (refused["item"], refused["score"]) == ("i1", None)
    assert refused["criteria"]["clear"]["cause"] == "I cannot help with that."
    dropped = anywhere.run("runs", "prune", "--older-than-days", "0")
    assert (dropped.status, dropped.err.splitlines()) == (0, ["4 raw replies dropped"])  # the probe's, too
    shown = anywhere.run("runs", "show", id, "--item", "i0").out
    assert "scored" in shown
    assert "chat.completion" not in shown


def test_a_deleted_run_is_gone_and_its_paid_answers_are_not(anywhere: Terminal, quick: Stub) -> None:
    anywhere.judge(quick)
    grade = ("grade", "items.jsonl", "-r", "reply.yaml", "-j", "judge.yaml", "--limit", "3", "--json")
    first = anywhere.run(*grade).json
    assert anywhere.run("runs", "delete", first["run"]["id"], "--yes").status == 0
    assert (anywhere.count("run"), anywhere.count("grade"), anywhere.count("item")) == (0, 0, 0)
    gone = anywhere.run("runs", "show", first["run"]["id"])
    assert (gone.status, gone.err.startswith("judge: "), first["run"]["id"] in gone.err) == (2, True, True)
    again = anywhere.run(*grade).json
    assert again["run"]["id"] != first["run"]["id"]
    assert (again["totals"]["calls"], again["totals"]["reused"], again["totals"]["cost_usd"]) == (0, 3, 0)
    assert again["criteria"] == first["criteria"]
    assert quick.stats()["requests"] == 4


def test_a_new_rubric_lints_loads_and_grades(terminal: Terminal) -> None:
    assert terminal.run("rubrics", "new", "mine.yaml").status == 0
    assert terminal.run("rubrics", "lint", "mine.yaml").status == 0
    assert Rubric.load(str(terminal.folder / "mine.yaml")).ids == {"correct", "clear"}
    done = terminal.run("grade", "items.jsonl", "-r", "mine.yaml", "-j", "simulated", "--json")
    assert [one["criterion"] for one in done.json["criteria"]] == ["correct", "clear"]
    text = (terminal.folder / "mine.yaml").read_text("utf-8")
    over = terminal.run("rubrics", "new", "mine.yaml")
    assert (over.status, "is there already" in over.err) == (2, True)
    assert (terminal.folder / "mine.yaml").read_text("utf-8") == text


def test_rubrics_are_listed_and_shown(terminal: Terminal) -> None:
    listed = terminal.run("rubrics", "list").out.splitlines()
    assert [line.split()[0] for line in listed] == list(shipped())
    shown = terminal.run("rubrics", "show", "faithful-summary").json
    found = Rubric.load("faithful-summary")
    assert shown.pop("hash") == found.hash
    assert Rubric.model_validate(shown).hash == found.hash
    schema = terminal.run("rubrics", "show", "reply.yaml", "--schema").json
    jsonschema.validate({"clear": {"reason": "r", "score": 3}, "right": {"reason": "r", "score": "yes"}}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"clear": {"reason": "r", "score": 4}, "right": {"reason": "r", "score": "yes"}}, schema)


def test_a_judge_is_tested_and_then_listed(terminal: Terminal, quick: Stub) -> None:
    terminal.judge(quick, temperature=0.5)
    quick.behave("no_temperature")
    tested = terminal.run("judges", "test", "judge.yaml")
    assert tested.status == 0, tested.err
    lines = dict(line.strip().split("  ", 1) for line in tested.out.splitlines()[1:])
    assert {name: said.strip() for name, said in lines.items() if name != "fingerprint"} == {
        "mode": "json_schema",
        "parameters": "none",
        "not taken": "temperature",
        "says it is": "stub-1",
        "price": "$1.0 in, $10.0 out",
    }
    asked = quick.stats()["requests"]
    grade = ("grade", "items.jsonl", "-r", "reply.yaml", "-j", "judge.yaml", "--limit", "1", "--quiet")
    assert terminal.run(*grade).status == 0
    assert quick.stats()["requests"] == asked + 1  # what the test found out is known
    assert "stub-1" in terminal.run("judges", "list").out


def test_a_judge_with_log_probabilities_is_told_whether_they_come(terminal: Terminal, quick: Stub) -> None:
    terminal.judge(quick, logprobs=True)
    assert "  logprobs     yes\n" in terminal.run("judges", "test", "judge.yaml").out
    quick.behave("no_logprobs")
    assert "  logprobs     no\n" in terminal.run("judges", "test", "judge.yaml").out


LOOKING = """
judges list
runs list
runs show latest
runs prune --older-than-days 1
labels list
labels sheet latest
labels plan latest --labels people
labels delete people
labels import labels.csv --run latest
calibrate --run latest --labels people
calibrations list
calibrations show latest
calibrations report latest
calibrations compare one other
calibrations check latest
"""


@pytest.mark.parametrize("command", LOOKING.strip().splitlines())
def test_looking_makes_no_database_at_a_mistyped_place(terminal: Terminal, command: str) -> None:
    refused = terminal.run(*command.split(), JUDGE_DATABASE_URL="sqlite:///no/such/judge.db")
    assert (refused.status, refused.err.startswith("judge: no/such/judge.db: there is no database yet")) == (2, True)
    assert not (terminal.folder / "no").exists()


def test_a_choice_that_is_none_is_told_in_plain_words(terminal: Terminal) -> None:
    refused = terminal.run("runs", "export", "latest", "--format", "xml")
    assert (refused.status, "'--format': 'xml' is not one of 'jsonl', 'csv', 'parquet'" in refused.err) == (2, True)


def test_published_schemas_accept_what_they_describe(terminal: Terminal) -> None:
    item = terminal.run("schema", "item").json
    for row in terminal.rows("items.jsonl"):
        jsonschema.validate(row, item)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"id": "x"}, item)
    rubric = terminal.run("schema", "rubric").json
    jsonschema.Draft202012Validator.check_schema(rubric)
    assert "criteria" in rubric["properties"]


def test_doctor_says_what_is_fine_and_what_to_mend(terminal: Terminal) -> None:
    fine = terminal.run("doctor")
    assert fine.status == 0
    assert all(line.startswith("ok ") for line in fine.out.splitlines())
    assert "OPENAI_API_KEY is not set" in fine.out
    assert "SECRET" not in terminal.run("doctor", OPENAI_API_KEY="SECRET").out
    broken = terminal.run("doctor", JUDGE_DATABASE_URL="sqlite:///items.jsonl/judge.db")
    assert broken.status == 1
    assert [line for line in broken.out.splitlines() if line.startswith("MEND")]


def test_a_run_is_counted_anew_and_set_beside_the_first(terminal: Terminal) -> None:
    first = run_of(terminal)["run"]["id"]
    heavy = (terminal.folder / "reply.yaml").read_text("utf-8").replace("scale: binary", "scale: binary\n    weight: 3")
    terminal.write("heavy.yaml", heavy)
    made = terminal.run("runs", "rescore", first, "--rubric", "heavy.yaml", "--json").json
    assert (made["run"]["rescored_from"], made["overall"]["n"], made["totals"]["calls"]) == (first, 6, 0)
    means = {one["criterion"]: one["mean"] for one in made["criteria"]}
    assert made["overall"]["mean"] == pytest.approx(((means["clear"] - 1) / 2 + 3 * means["right"]) / 4)
    found = terminal.run("runs", "diff", first, made["run"]["id"], "--json").json
    assert (found["shared"], found["only_before"], found["only_after"]) == (6, 0, 0)
    assert {one["criterion"]: one["up"] + one["down"] > 0 for one in found["criteria"]} == {
        "clear": False, "right": False, "overall": True,
    }  # fmt: skip
    drawn = terminal.run("runs", "diff", first, made["run"]["id"], "--most", "2").out
    assert first in drawn
    assert "6 items in both" in drawn
    shown = terminal.run("runs", "rescore", "latest", "--rubric", "heavy.yaml").out
    assert shown.startswith(f"run {made['run']['id']}")
    assert f"rescored from {first}  as it was with 6 of 6 items graded" in shown
    terminal.write("other.yaml", heavy.replace("easy", "quick"))
    refused = terminal.run("runs", "rescore", first, "--rubric", "other.yaml")
    assert (refused.status, refused.out) == (2, "")
    assert "asks something else" in refused.err


def test_a_run_that_has_gone_on_is_counted_anew_as_it_stands(terminal: Terminal, quick: Stub) -> None:
    terminal.judge(quick)
    terminal.write("heavy.yaml", (terminal.folder / "reply.yaml").read_text("utf-8") + "    weight: 3\n")
    grade = ("grade", "items.jsonl", "-r", "reply.yaml", "-j", "judge.yaml", "--concurrency", "2", "--json")
    stopped = terminal.run(*grade, "--budget-usd", "0.01").json
    assert stopped["open"] > 0
    rescore = ("runs", "rescore", stopped["run"]["id"], "--rubric", "heavy.yaml")
    assert terminal.run(*rescore, "--json").json["open"] == stopped["open"]
    page = terminal.run("runs", "report", "latest", "-o", "half.html")
    assert page.status == 0
    written = (terminal.folder / "half.html").read_text("utf-8")
    assert f"can be graded in run {stopped['run']['id']}, to be rescored after it" in written
    assert terminal.run(*grade).json["open"] == 0
    made = terminal.run(*rescore, "--json").json
    assert (made["open"], made["totals"]["calls"], made["overall"]["scored"]) == (0, 0, 40)


def test_runs_by_rubrics_on_other_scales_are_set_beside_each_other(terminal: Terminal) -> None:
    first = run_of(terminal)["run"]["id"]
    rubric = (terminal.folder / "reply.yaml").read_text("utf-8")
    other = rubric.replace('{1: "No.", 2: "Partly.", 3: "Yes."}', "[0, 50, 100]").replace("id: right", "id: kind")
    terminal.write("reply.yaml", other)
    second = terminal.run(*SIMULATED, "--out", "others.jsonl").json["run"]["id"]
    found = terminal.run("runs", "diff", first, second, "--json").json
    clear, overall = found["criteria"]
    assert (clear["criterion"], overall["criterion"]) == ("clear", "overall")
    assert [clear[name] for name in ("change", "up", "down")] == [None, None, None]
    assert (found["criteria_only_before"], found["criteria_only_after"]) == (["right"], ["kind"])
    told = terminal.run("runs", "diff", first, second).out
    assert f"clear: not comparable: {clear['unlike']}\n" in told
    assert "criteria only before: right\ncriteria only after: kind\n" in told


def test_each_criterion_alone_and_what_it_costs(terminal: Terminal, quick: Stub) -> None:
    terminal.judge(quick)
    grade = ("grade", "items.jsonl", "-r", "reply.yaml", "-j", "judge.yaml", "--limit", "3")
    together = terminal.run(*grade, "--dry-run").out
    apart = terminal.run(*grade, "--criteria-per-call", "1", "--dry-run").out
    assert "3 items · 3 calls" in together
    assert "3 items · 6 calls" in apart
    assert apart.count("ITEM-0: where is my order?") == 2 * together.count("ITEM-0: where is my order?")
    found = terminal.run(*grade, "--criteria-per-call", "1", "--json").json
    assert (found["totals"]["calls"], found["overall"]["scored"]) == (6, 3)
    shown = terminal.run("runs", "show", "latest", "--item", "i0").out
    assert shown.count("asked stub-1, json_schema") == 2
