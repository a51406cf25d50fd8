"""What the environment decides: variables that begin with JUDGE_."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from judge.errors import SetupError

#: Largest output, in bytes of UTF-8.
MAX_OUTPUT_BYTES = 8_000_000
#: Calls in one batch. Providers take more; a smaller batch is done sooner, and fits into what they let wait in line.
BATCH_REQUESTS = 10_000
#: How long it may take until a provider lists what was sent to it. Lists of what is kept are filled after the fact;
#: nobody says how long after. A minute too long costs a minute, once; a second too short may cost a call twice.
LOOKUP_LAG_S = 60


def _variable(name: str, default: str) -> str:
    return os.environ.get(name, "").strip() or default


def _folder(name: str) -> Path | None:
    given = _variable(name, "")
    return Path(given) if given else None


def _whole(name: str, default: int, unit: str) -> int:
    given = _variable(name, str(default))
    if not given.isdecimal() or not int(given):
        raise SetupError(f"{name} is {given!r}; write a whole number of {unit}, such as {default}")
    return int(given)


@dataclass(frozen=True, slots=True)
class Settings:
    """Read from the environment when made."""

    #: May hold a password.
    database_url: str = field(
        default_factory=lambda: _variable("JUDGE_DATABASE_URL", "sqlite:///.judge/judge.db"), repr=False
    )
    max_output_bytes: int = field(default_factory=lambda: _whole("JUDGE_MAX_OUTPUT_BYTES", MAX_OUTPUT_BYTES, "bytes"))
    batch_requests: int = field(default_factory=lambda: _whole("JUDGE_BATCH_REQUESTS", BATCH_REQUESTS, "requests"))
    lookup_lag_s: int = field(default_factory=lambda: _whole("JUDGE_LOOKUP_LAG_S", LOOKUP_LAG_S, "seconds"))
    #: Files of rubrics and judges that callers of the service may name.
    rubrics_dir: Path | None = field(default_factory=lambda: _folder("JUDGE_RUBRICS_DIR"))
    judges_dir: Path | None = field(default_factory=lambda: _folder("JUDGE_JUDGES_DIR"))
