"""Whatever a judge answers, what is not a verdict is never a number."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.conftest import Stub
    from tests.e2e.conftest import Terminal

GRADE = ("grade", "items.jsonl", "--rubric", "reply.yaml", "--judge", "judge.yaml", "--limit", "1")
AT_ONCE = 5  #: some wait for seconds before they ask again
SEED = ("--seed-regex", r"ITEM-\d+")
NOT_ONE = ("invalid", "it is not exactly one JSON object")
NAN = ("invalid", "it holds NaN or Infinity, which are not JSON")
TWICE = ("invalid", "a key of its JSON object occurs twice")
EXTRA = ("invalid", "it grades 1 criteria that the rubric does not have")
RANGE = ("invalid", "the score of clear is not one of 1, 2, 3")
GONE = ("invalid", "right has not exactly a reason and then a score")
CUT = ("truncated", "the answer ended at the token limit")
FINE = ("scored", None)
#: For each mode of the stub: what becomes of both criteria, and the calls for the item.
EXPECTED = {
    # An answer that cannot be used is asked for three times more.
    "prose": (NOT_ONE, NOT_ONE, 4),
    "two_objects": (NOT_ONE, NOT_ONE, 4),
    "out_of_range": (RANGE, FINE, 4),
    "nan": (NAN, NAN, 4),
    "duplicate_key": (TWICE, TWICE, 4),
    "missing": (FINE, GONE, 4),
    "extra": (EXTRA, EXTRA, 4),
    "length": (CUT, CUT, 4),
    # A reply that cannot be read has four attempts.
    "html": (("judge_error", "not_json"), ("judge_error", "not_json"), 4),
    "empty_object": (("judge_error", "not_a_completion"), ("judge_error", "not_a_completion"), 4),
    "cut_body": (("judge_error", "not_json"), ("judge_error", "not_json"), 4),
    # To decline is an answer.
    "refusal": (("refused", "I cannot help with that."), ("refused", "I cannot help with that."), 1),
    "content_filter": (("refused", "the provider's filter"), ("refused", "the provider's filter"), 1),
    # What was sent may have been paid.
    "reset": (("lost", "connection_lost"), ("lost", "connection_lost"), 1),
    "cut_stream": (("lost", "connection_lost"), ("lost", "connection_lost"), 1),
}


def test_an_answer_that_is_no_verdict_is_no_number(terminal: Terminal, stub: Callable[..., Stub]) -> None:
    stubs = {mode: stub(*SEED) for mode in EXPECTED}

    def graded(mode: str) -> tuple[tuple[str, str | None], tuple[str, str | None], int]:
        place = terminal.beside(mode)
        place.judge(stubs[mode])
        stubs[mode].behave(mode, after=1)  # the probe is answered
        done = place.run(*GRADE, "--out", "grades.jsonl", "--json")
        assert done.status == 1, (mode, done)
        (row,) = place.rows("grades.jsonl")
        assert (row["score"], row["passed"]) == (None, None), mode
        for one in row["criteria"].values():
            assert (one["outcome"] == "scored") == (one["score"] is not None) == (one["level"] is not None), mode
        overall = done.json["overall"]
        assert (overall["outcomes"], overall["mean"]) == ({row["outcome"]: 1}, None), mode
        assert (overall["scored_share"], overall["low"] < overall["high"]) == (0.0, True), mode
        assert done.json["totals"]["cost_usd"] > 0, mode  # all were paid, or may have been
        clear, right = ((one["outcome"], one["cause"]) for one in row["criteria"].values())
        return clear, right, stubs[mode].stats()["requests"] - 1

    with ThreadPoolExecutor(AT_ONCE) as pool:
        assert dict(zip(EXPECTED, pool.map(graded, EXPECTED), strict=True)) == EXPECTED


def test_an_answer_that_is_mended_when_asked_again_is_scored(terminal: Terminal, quick: Stub) -> None:
    terminal.judge(quick)
    terminal.run("judges", "test", "judge.yaml")
    quick.behave("extra", count=2)
    done = terminal.run(*GRADE, "--json")
    assert (done.status, done.json["overall"]["outcomes"]) == (0, {"scored": 1})
    asked = [call for call in quick.calls() if call["items"]]
    assert len(asked) == done.json["totals"]["calls"] == 3
    assert asked[0]["body"] != asked[1]["body"]  # the error is named
    assert EXTRA[1] in asked[1]["body"]
