"""JSON on the wire: bytes that are the same for the same call, and fields of a reply made fit to be kept."""

from __future__ import annotations

import json
from typing import Any

from judge.providers import Unreadable

#: No reply has more; a count beyond it is none.
MOST_TOKENS = 10**9


def encode(value: object) -> bytes:
    """The bytes of a value, the same on every machine."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def decode(raw: bytes) -> Any:
    """A reply. Raises Unreadable where it is not JSON."""
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        raise Unreadable("not_json", "the reply is not JSON") from None


def text(value: object) -> str | None:
    """Text from outside, made fit to be stored."""
    return value.encode("utf-8", "replace").decode().replace("\x00", "\ufffd") if isinstance(value, str) else None


def count(value: object) -> int | None:
    """A number of tokens; None for what cannot be one."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS:
        return value
    return None
