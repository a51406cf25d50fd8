"""What reading rubrics costs: `python -m benchmarks.rubrics`. Files of many criteria, and one tree of many leaves."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import TypeVar

from benchmarks.harness import Check, report, table
from rubrics import Rubric, in_parts, lint

FILES, CRITERIA = 100, 50
LEAVES, WIDTH = 2000, 20
ASKED_AT_ONCE = 25
T = TypeVar("T")

ORDINAL = """\
  - id: part{n}
    question: How well does part {n} of the output do what was asked of it?
    weight: {weight}
    scale: ordinal
    not_applicable: Nothing was asked of this part.
    levels:
      1: It does none of it, or the reverse of what was asked.
      2: It does some of it; the main thing asked for is not there.
      3: It does most of it, with a slip that the reader must mend.
      4: It does all of it.
"""
BINARY = """\
  - id: claim{n}
    question: Is claim {n} of the output borne out by what was given?
    scale: binary
    cannot_tell: Nothing that was given speaks of it.
    levels:
      yes: It is said there, or follows from what is.
      no: It is said nowhere, or the opposite is.
"""
LEAF = """\
      - {{id: leaf{n}, scale: binary, weight: {weight}, question: Requirement {n} is met as its section has it.}}
"""


def flat(number: int) -> str:
    """A rubric of ordinal and binary criteria."""
    head = f"name: flat-{number}\ninstructions: Judge output {number} by what was asked.\ncriteria:\n"
    return head + "".join((ORDINAL, BINARY)[n % 2].format(n=n, weight=1 + n % 3) for n in range(CRITERIA))


def tree(number: int) -> str:
    """A rubric of sections with binary leaves."""
    text = f"name: tree\ninstructions: Attempt {number} at reproducing a paper.\nsections:\n"
    for section in range(LEAVES // WIDTH):
        text += f"  - id: section{section}\n    description: Part {section}.\n    criteria:\n"
        leaves = range(section * WIDTH, (section + 1) * WIDTH)
        text += "".join(LEAF.format(n=n, weight=1 + n % 3) for n in leaves)
    return text


def timed(into: list[float], work: Callable[[], T]) -> T:
    """What the call returns; its wall time goes into the list."""
    began = time.perf_counter()
    made = work()
    into.append(time.perf_counter() - began)
    return made


def turn(folder: Path, number: int, took: dict[str, list[float]]) -> None:
    """Reads all files once, and one tree: another text in every turn, as parts are kept for equal rubrics."""
    files = [folder / f"{file}.yaml" for file in range(FILES)]
    loaded = timed(took["load"], lambda: [Rubric.load(file) for file in files])
    timed(took["lint"], lambda: [lint(rubric) for rubric in loaded])
    large = folder / "tree.yaml"
    large.write_text(tree(number), encoding="utf-8")
    whole = timed(took["load tree"], lambda: Rubric.load(large))
    timed(took["parts of tree"], lambda: in_parts(whole, ASKED_AT_ONCE))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=5)
    turns = parser.parse_args().turns
    took: dict[str, list[float]] = {"load": [], "lint": [], "load tree": [], "parts of tree": []}
    with tempfile.TemporaryDirectory() as folder:
        for file in range(FILES):
            Path(folder, f"{file}.yaml").write_text(flat(file), encoding="utf-8")
        for number in range(turns):
            turn(Path(folder), number, took)
        sizes = {name: Path(folder, f"{name}.yaml").stat().st_size for name in ("0", "tree")}
    middle = {name: median(all_turns) for name, all_turns in took.items()}
    table(("step", "median ms"), [(name, f"{value * 1000:.0f}") for name, value in middle.items()])
    checks = [
        Check(f"{FILES} rubrics of {CRITERIA} criteria: load and lint, s", middle["load"] + middle["lint"], most=3.0),
        Check(f"a tree of {LEAVES} leaves: load, s", middle["load tree"], most=1.0),
        Check(f"a tree of {LEAVES} leaves: in parts of {ASKED_AT_ONCE}, s", middle["parts of tree"], most=0.5),
    ]
    report("rubrics", checks, seconds=took, bytes=sizes)


if __name__ == "__main__":
    main()
