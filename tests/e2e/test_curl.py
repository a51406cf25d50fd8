"""The curl commands of the README and the docs, run as they are written but for the port, and names in capitals."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.conftest import jsonl
from tests.e2e.test_serve import Service, serving

if TYPE_CHECKING:
    from tests.e2e.conftest import Terminal

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", *(path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "docs").glob("*.md"))))
#: Beside the answer, its status and where it points to, for whatever a command asks.
CURLRC = 'write-out = "%{stderr}%{http_code} %header{location}"\nmax-time = 30\n'
ITEMS = [{"id": f"{n}", "input": "How?", "output": f"Like this, {n} times."} for n in range(1, 31)]

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


def commands(page: str) -> list[str]:
    """Each command with curl in the shell blocks of a page, with the lines that belong to it."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", (ROOT / page).read_text("utf-8"), re.DOTALL | re.MULTILINE)
    found = [one for block in blocks for one in re.findall(r"^\S.*(?:\n +.*)*", block, re.MULTILINE)]
    return [one for one in found if re.search(r"\bcurl\b", one)]


@dataclass
class Shell:
    """Runs commands against a service.

    Attributes
    ----------
    names
        What stands for the names in capitals.
    """

    place: Terminal
    port: int
    names: dict[str, str] = field(default_factory=dict)

    def run(self, command: str) -> str:
        """What a command prints. It is answered as the comment behind it says, and well in any case."""
        here = command.replace("127.0.0.1:8400", f"127.0.0.1:{self.port}")
        for name, value in self.names.items():
            here = re.sub(rf"(?<!\$)\b{name}\b", value, here)
        (self.place.folder / ".curlrc").write_text(CURLRC)
        done = subprocess.run(
            ["sh", "-c", here],
            cwd=self.place.folder,
            env=self.place.environment | {"CURL_HOME": f"{self.place.folder}"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=60,
        )
        assert done.returncode == 0, (here, done.stderr)
        status, _, location = done.stderr.partition(" ")
        assert 200 <= int(status) < 300, (here, done.stdout)
        promised = re.search(r"# (\d{3})\b(?:.*Location: (\S+))?", command)
        if promised is not None:
            assert status == promised[1]
            assert promised[2] is None or re.fullmatch(promised[2].replace("ID", "[0-9a-f]{12}"), location), location
        return done.stdout

    def json(self, command: str) -> Any:
        """The JSON that a command prints."""
        return json.loads(self.run(command))


def ended(place: Terminal, service: Service, run: str) -> str:
    """The same id, of a run that has ended."""
    place.wait(service.process, lambda: service.ask("GET", f"/v1/runs/{run}")["status"] == "completed")
    return run


def test_the_pages_with_commands_are_those_that_are_run() -> None:
    assert {page: len(found) for page in PAGES if (found := commands(page))} == {
        "README.md": 14,
        "docs/deploy.md": 2,
        "docs/judges.md": 1,
        "docs/rubrics.md": 1,
    }


def test_the_commands_of_the_readme(terminal: Terminal) -> None:
    grades, *of_a_run, uploads, adds, calibrates, calibrations, by_it = commands("README.md")
    submits, status, of_items, summary, export, events, compare, costs = of_a_run
    terminal.write("items.jsonl", jsonl(ITEMS))
    with serving(terminal) as service:
        shell = Shell(terminal, service.port)
        assert [one["outcome"] for one in shell.json(grades)["data"]] == ["scored"]
        head, _, submitted = shell.run(submits).partition("\n\n")
        shell.names["ID"] = run = json.loads(submitted)["id"]
        assert f"location: /v1/runs/{run}" in head
        asked = {"items": ITEMS[:2], "rubric": "helpfulness", "judge": "simulated"}
        shell.names["OTHER"] = ended(terminal, service, service.ask("POST", "/v1/runs", asked)["id"])
        assert "event: end\n" in shell.run(events)  # it ends with the run
        assert (shell.json(status)["status"], shell.json(status)["samples"]) == ("completed", 3)
        assert [one["item"] for one in shell.json(of_items)["data"]] == ["1"]
        told = shell.json(summary)
        assert (told["overall"]["n"], told["trust"]) == (1, "uncalibrated")
        assert {"low", "high"} < told["overall"].keys()
        assert shell.run(export).startswith("item,")
        assert (shell.json(compare)["before"], shell.json(compare)["shared"]) == (run, 1)
        told = shell.json(costs)
        assert (told["data"], told["total"]["calls"]) == ([], 0)  # the judge is simulated, and asks nobody

        shell.names["ID"] = run = ended(terminal, service, shell.json(uploads)["id"])
        assert service.ask("GET", f"/v1/runs/{run}")["items"] == len(ITEMS)
        said = [
            {"item": one["id"], "annotator": who, "score": 1 + place % 5}
            for place, one in enumerate(ITEMS)
            for who in ("ben", "cat")
        ]
        assert service.ask("POST", "/v1/label-sets/team/labels", {"run": run, "labels": said})["new"] == len(said)
        assert shell.json(adds)["new"] == 1
        made = shell.json(calibrates)
        assert (made["name"], made["label_set"], made["run"]) == ("replies", "team", run)
        shell.names["CALIBRATION"] = made["id"]
        assert "measurements" in shell.json(calibrations)["report"]
        assert (shell.json(by_it)["trust"], shell.json(by_it)["calibration"]["id"]) == ("calibrated", made["id"])


def test_the_commands_of_the_docs_that_register(terminal: Terminal) -> None:
    (registers_judge,), (registers_rubric,) = commands("docs/judges.md"), commands("docs/rubrics.md")
    with serving(terminal) as service:
        shell = Shell(terminal, service.port)
        assert shell.json(registers_judge)["revision"] == 1
        assert service.ask("GET", "/v1/judges/my-judge@1")["description"]["price"]["output"] == 0.4
        assert [shell.json(registers_rubric)["revision"] for _ in range(2)] == [1, 1]
        assert service.ask("GET", "/v1/rubrics/capital@1")["name"] == "capital"


def test_the_commands_of_who_runs_a_service(terminal: Terminal) -> None:
    healthy, resumes = commands("docs/deploy.md")
    run = terminal.run("grade", "items.jsonl", "-r", "helpfulness", "-j", "simulated", "--json").json["run"]["id"]
    key = terminal.run("keys", "create", "ci").out.strip()
    place = replace(terminal, environment=terminal.environment | {"KEY": key})
    with serving(place, keys=True) as service:
        shell = Shell(place, service.port, {"ID": run})
        assert shell.json(healthy)["status"] == "ok"
        told = shell.json(resumes)
        assert (told["id"], told["items"]) == (run, 40)
