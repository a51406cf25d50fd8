"""The error of this package.

    starlette.exceptions.HTTPException
    └── Refused    the request gets a problem instead of an answer

It is an HTTPException because the framework lets nothing else through from the reading of a body.
"""

from __future__ import annotations

from starlette.exceptions import HTTPException

from api.problems import Fault, Kind


class Refused(HTTPException):
    """A request that is not served."""

    def __init__(self, kind: Kind, detail: str, *faults: Fault) -> None:
        super().__init__(kind.status, detail)
        self.problem = kind.problem(detail, *faults)
