"""What docs/rubrics.md shows is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rubrics import Rubric, lint, overall
from rubrics.importers import FORMATS
from rubrics.rubric import MOST_CRITERIA
from rubrics.scales import MOST_LISTED
from rubrics.section import MOST_CHILDREN
from rubrics.source import LARGEST

PAGE = (Path(__file__).parents[2] / "docs" / "rubrics.md").read_text("utf-8")
SHOWN = [
    Rubric.loads(text, "docs/rubrics.md") for text in re.findall(r"^```yaml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
]


@pytest.mark.parametrize("rubric", SHOWN, ids=[rubric.name for rubric in SHOWN])
def test_every_rubric_shown_loads(rubric: Rubric) -> None:
    missing = [str(finding) for finding in lint(rubric) if finding.severity == "warning"]
    # Short ones describe less than they should.
    assert [text for text in missing if "no description of" not in text] == []


def test_all_scales_are_shown_and_listed() -> None:
    shown = {criterion.scale for rubric in SHOWN for criterion in rubric.leaves}
    assert shown == {"binary", "ordinal", "categorical", "numeric", "points"}
    assert all(f"| `{scale}` |" in PAGE for scale in (*shown, "preference"))


def test_the_overall_that_is_worked_out_is_right() -> None:
    tree = next(rubric for rubric in SHOWN if rubric.name == "tree")
    values = {"table": 0.0, "loss": 1.0, "seed": 1.0, "says_limits": 3.0, "invents": -5.0}
    (stated,) = re.findall(r"/ 5 = (0\.\d+)", PAGE)
    assert overall(tree, values).value == pytest.approx(float(stated), abs=5e-4)


def test_limits_and_formats_are_those_of_the_code() -> None:
    assert f"at most {MOST_CHILDREN} criteria and {MOST_CHILDREN} sections, a rubric {MOST_CRITERIA:,} of each" in PAGE
    assert f"a file {LARGEST // 2**20} MB" in PAGE
    assert f"A stepped range of at most {MOST_LISTED} numbers" in PAGE
    assert re.findall(r"^\| `(\w+)` \|", PAGE[PAGE.index("| format |") :], re.MULTILINE) == list(FORMATS)
