"""The service against its own description: requests made up from it by schemathesis, on a service that is in use.

All of its checks hold: no answer of 500 or above, none that is not described, what breaks the description is refused,
what keeps it is taken, no key is ignored, and neither tenant reads what is the other's. Those that are off for an
operation say why. test_schema_faults.py has them fail.

Asked for as the other tenant is what has a path of its own and an answer with its name or id in it; test_abuse.py asks
for all that is below, and test_access.py without a key where nothing made up is taken: uploads, and labels.
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
#: By tenant the name of all that they have: requests come from the first, and the examples name a label set so. What
#: both list is taken for shared, and nobody would be asked for it as the other.
NAMES = {"ours": "team", "theirs": "others"}
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


def seeded(client: Client, text: str, name: str) -> None:
    """A tenant with a run, labels, a calibration, a rubric, and a judge, all of one name."""

    def made(path: str, asked: Any, status: int) -> Any:
        reply = ask(client, text, "POST", path, asked)
        assert reply.status == status, reply.raw
        return reply.json

    made("/v1/rubrics", {"rubric": {**RUBRIC, "name": name}}, 201)
    made("/v1/judges", {"judge": {**SIMULATED, "name": name}}, 201)
    run = made("/v1/runs", body(COUNT, name, judge=name), 202)["id"]
    assert b"event: end" in ask(client, text, path=f"/v1/runs/{run}/events").raw
    labels = [label(n, None, 1 + n % 5) for n in range(COUNT)]
    made(f"/v1/label-sets/{name}/labels", {"run": run, "labels": labels}, 200)
    made("/v1/calibrations", {"run": run, "labels": name, "name": name}, 201)


def tried(client: Client, key: Callable[..., str], folder: Path, database: str, *narrowed: str) -> tuple[Any, str]:
    """What schemathesis reports of a service that two tenants have used, and what it prints; as much as for a database.

    `narrowed` are options that leave out operations.
    """
    keys = {tenant: key(Scope.ADMIN, Scope.METRICS, tenant=tenant) for tenant in NAMES}
    for tenant, text in keys.items():
        seeded(client, text, NAMES[tenant])
    told = [
        {"name": tenant, "fixedHeaders": [{"name": "Authorization", "value": f"Bearer {text}"}]}
        for tenant, text in keys.items()
    ]
    (folder / "keys.json").write_text(json.dumps({"auth": told}))
    phases, examples = PHASES[database]
    config = CONFIG.format(hooks=HOOKS, keys=folder / "keys.json", examples=examples)
    (folder / "schemathesis.toml").write_text(config)
    command: list[str | Path] = [Path(sys.executable).with_name("st"), "--config-file", "schemathesis.toml", "run"]
    command += ["--phases", phases, "--no-color", "--report-json-path", "report.json", *narrowed]
    command += [f"http://127.0.0.1:{client.port}/openapi.json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600, check=False)
    printed = done.stdout + done.stderr
    report = folder / "report.json"
    assert report.exists(), printed
    return json.loads(report.read_text()), printed


def test_the_service_is_as_it_describes_itself(
    serve: Callable[..., Client], key: Callable[..., str], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    report, printed = tried(serve(KEYLESS=""), key, tmp_path, request.node.callspec.params["database_url"])
    assert (report["exit_code"], report["failures"], report["errors"]) == (0, [], []), printed
