from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from judge import Item, Judge, Outcome, SetupError
from judge.providers.recorded import Recorded
from rubrics import Rubric

ROWS: list[dict[str, Any]] = [
    {"item": "1", "criterion": "clear", "judge": "a", "score": 2.0, "reason": "so"},
    {"item": "1", "criterion": "polite", "judge": "a", "score": "yes"},
    {"item": 2, "criterion": "clear", "judge": "a", "score": 2.5},
    {"item": 2, "criterion": "polite", "judge": "a", "score": "not_applicable"},
    {"item": "3", "criterion": "clear", "judge": "a", "score": None},
    {"item": "4", "criterion": "clear", "judge": "a", "samples": [1, 3, None]},
    {"item": "1", "criterion": "clear", "judge": "b", "score": 3},
]


def recorded(path: Path, rows: list[Any] = ROWS, **options: Any) -> Recorded:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return Recorded(Judge(name="r", provider="recorded", options={"file": str(path), **options}))


@pytest.mark.parametrize("name", ["s.jsonl", "s.jsonl.gz"])
def test_verdicts_are_looked_up_by_item_criterion_and_sample(tmp_path: Path, rubric: Rubric, name: str) -> None:
    source = recorded(tmp_path / name, judge="a")

    def found(id_: str, output: str = "x", sample: int = 0) -> list[tuple[Outcome, float | None]]:
        verdicts = source.verdicts(Item(id=id_, output=output), rubric, sample)
        return [(verdict.outcome, verdict.value) for verdict in verdicts]

    missing = (Outcome.JUDGE_ERROR, None)
    assert found("1") == found("1", output="another text") == [(Outcome.SCORED, 2.0), (Outcome.SCORED, 1.0)]
    assert found("2") == [(Outcome.INVALID, None), (Outcome.NOT_APPLICABLE, None)]
    assert found("3") == found("unknown") == [missing, missing]
    assert [found("4", sample=n)[0] for n in range(4)] == [
        (Outcome.SCORED, 1.0),
        (Outcome.SCORED, 3.0),
        missing,
        missing,
    ]
    assert source.verdicts(Item(id="1", output="x"), rubric, 0)[0].reason == "so"
    assert source.verdicts(Item(id="3", output="x"), rubric, 0)[0].cause == "not recorded"
    assert source.kind == "recorded"


def test_another_judge_or_another_file_is_another_fingerprint(tmp_path: Path) -> None:
    first = recorded(tmp_path / "a.jsonl", judge="a").fingerprint
    assert first == recorded(tmp_path / "b.jsonl", judge="a").fingerprint
    assert first != recorded(tmp_path / "a.jsonl", judge="b").fingerprint
    assert first != recorded(tmp_path / "a.jsonl", ROWS[:-1], judge="a").fingerprint


@pytest.mark.parametrize(
    ("content", "options", "told"),
    [
        ("{", {}, "s.jsonl:1: not JSON"),
        ("[1]\n", {}, "s.jsonl:1: not a JSON object"),
        ('\n{"item": "1", "score": 1}\n', {}, "s.jsonl:2: no 'criterion'"),
        ('{"item": "1", "criterion": "c"}\n', {}, "s.jsonl:1: no 'score'"),
        ('{"item": "1", "criterion": "c", "verdict_ab": "a"}\n', {}, "s.jsonl:1: no 'verdict_ba'"),
        ('{"item": "1", "criterion": "c", "score": 1, "judge": "a"}\n', {"judge": "z"}, "nothing recorded"),
        ("", {}, "nothing recorded"),
        ("", {"flie": "x"}, "needs `options: {file: PATH}`"),
    ],
)
def test_a_file_that_is_wrong_is_one_line(tmp_path: Path, content: str, options: dict[str, str], told: str) -> None:
    path = tmp_path / "s.jsonl"
    path.write_text(content)
    with pytest.raises(SetupError) as raised:
        Recorded(Judge(name="r", provider="recorded", options={"file": str(path), **options}))
    assert told in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_file_that_is_not_there_or_not_gzip(tmp_path: Path) -> None:
    (tmp_path / "bad.gz").write_text("plain")
    for name in ("none.jsonl", "bad.gz"):
        with pytest.raises(SetupError, match="cannot be read"):
            Recorded(Judge(name="r", provider="recorded", options={"file": str(tmp_path / name)}))


def test_two_judges_in_a_file_are_never_mixed(tmp_path: Path) -> None:
    path = tmp_path / "two.jsonl"
    rows = [{"item": "1", "criterion": "c", "judge": judge, "score": score} for judge, score in (("a", 1), ("b", 3))]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(SetupError, match=r"two\.jsonl:2: .*name one judge"):
        Recorded(Judge(name="r", provider="recorded", options={"file": str(path)}))
    Recorded(Judge(name="r", provider="recorded", options={"file": str(path), "judge": "b"}))
    path.write_text(path.read_text("utf-8") + json.dumps(rows[1]) + "\n")
    with pytest.raises(SetupError, match=r"two\.jsonl:3: .*; remove one$"):
        Recorded(Judge(name="r", provider="recorded", options={"file": str(path), "judge": "b"}))


def test_both_orders_of_a_pair_are_kept_apart(tmp_path: Path) -> None:
    rubric = Rubric.loads("name: pairs\ncriteria: [{id: better, scale: preference, question: Which is better?}]")
    said = {"same": ("a", "a"), "moved": ("a", "b"), "tied": ("tie", "b"), "unread": (None, "b"), "wrong": ("x", None)}
    rows = [{"item": id_, "criterion": "better", "verdict_ab": ab, "verdict_ba": ba} for id_, (ab, ba) in said.items()]
    source = recorded(tmp_path / "s.jsonl", [*rows, {"item": "once", "criterion": "better", "score": "a"}])
    (better,) = rubric.leaves
    assert {id_: source.orders(id_, better) for id_ in (*said, "once", "unknown")} == {
        "same": (1.0, 1.0),
        "moved": (1.0, 0.0),
        "tied": (0.5, 0.0),
        "unread": (None, 0.0),
        "wrong": (None, None),
        "once": None,
        "unknown": None,
    }
    outcomes = [[source.recorded(id_, rubric, n)[0].outcome.value for n in range(2)] for id_ in ("unread", "wrong")]
    assert outcomes == [["judge_error", "scored"], ["invalid", "judge_error"]]
