"""How long a provider asks us to wait."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

#: A longer wait than this is taken for this long: an hour is past the patience of any run.
LONGEST_S = 3600.0


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds to wait, from `retry-after-ms` or `Retry-After` as seconds or as a date; None where none is named.

    What is negative, not a number or not finite names no wait.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return min(milliseconds / 1000, LONGEST_S)
    value = headers.get("retry-after")
    seconds = _number(value)
    if seconds is None and value and not _is_number(value):
        try:
            moment = parsedate_to_datetime(value)
        except (ValueError, OverflowError):
            return None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        seconds = max((moment - (now or datetime.now(UTC))).total_seconds(), 0.0)
    return None if seconds is None else min(seconds, LONGEST_S)


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True


def _number(value: str | None) -> float | None:
    if value is None or not _is_number(value):
        return None
    number = float(value)
    return number if math.isfinite(number) and number >= 0 else None
