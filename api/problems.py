"""What a request gets instead of an answer: a problem as RFC 9457 has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from judge import logs

MEDIA_TYPE = "application/problem+json"


class Fault(BaseModel):
    """One thing that is wrong with a request: with its body, or with one of its parameters or headers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    detail: str
    pointer: str | None = Field(default=None, description="JSON pointer into the body; empty for the whole of it.")
    parameter: str | None = Field(default=None, description="The name of a parameter in the query or the path.")
    header: str | None = Field(default=None, description="The name of a header.")


class Problem(BaseModel):
    """Why there is no answer. `type` tells programs, `detail` tells people what to do next."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: str
    title: str
    status: int
    detail: str
    errors: tuple[Fault, ...] = ()
    request_id: str | None = Field(default=None, description="Of the request; it stands in the log's lines about it.")

    def response(self, headers: Mapping[str, str] | None = None) -> Response:
        """The problem as it is sent, in answer to the request that is being served."""
        told = self.model_copy(update={"request_id": logs.request_id.get()})
        return Response(told.model_dump_json(exclude_none=True), self.status, headers, MEDIA_TYPE)


@dataclass(frozen=True, slots=True)
class Kind:
    """A problem that can occur again, known by its slug."""

    slug: str
    status: int
    title: str

    def problem(self, detail: str, *faults: Fault) -> Problem:
        """One occurrence."""
        type_ = f"urn:judge:problem:{self.slug}"
        return Problem(type=type_, title=self.title, status=self.status, detail=detail, errors=faults)


INVALID_JSON = Kind("invalid-json", 400, "The body is not JSON that can be read")
BUDGET_USED_UP = Kind("budget-used-up", 402, "A budget has no room for this")
INVALID_ENCODING = Kind("invalid-encoding", 400, "The body is not encoded as it says")
INVALID_KEY = Kind("invalid-idempotency-key", 400, "The idempotency key is not one that can be kept")
NO_KEY = Kind("no-key", 401, "The request comes with no key that stands")
NOT_ALLOWED = Kind("not-allowed", 403, "The key is not for this")
NOT_LOCAL = Kind("not-local", 403, "Only this machine may ask")
NO_SUCH_JUDGE = Kind("no-such-judge", 404, "There is no such judge")
NO_SUCH_RUBRIC = Kind("no-such-rubric", 404, "There is no such rubric")
NO_SUCH_CALIBRATION = Kind("no-such-calibration", 404, "There is no such calibration")
NO_SUCH_LABELS = Kind("no-such-label-set", 404, "There is no such label set")
NO_SUCH_RUN = Kind("no-such-run", 404, "There is no such run")
TOO_SLOW = Kind("too-slow", 408, "The body does not come")
NOT_NOW = Kind("not-now", 409, "The run cannot be changed so as it stands")
RUN_BUSY = Kind("run-busy", 409, "Another process is at work on the run")
NAME_TAKEN = Kind("name-taken", 409, "The name stands for something else")
KEY_IN_USE = Kind("idempotency-key-in-use", 409, "The first request with this idempotency key is not done")
TOO_LARGE = Kind("too-large", 413, "The body is too large")
OTHER_ENCODING = Kind("other-encoding", 415, "The body is encoded in a way that is not taken")
NOT_LINES = Kind("not-lines", 415, "The body is not declared as JSON lines")
NOT_JSON = Kind("not-json", 415, "The body is not declared as JSON")
INVALID_REQUEST = Kind("invalid-request", 422, "The request is not one that can be served")
KEY_REUSED = Kind("idempotency-key-reused", 422, "The idempotency key belongs to another request")
INVALID_RUBRIC = Kind("invalid-rubric", 422, "The rubric cannot be used")
OTHER_CALIBRATION = Kind("other-calibration", 422, "The calibration is of another rubric or judge")
JUDGE_SETUP = Kind("judge-setup", 422, "The judge cannot be asked as it is set up")
OVERLOADED = Kind("overloaded", 429, "Too much waits to be graded")
INTERNAL = Kind("internal", 500, "The service failed")
NOT_INSTALLED = Kind("not-installed", 501, "The service lacks a package for this")
JUDGE_PAUSED = Kind("judge-paused", 503, "The judge cannot be asked for now")
STORE_UNAVAILABLE = Kind("store-unavailable", 503, "The store cannot be used")

#: What every request with a body may meet.
BODY = (INVALID_JSON, INVALID_ENCODING, TOO_SLOW, TOO_LARGE, NOT_JSON, OTHER_ENCODING)
#: What every request may meet that is about a tenant's own.
ACCESS = (NO_KEY, NOT_ALLOWED, NOT_LOCAL)
