"""`judge calibrations report`: what the command writes, and what a browser makes of it."""

from __future__ import annotations

import csv
import html
import json
import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from judge import report as of_run
from judge.calibration import report as of_calibration
from tests.pictures import Picture, colours, contrast

if TYPE_CHECKING:
    from tests.e2e.conftest import Terminal

STYLES = [Path(package.__path__[0]) for package in (of_run, of_calibration)]
RUN_STYLE = (STYLES[0] / "report.css").read_text("utf-8")
OWN_STYLE = (STYLES[1] / "calibration.css").read_text("utf-8")
#: Of pictures that reach down to the plots.
DESK, PHONE = (1280, 4400), (390, 6400)
#: By day, and by night, with what a calibration adds.
LIGHT, DARK = (base | own for base, own in zip(colours(RUN_STYLE), colours(OWN_STYLE), strict=True))
WORD = "donaudampfschiff" * 8
ANNOTATORS = ("ana", "ben", f"<b>{WORD}</b>")


def calibrated(terminal: Terminal, count: int = 160) -> str:
    """A calibration of a simulated judge by simulated people. Returns its id."""
    rows = [
        f'{{"id": "{WORD}-{n}", "input": "ITEM-{n}", "output": "{"Reply. " * (1 + n % 9)}", '
        f'"metadata": {{"quality": {n % 10 / 10}}}}}\n'
        for n in range(count)
    ]
    terminal.write("replies.jsonl", "".join(rows))
    terminal.write("judge.yaml", "{name: drawn, provider: simulated, options: {quality: quality, noise: 0.1}}")
    ended = terminal.run("grade", "replies.jsonl", "-r", "reply.yaml", "-j", "judge.yaml", "--samples", "5", "--quiet")
    assert ended.status == 0, ended.err
    chance = random.Random(7)
    with (terminal.folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["item", "annotator", "clear", "clear.reason", "right"])
        for n in range(count):
            for who in ANNOTATORS:
                seen = min(max(n % 10 / 10 + chance.gauss(0, 0.15), 0), 0.99)
                right = "yes" if seen > 0.5 else "no"
                writer.writerow([f"{WORD}-{n}", who, 1 + int(seen * 3), f"I saw {WORD} & <i>more</i>", right])
    ended = terminal.run("calibrate", "--run", "latest", "--labels", "labels.csv", "--name", "drawn", "--json")
    assert ended.status == 0, ended.err
    listed = terminal.run("calibrations", "list").out
    return listed.split()[0]


def test_a_report_is_written_and_never_over_something(terminal: Terminal) -> None:
    id_ = calibrated(terminal)
    done = terminal.run("calibrations", "report", "drawn")
    assert (done.status, done.out, done.err) == (0, "", f"report written to calibration-{id_}.html\n")
    text = (terminal.folder / f"calibration-{id_}.html").read_text("utf-8")
    assert text.startswith("<!doctype html>")
    assert "How far <bdi>drawn</bdi> agrees with people" in text
    assert "I saw " in text
    kept = terminal.write("notes.html", "mine")
    over = terminal.run("calibrations", "report", "latest", "-o", "notes.html")
    assert (over.status, "is there already" in over.err, kept.read_text()) == (2, True, "mine")
    assert terminal.run("calibrations", "report", id_, "-o", "notes.html", "--force").status == 0
    assert kept.read_text("utf-8").startswith("<!doctype html>")
    none = terminal.run("calibrations", "report", "other")
    assert (none.status, "there is no calibration 'other'" in none.err) == (2, True)
    assert not list(terminal.folder.glob("*.partial"))


def test_a_report_is_whole_by_day_by_night_and_on_a_phone(terminal: Terminal, seen: Callable[..., Picture]) -> None:
    calibrated(terminal)
    assert terminal.run("calibrations", "report", "latest", "-o", "r.html").status == 0
    page = terminal.folder / "r.html"
    # All of it unfolded: the widest tables are in what is folded.
    page.write_text(page.read_text("utf-8").replace("<details>", "<details open>"), encoding="utf-8")
    for scheme, style, size in (("light", LIGHT, DESK), ("dark", DARK, DESK), ("light", LIGHT, PHONE)):
        picture = seen(page, scheme, size)
        assert picture.margins_are(style["paper"])
        assert 0.6 < picture.share(style["paper"]) < 0.98
        for colour in ("ink", "mark", "people"):
            assert picture.share(style[colour]) > 0, (scheme, size, colour)
        assert size == PHONE or picture.share(style["accent"]) > 0  # the calibrated points; on a phone farther down


#: Runs in the page, which forbids scripts until its policy is taken out. What is folded away for eyes is left out.
MEASURE = """<script>
addEventListener('load', () => {
  const wide = document.documentElement.clientWidth, out = [];
  for (const one of document.querySelectorAll('main *')) {
    const box = one.getBoundingClientRect();
    if (box.width && !one.closest('thead') && (box.right > wide + 0.5 || box.left < -0.5)) out.push(one.outerHTML);
  }
  parent.postMessage(JSON.stringify([wide, document.documentElement.scrollWidth, out.slice(0, 3)]), '*');
});
</script>"""
#: A window of a browser has a least width; a frame has none.
FRAME = """<!doctype html><title>nothing</title>
<script>addEventListener('message', event => document.title = event.data);</script>
<iframe src="inner.html" style="border: 0; width: %dpx; height: 900px"></iframe>"""


def test_nothing_is_wider_than_the_page(terminal: Terminal, browser: list[str]) -> None:
    calibrated(terminal)
    assert terminal.run("calibrations", "report", "latest", "-o", "r.html").status == 0
    text = (terminal.folder / "r.html").read_text("utf-8").replace("<details>", "<details open>")
    policy = '<meta http-equiv="Content-Security-Policy"'
    text = text.replace(policy, "<meta name=none").replace("</head>", f"{MEASURE}</head>")
    for width in (320, 390, 834, 1280):
        assert measured(terminal, browser, text, width) == [width, width, []]
    wide = text.replace("</main>", '<p style="width: 2000px">wide</p></main>')
    assert measured(terminal, browser, wide, 390)[2] == ['<p style="width: 2000px">wide</p>']


def measured(terminal: Terminal, browser: list[str], text: str, width: int) -> list[Any]:
    """The width of a page in a frame so wide, how far it can be scrolled, and what reaches beyond."""
    terminal.write("inner.html", text)
    frame = terminal.write("frame.html", FRAME % width)
    command = [*browser, "--window-size=1400,900", "--virtual-time-budget=5000", "--dump-dom", frame.as_uri()]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60, check=True)
    found: list[Any] = json.loads(html.unescape(done.stdout.partition("<title>")[2].partition("</title>")[0]))
    return found


def test_a_browser_loads_it_without_complaint(terminal: Terminal, browser: list[str]) -> None:
    calibrated(terminal)
    assert terminal.run("calibrations", "report", "latest", "-o", "r.html").status == 0
    command = [*browser, "--enable-logging=stderr", "--dump-dom", (terminal.folder / "r.html").as_uri()]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60, check=True)
    assert [line for line in done.stderr.splitlines() if "CONSOLE" in line] == []
    assert done.stdout.count('<article class="dispute">') > 0
    assert "&lt;i&gt;more&lt;/i&gt;" in done.stdout


@pytest.mark.parametrize("style", [LIGHT, DARK], ids=["light", "dark"])
def test_what_stands_for_people_and_findings_stands_out(style: dict[str, bytes]) -> None:
    for text in ("people", "good", "bad", "warn", "mark"):
        assert contrast(style[text], style["paper"]) >= 4.5, text
    assert contrast(style["people"], style["panel"]) >= 4.5
