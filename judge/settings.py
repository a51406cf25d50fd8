"""What the environment decides: variables that begin with JUDGE_."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from judge.errors import SetupError

#: Largest output, in bytes of UTF-8.
MAX_OUTPUT_BYTES = 8_000_000


def _variable(name: str, default: str) -> str:
    return os.environ.get(name, "").strip() or default


def _folder(name: str) -> Path | None:
    given = _variable(name, "")
    return Path(given) if given else None


def _max_output_bytes() -> int:
    given = _variable("JUDGE_MAX_OUTPUT_BYTES", str(MAX_OUTPUT_BYTES))
    if not given.isdecimal() or not int(given):
        raise SetupError(
            f"JUDGE_MAX_OUTPUT_BYTES is {given!r}; write a whole number of bytes, such as {MAX_OUTPUT_BYTES}"
        )
    return int(given)


@dataclass(frozen=True, slots=True)
class Settings:
    """Read from the environment when made."""

    #: May hold a password.
    database_url: str = field(
        default_factory=lambda: _variable("JUDGE_DATABASE_URL", "sqlite:///.judge/judge.db"), repr=False
    )
    max_output_bytes: int = field(default_factory=_max_output_bytes)
    #: Files of rubrics and judges that callers of the service may name.
    rubrics_dir: Path | None = field(default_factory=lambda: _folder("JUDGE_RUBRICS_DIR"))
    judges_dir: Path | None = field(default_factory=lambda: _folder("JUDGE_JUDGES_DIR"))
