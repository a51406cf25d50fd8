"""The main path: a file of outputs becomes grades, once, at a known price."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING

import jsonschema
import pytest

if TYPE_CHECKING:
    from tests.conftest import Stub
    from tests.e2e.conftest import Terminal

GRADE = ("grade", "items.jsonl", "--rubric", "reply.yaml", "--judge", "judge.yaml")


def test_forty_items_become_forty_valid_rows_in_the_order_of_the_input(terminal: Terminal, quick: Stub) -> None:
    terminal.judge(quick)
    done = terminal.run(*GRADE, "--out", "grades.jsonl")
    assert done.status == 0, done.err
    rows = terminal.rows("grades.jsonl")
    assert [row["item"] for row in rows] == [f"i{n}" for n in range(40)]
    schema = terminal.run("schema", "grade").json
    for row in rows:
        jsonschema.validate(row, schema)
        assert (row["schema"], row["outcome"], row["trust"]) == ("grade/1", "scored", "uncalibrated")
        assert row["criteria"]["clear"]["reason"]
        # From 1..3 and no/yes to 0..1, both criteria with weight 1.
        clear, right = row["criteria"]["clear"]["score"], {"no": 0, "yes": 1}[row["criteria"]["right"]["level"]]
        assert row["score"] == pytest.approx(((clear - 1) / 2 + right) / 2)
    assert {row["criteria"]["clear"]["score"] for row in rows} == {1, 2, 3}
    assert "uncalibrated" in done.out
    assert "40" in done.out


def test_the_same_command_again_spends_nothing(terminal: Terminal, quick: Stub) -> None:
    terminal.judge(quick)
    first = terminal.run(*GRADE, "--json", "--out", "grades.jsonl")
    spent, written = quick.stats()["requests"], (terminal.folder / "grades.jsonl").read_bytes()
    again = terminal.run(*GRADE, "--json", "--out", "grades.jsonl")
    assert (first.status, again.status) == (0, 0)
    assert quick.stats()["requests"] == spent == 41  # the probe is one
    assert again.json == first.json
    assert (terminal.folder / "grades.jsonl").read_bytes() == written


def test_a_summary_as_json_is_one_document_with_known_keys(terminal: Terminal, quick: Stub) -> None:
    terminal.judge(quick)
    found = terminal.run(*GRADE, "--json", "--out", "grades.jsonl").json
    rows = terminal.rows("grades.jsonl")
    trust = {"trust", "calibration", "calibrated"}
    assert found.keys() == {"run", "open", "criteria", "sections", "overall", "totals", "causes", *trust}
    assert found["run"].keys() == {
        "id", "state", "dataset", "dataset_hash", "rubric", "judge", "round", "samples", "items", "finished", "held",
        "created_at", "cost_usd", "rescored_from",
    }  # fmt: skip
    assert (found["trust"], found["open"], found["run"]["state"]) == ("uncalibrated", 0, "done")
    clear = found["criteria"][0]
    scores = [row["criteria"]["clear"]["score"] for row in rows]
    assert (clear["criterion"], clear["n"], clear["scored"], clear["scored_share"]) == ("clear", 40, 40, 1.0)
    assert clear["mean"] == clear["low"] == clear["high"] == pytest.approx(sum(scores) / 40, abs=1e-12)
    assert clear["distribution"] == [[value, scores.count(value)] for value in (1.0, 2.0, 3.0)]
    totals, asked = found["totals"], quick.calls()[1:]
    prompt, completion = quick.stats()["prompt_tokens"], quick.stats()["completion_tokens"]
    assert (totals["calls"], totals["answered"], totals["lost"], totals["reused"]) == (40, 40, 0, 0)
    assert len(asked) == 40
    assert 0 < prompt - totals["prompt_tokens"] < prompt / 20  # the probe counts apart
    assert 0 < completion - totals["completion_tokens"] < completion / 20
    # $1 and $10 for a million tokens
    assert totals["cost_usd"] == pytest.approx((totals["prompt_tokens"] + 10 * totals["completion_tokens"]) / 1e6)


def test_csv_standard_input_and_mapped_columns_give_the_same_run(terminal: Terminal, quick: Stub) -> None:
    terminal.judge(quick)
    rows = terminal.rows("items.jsonl")[:6]
    columns = ("--id", "nr", "--input", "question", "--output", "answer")
    renamed = [{"nr": r["id"], "question": r["input"], "answer": r["output"]} for r in rows]
    text = io.StringIO()
    writer = csv.DictWriter(text, ["nr", "question", "answer"])
    writer.writeheader()
    writer.writerows(renamed)
    terminal.write("items.csv", text.getvalue())
    plain = terminal.run(*GRADE, "--limit", "6", "--json")
    table = terminal.run("grade", "items.csv", *GRADE[2:], *columns, "--json")
    lines = "".join(json.dumps(row) + "\n" for row in renamed)
    piped = terminal.run("grade", "-", *GRADE[2:], *columns, "--json", stdin=lines)
    assert [one.status for one in (plain, table, piped)] == [0, 0, 0], (plain.err, table.err, piped.err)
    assert plain.json["run"]["items"] == 6
    assert plain.json == table.json == piped.json
    assert quick.stats()["requests"] == 7


def test_three_samples_are_three_calls_and_all_are_kept(terminal: Terminal, quick: Stub) -> None:
    terminal.judge(quick)
    quick.behave("refusal", after=1, count=2)  # the probe, then two refused samples of the first item
    done = terminal.run(*GRADE, "--limit", "4", "--samples", "3", "--concurrency", "1", "--out", "grades.jsonl")
    rows = terminal.rows("grades.jsonl")
    assert quick.stats()["requests"] == 1 + 4 * 3
    assert [len(row["criteria"]["clear"]["samples"]) for row in rows] == [3, 3, 3, 3]
    outcomes = sorted(sample["outcome"] for sample in rows[0]["criteria"]["clear"]["samples"])
    assert outcomes == ["refused", "refused", "scored"]
    # A third of the samples is less than half: no mean.
    assert (rows[0]["outcome"], rows[0]["score"], rows[0]["criteria"]["clear"]["score"]) == ("refused", None, None)
    assert [row["criteria"]["clear"]["scored_samples"] for row in rows] == [1, 3, 3, 3]
    assert done.status == 1


def test_a_changed_rubric_is_another_run_and_out_refuses_it(terminal: Terminal, quick: Stub) -> None:
    terminal.judge(quick)
    first = terminal.run(*GRADE, "--limit", "3", "--json", "--out", "grades.jsonl").json
    kept = (terminal.folder / "grades.jsonl").read_bytes()
    rubric = (terminal.folder / "reply.yaml").read_text("utf-8")
    terminal.write("reply.yaml", rubric.replace("easy to follow", "pleasant to read"))
    refused = terminal.run(*GRADE, "--limit", "3", "--out", "grades.jsonl")
    assert refused.status == 2
    assert refused.err.splitlines() == [
        f"judge: grades.jsonl: holds run {first['run']['id']}, whose rubric differ; name another --out file"
    ]
    assert (terminal.folder / "grades.jsonl").read_bytes() == kept
    second = terminal.run(*GRADE, "--limit", "3", "--json", "--out", "others.jsonl")
    assert second.status == 0
    assert second.json["run"]["id"] != first["run"]["id"]
    assert second.json["totals"]["calls"] == 3


def test_fresh_asks_everything_anew_in_another_round(terminal: Terminal, quick: Stub) -> None:
    terminal.judge(quick)
    first = terminal.run(*GRADE, "--limit", "3", "--json").json
    fresh = terminal.run(*GRADE, "--limit", "3", "--json", "--fresh").json
    assert (first["run"]["round"], fresh["run"]["round"]) == (0, 1)
    assert fresh["totals"]["calls"] == 3
    assert fresh["totals"]["reused"] == 0
    assert quick.stats()["requests"] == 2 * (1 + 3)  # each asks its own probe
    assert terminal.count("run") == 2


def test_a_dry_run_shows_the_very_message_and_schema_and_sends_nothing(terminal: Terminal, quick: Stub) -> None:
    terminal.judge(quick)
    shown = terminal.run(*GRADE, "--limit", "5", "--dry-run")
    assert (shown.status, quick.stats()["requests"], terminal.count("run")) == (0, 0, 0)
    cost = terminal.run(*GRADE, "--limit", "5", "--concurrency", "1", "--json").json["totals"]["cost_usd"]
    sent = json.loads(quick.calls()[1]["body"])
    system, user = (message["content"] for message in sent["messages"])
    assert system in shown.out
    assert user in shown.out
    schema = sent["response_format"]["json_schema"]["schema"]
    assert schema in [json.loads(line) for line in shown.out.splitlines() if line.startswith("{")]
    size, worst = shown.out.splitlines()[-2:]
    assert "5 items · 5 calls" in size
    assert "at most 1,280 answer tokens" in size  # 5 x 256
    assert cost < float(worst.partition("worst cost $")[2].split(",")[0])


def test_an_unknown_price_is_refused_unless_allowed(terminal: Terminal, quick: Stub) -> None:
    terminal.judge(quick, price=None)
    refused = terminal.run(*GRADE, "--limit", "2")
    assert (refused.status, quick.stats()["requests"], terminal.count("run")) == (2, 0, 0)
    assert refused.err.startswith("judge: no price is known for openai/stub-1")
    assert "--allow-unpriced" in refused.err
    allowed = terminal.run(*GRADE, "--limit", "2", "--allow-unpriced", "--json")
    assert allowed.status == 0
    assert allowed.json["totals"]["cost_usd"] is None


def test_a_budget_holds_for_the_probe_too(terminal: Terminal, quick: Stub) -> None:
    terminal.judge(quick)
    refused = terminal.run(*GRADE, "--budget-usd", "0")
    assert (refused.status, quick.stats()["requests"], terminal.count("run")) == (2, 0, 0)
    assert "raise --budget-usd" in refused.err


def test_a_budget_stops_the_run_before_it_is_overspent(terminal: Terminal, quick: Stub) -> None:
    terminal.judge(quick)
    # A call costs at most some $0.0031 (256 answer tokens at $10) and in fact some $0.0008.
    stopped = terminal.run(*GRADE, "--budget-usd", "0.01", "--json", "--concurrency", "2")
    assert stopped.status == 3
    found = stopped.json
    assert 0 < found["totals"]["cost_usd"] <= 0.01
    assert 0 < found["run"]["finished"] < 40
    assert found["open"] == 40 - found["run"]["finished"]
    assert "--budget-usd" in stopped.err.splitlines()[-1]
    assert "start the same command again" in stopped.err.splitlines()[-1]
    ended = terminal.run(*GRADE, "--budget-usd", "1", "--json", "--concurrency", "2")
    assert ended.status == 0
    assert quick.stats()["requests"] == 41


def test_thresholds_decide_the_exit_code(terminal: Terminal, quick: Stub) -> None:
    terminal.judge(quick)
    mean = terminal.run(*GRADE, "--json").json["overall"]["mean"]
    assert 0.1 < mean < 0.9
    assert terminal.run(*GRADE, "--fail-under", "0.1", "--quiet").status == 0
    under = terminal.run(*GRADE, "--fail-under", "0.9", "--quiet")
    assert (under.status, under.out) == (1, "")
    assert under.err.splitlines() == [f"under the threshold: overall mean {mean:.3f} < 0.9"]


def test_a_scored_share_below_its_floor_fails(terminal: Terminal, quick: Stub) -> None:
    terminal.judge(quick)
    quick.behave("refusal", after=1, count=1)
    missed = terminal.run(*GRADE, "--limit", "4", "--min-scored-share", "0.9", "--json")
    assert missed.status == 1
    assert missed.err.splitlines() == ["under the threshold: scored share 0.750 < 0.9"]
    overall = missed.json["overall"]
    assert (overall["n"], overall["scored"], overall["scored_share"]) == (4, 3, 0.75)
    # The missing one as worst and as best: its 0 and its 1 over four.
    assert overall["low"] == pytest.approx(3 * overall["mean"] / 4)
    assert overall["high"] == pytest.approx((3 * overall["mean"] + 1) / 4)


def test_a_run_warns_of_nothing_under_warnings_as_errors(terminal: Terminal, quick: Stub) -> None:
    terminal.judge(quick)
    done = terminal.run(*GRADE, "--limit", "2", PYTHONWARNINGS="error")
    assert (done.status, done.err) == (0, "")


def test_simulated_grades_say_so_everywhere(terminal: Terminal) -> None:
    done = terminal.run("grade", "items.jsonl", "-r", "reply.yaml", "-j", "simulated", "--out", "grades.jsonl")
    assert done.status == 0
    assert "simulated" in done.out
    rows = terminal.rows("grades.jsonl")
    assert len(rows) == 40
    for row in rows:
        assert row["judge"]["kind"] == "simulated"
        assert all(one["reason"].startswith("simulated") for one in row["criteria"].values())
    assert terminal.count("call") == 0
