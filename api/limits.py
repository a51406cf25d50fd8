"""How much there is room for, as draft-ietf-httpapi-ratelimit-headers has it.

No quota is one of a window of time: so many runs may wait, and so many requests be worked on, at once.
"""

from __future__ import annotations

from typing import Any

from api.errors import Refused
from api.problems import OVERLOADED
from judge.errors import Overloaded
from judge.worker import MOST_WANTED, WAITING

#: The unit of a quota that counts requests while they are worked on; one without a unit counts runs.
AT_ONCE = "concurrent-requests"
#: When to try again with more to grade.
EASES_S = 5


class Full(Refused):
    """What is not taken, since there is no room.

    Parameters
    ----------
    quota, most
        What there is no room for, and how much of it there may be.
    unit
        Of the quota.
    """

    def __init__(self, detail: str, quota: str, most: int, unit: str | None = None) -> None:
        super().__init__(OVERLOADED, detail)
        self.headers = {**_none_left(quota, most, unit), "Retry-After": f"{EASES_S}"}

    @classmethod
    def of(cls, error: Overloaded) -> Full:
        """A run that is not taken."""
        return cls(str(error), error.quota, error.most)


def room(waiting: int) -> dict[str, str]:
    """The headers that tell how many more runs there is room for, beside those that wait."""
    left = max(MOST_WANTED - waiting, 0)
    return {"RateLimit-Policy": _policy(WAITING, MOST_WANTED), "RateLimit": f'"{WAITING}";r={left}'}


def _none_left(quota: str, most: int, unit: str | None) -> dict[str, str]:
    return {"RateLimit-Policy": _policy(quota, most, unit), "RateLimit": f'"{quota}";r=0;t={EASES_S}'}


def _policy(quota: str, most: int, unit: str | None = None) -> str:
    return f'"{quota}";q={most}' + ("" if unit is None else f';qu="{unit}"')


def _described(policy: str, left: str, example: dict[str, str]) -> dict[str, Any]:
    """The two headers, as the description has them."""
    return {
        name: {"description": told, "schema": {"type": "string", "examples": [example[name]]}}
        for name, told in (("RateLimit-Policy", policy), ("RateLimit", left))
    }


#: The headers of an answer to what makes a run wait.
HEADERS = _described(
    "How many runs may wait to be graded, or be graded, at once.",
    "How many more there is room for.",
    room(waiting=12),
)
#: The headers of every answer that says that there is no room.
FULL = _described(
    "What there is no room for, and how much of it there may be at once.",
    "That none is left, and in how many seconds it is worth another try.",
    _none_left("grades", 128, AT_ONCE),
)
