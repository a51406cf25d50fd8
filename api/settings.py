"""What the operator's environment decides about the service alone."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

#: Set by `judge serve --no-keys`, which sees to it that this machine alone can ask.
KEYLESS = "JUDGE_KEYLESS"
#: Set by `judge serve --no-worker`: runs are taken in here, and graded by `judge worker`.
NO_WORKER = "JUDGE_NO_WORKER"


def _folder(name: str) -> Path | None:
    given = os.environ.get(f"JUDGE_{name}", "").strip()
    return Path(given) if given else None


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """Folders of rubrics and judges that callers may name. Read from the environment when made."""

    rubrics_dir: Path | None = field(default_factory=lambda: _folder("RUBRICS_DIR"))
    judges_dir: Path | None = field(default_factory=lambda: _folder("JUDGES_DIR"))
    keyless: bool = field(default_factory=lambda: os.environ.get(KEYLESS) == "1")
    grading: bool = field(default_factory=lambda: os.environ.get(NO_WORKER) != "1")
