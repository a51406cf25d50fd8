"""`judge runs report`: what the command writes, and what a browser makes of it."""

from __future__ import annotations

import http.server
import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import listening

if TYPE_CHECKING:
    from tests.e2e.conftest import Terminal

ROOT = Path(__file__).parents[2]


@dataclass
class Server:
    """What would answer whoever fetches something, and remembers it."""

    url: str
    fetched: list[str] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Server]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.fetched.append(self.path)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with listening(Handler) as url:
        found = Server(url)
        yield found


@dataclass(frozen=True)
class Shown:
    """A page as a browser has it after loading: its document, and what the console said."""

    document: str
    console: list[str]


@pytest.fixture
def browse(browser: list[str]) -> Callable[[Path], Shown]:
    """Opens a file in a browser."""

    def opened(page: Path) -> Shown:
        command = [*browser, "--enable-logging=stderr", "--dump-dom", page.as_uri()]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60, check=True)
        return Shown(done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line])

    return opened


def graded(terminal: Terminal) -> Any:
    """The summary of the replies of the examples, graded by the simulated judge."""
    replies, judge = ROOT / "examples/support_replies.jsonl", ROOT / "examples/simulated.yaml"
    return terminal.run("grade", str(replies), "-r", "support-reply", "-j", str(judge), "--json").json


def hostile(terminal: Terminal, address: str) -> None:
    """A run whose every text would fetch something from an address, and write `OWNED`, if it were more than text."""
    texts = [
        f"<script>document.title = 'OWNED'; fetch('{address}/script')</script>",
        f"</style></title><img src={address}/image onerror=document.title='OWNED'>",
        f"<style>@import url({address}/style); body {{ background: url({address}/background) }}</style>",
        f'"><iframe src={address}/frame></iframe><link rel=stylesheet href={address}/link>',
        f"<meta http-equiv=refresh content='0;url={address}/refresh'>",
        "{{ 7 * 7 }}{% include 'report.css' %}\u202e\u2066{{ cycler.__init__ }}",
    ]
    rubric = {
        "name": "small",
        "description": texts[0],
        "instructions": texts[1],
        "criteria": [
            {"id": "clear", "scale": "ordinal", "question": texts[2], "levels": {"1": texts[3], "2": texts[4]}}
        ],
    }
    rows = [
        {"item": text, "criterion": "clear", "score": score, "reason": f"{text} {' '.join(texts)}"}
        for text, score in zip(texts, (1, 2, 9, 1, 2, 1), strict=True)
    ]
    items = [{"id": text, "input": text, "output": " ".join(texts), "reference": text} for text in texts]
    terminal.write("small.json", json.dumps(rubric))
    terminal.write("scores.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    terminal.write("<b>items.jsonl", "".join(json.dumps(item) + "\n" for item in items))
    judge = {"name": texts[0][:120], "provider": "recorded", "options": {"file": "scores.jsonl"}}
    terminal.write("judge.yaml", json.dumps(judge))
    ended = terminal.run("grade", "<b>items.jsonl", "-r", "small.json", "-j", "judge.yaml", "--quiet")
    assert ended.status == 1, ended.err


def test_a_report_is_written_and_never_over_something(terminal: Terminal) -> None:
    run = graded(terminal)["run"]["id"]
    done = terminal.run("runs", "report", run)
    assert (done.status, done.out, done.err) == (0, "", f"report written to report-{run}.html\n")
    assert (terminal.folder / f"report-{run}.html").read_text("utf-8").startswith("<!doctype html>")
    kept = terminal.write("notes.html", "mine")
    over = terminal.run("runs", "report", run, "-o", "notes.html")
    assert (over.status, "is there already" in over.err, kept.read_text()) == (2, True, "mine")
    assert terminal.run("runs", "report", run, "-o", "notes.html", "--force").status == 0
    assert "Trust: uncalibrated" in kept.read_text("utf-8")
    assert terminal.run("runs", "report", run, "-o", "nowhere/r.html").status == 2
    assert not list(terminal.folder.glob("*.partial"))


def test_a_browser_shows_the_figures_of_the_summary(
    terminal: Terminal, browse: Callable[[Path], Shown], server: Server
) -> None:
    summary = graded(terminal)
    assert terminal.run("runs", "report", "latest", "-o", "r.html", "--lowest", "3").status == 0
    shown = browse(terminal.folder / "r.html")
    for one in (*summary["criteria"], summary["overall"]):
        row = shown.document.partition(f">{one['criterion'].replace('_', '_<wbr>')}</span>")[2].partition("</tr>")[0]
        assert f">{one['mean']:.2f}</td>" in row
        assert f">{one['n']}</td>" in row
        for name, value in one["answers"]:
            count = next((n for told, n in one["distribution"] if told == value), 0)
            assert f">{count}</text>" in row
            assert f">{name}</text>" in row
    totals = summary["totals"]
    known = totals["passed"] + totals["failed_required"]
    assert f"meet all that is required: {totals['passed']} of {known} known" in shown.document
    assert "The judge is simulated." in shown.document
    assert shown.document.count('<article class="item">') == 3
    assert shown.console == []
    assert server.fetched == []


def test_text_that_is_not_ours_fetches_nothing_and_runs_nothing(
    terminal: Terminal, browse: Callable[[Path], Shown], server: Server
) -> None:
    hostile(terminal, server.url)
    assert terminal.run("runs", "report", "latest", "-o", "r.html").status == 0
    shown = browse(terminal.folder / "r.html")
    assert server.fetched == []
    assert shown.console == []
    assert "<title>small · &lt;b&gt;items.jsonl" in shown.document
    assert "{{ 7 * 7 }}" in shown.document
    assert "\\u{202e}" in shown.document
    assert "\u202e" not in shown.document


def test_even_a_text_that_were_not_escaped_would_fetch_nothing_and_run_nothing(
    terminal: Terminal, browse: Callable[[Path], Shown], server: Server
) -> None:
    graded(terminal)
    assert terminal.run("runs", "report", "latest", "-o", "r.html").status == 0
    text = (terminal.folder / "r.html").read_text("utf-8")
    attack = f"<img src={server.url}/image><script>document.title = 'OWNED'; fetch('{server.url}/script')</script>"
    terminal.write("attacked.html", text.replace("<main>", f"<main>{attack}"))
    stopped = browse(terminal.folder / "attacked.html")
    assert server.fetched == []
    assert "<title>OWNED" not in stopped.document
    assert len(stopped.console) >= 2
    # Without the policy the same page does both, so that the tests above can fail.
    policy = '<meta http-equiv="Content-Security-Policy"'
    terminal.write("open.html", text.replace("<main>", f"<main>{attack}").replace(policy, "<meta name=none"))
    assert "<title>OWNED" in browse(terminal.folder / "open.html").document
    assert "/image" in server.fetched
