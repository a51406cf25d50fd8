"""Public human-labelled sets, where they lie beside this project; tests that need one skip without it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

DATA = Path(__file__).parents[2] / "shared" / "data"


def path(name: str) -> Path:
    """A file of a set, such as `summeval/published_figures.json`. Skips the test where it is absent."""
    found = DATA / name
    if not found.exists():
        pytest.skip(f"the set {name} is not here")
    return found


def rows(name: str) -> list[dict[str, Any]]:
    """The rows of a file of JSON lines, by its name without ending: `summeval/human`."""
    ending = ".jsonl.gz" if (DATA / f"{name}.jsonl.gz").exists() else ".jsonl"
    file = path(name + ending)
    with gzip.open(file, "rt", encoding="utf-8") if ending.endswith("gz") else file.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
