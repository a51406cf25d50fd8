"""What schemathesis does with the requests that it makes up, before it sends them. It loads this file by its path."""

from __future__ import annotations

import re
from typing import Any

import schemathesis

#: As `judge` in the service's own description; longer or shorter ones are refused, and stay.
LONGEST_NAME = 128


@schemathesis.hook
def before_load_schema(context: Any, raw_schema: dict[str, Any]) -> None:
    """`default` stands for every status, and none would be undescribed: each is to be listed.

    What it says of all is kept for 405, which is the router's answer to a method that is no operation.
    """
    for path in raw_schema["paths"].values():
        for operation in path.values():
            operation["responses"]["405"] = operation["responses"].pop("default")


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """No judge is asked over the network: whoever is named to grade, the simulated one is asked.

    And a run is compared with itself: that the other id is a run's too is not known, and one made up is of no run.
    """
    path = case.path_parameters
    if isinstance(path, dict) and re.fullmatch("[0-9a-f]{12}", str(path.get("other"))):
        path["other"] = path["run"]
    body = case.body
    if isinstance(body, dict) and isinstance(body.get("judge"), str) and 0 < len(body["judge"]) <= LONGEST_NAME:
        body["judge"] = "simulated"


@schemathesis.serializer("application/jsonl", "application/x-ndjson")
def json_lines(context: Any, value: Any) -> Any:
    """Uploads are text."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")
