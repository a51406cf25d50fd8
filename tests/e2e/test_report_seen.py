"""A report as people see it: screenshots by day, by night and on a phone, looked at pixel by pixel."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from judge import report
from tests.pictures import DESK, PHONE, Picture, colours, contrast

if TYPE_CHECKING:
    from tests.e2e.conftest import Terminal

ROOT = Path(__file__).parents[2]
STYLE = (Path(report.__file__).parent / "report.css").read_text("utf-8")
LIGHT, DARK = colours(STYLE)


def columns(picture: Picture, colour: bytes) -> list[list[int]]:
    """The heights of columns that stand on one line, chart by chart."""
    bars = [bar for bar in picture.bars(colour) if bar.height > 4]
    by_line = groupby(sorted(bars, key=lambda bar: (bar.bottom, bar.left)), key=lambda bar: bar.bottom)
    return [[bar.height for bar in line] for _, line in by_line]


def test_a_report_is_whole_and_its_bars_are_as_high_as_their_counts(
    terminal: Terminal, seen: Callable[..., Picture]
) -> None:
    replies, judge = ROOT / "examples/support_replies.jsonl", ROOT / "examples/simulated.yaml"
    summary = terminal.run("grade", str(replies), "-r", "support-reply", "-j", str(judge), "--json").json
    assert terminal.run("runs", "report", "latest", "-o", "r.html").status == 0
    counts = [[n for _, n in one["distribution"]] for one in summary["criteria"]]
    for scheme, style, size in (("light", LIGHT, DESK), ("dark", DARK, DESK), ("light", LIGHT, PHONE)):
        picture = seen(terminal.folder / "r.html", scheme, size)
        assert picture.margins_are(style["paper"])
        assert 0.6 < picture.share(style["paper"]) < 0.97
        assert picture.share(style["ink"]) > 0.0005
        drawn = columns(picture, style["mark"])[:3]  # a picture ends wherever it ends, also within a chart
        for heights, told in zip(drawn, counts[:3], strict=True):
            shares = [count / max(told) for count in told]
            assert [height / max(heights) for height in heights] == pytest.approx(shares, abs=0.05)


@pytest.mark.parametrize("style", [LIGHT, DARK], ids=["light", "dark"])
def test_texts_stand_out_from_what_is_behind_them(style: dict[str, bytes]) -> None:
    for text in ("ink", "soft", "accent", "warn"):
        assert contrast(style[text], style["paper"]) >= 4.5, text
    for text in ("ink", "soft"):
        assert contrast(style[text], style["panel"]) >= 4.5, text
    assert contrast(style["warn"], style["warn-paper"]) >= 4.5
    assert contrast(style["mark"], style["paper"]) >= 3  # a drawing, not a text


def test_words_without_an_end_are_broken_and_not_cut(terminal: Terminal, seen: Callable[..., Picture]) -> None:
    word = "donaudampfschiff" * 15
    criterion = f"{{id: {word[:60]}, scale: ordinal, question: {word}, levels: {{1: {word}, 2: {word}, 3: {word}}}}}"
    terminal.write("long.yaml", f"name: {word[:60]}\ndescription: {word}\ncriteria:\n  - {criterion}\n")
    terminal.write("items.jsonl", f'{{"id": "{word}", "input": "{word}", "output": "{word * 20}"}}\n')
    assert terminal.run("grade", "items.jsonl", "-r", "long.yaml", "-j", "simulated", "--quiet").status == 0
    assert terminal.run("runs", "report", "latest", "-o", "r.html").status == 0
    for size in (DESK, PHONE):
        picture = seen(terminal.folder / "r.html", "light", size)
        assert picture.margins_are(LIGHT["paper"])
        assert picture.share(LIGHT["ink"]) > 0.0005
