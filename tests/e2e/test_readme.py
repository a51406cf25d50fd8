"""What the README and the examples promise."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from judge.cli import COMMANDS
from tests.e2e.test_serve import serving

if TYPE_CHECKING:
    from tests.e2e.conftest import Terminal

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")


def run(terminal: Terminal, *command: str) -> str:
    ended = subprocess.run(
        [sys.executable, *command],
        cwd=terminal.folder,
        env=terminal.environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    assert not ended.stderr
    return ended.stdout


def test_every_command_and_every_option_of_grade_is_named(terminal: Terminal) -> None:
    for command in COMMANDS:
        assert f"judge {command}" in README
    options = set(re.findall(r"--[a-z-]+", terminal.run("grade", "--help").out)) - {"--help"}
    assert not {option for option in options if option not in README}


def test_the_python_of_the_readme_runs(terminal: Terminal) -> None:
    alone, asking = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert "uncalibrated" in run(terminal, "-c", alone)
    with serving(terminal) as service:
        assert "completed [" in run(terminal, "-c", asking.replace("8400", str(service.port)))


def test_the_python_examples_run(terminal: Terminal) -> None:
    pytest.importorskip("polars", reason="a data frame needs the extra `frame`")
    terminal.write("items.jsonl", json.dumps({"id": "1", "output": "One."}))
    assert terminal.run("grade", "items.jsonl", "-r", "helpfulness", "-j", "simulated").status == 0
    assert "uncalibrated" in run(terminal, str(ROOT / "examples/from_python.py"))


def test_a_provider_of_ones_own(terminal: Terminal) -> None:
    own = "provider: own_provider:Yes\nmodel: always-yes\nprice: {input: 0, output: 0}\n"
    terminal.write("own.yaml", own)
    terminal.write("items.jsonl", json.dumps({"id": "1", "output": "One."}))
    ended = terminal.run(
        "grade", "items.jsonl", "-r", "support-reply", "-j", "own.yaml", "--json", PYTHONPATH=str(ROOT / "examples")
    )
    assert ended.status == 0, ended.err
    summary = json.loads(ended.out)
    assert summary["overall"]["mean"] == 1
    assert summary["totals"]["models"] == ["always-yes"]


def test_the_rubric_of_the_readme_loads(terminal: Terminal) -> None:
    (block,) = [block for block in re.findall(r"```yaml\n(.*?)```", README, re.DOTALL) if "criteria:" in block]
    terminal.write("mine.yaml", block)
    assert terminal.run("rubrics", "show", "mine.yaml").status == 0


def test_the_demonstration_data_is_all_graded(terminal: Terminal) -> None:
    replies, judge = ROOT / "examples/support_replies.jsonl", ROOT / "examples/simulated.yaml"
    ended = terminal.run("grade", str(replies), "-r", "support-reply", "-j", str(judge))
    assert ended.status == 0
    assert "simulated: no model read these outputs" in ended.out
    assert len(replies.read_text("utf-8").splitlines()) >= 40
