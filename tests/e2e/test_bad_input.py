"""What cannot be graded is refused in one line that says what to do, before anything is spent."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Stub
    from tests.e2e.conftest import Ended, Terminal

GOOD = '{"id": "a", "input": "ITEM-1", "output": "fine"}\n'
AT_ONCE = 3
GRADE = ("grade", "items.jsonl", "--rubric", "reply.yaml", "--judge", "judge.yaml")


def refusal(ended: Ended) -> str:
    """The one line of a command that could not start."""
    assert (ended.status, ended.out) == (2, ""), ended
    (line,) = ended.err.splitlines()
    assert line.startswith("judge: ")
    return line


def untouched(terminal: Terminal, stub: Stub, calls: int = 0) -> None:
    """Nothing was sent but so many probes, and nothing was kept."""
    assert stub.stats()["requests"] == calls
    assert (terminal.count("run"), terminal.count("item"), terminal.count("grade")) == (0, 0, 0)
    assert terminal.count("call", "run IS NOT NULL") == 0


@dataclass(frozen=True, slots=True)
class Bad:
    """Input with one mistake, and what the refusal must say."""

    name: str
    text: str | bytes
    says: tuple[str, ...]


ITEMS = [
    Bad("no id", GOOD + '{"output": "x"}\n', ("items.jsonl:2:", "`id`", "--id")),
    Bad("no output", GOOD + '{"id": "b"}\n', ("items.jsonl:2:", "`output`", "--output")),
    Bad("an id twice", GOOD + '{"id": "b", "output": ""}\n' + GOOD, ("items.jsonl:3:", "'a'", "line 1", "differ")),
    Bad("too long", GOOD + json.dumps({"id": "b", "output": "é" * 501}), ("items.jsonl:2:", "1,002", "MAX_OUTPUT")),
    Bad("not UTF-8", GOOD.encode() + b'{"id": "b", "output": "\xff"}\n', ("items.jsonl:2:", "UTF-8", "save")),
    Bad("half a pair", GOOD + '{"id": "b", "output": "\\ud800"}\n', ("items.jsonl:2:", "surrogate", "repair")),
    Bad("NUL", GOOD + '{"id": "b", "output": "\\u0000"}\n', ("items.jsonl:2:", "NUL", "remove")),
    Bad("a NUL in an id", GOOD + '{"id": "b\\u0000", "output": ""}\n', ("items.jsonl:2:", "NUL", "remove")),
    Bad("an array", GOOD + '["b", "x"]\n', ("items.jsonl:2:", "not a JSON object", "one JSON object a line")),
    Bad("cut JSON", GOOD + '{"id": "b", "outp', ("items.jsonl:2:", "not JSON", "one JSON object a line")),
    Bad("NaN", GOOD + '{"id": "b", "output": "x", "n": NaN}', ("items.jsonl:2:", "NaN", "one JSON object a line")),
    Bad("a number as text", GOOD + '{"id": "b", "output": 7}', ("items.jsonl:2:", "`output`")),
    Bad("empty", "", ("items.jsonl", "no items", "one JSON object a line")),
    Bad("blank lines", "\n\n", ("items.jsonl", "no items", "one JSON object a line")),
    Bad("own rubric", GOOD + '{"id": "b", "output": "x", "rubric": {"name": "r"}}', ("items.jsonl:2:", "criteria")),
]
RUBRIC = "name: r\ncriteria:\n  - id: a\n    question: Good?\n    scale: {}\n"
RUBRICS = [
    Bad("a scale", RUBRIC.format("stars"), ("reply.yaml:5:", "stars", "write")),
    Bad("no levels", RUBRIC.format("ordinal"), ("reply.yaml:3:", "levels", "write")),
    Bad("a field", RUBRIC.format("binary") + "    wieght: 2\n", ("reply.yaml:6:", "write weight")),
    Bad("a weight", RUBRIC.format("binary") + "    weight: -2\n", ("reply.yaml:6:", "-2", "write")),
    Bad("a key twice", RUBRIC.format("binary") + "name: q\n", ("reply.yaml:6:", "name", "write")),
    Bad("broken YAML", "name: [r\n", ("reply.yaml:", "YAML", "write")),
    Bad("nothing", "", ("reply.yaml:1:", "empty", "write")),
]
JUDGES = [
    Bad("an option", '{"provider": "openai", "modle": "m"}', ("judge.yaml", "`modle`", "model")),
    Bad("a temperature", '{"provider": "openai", "model": "m", "temperature": 9}', ("judge.yaml", "`temperature`")),
    Bad("no provider", '{"model": "m"}', ("judge.yaml", "`provider`")),
    Bad("a simulated option", '{"provider": "simulated", "options": {"mood": 1}}', ("mood", "leniency")),
    Bad("no file", '{"provider": "recorded", "options": {"file": "none.jsonl"}}', ("none.jsonl", "cannot be read")),
    Bad("not a judge", "[1]", ("judge.yaml", "not a judge", "write")),
    Bad("broken judge", "{", ("judge.yaml", "not YAML")),
]


@pytest.mark.parametrize(("file", "table"), [("items.jsonl", ITEMS), ("reply.yaml", RUBRICS), ("judge.yaml", JUDGES)])
def test_what_is_wrong_is_named_with_its_place_and_what_to_do(
    terminal: Terminal, quick: Stub, file: str, table: list[Bad]
) -> None:
    terminal.judge(quick)

    def unsaid(bad: Bad) -> list[str]:
        place = terminal.beside(bad.name)
        place.write(file, bad.text)
        line = refusal(place.run(*GRADE, JUDGE_MAX_OUTPUT_BYTES="1000"))
        untouched(place, quick)
        return [f"{part!r} is not in {line!r}" for part in bad.says if part not in line]

    with ThreadPoolExecutor(AT_ONCE) as pool:
        assert {bad.name: said for bad, said in zip(table, pool.map(unsaid, table), strict=True) if said} == {}


#: Commands that name what is not there, and what the refusal must say.
ABSENT = {
    ("none.jsonl", "reply.yaml", "simulated"): ("none.jsonl", "no such file"),
    (".", "reply.yaml", "simulated"): ("folder", "name a JSONL, CSV or Parquet file"),
    ("items.jsonl", "replies", "simulated"): ("replies", "support-reply", "write"),
    ("items.jsonl", "none.yaml", "simulated"): ("none.yaml", "cannot be read", "write"),
    ("items.jsonl", "reply.yaml", "nobody"): ("'nobody'", "provider/model"),
    ("items.jsonl", "reply.yaml", "nobody/model"): ("'nobody'", "openai, openai-responses, recorded, simulated"),
    ("items.jsonl", "reply.yaml", "none.yaml"): ("none.yaml", "cannot be read"),
    ("items.jsonl", "reply.yaml", "openai/gpt-6-luna"): ("OPENAI_API_KEY", "set"),
}


def test_what_is_not_there_is_named(terminal: Terminal, quick: Stub) -> None:
    def unsaid(given: tuple[str, str, str]) -> list[str]:
        file, rubric, judge = given
        line = refusal(terminal.run("grade", file, "--rubric", rubric, "--judge", judge))
        return [f"{part!r} is not in {line!r}" for part in ABSENT[given] if part not in line]

    with ThreadPoolExecutor(AT_ONCE) as pool:
        assert {given: said for given, said in zip(ABSENT, pool.map(unsaid, ABSENT), strict=True) if said} == {}
    untouched(terminal, quick)


@pytest.mark.parametrize(("status", "says"), [(404, "no such model"), (401, "refused the key")])
def test_a_judge_that_turns_the_probe_away_is_refused(terminal: Terminal, quick: Stub, status: int, says: str) -> None:
    terminal.judge(quick)
    quick.behave("status", status=status)
    assert says in refusal(terminal.run(*GRADE))
    untouched(terminal, quick, calls=1)


def test_bad_csv_is_refused_by_its_line(terminal: Terminal, quick: Stub) -> None:
    terminal.judge(quick)
    terminal.write("items.csv", 'id,output\na,"two\nlines"\nb\n')
    line = refusal(terminal.run("grade", "items.csv", *GRADE[2:]))
    assert "items.csv:4:" in line
    terminal.write("items.csv", b"id,output\na,fine\nb,\xff\n")
    assert "items.csv:3: not UTF-8" in refusal(terminal.run("grade", "items.csv", *GRADE[2:]))
    untouched(terminal, quick)


def test_skip_bad_leaves_bad_lines_out_and_says_so(terminal: Terminal, quick: Stub) -> None:
    terminal.judge(quick)
    terminal.write("items.jsonl", GOOD + '{"output": "x"}\n["b"]\n{"id": "c", "output": "ITEM-2"}\n')
    done = terminal.run(*GRADE, "--skip-bad", "--out", "grades.jsonl", "--quiet")
    assert (done.status, done.out) == (0, "")
    first, second = done.err.splitlines()
    assert first.startswith("left out: items.jsonl:2: ")
    assert second.startswith("left out: items.jsonl:3: ")
    assert [row["item"] for row in terminal.rows("grades.jsonl")] == ["a", "c"]


def test_an_empty_output_and_one_of_two_megabytes_are_graded(terminal: Terminal, quick: Stub) -> None:
    terminal.judge(quick)
    rows = [{"id": "empty", "input": "ITEM-1", "output": ""}, {"id": "long", "input": "ITEM-2", "output": "é" * 10**6}]
    terminal.write("items.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    done = terminal.run(*GRADE, "--out", "grades.jsonl")
    assert done.status == 0, done
    assert [(row["item"], row["outcome"]) for row in terminal.rows("grades.jsonl")] == [
        ("empty", "scored"),
        ("long", "scored"),
    ]
    assert max(len(call["body"]) for call in quick.calls()) > 10**6
