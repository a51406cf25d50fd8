"""What the operator's environment decides about the service alone."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from judge import SetupError

#: Set by `judge serve --no-keys`, which sees to it that this machine alone can ask.
KEYLESS = "JUDGE_KEYLESS"
#: Set by `judge serve --no-worker`: runs are taken in here, and graded by `judge worker`.
NO_WORKER = "JUDGE_NO_WORKER"


def _whole(name: str, default: int) -> int:
    given = os.environ.get(name, "").strip() or str(default)
    if not given.isdecimal() or not int(given):
        raise SetupError(f"{name} is {given!r}; write a whole number such as {default}")
    return int(given)


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """Read from the environment when made. Raises SetupError."""

    #: Of one upload, packed or unpacked; and how many items it may hold.
    max_upload_bytes: int = field(default_factory=lambda: _whole("JUDGE_MAX_UPLOAD_BYTES", 4 * 1024**3))
    max_upload_items: int = field(default_factory=lambda: _whole("JUDGE_MAX_UPLOAD_ITEMS", 1_000_000))
    keyless: bool = field(default_factory=lambda: os.environ.get(KEYLESS) == "1")
    grading: bool = field(default_factory=lambda: os.environ.get(NO_WORKER) != "1")
