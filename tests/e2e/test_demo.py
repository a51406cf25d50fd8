"""`judge calibrations demo`, in a folder and a home that are empty."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from judge.calibration.demo.sets import SETS
from judge.cli.draw.demo import OWN

if TYPE_CHECKING:
    from tests.e2e.conftest import Terminal


@pytest.fixture
def bare(terminal: Terminal, tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    """A folder, a home and a place for temporary files with nothing in them."""
    place = tmp_path_factory.mktemp("bare")
    folder, home, temporary = (place / name for name in ("folder", "home", "tmp"))
    for one in (folder, home, temporary):
        one.mkdir()
    places = {"HOME": str(home), "TMPDIR": str(temporary), "COLUMNS": "200"}
    return replace(terminal, folder=folder, environment=terminal.environment | places)


def left(terminal: Terminal) -> list[Path]:
    return [path for path in terminal.folder.parent.rglob("*") if path.is_file() or path.is_symlink()]


def test_it_needs_nothing_and_leaves_nothing(bare: Terminal) -> None:
    ended = bare.run("calibrations", "demo")
    assert (ended.status, ended.err) == (0, "")
    assert left(bare) == []
    assert list(bare.folder.parent.rglob("judge-demo-*")) == []
    of_set = dict(zip([one.title for one in SETS], ended.out.split("\n\n")[1:], strict=False))
    for one in SETS:
        block = of_set[one.title]
        assert block.startswith(f"{one.title}\n")
        assert one.credit is None or one.credit in block
        assert one.credit is None or f"figures only, no texts; licence and changes: {one.folder}" in block
    assert "gpt-3.5-turbo-16k: not usable on 9 of 9 criteria" in of_set["LLM-Rubric"]
    assert "cannot stand in: " in of_set["PandaLM"]
    assert "better than chance: " in of_set["PandaLM"]
    assert "All of it is simulated: no model and no person read these outputs." in of_set["Simulated"]
    assert "simulated: can stand in" in of_set["Simulated"]
    assert "of the grades stand without a person, those of confidence" in of_set["Simulated"]
    assert "of the intervals for one grade hold the mean of the people" in of_set["Simulated"]
    assert "can stand in\n" not in of_set["LLM-Rubric"] + of_set["PandaLM"]
    assert "Nothing of this was kept" in ended.out
    assert [command for command, _ in OWN if f"\n  {command} " not in ended.out] == []


def test_the_commands_that_it_ends_with_are_there(bare: Terminal) -> None:
    commands = [command.split() for command, _ in OWN]
    assert [words[1] for words in commands] == ["labels", "labels", "calibrate", "grade"]
    for words in commands:
        names = words[1:3] if words[1] == "labels" else words[1:2]
        helped = bare.run(*names, "--help").out
        assert all(word in helped for word in words if word.startswith("--")), words


def test_it_is_kept_where_that_is_asked_for(bare: Terminal) -> None:
    ended = bare.run("calibrations", "demo", "--keep")
    assert ended.status == 0, ended.err
    assert "see: judge calibrations list" in ended.out
    listed = bare.run("calibrations", "list").out
    assert [one.name in listed for one in SETS] == [True] * 3
    shown = bare.run("calibrations", "show", "demo-simulated")
    assert shown.status == 0, shown.err
    assert "The judge is simulated: no model read these outputs." in shown.out
