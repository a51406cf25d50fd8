"""A calibrated judge later on: checked, held against others, and the labels that are still to be made."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.conftest import SEED, items, jsonl

if TYPE_CHECKING:
    from tests.conftest import Stub
    from tests.e2e.conftest import Ended, Terminal

#: As many equal answers as it takes to call them equivalent, and some more.
COUNT = 70
LOWEST = {"clear": {"reason": "No.", "score": 1}, "right": {"reason": "No.", "score": "no"}}
GRADE = ("grade", "items.jsonl", "--rubric", "reply.yaml", "--quiet", "--judge")


def labels(terminal: Terminal, name: str = "labels.csv", seed: int = 0, count: int = COUNT) -> str:
    """What two people said, whatever the judge says."""
    drawn = random.Random(seed)
    rows = ["item,annotator,clear,right"]
    for n in range(count):
        rows += [f"i{n},{who},{drawn.choice((1, 2, 3))},{drawn.choice(('yes', 'no'))}" for who in ("ann", "bob")]
    terminal.write(name, "\n".join(rows) + "\n")
    return name


def calibrated(terminal: Terminal, judge: str, name: str, *more: str, samples: str = "1", count: int = COUNT) -> None:
    """A run by the judge, and a calibration of it."""
    terminal.write("items.jsonl", jsonl(items(count)))
    graded = terminal.run(*GRADE, judge, "--samples", samples)
    assert graded.status == 0, graded.err
    told = ("--labels", labels(terminal, count=count), "--name", name, "--quiet", *more)
    made = terminal.run("calibrate", "--run", "latest", *told)
    assert made.status == 0, made.err


def check(terminal: Terminal, *more: str) -> Ended:
    return terminal.run("calibrations", "check", "c", "--json", *more)


def verdicts(ended: Ended) -> dict[str, str]:
    assert ended.out, ended.err
    return {id_: one["verdict"] for id_, one in ended.json["criteria"].items()}


def silently(stub: Stub, **scores: object) -> None:
    """From now on every answer is another one; the first call, which finds out how to ask, is answered as before."""
    said = {id_: {**one, "score": scores.get(id_, one["score"])} for id_, one in LOWEST.items()}
    stub.behave("say", after=1, text=json.dumps(said))


def test_a_silent_change_is_found_and_no_change_is_not(anywhere: Terminal, stub: Callable[..., Stub]) -> None:
    judge = stub(*SEED)
    calibrated(anywhere, anywhere.judge(judge), "c")
    before = judge.stats()["requests"]
    same = check(anywhere)
    assert (same.status, verdicts(same)) == (0, {"clear": "none", "right": "none"})
    assert judge.stats()["requests"] == before + COUNT + 1  # all anew, with a probe
    found = same.json
    assert (found["verdict"], found["alarm"], found["checks"], found["anchors"]) == ("none", False, 1, COUNT)
    assert found["cost_usd"] > 0
    again = check(anywhere)
    assert (again.status, again.json["checks"]) == (0, 2)  # another process goes on
    assert again.json["run"] != found["run"]
    assert again.json["openings"] == found["openings"] + 1
    silently(judge)
    changed = check(anywhere)
    assert (changed.status, verdicts(changed)) == (1, {"clear": "judge", "right": "judge"})
    assert changed.json["criteria"]["clear"]["drifts"]["clear"]["judge_alarm"][0] == 3  # in the third pass
    assert changed.json["criteria"]["clear"]["stability"]["index"] > 1
    judge.behave("normal")
    assert check(anywhere).status == 1  # an alarm stays
    assert anywhere.count("watch") == 2
    shown = anywhere.run("calibrations", "check", "c")
    assert shown.status == 1
    assert "check 5 of a judge that is watched" in shown.out
    assert "the judge changed: calibrate anew before its grades are used" in shown.out


def test_a_known_change_is_compared_once(terminal: Terminal, stub: Callable[..., Stub]) -> None:
    judge = stub(*SEED)
    calibrated(terminal, terminal.judge(judge), "c")
    same = check(terminal, "--known-change")
    assert (same.status, verdicts(same)) == (0, {"clear": "equivalent", "right": "equivalent"})
    assert (same.json["known"], same.json["checks"], same.json["margin"]) == (True, 0, 0.05)
    few = check(terminal, "--known-change", "--anchors", "20")
    assert (few.status, verdicts(few)) == (0, {"clear": "cannot tell", "right": "cannot tell"})
    assert few.json["anchors"] == 20
    silently(judge)
    other = check(terminal, "--known-change")
    assert (other.status, set(verdicts(other).values())) == (1, {"changed"})
    assert terminal.count("watch") == 0  # the judge that is watched is not touched by it


def test_another_judge_is_a_known_change_and_said_to_be(terminal: Terminal, stub: Callable[..., Stub]) -> None:
    judge = stub(*SEED)
    calibrated(terminal, terminal.judge(judge), "c")
    same = check(terminal, "--judge", "judge.yaml")
    assert (same.status, same.json["known"]) == (0, False)
    other = check(terminal, "--judge", terminal.judge(judge, "other.yaml", model="stub-2"))
    assert (other.status, set(verdicts(other).values())) == (0, {"equivalent"})
    assert other.json["known"]
    assert any(note.startswith("the judge is another one") for note in other.json["notes"])
    refused = terminal.run("calibrations", "check", "c", "--judge", "other.yaml", "--production", "latest")
    assert refused.status == 2


def test_a_judge_that_is_asked_otherwise_is_refused_unless_that_is_known(
    terminal: Terminal, stub: Callable[..., Stub]
) -> None:
    judge = stub(*SEED)
    calibrated(terminal, terminal.judge(judge), "c")
    judge.behave("no_json_schema")  # the model now wants a tool
    runs = terminal.count("run")
    refused = check(terminal)
    assert (refused.status, refused.out) == (2, "")
    assert "the judge is not asked as it was for c v1" in refused.err
    assert "--known-change" in refused.err
    assert terminal.count("run") == runs
    assert check(terminal, "--known-change").status == 0


def test_a_simulated_judge_says_the_same_and_drifts_by_another_leniency(terminal: Terminal) -> None:
    calibrated(terminal, "simulated", "c", samples="3")
    asked_for = terminal.run("runs", "show", "latest", "--json").json["run"]["id"]
    same = check(terminal)
    # What was graded for the check is the check's.
    assert terminal.run("runs", "show", "latest", "--json").json["run"]["id"] == asked_for
    assert (same.status, same.json["verdict"]) == (0, "none")
    one = same.json["criteria"]["clear"]
    assert one["itself_before"] == one["itself_now"]  # how often two samples of an item agree
    assert 0 < one["itself_now"]["value"] < 1
    terminal.write("lenient.yaml", "{provider: simulated, options: {leniency: 0.3}}")
    lenient = terminal.run("calibrations", "check", "c", "--judge", "lenient.yaml")
    assert lenient.status == 1
    for told in ("The judge is simulated", "two samples of one item agree", "changed: calibrate anew"):
        assert told in lenient.out


def test_production_tells_the_data_from_the_judge(terminal: Terminal, stub: Callable[..., Stub]) -> None:
    judge = stub(*SEED)
    calibrated(terminal, terminal.judge(judge), "c", count=120)  # an alarm of production waits for 100 anchors
    rows = [{"id": f"f{n}", "input": f"ITEM-{n + 5000}: and now?", "output": f"Reply {n}."} for n in range(300)]
    terminal.write("fresh.jsonl", jsonl(rows))
    silently(judge, clear=3, right="yes")
    grade = ("grade", "fresh.jsonl", "--rubric", "reply.yaml", "--quiet", "--judge", "judge.yaml")
    assert terminal.run(*grade).status == 0
    (production,) = [
        one["run"] for one in terminal.run("runs", "list", "--json").json if one["dataset"] == "fresh.jsonl"
    ]
    judge.behave("normal")  # the anchors are graded as ever
    data = check(terminal, "--production", production)
    assert (data.status, verdicts(data)) == (0, {"clear": "data", "right": "data"})
    assert data.json["criteria"]["clear"]["stability"]["n_new"] == 300
    twice = check(terminal, "--production", production)
    assert (twice.status, "its scores count once" in twice.err) == (2, True)
    anchors = check(terminal, "--production", data.json["run"])
    assert (anchors.status, "holds items of c v1 itself" in anchors.err) == (2, True)
    with_change = check(terminal, "--production", production, "--known-change")
    assert with_change.status == 2


def test_what_a_check_costs_is_shown_before_and_held_to(terminal: Terminal, stub: Callable[..., Stub]) -> None:
    judge = stub(*SEED)
    calibrated(terminal, terminal.judge(judge), "c")
    before = judge.stats()["requests"]
    dry = terminal.run("calibrations", "check", "c", "--dry-run")
    assert (dry.status, judge.stats()["requests"]) == (0, before)
    assert f"{COUNT} items · {COUNT} calls" in dry.out
    assert "worst cost $" in dry.out
    stopped = check(terminal, "--budget-usd", "0.02")
    assert stopped.status == 3
    assert "anchors are open: start the same command again to go on" in stopped.err
    assert terminal.count("watch") == 0
    part = judge.stats()["requests"]
    done = check(terminal)
    assert (done.status, done.json["checks"]) == (0, 1)
    assert judge.stats()["requests"] - part < COUNT  # what was graded before is not paid again


def test_what_cannot_be_asked_again_is_refused(terminal: Terminal, stub: Callable[..., Stub]) -> None:
    rows = [
        {"item": f"i{n}", "criterion": id_, "score": score}
        for n in range(COUNT)
        for id_, score in (("clear", n % 3 + 1), ("right", "yes" if n % 2 else "no"))
    ]
    terminal.write("recorded.jsonl", jsonl(rows))
    terminal.write("recorded.yaml", "{provider: recorded, options: {file: recorded.jsonl}}")
    recorded = ("--recorded", "recorded.yaml", "--rubric", "reply.yaml")
    made = terminal.run("calibrate", *recorded, "--labels", labels(terminal), "--name", "c", "--quiet")
    assert made.status == 0, made.err
    refused = check(terminal)
    assert (refused.status, "a recording, which cannot be asked again" in refused.err) == (2, True)
    calibrated(terminal, "recorded.yaml", "run-of-it")
    refused = terminal.run("calibrations", "check", "run-of-it")
    assert (refused.status, "a recording, which cannot be asked again" in refused.err) == (2, True)
    secret = terminal.judge(stub(*SEED), headers={"X-Team": "s3cret"})
    calibrated(terminal, secret, "c2")
    refused = terminal.run("calibrations", "check", "c2")
    assert refused.status == 2
    assert "was asked with the headers X-Team, whose values are not kept" in refused.err
    with_file = terminal.run("calibrations", "check", "c2", "--judge", secret, "--json")
    assert (with_file.status, with_file.json["known"]) == (0, False)
    assert terminal.count("judge", "body LIKE '%s3cret%'") == 0


def test_judges_are_held_against_the_same_labels_and_no_others(anywhere: Terminal) -> None:
    anywhere.write("other.yaml", "{provider: simulated, options: {leniency: 0.3}}")
    calibrated(anywhere, "simulated", "one")
    calibrated(anywhere, "other.yaml", "two")
    done = anywhere.run("calibrations", "compare", "one", "two", "--json")
    assert done.status == 0, done.err
    found = done.json
    assert [one["name"] for one in found["held"]] == ["one", "two"]
    assert found["openings"] == 3  # two calibrations looked at them, and this did
    made = [anywhere.run("calibrations", "show", name, "--json").json for name in ("one", "two")]
    for id_, criterion in found["criteria"].items():
        measurements = [one["measurements"][id_] for one in made]
        assert criterion["items"] == measurements[0]["items"]
        for measure in criterion["measures"]:
            first, second = (one["value"] for one in measure["judges"])
            assert measure["differences"][0]["value"] == pytest.approx(second - first)
            low, high = (measure["differences"][0][end] for end in ("low", "high"))
            assert low <= second - first <= high
            if measure["name"] != "calibrated_rmse":
                for one, figure in zip(measurements, measure["judges"], strict=True):
                    assert figure == item_measure(one, measure["name"])
    # Labels of a later day are not among those that the two were made from.
    anywhere.write("labels.csv", "item,annotator,clear,right\ni0,cem,3,yes\ni1,ann,1,no\n")
    assert anywhere.run("labels", "import", "labels.csv", "--run", "latest").status == 0
    again = anywhere.run("calibrations", "compare", "one", "two")
    assert (again.status, "difference: from one v1" in again.out) == (0, True)
    assert anywhere.run("calibrations", "compare", "one", "two", "--json").json["criteria"] == found["criteria"]
    for name, more in (("seeded", ("--labels", "labels", "--seed", "4")), ("later", ("--labels", "labels"))):
        assert anywhere.run("calibrate", "--run", "latest", *more, "--name", name, "--quiet").status == 0
    opened = anywhere.count("opening")
    for other, differs in (("seeded", "the seed of the split (0, 4)"), ("later", "the labels (labels, labels)")):
        refused = anywhere.run("calibrations", "compare", "one", other)
        assert (refused.status, refused.out) == (2, "")
        assert "were not held against the same labels in the same way: " in refused.err
        assert differs in refused.err
    assert anywhere.count("opening") == opened
    assert "is named twice" in anywhere.run("calibrations", "compare", "one", "two", "one").err
    assert "name two calibrations" in anywhere.run("calibrations", "compare", "one").err


def item_measure(measurement: dict[str, Any], name: str) -> Any:
    (wanted,) = [one["judge"] for one in measurement["measures"] if (one["name"], one["level"]) == (name, "item")]
    return wanted


def test_recordings_are_compared_while_they_are_at_hand(terminal: Terminal) -> None:
    for name, shift in (("a", 0), ("b", 1)):
        rows = [
            {"item": f"i{n}", "criterion": id_, "score": score}
            for n in range(COUNT)
            for id_, score in (("clear", (n + shift) % 3 + 1), ("right", "yes" if n % 2 else "no"))
        ]
        terminal.write(f"{name}.jsonl", jsonl(rows))
        terminal.write(f"{name}.yaml", f"{{provider: recorded, options: {{file: {name}.jsonl}}}}")
        recorded = ("--recorded", f"{name}.yaml", "--rubric", "reply.yaml", "--name", name)
        made = terminal.run("calibrate", *recorded, "--labels", labels(terminal), "--quiet")
        assert made.status == 0, made.err
    done = terminal.run("calibrations", "compare", "a", "b", "--json")
    assert done.status == 0, done.err
    right = done.json["criteria"]["right"]["measures"][0]
    assert right["differences"][0]["value"] == 0  # both say the same of it
    terminal.write("b.jsonl", (terminal.folder / "b.jsonl").read_bytes() + b"\n")
    assert "b.jsonl; calibrate anew" in terminal.run("calibrations", "compare", "a", "b").err
    (terminal.folder / "b.jsonl").unlink()
    gone = terminal.run("calibrations", "compare", "a", "b")
    assert (gone.status, "the recording that b v1 was made from is not at hand" in gone.err) == (2, True)


def filled(path: Path, who: str) -> int:
    """Fills a sheet in. Returns how many rows it has."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        for at, row in enumerate(rows):
            writer.writerow({**row, "annotator": who, "clear": at % 3 + 1, "right": "yes" if at % 2 else "no"})
    return len(rows)


def test_a_plan_and_the_next_sheet_read_back(anywhere: Terminal) -> None:
    anywhere.write("items.jsonl", jsonl(items(COUNT)))
    assert anywhere.run(*GRADE, "simulated", "--samples", "5").status == 0
    assert anywhere.run("labels", "sheet", "latest", "--n", "40", "--out", "first.csv").status == 0
    assert filled(anywhere.folder / "first.csv", "ann") == 40
    named = ("--run", "latest", "--name", "set")
    assert anywhere.run("labels", "import", "first.csv", *named).status == 0
    plan = ("labels", "plan", "latest", "--labels", "set")
    told = anywhere.run(*plan, "--half-width", "0.1", "--json")
    assert told.status == 0, told.err
    assert (told.json["labelled"], told.json["items"]) == (40, COUNT)
    rows = {one["measure"]: one for one in told.json["criteria"]["right"]}
    assert rows["TPR"]["of"] == "held-out items that people pass"
    assert {"TPR", "TNR", "kappa", "pass rate, labels only", "pass rate, with the judge"} == rows.keys()
    done = anywhere.run(*plan, "--out", "next.csv", "--n", "15", "--annotators", "2")
    assert done.status == 0, done.err
    assert "drawn where the judge was unsure of clear, right" in done.err
    new = filled(anywhere.folder / "next-1.csv", "ann")
    assert 8 <= new <= 22  # 15 on average
    filled(anywhere.folder / "next-2.csv", "bob")
    sums = anywhere.sql(
        "SELECT sheet, COUNT(*), SUM(probability) FROM sheet_item GROUP BY sheet ORDER BY SUM(probability)"
    )
    drawn = dict(anywhere.sql("SELECT sheet, COUNT(*) FROM sheet_item WHERE drawn GROUP BY sheet"))
    assert [row[1] for row in sums] == [COUNT, COUNT]  # a probability of every item of the run
    assert [row[2] for row in sums] == pytest.approx([drawn[row[0]] for row in sums])
    assert anywhere.count("sheet_item", "probability <= 0") == 0
    for name in ("next-1.csv", "next-2.csv"):
        assert anywhere.run("labels", "import", name, *named).status == 0
    made = anywhere.run("calibrate", "--run", "latest", "--labels", "set", "--name", "c", "--json")
    assert made.status == 0, made.err
    assert made.json["labels"]["items"] == 40 + new
    # Labels of both draws count as one sample of the run.
    assert "the labels are from elsewhere" not in json.dumps(made.json["populations"])
    column = anywhere.run(*plan, "--group", "nobody")
    assert (column.status, "'nobody'" in column.err) == (2, True), column.err
    again = anywhere.run(*plan, "--out", "next.csv", "--n", "3000")
    assert (again.status, "draw fewer with --n" in again.err) == (2, True)
    assert "there is no label set 'none'" in anywhere.run("labels", "plan", "latest", "--labels", "none").err
