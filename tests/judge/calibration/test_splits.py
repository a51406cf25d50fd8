"""What is fitted on a label is never reported on it: by the parts, by the types, and by a record of every look."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judge import InputError
from judge.calibration.splits import SHARES, SHARES_WITH_DEV, Opened, Part, Sealed, part_of, split

GROUPS = [f"doc-{n}" for n in range(4000)]


@pytest.mark.parametrize(("dev", "shares"), [(False, SHARES), (True, SHARES_WITH_DEV)])
def test_the_parts_have_their_shares(dev: bool, shares: dict[Part, float]) -> None:
    counted = Counter(split(GROUPS, 0, dev).values())
    # Four standard deviations of a binomial of 4000.
    assert all(
        abs(counted[part] / 4000 - share) < 4 * (share * (1 - share) / 4000) ** 0.5 for part, share in shares.items()
    )
    assert sum(shares.values()) == pytest.approx(1.0)


def test_another_seed_is_another_split() -> None:
    one, other = split(GROUPS, 0), split(GROUPS, 1)
    assert one == split(reversed(GROUPS), 0)
    assert 0.2 < sum(one[group] == other[group] for group in GROUPS) / 4000 < 0.6


@given(st.text(), st.integers(), st.lists(st.text()))
def test_what_comes_later_moves_no_group(group: str, seed: int, later: list[str]) -> None:
    assert split([group, *later], seed)[group] == part_of(group, seed)


def test_a_dev_part_needs_sixty_groups() -> None:
    assert Part.DEV in split(GROUPS[:60], 0, dev=True).values()
    with pytest.raises(InputError, match="needs at least 60 groups, and there are 59; leave --dev out"):
        split(GROUPS[:59], 0, dev=True)


def test_every_look_is_written_down() -> None:
    looks: list[str] = []

    def record(purpose: str) -> int:
        looks.append(purpose)
        return len(looks)

    sealed = Sealed([1.0], record)
    assert looks == []
    assert [sealed.open("a").openings, sealed.open("b").openings] == [1, 2]
    assert looks == ["a", "b"]


MISUSE = """
from judge.calibration.labelled import Divided
from judge.calibration.measuring import measure
from judge.calibration.splits import Opened

def reported(divided: Divided) -> None:
    measure(divided.fit, None)
    measure(divided.hold, None)
    measure(divided.test, None)
    measure(Opened(divided.fit.data, 1), None)
    measure(divided.test.open("x"), None)
"""


def test_the_types_let_nothing_be_reported_but_opened_test_labels(tmp_path: Path) -> None:
    (tmp_path / "misuse.py").write_text(MISUSE, "utf-8")
    command = [sys.executable, "-m", "mypy", "--config-file", "", "--strict", "--follow-imports=silent", "misuse.py"]
    root = Path(__file__).parents[3]
    env = {"MYPYPATH": str(root), "PATH": "/usr/bin:/bin", "MYPY_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300, check=False)
    faults = {int(number): said for number, said in re.findall(r"^misuse.py:(\d+): error: (.+)$", done.stdout, re.M)}
    assert set(faults) == {7, 8, 9, 10}, done.stdout
    assert all("incompatible type" in faults[line] for line in (7, 8, 9)), done.stdout
    assert 'Missing positional argument "seal"' in faults[10], done.stdout


def test_nothing_else_opens_labels() -> None:
    with pytest.raises(TypeError, match=r"opened by Sealed\.open"):
        Opened([1.0], 1, None)  # type: ignore[arg-type]
