"""What the operator's environment decides about the service alone."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

#: Set by `judge serve --no-keys`, which sees to it that this machine alone can ask.
KEYLESS = "JUDGE_KEYLESS"
#: Set by `judge serve --no-worker`: runs are taken in here, and graded by `judge worker`.
NO_WORKER = "JUDGE_NO_WORKER"


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """Read from the environment when made."""

    keyless: bool = field(default_factory=lambda: os.environ.get(KEYLESS) == "1")
    grading: bool = field(default_factory=lambda: os.environ.get(NO_WORKER) != "1")
