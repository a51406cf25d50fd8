"""What the terminal shows, at every width: figures stay in their columns, and no line runs out of the window."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Stub
    from tests.e2e.conftest import Terminal

LONG = "every_statement_is_supported_by_what_the_agent_was_given"
RUBRIC = f"""\
name: audit
criteria:
  - {{id: short, scale: binary, question: Is it short?, required: yes}}
sections:
  - id: substance
    description: What is said.
    criteria:
      - {{id: {LONG}, scale: binary, question: Is it supported?, cannot_tell: true}}
      - {{id: completeness, scale: numeric, question: How much?, minimum: 0, maximum: 1000}}
      - {{id: depth, scale: numeric, question: How deep?, minimum: 0, maximum: 10, step: 0.5, required: 4.0}}
    sections:
      - id: sources
        criteria:
          - {{id: cites, scale: binary, question: Does it cite?, not_applicable: true}}
          - {{id: quality, scale: ordinal, question: How good?, levels: [none, "anonymous or unknown", "first hand"]}}
  - id: form
    criteria:
      - {{id: tone, scale: categorical, question: What tone?, levels: [warm, cold, "pleading beyond all measure"]}}
      - {{id: clear, scale: ordinal, question: How clear?, levels: [1, 2, 3, 4, 5, 6, 7]}}
  - id: faults
    criteria:
      - {{id: helps, scale: points, question: It helps., points: 5}}
      - {{id: invents, scale: points, question: It invents., points: -4}}
"""
SCORES: dict[str, tuple[object, ...]] = {
    "short": ("yes", "no"),
    LONG: ("no", "yes", "cannot_tell"),
    "completeness": (0, 812.5, 1000),
    "depth": (0, 2.5, 10),
    "cites": ("yes", "not_applicable"),
    "quality": ("none", "anonymous or unknown", "first hand"),
    "tone": ("warm", "pleading beyond all measure", "off the scale"),
    "clear": (1, 4, 6, 7),
    "helps": ("yes", "no"),
    "invents": ("yes", "no"),
}
WIDTHS = (60, 80, 120)


@pytest.fixture
def audited(terminal: Terminal) -> Terminal:
    """A folder with a run of forty items, a third of them with failures."""
    terminal.write("audit.yaml", RUBRIC)
    rows = [
        {"item": f"i{n}", "criterion": id_, "score": given[n % len(given)], "reason": f"Because of {id_}. " * 9}
        for n in range(40)
        for id_, given in SCORES.items()
        if n % 7 or id_ != "depth"
    ]
    terminal.write("scores.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    terminal.write("judge.yaml", "name: people\nprovider: recorded\noptions: {file: scores.jsonl}\n")
    assert terminal.run("grade", "items.jsonl", "-r", "audit.yaml", "-j", "judge.yaml", "--quiet").status == 1
    return terminal


@pytest.mark.parametrize("width", WIDTHS)
def test_figures_stay_in_their_columns(audited: Terminal, width: int) -> None:
    lines = audited.run("runs", "show", "latest", COLUMNS=str(width)).out.splitlines()
    assert max(len(line) for line in lines) <= width
    head = next(line for line in lines if line.startswith("criterion"))
    ends = {name: head.index(name) + len(name) for name in ("mean", "scale", "scored")}
    rows = [line for line in lines if (re.search(r"\d%  ?|\d%$", line) and ".." in line) or "labels" in line]
    assert len(rows) == len(SCORES) + 4 + 1  # criteria, sections, overall
    for row in rows:
        for end in ends.values():
            assert row[end - 1] != " "
            assert row[end : end + 2].strip() == ""


@pytest.mark.parametrize("width", WIDTHS)
def test_every_name_is_whole_and_every_answer_that_was_given_is_counted(audited: Terminal, width: int) -> None:
    shown = audited.run("runs", "show", "latest", COLUMNS=str(width)).out
    for name in (*SCORES, "substance/", "sources/", "form/", "faults/", "overall"):
        assert re.search(rf"^ *{re.escape(name)}( |$)", shown, re.MULTILINE)
    assert re.search(r"warm.14  pleading beyond all measure.13", shown)
    assert re.search(r"none.14  anonymous or unknown.13", shown)
    assert re.search(r"1.10  4.10  6.10  7.10", shown)
    assert re.search(r" -0.2 .{12} 1$", shown, re.MULTILINE)


@pytest.mark.parametrize("width", WIDTHS)
def test_a_grade_in_full_keeps_to_the_window(audited: Terminal, width: int) -> None:
    shown = audited.run("runs", "show", "latest", "--lowest", "1", COLUMNS=str(width)).out
    assert max(len(line) for line in shown.splitlines()) <= width
    lines = shown.splitlines()
    at = {text: next(n for n, line in enumerate(lines) if line.lstrip().startswith(text)) for text in ("sour", "cites")}
    assert len(lines[at["cites"]]) - len(lines[at["cites"]].lstrip()) == 6  # within sources, within substance
    assert at["sour"] < at["cites"]
    assert " ".join(shown.split()).count("Because of helps. " * 9 + "invents") == 1


def test_a_score_stands_on_its_scale_beside_what_is_required(audited: Terminal) -> None:
    shown = audited.run("runs", "show", "latest", "--item", "i1", COLUMNS="200").out
    for line in (
        "  short  no  required yes: not met",
        f"    {LONG}  yes",
        "    completeness  812.5 on 0..1000",
        "    depth  2.5 on 0..10  required 4: not met",
        "      cites  not_applicable",
        "      quality  anonymous or unknown (1 on 0..2)",
        "    tone  pleading beyond all measure",
        "    clear  4 on 1..7",
        "    invents  no, 0 points",
    ):
        assert line in shown.splitlines()
    assert "no distribution" not in shown  # nobody was asked for probabilities


def test_probabilities_that_were_asked_for_are_shown_or_said_to_be_missing(
    terminal: Terminal, stub: Callable[..., Stub]
) -> None:
    terminal.judge(stub(), logprobs=True)
    terminal.write(
        "two.yaml",
        "name: two\ncriteria:\n"
        "  - {id: clear, scale: ordinal, question: How clear?, levels: [1, 2, 3]}\n"
        "  - {id: long, scale: numeric, question: How long?, minimum: 0, maximum: 100, step: 1.0}\n",
    )
    grade = ("grade", "items.jsonl", "-r", "two.yaml", "-j", "judge.yaml", "--limit", "1")
    assert terminal.run(*grade, "--samples", "2").status == 0
    given = terminal.run("runs", "show", "latest", "--lowest", "1", "--json").json["criteria"]["clear"]
    lines = [line.strip() for line in terminal.run("runs", "show", "latest", "--lowest", "1").out.splitlines()]
    clear = next(line for line in lines if line.startswith("clear"))
    assert clear.endswith(f"on 1..3  expected {given['expected']:.2f}")
    told = next(line for line in lines if line.startswith("distribution"))
    shares = {name: share for name, share in given["distribution"]["shares"].items() if share}
    assert told.split(" · ")[:-1] == [
        f"{'distribution ' * (not at)}{name} {share:.1%}" for at, (name, share) in enumerate(shares.items())
    ]
    assert told.endswith(f"of {given['distribution']['mass']:.1%} of the probability")
    assert lines.count("no distribution") == 1
    assert next(line for line in lines if line.startswith("samples")).count(" · ") == 1


def test_a_list_of_runs_names_everything_at_every_width(audited: Terminal) -> None:
    for width in WIDTHS:
        shown = audited.run("runs", "list", COLUMNS=str(width)).out
        assert max(len(line) for line in shown.splitlines()) <= width
        for text in ("audit", "people (recorded)", "items.jsonl", "done"):
            assert text in shown
