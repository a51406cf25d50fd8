"""Judgements that others made of SummEval, replayed: the figures must be those of the files."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from tests.conftest import Stub
    from tests.e2e.conftest import Terminal

DATA = Path(os.environ.get("JUDGE_TEST_DATA") or Path(__file__).parents[3] / "shared" / "data") / "summeval"
CRITERIA = ("coherence", "consistency", "fluency", "relevance")
GRADE = ("grade", "summaries.jsonl", "--rubric", "faithful-summary", "--json", "--out", "grades.jsonl", "--judge")

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"no SummEval in {DATA}; set JUDGE_TEST_DATA")


def lines(name: str) -> list[dict[str, Any]]:
    with gzip.open(DATA / name, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


@pytest.fixture
def ids(terminal: Terminal) -> list[str]:
    """Ids of the 1200 items with text, which are written to summaries.jsonl."""
    kept = [
        {name: row[name] for name in ("id", "input", "output", "reference")}
        for row in lines("items.jsonl.gz")
        if row["output"] is not None
    ]
    terminal.write("summaries.jsonl", "".join(json.dumps(row) + "\n" for row in kept))
    assert len(kept) == 1200
    return [row["id"] for row in kept]


def replay(terminal: Terminal, name: str) -> str:
    """The description of a judge whose verdicts are in the file."""
    options = {"file": str(DATA / "judge.jsonl.gz"), "judge": name}
    terminal.write("recorded.yaml", json.dumps({"provider": "recorded", "options": options}))
    return "recorded.yaml"


def recorded(name: str, ids: list[str]) -> dict[str, list[float | None]]:
    """The one score of a judge for each item, by criterion."""
    cells = {(r["item"], r["criterion"]): r["samples"][0] for r in lines("judge.jsonl.gz") if r["judge"] == name}
    return {criterion: [cells.get((id, criterion)) for id in ids] for criterion in CRITERIA}


def by_criterion(summary: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["criterion"]: one for one in summary["criteria"]}


def test_means_equal_numpy_over_the_files(terminal: Terminal, ids: list[str]) -> None:
    done = terminal.run(*GRADE, replay(terminal, "alttest/gpt-4o"))
    assert done.status == 0, done.err
    expected = recorded("alttest/gpt-4o", ids)
    found = by_criterion(done.json)
    for criterion in CRITERIA:
        scores = np.array(expected[criterion], dtype=float)
        assert (found[criterion]["n"], found[criterion]["scored"]) == (1200, 1200)
        assert found[criterion]["mean"] == pytest.approx(float(scores.mean()), abs=1e-9)
        values, counts = np.unique(scores, return_counts=True)
        assert found[criterion]["distribution"] == [[v, n] for v, n in zip(values, counts, strict=True)]
    overall = (np.array([expected[c] for c in CRITERIA], dtype=float) - 1) / 4
    assert done.json["overall"]["mean"] == pytest.approx(float(overall.mean()), abs=1e-9)
    assert done.json["run"]["judge"]["kind"] == "recorded"
    rows = terminal.rows("grades.jsonl")
    assert [row["item"] for row in rows] == ids
    assert [row["criteria"]["fluency"]["score"] for row in rows] == expected["fluency"]
    assert terminal.count("call") == 0


def test_scores_between_the_levels_are_invalid(terminal: Terminal, ids: list[str]) -> None:
    done = terminal.run(*GRADE, replay(terminal, "shen2023/gpt-4-0314-rts"))
    assert done.status == 1
    expected = recorded("shen2023/gpt-4-0314-rts", ids)
    halves = {c: sum(s is not None and s % 1 == 0.5 for s in expected[c]) for c in CRITERIA}
    assert sum(halves.values()) == 37
    found = by_criterion(done.json)
    assert {c: found[c]["outcomes"].get("invalid", 0) for c in CRITERIA} == halves
    for criterion in CRITERIA:
        whole = [s for s in expected[criterion] if s is not None and s % 1 == 0]
        assert found[criterion]["mean"] == pytest.approx(float(np.mean(whole)), abs=1e-9)
        assert found[criterion]["scored"] == len(whole) == 1200 - halves[criterion]
    cause, counts = "is not one of 1, 2, 3, 4, 5", [n for outcome, _, n in done.json["causes"] if outcome == "invalid"]
    assert sum(counts) == 37
    assert all(said.endswith(cause) for _, said, _ in done.json["causes"])


def test_a_score_that_was_not_recorded_is_an_error_with_a_cause(terminal: Terminal, ids: list[str]) -> None:
    name = "shen2023/llama-2-70b-chat-hf-rts"
    done = terminal.run(*GRADE, replay(terminal, name))
    assert done.status == 1
    expected = recorded(name, ids)
    gaps = {(id, c) for c in CRITERIA for id, s in zip(ids, expected[c], strict=True) if s is None}
    halves = {(id, c) for c in CRITERIA for id, s in zip(ids, expected[c], strict=True) if s == 4.5}
    assert (len(gaps), len(halves)) == (1, 2)
    unscored = {
        (row["item"], id): one
        for row in terminal.rows("grades.jsonl")
        for id, one in row["criteria"].items()
        if one["outcome"] != "scored"
    }
    assert unscored.keys() == gaps | halves
    assert {(unscored[cell]["outcome"], unscored[cell]["cause"]) for cell in gaps} == {("judge_error", "not recorded")}
    assert {unscored[cell]["outcome"] for cell in halves} == {"invalid"}
    assert all(one["score"] is None and one["level"] is None for one in unscored.values())


def test_the_same_summaries_through_a_server(terminal: Terminal, ids: list[str], stub: Callable[..., Stub]) -> None:
    server = stub()
    terminal.judge(server)
    done = terminal.run(*GRADE, "judge.yaml", "--concurrency", "64")
    assert done.status == 0, done.err
    assert done.json["overall"]["outcomes"] == {"scored": 1200}
    texts = {(r["input"], r["output"], r["reference"]) for r in terminal.rows("summaries.jsonl")}
    totals = done.json["totals"]
    # Systems that wrote the same summary of the same article are asked about once.
    assert server.stats()["requests"] == 1 + len(texts)
    assert (totals["calls"], totals["reused"]) == (len(texts), 1200 - len(texts))
    assert server.stats()["in_flight_max"] <= 64
    rows = terminal.rows("grades.jsonl")
    assert [row["item"] for row in rows] == ids
    for one in done.json["criteria"]:
        scores = [row["criteria"][one["criterion"]]["score"] for row in rows]
        assert one["mean"] == pytest.approx(float(np.mean(scores)), abs=1e-9)
        assert set(scores) == {1, 2, 3, 4, 5}
