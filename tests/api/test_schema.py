"""The service against its own description: requests made up from it by schemathesis, on a service that is in use.

All of its checks hold: no answer of 500 or above, none that is not described, what breaks the description is refused,
what keeps it is taken, no key is ignored, and neither tenant reads what is the other's. Those that are off for an
operation say why.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from judge.keys import Scope
from tests.api.conftest import Client
from tests.api.test_access import ask
from tests.api.test_labels import RUBRIC, label
from tests.api.test_runs import body
from tests.api.test_shelf import SIMULATED

HOOKS = Path(__file__).with_name("schema_hooks.py")
#: How much is made up: on SQLite every bound of every field is tried too, as on PostgreSQL it would be again.
PHASES = {"sqlite": ("examples,coverage,fuzzing,stateful", 5), "postgresql": ("examples,fuzzing,stateful", 3)}
COUNT = 30

CONFIG = """\
seed = 20261126
hooks = "{hooks}"
workers = 1
request-timeout = 60

[generation]
deterministic = true
database = "none"
max-examples = {examples}
no-shrink = true
# No text may hold a NUL, which no schema says of every text; test_abuse.py sends it everywhere.
allow-x00 = false

[auth.wfc]
path = "{keys}"
peers = ["ours", "theirs"]

# Its body is described as text: that it is lines of JSON, each an item, no schema of it can say. And a GET of its path
# is one of `/v1/runs/{{run}}`, for a run that cannot be: 422.
[[operations]]
include-path = "/v1/runs/upload"
checks.positive_data_acceptance.enabled = false
checks.unsupported_method.enabled = false

# What is well formed may still name a run, a rubric, a judge or a label set that there is none of, be a rubric against
# the rules of rubrics, or come with the idempotency key of another request. Those are 422, and no schema can say them.
[[operations]]
include-method = "POST"
exclude-path = "/v1/runs/upload"
checks.positive_data_acceptance.expected-statuses = ["2xx", "401", "403", "404", "409", "422", "429"]

# Where a page goes on is what the page before said, and no other text of its length.
[[operations]]
include-method = "GET"
include-path = "/v1/label-sets/{{name}}/labels"
checks.positive_data_acceptance.expected-statuses = ["2xx", "401", "403", "404", "422"]

# The check takes a `Last-Event-ID` of 0 for one that fits the pattern, which it does not.
[[operations]]
include-path = "/v1/runs/{{run}}/events"
checks.positive_data_acceptance.enabled = false

# These take what POST /v1/runs and POST /v1/rubrics do, field for field, whose every bound is tried there.
[[operations]]
include-path = ["/v1/grades", "/v1/render", "/v1/rubrics/lint"]
phases.coverage.enabled = false
"""


def seeded(client: Client, text: str, salt: str) -> None:
    """A tenant with a run, labels, a calibration, a rubric, and a judge."""

    def made(path: str, asked: Any, status: int) -> Any:
        reply = ask(client, text, "POST", path, asked)
        assert reply.status == status, reply.raw
        return reply.json

    made("/v1/rubrics", {"rubric": {**RUBRIC, "name": "mine"}}, 201)
    made("/v1/judges", {"judge": SIMULATED}, 201)
    run = made("/v1/runs", body(COUNT, salt, judge="mine"), 202)["id"]
    assert b"event: end" in ask(client, text, path=f"/v1/runs/{run}/events").raw
    labels = [label(n, None, 1 + n % 5) for n in range(COUNT)]
    made("/v1/label-sets/team/labels", {"run": run, "labels": labels}, 200)
    made("/v1/calibrations", {"run": run, "labels": "team", "name": "replies"}, 201)


def test_the_service_is_as_it_describes_itself(
    serve: Callable[..., Client], key: Callable[..., str], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    client = serve(KEYLESS="")
    keys = {tenant: key(Scope.ADMIN, tenant=tenant) for tenant in ("ours", "theirs")}
    for tenant, text in keys.items():
        seeded(client, text, tenant)
    told = [
        {"name": tenant, "fixedHeaders": [{"name": "Authorization", "value": f"Bearer {text}"}]}
        for tenant, text in keys.items()
    ]
    (tmp_path / "keys.json").write_text(json.dumps({"auth": told}))
    phases, examples = PHASES[request.node.callspec.params["database_url"]]
    config = CONFIG.format(hooks=HOOKS, keys=tmp_path / "keys.json", examples=examples)
    (tmp_path / "schemathesis.toml").write_text(config)
    command = [Path(sys.executable).with_name("st"), "--config-file", "schemathesis.toml", "run"]
    command += ["--phases", phases, "--no-color", f"http://127.0.0.1:{client.port}/openapi.json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
