"""How much more may be submitted, as draft-ietf-httpapi-ratelimit-headers has it.

The one quota is of runs that wait to be graded, or are: it is not one of a window of time, and has none.
"""

from __future__ import annotations

from typing import Any

from api.errors import Refused
from api.problems import OVERLOADED
from judge.worker import MOST_WANTED

POLICY = "waiting-runs"
#: When to try again with more to grade.
EASES_S = 5

#: The headers of an answer to a submission, as the description has them.
HEADERS: dict[str, Any] = {
    "RateLimit-Policy": {
        "description": "How many runs may wait to be graded, or be graded, at once.",
        "schema": {"type": "string", "examples": [f'"{POLICY}";q={MOST_WANTED}']},
    },
    "RateLimit": {
        "description": "How many more there is room for.",
        "schema": {"type": "string", "examples": [f'"{POLICY}";r=88']},
    },
}


def limited(responses: dict[int | str, dict[str, Any]]) -> dict[int | str, dict[str, Any]]:
    """The responses of an operation that submits, whose 429 says how much room there is too."""
    full = responses[OVERLOADED.status]
    return responses | {OVERLOADED.status: full | {"headers": full["headers"] | HEADERS}}


class Full(Refused):
    """A run that is not taken, since too many wait.

    Parameters
    ----------
    waiting
        How many do.
    """

    def __init__(self, detail: str, waiting: int) -> None:
        super().__init__(OVERLOADED, detail)
        told = room(waiting)
        self.headers = {**told, "RateLimit": f"{told['RateLimit']};t={EASES_S}", "Retry-After": f"{EASES_S}"}


def room(waiting: int) -> dict[str, str]:
    """The headers that tell how many more runs there is room for, beside those that wait."""
    left = max(MOST_WANTED - waiting, 0)
    return {"RateLimit-Policy": f'"{POLICY}";q={MOST_WANTED}', "RateLimit": f'"{POLICY}";r={left}'}
