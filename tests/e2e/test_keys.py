"""`judge keys`, and a service that asks for them."""

from __future__ import annotations

import http.client
import json
from contextlib import closing
from typing import TYPE_CHECKING

from judge.keys import id_of
from tests.e2e.test_serve import free_port

if TYPE_CHECKING:
    from tests.e2e.conftest import Terminal


def test_a_key_is_printed_once_and_listed_without_its_secret(anywhere: Terminal) -> None:
    made = anywhere.run("keys", "create", "ci", "--scope", "read", "--tenant", "team-a", "--expires-days", "30")
    text = made.out.strip()
    assert made.status == 0, made.err
    assert id_of(text) is not None
    assert text not in made.err
    (listed,) = anywhere.run("keys", "list", "--json").json
    told = {name: listed[name] for name in ("id", "tenant", "name", "scopes", "revoked_at")}
    assert told == {"id": id_of(text), "tenant": "team-a", "name": "ci", "scopes": ["read"], "revoked_at": None}
    assert listed["expires_at"] - listed["created_at"] == 30 * 86_400
    assert anywhere.count("api_key", f"hash LIKE '%{text[-20:]}%'") == 0
    assert anywhere.run("keys", "revoke", str(id_of(text))).status == 0
    assert "revoked" in anywhere.run("keys", "list").out
    again = anywhere.run("keys", "revoke", str(id_of(text)))
    assert (again.status, "there is no key" in again.err) == (2, True)
    odd = anywhere.run("keys", "create", "x", "--tenant", "Team A")
    assert (odd.status, "is no name of a tenant" in odd.err) == (2, True)


def test_what_a_key_may_spend_is_set_shown_and_changed(anywhere: Terminal) -> None:
    made = anywhere.run("keys", "create", "ci", "--budget-usd", "50", "--monthly-usd", "20")
    assert made.status == 0, made.err
    key = str(id_of(made.out.strip()))
    (listed,) = anywhere.run("keys", "list", "--json").json
    limits = {(one["of"], one["period"]): one["limit_usd"] for one in listed["budgets"]}
    assert (listed["spent_usd"], limits) == (0.0, {("key", "total"): 50.0, ("key", "month"): 20.0})
    assert "spent $0.0000; $0.0000 of $50.0000 in total, $50.0000 left" in anywhere.run("keys", "list").out
    changed = anywhere.run("keys", "budget", key, "--budget-usd", "75", "--monthly-usd", "none", "--json").json
    assert [(one["period"], one["limit_usd"], one["left_usd"]) for one in changed] == [("total", 75.0, 75.0)]
    assert anywhere.run("keys", "budget", "--tenant", "local", "--monthly-usd", "0").status == 0
    both = anywhere.run("keys", "budget", key).out.splitlines()
    assert [line.split()[0] for line in both] == ["key", "tenant"]
    for wrong in (["0" * 12], [], [key, "--tenant", "local"], ["--tenant", "Team A"], [key, "--budget-usd", "nan"]):
        refused = anywhere.run("keys", "budget", *wrong)
        assert (refused.status, refused.out) == (2, ""), wrong
    assert anywhere.run("keys", "create", "odd", "--budget-usd", "inf").status == 2


def test_a_service_starts_with_keys_or_says_that_it_has_none(terminal: Terminal) -> None:
    without = terminal.run("serve")
    assert (without.status, without.out) == (2, "")
    assert "there is no key to ask with; make one with: judge keys create NAME" in without.err
    far = terminal.run("serve", "--no-keys", "--host", "0.0.0.0")
    assert (far.status, "can be reached from other machines" in far.err) == (2, True)
    text = terminal.run("keys", "create", "me").out.strip()
    port = free_port()
    with terminal.start("serve", "--port", str(port)) as process:

        def asked(headers: dict[str, str]) -> int | None:
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
                try:
                    connection.request("GET", "/v1/runs", headers=headers)
                except ConnectionRefusedError:
                    return None
                response = connection.getresponse()
                json.load(response)
                return response.status

        terminal.wait(process, lambda: asked({}) is not None)
        assert asked({}) == 401
        assert asked({"Authorization": f"Bearer {text}"}) == 200
        assert asked({"Authorization": f"Bearer {text}", "Host": "elsewhere.example"}) == 200
        process.terminate()
        _, said = process.communicate(timeout=20)
    assert text not in said
