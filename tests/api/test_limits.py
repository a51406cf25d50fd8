"""As many runs wait as may: one more is told when to come again, and none that was accepted is lost."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

from judge.worker import MOST_WANTED
from tests.api.conftest import Client
from tests.api.test_runs import body, ended, judges, submit
from tests.api.test_uploads import lines, upload

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Stub


def test_one_run_too_many_is_refused_and_none_that_was_accepted_is_lost(
    serve: Callable[..., Client], stub: Callable[..., Stub], tmp_path: Path
) -> None:
    server = stub()
    client = serve(JUDGES_DIR=judges(tmp_path / "judges", server))
    first = submit(client, body(1, "how to ask", judge="local")).json["id"]
    assert ended(client, first)["status"] == "completed"
    os.kill(server.pid, signal.SIGSTOP)
    try:
        accepted = [submit(client, body(1, f"waits {n}", judge="local")) for n in range(MOST_WANTED)]
        assert {reply.status for reply in accepted} == {202}
        assert {reply.headers["RateLimit-Policy"] for reply in accepted} == {f'"waiting-runs";q={MOST_WANTED}'}
        left = [reply.headers["RateLimit"] for reply in accepted]
        assert left == [f'"waiting-runs";r={MOST_WANTED - n}' for n in range(1, MOST_WANTED + 1)]
        assert f"\njudge_runs_wanted {MOST_WANTED}.0\n" in client.get("/metrics").raw.decode()
        uploaded = lines({"rubric": "helpfulness", "judge": "local"}, [{"id": "1", "output": "too many"}])
        for refused in (submit(client, body(1, "too many", judge="local")), upload(client, uploaded)):
            assert (refused.status, refused.json["type"]) == (429, "urn:judge:problem:overloaded")
            assert refused.headers["Retry-After"] == "5"
            assert refused.headers["RateLimit"] == '"waiting-runs";r=0;t=5'
            assert refused.headers["RateLimit-Policy"] == f'"waiting-runs";q={MOST_WANTED}'
        again = submit(client, body(1, "waits 0", judge="local"))  # it is there already
        assert (again.status, again.json["id"]) == (202, accepted[0].json["id"])
        assert len(client.get("/v1/runs?limit=100").json["data"]) == 100  # what is there can be seen meanwhile
    finally:
        os.kill(server.pid, signal.SIGCONT)
    found = [ended(client, reply.json["id"]) for reply in accepted]
    assert {(one["status"], one["graded"], one["held"]) for one in found} == {("completed", 1, 0)}
    again = submit(client, body(1, "too many", judge="local"))
    assert (again.status, again.headers["RateLimit"]) == (202, f'"waiting-runs";r={MOST_WANTED - 1}')
