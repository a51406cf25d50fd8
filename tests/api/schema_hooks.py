"""What schemathesis does with the requests that it makes up, before it sends them. It loads this file by its path."""

from __future__ import annotations

from typing import Any

import schemathesis

#: As `judge` in the service's own description; longer or shorter ones are refused, and stay.
LONGEST_NAME = 128


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """No judge is asked over the network: whoever is named to grade, the simulated one is asked."""
    body = case.body
    if isinstance(body, dict) and isinstance(body.get("judge"), str) and 0 < len(body["judge"]) <= LONGEST_NAME:
        body["judge"] = "simulated"


@schemathesis.serializer("application/jsonl", "application/x-ndjson")
def json_lines(context: Any, value: Any) -> Any:
    """Uploads are text."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")
