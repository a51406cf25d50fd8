"""Who lives beside a file, whatever it is called there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from judge.store.presence import Presence, is_gone

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="locks of an open file are Linux's")
HOLD = """
import sys, time
from pathlib import Path
from judge.store.presence import Presence
held = Presence(Path(sys.argv[1]), "other:1:1")
print("held", flush=True)
time.sleep(60)
"""


def test_a_process_lives_until_it_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "judge.db"
    assert not is_gone(path, "other:1:1")  # nobody has ever said anything here
    mine = Presence(path, "mine:1:1")
    assert is_gone(path, "other:1:1")
    with subprocess.Popen([sys.executable, "-c", HOLD, path], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert not is_gone(path, "other:1:1")
        process.kill()
    assert is_gone(path, "other:1:1")
    assert not is_gone(path, "mine:1:1")  # whoever looks takes nothing away
    mine.close()
    assert is_gone(path, "mine:1:1")


def test_who_cannot_write_there_is_not_told_of(tmp_path: Path) -> None:
    Presence(tmp_path / "none" / "judge.db", "mine:1:1").close()
    assert not is_gone(tmp_path / "none" / "judge.db", "mine:1:1")
