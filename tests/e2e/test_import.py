"""`judge rubrics import`: what other tools hold, made ready for grading."""

from __future__ import annotations

import json

import pytest

from rubrics import Rubric
from tests.e2e.conftest import Terminal, jsonl

EXAMPLES = [
    {
        "prompt_id": f"p{number}",
        "prompt": [{"role": "user", "content": "What helps against a cold?"}],
        "rubrics": [
            {"criterion": "Names rest", "points": 5, "tags": []},
            {"criterion": "Recommends antibiotics", "points": -4, "tags": []},
        ],
        "example_tags": [],
        "canary": "do not train on this",
    }
    for number in (1, 2)
]
PAPER = {
    "id": "root",
    "requirements": "The paper is reproduced.",
    "weight": 1,
    "sub_tasks": [{"id": "leaf", "requirements": "It trains.", "weight": 2, "sub_tasks": []}],
}
CONFIG = """\
prompts: ['Answer: {{question}}']
defaultTest: {assert: [{type: llm-rubric, value: Is calm}]}
tests: [{vars: {question: How?}}, {vars: {question: Why?}}]
"""


def test_one_rubric_becomes_a_yaml_file_that_lints(terminal: Terminal) -> None:
    terminal.write("paper.json", json.dumps(PAPER))
    done = terminal.run("rubrics", "import", "paper.json", "--out", "paper.yaml")
    assert (done.status, done.out) == (0, "")
    assert done.err.splitlines() == [
        "paper.json: changed: ids are made from the requirements (node root, node leaf)",
        "wrote paper.yaml",
    ]
    assert list(Rubric.load(terminal.folder / "paper.yaml").ids) == ["it_trains"]
    assert terminal.run("rubrics", "lint", "paper.yaml").status == 0


def test_items_with_rubrics_of_their_own_take_outputs_by_id_and_are_graded(terminal: Terminal) -> None:
    terminal.write("examples.jsonl", jsonl(EXAMPLES))
    terminal.write("outputs.jsonl", jsonl([{"id": f"p{n}", "output": f"Rest {n} days."} for n in (1, 2, 3)]))
    done = terminal.run("rubrics", "import", "examples.jsonl", "--outputs", "outputs.jsonl", "--out", "health.jsonl")
    assert done.status == 0, done.err
    assert done.err.splitlines() == [
        "examples.jsonl: left out: canary (example p1, example p2)",
        "outputs.jsonl: 1 of its outputs belong to no item",
        "wrote health.jsonl",
    ]
    rows = terminal.rows("health.jsonl")
    assert [row["output"] for row in rows] == ["Rest 1 days.", "Rest 2 days."]
    assert list(rows[0]) == ["id", "input", "output", "metadata", "rubric"]
    graded = terminal.run("grade", "health.jsonl", "-j", "simulated", "--out", "grades.jsonl")
    assert graded.status == 0, graded.err
    assert "health.jsonl · rubrics-of-items · simulated" in graded.out
    assert [line.split()[0] for line in graded.out.splitlines()[2:4]] == ["criterion", "overall"]
    assert [list(row["criteria"]) for row in terminal.rows("grades.jsonl")] == [
        ["names_rest", "recommends_antibiotics"]
    ] * 2


def test_items_that_each_bring_a_rubric_make_a_run_like_any_other(terminal: Terminal) -> None:
    own = {"name": "own", "criteria": [{"id": "x", "scale": "binary", "question": "Is it x?"}]}
    items = [{"id": str(n), "output": "a", "rubric": own} for n in range(3)]
    terminal.write("own.jsonl", jsonl(items))
    terminal.write("mixed.jsonl", jsonl([*items, {"id": "3", "output": "a"}]))
    for _ in range(2):  # graded, and gone on with
        assert terminal.run("grade", "own.jsonl", "-j", "simulated").status == 0
    assert terminal.run("grade", "own.jsonl", "-j", "simulated", "--dry-run").status == 0
    for command in ("show latest --item 1", "export latest", "report latest -o r.html", "diff latest latest", "list"):
        done = terminal.run("runs", *command.split())
        assert done.status == 0, done.err
    assert "--rubric" not in (terminal.folder / "r.html").read_text("utf-8")
    mixed = terminal.run("grade", "mixed.jsonl", "-j", "simulated")
    assert (mixed.status, mixed.err) == (2, "judge: items without a rubric of their own: 1; name one with --rubric\n")


def test_items_without_outputs_say_what_to_add(terminal: Terminal) -> None:
    terminal.write("examples.jsonl", jsonl(EXAMPLES))
    done = terminal.run("rubrics", "import", "examples.jsonl", "--out", "health.jsonl")
    assert done.status == 0
    assert "health.jsonl: 2 of 2 items have no output; add `output` to them, or give --outputs" in done.err
    assert "no `output`; add it" in terminal.run("grade", "health.jsonl", "-r", "reply.yaml", "-j", "simulated").err


def test_a_shared_rubric_and_its_items_become_a_folder(terminal: Terminal) -> None:
    terminal.write("config.yaml", CONFIG)
    terminal.write("outputs.jsonl", jsonl([{"id": "test-1", "output": "So."}]))
    done = terminal.run("rubrics", "import", "config.yaml", "--outputs", "outputs.jsonl", "--out", "both")
    assert done.status == 0, done.err
    assert done.err.splitlines()[-3:] == [
        "both/items.jsonl: 1 of 2 items have no output; add `output` to them, or give --outputs",
        "wrote both/config.yaml",
        "wrote both/items.jsonl",
    ]
    assert Rubric.load(terminal.folder / "both" / "config.yaml").name == "config"
    assert [row.get("output") for row in terminal.rows("both/items.jsonl")] == ["So.", None]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            ("none.json", "--out", "r.yaml"),
            "none.json: cannot be read (No such file or directory); name a readable file",
        ),
        (("latin.json", "--out", "r.yaml"), "latin.json: is not UTF-8; save it as UTF-8"),
        (("items.jsonl", "--out", "r.yaml"), "items.jsonl: not a format that is known; name one of healthbench, paper"),
        (("paper.json", "--out", "r.jsonl"), "r.jsonl: this comes to one rubric, in YAML; name it so: --out r.yaml"),
        (("config.yaml", "--out", "r.yaml"), "r.yaml: this comes to several files, in a folder; name it so: --out r"),
        (("paper.json", "--out", "reply.yaml"), "reply.yaml: is there already; name another --out"),
        (
            ("paper.json", "--out", "no/r.yaml"),
            "no/r.yaml: cannot be written (No such file or directory); name another",
        ),
        (("paper.json", "--format", "x", "--out", "r.yaml"), "paper.json: not a format that is known; name one of"),
        (("paper.json", "--outputs", "items.jsonl", "--out", "r.yaml"), "paper.json: holds no items; leave --outputs"),
        (
            ("config.yaml", "--outputs", "bad.jsonl", "--out", "r"),
            "bad.jsonl:2: is not an output; write an object with",
        ),
    ],
)
def test_what_cannot_be_imported_is_told_in_one_line(
    terminal: Terminal, arguments: tuple[str, ...], expected: str
) -> None:
    terminal.write("paper.json", json.dumps(PAPER))
    terminal.write("config.yaml", CONFIG)
    terminal.write("latin.json", b'"\xe9"')
    terminal.write("bad.jsonl", '{"id": "test-1", "output": "x"}\n{"id": "test-2"}\n')
    before = sorted(path.name for path in terminal.folder.iterdir())
    done = terminal.run("rubrics", "import", *arguments)
    assert done.status == 2
    assert done.err.startswith(f"judge: {expected}")
    assert done.err.count("\n") == 1
    assert sorted(path.name for path in terminal.folder.iterdir()) == before


def test_overalls_below_nought_are_shown_where_they_are(terminal: Terminal) -> None:
    points = [{"id": "good", "points": 2}, {"id": "bad", "points": -10}]
    asked = [{**one, "scale": "points", "question": f"It is {one['id']}."} for one in points]
    own = {"name": "own", "criteria": asked}
    terminal.write("own.jsonl", jsonl([{"id": str(n), "output": "a", "rubric": own} for n in range(8)]))
    graded = terminal.run("grade", "own.jsonl", "-j", "simulated", "--out", "g.jsonl")
    assert graded.status == 0, graded.err
    scores = [row["score"] for row in terminal.rows("g.jsonl")]
    assert min(scores) < 0
    (overall,) = [line for line in graded.out.splitlines() if line.startswith("overall")]
    assert "-5..1" in overall
    mean = max(sum(scores) / 8, 0)
    for command in ("show latest", "report latest -o r.html"):
        assert terminal.run("runs", *command.split()).status == 0
    diff = terminal.run("runs", "diff", "latest", "latest", "--json").json
    assert [one["mean_before"] for one in diff["criteria"]] == [mean]
