"""What the operator's environment decides about the service alone."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from judge import SetupError

#: Set by `judge serve --no-keys`, which sees to it that this machine alone can ask.
KEYLESS = "JUDGE_KEYLESS"


def _folder(name: str) -> Path | None:
    given = os.environ.get(f"JUDGE_{name}", "").strip()
    return Path(given) if given else None


def _whole(name: str, default: int) -> int:
    given = os.environ.get(f"JUDGE_{name}", "").strip() or str(default)
    if not given.isdecimal() or not int(given):
        raise SetupError(f"JUDGE_{name} is {given!r}; write a whole number such as {default}")
    return int(given)


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """Folders of rubrics and judges that callers may name, and limits. Read from the environment when made.

    Raises SetupError.
    """

    rubrics_dir: Path | None = field(default_factory=lambda: _folder("RUBRICS_DIR"))
    judges_dir: Path | None = field(default_factory=lambda: _folder("JUDGES_DIR"))
    #: Of one upload, unpacked; and how many items it may hold.
    max_upload_bytes: int = field(default_factory=lambda: _whole("MAX_UPLOAD_BYTES", 4 * 1024**3))
    max_upload_items: int = field(default_factory=lambda: _whole("MAX_UPLOAD_ITEMS", 1_000_000))
    keyless: bool = field(default_factory=lambda: os.environ.get(KEYLESS) == "1")
