"""Whether commands that are forked end as those do that begin from nothing."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace

import pytest

from tests.e2e.conftest import Terminal

TIME = re.compile(r"\d\d:\d\d:\d\d")
GRADE = ("grade", "items.jsonl", "--rubric", "reply.yaml", "--judge", "simulated")


@pytest.mark.parametrize(
    ("arguments", "stdin"),
    [
        (["--help"], None),
        (["grade", "--no-such-option"], None),
        (["runs", "show", "latest"], None),
        ([*GRADE, "--limit", "2", "--dry-run"], None),
        (["grade", "-", *GRADE[2:], "--limit", "2", "--dry-run"], '{"id": "ü", "output": "Ja."}\n'),
    ],
)
def test_a_fork_ends_as_a_process_from_nothing_does(
    terminal: Terminal, arguments: list[str], stdin: str | None
) -> None:
    assert terminal.forks is not None
    assert terminal.forks.takes(terminal.environment, stdin)
    forked, begun = (one.run(*arguments, stdin=stdin) for one in (terminal, replace(terminal, forks=None)))
    assert (forked.status, forked.out) == (begun.status, begun.out)
    assert TIME.sub("", forked.err) == TIME.sub("", begun.err)


def test_a_fork_that_hangs_is_killed(terminal: Terminal) -> None:
    assert terminal.forks is not None
    with pytest.raises(subprocess.TimeoutExpired):
        terminal.forks.run(["serve", "--no-keys", "--port", "0"], terminal.folder, terminal.environment, None, 3.0)


def test_what_asks_for_another_interpreter_begins_from_nothing(terminal: Terminal) -> None:
    assert terminal.forks is not None
    assert not terminal.forks.takes(terminal.environment | {"PYTHONWARNINGS": "error"}, None)
    assert not terminal.forks.takes(terminal.environment, "x" * 70_000)
