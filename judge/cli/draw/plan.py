"""How many more labels it takes, as the terminal shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from judge.cli.draw.line import paragraph
from judge.cli.draw.table import Row, table
from judge.notation import number, visible

if TYPE_CHECKING:
    from judge.calibration.labelling.plans import Needed, Plan


def plan(found: Plan) -> None:
    """A row for each measure of each criterion."""
    paragraph(
        ("labels ", "dim"),
        (visible(found.label_set), "bold"),
        f"  {found.labelled:,} of {found.items:,} items of run {found.run} are labelled",
    )
    head = Row("criterion", ("expected", "to within", "needed", "there are", "more items"), ("of",))
    table(head, [_row(id_, one) for id_, rows in found.criteria.items() for one in rows])
    for id_, rows in found.criteria.items():
        for why in dict.fromkeys(one.why for one in rows if one.why is not None):
            paragraph((f"{id_}: {visible(why)}", "yellow"))
    if any(one.beyond for rows in found.criteria.values() for one in rows):
        paragraph(("* more than the run has: be content with a wider interval, or grade more items", "yellow"))
    paragraph(
        (
            "more items: to be labelled in all until as many count, since figures are reported on held-out labels; "
            "expected: on the labels that are not held out",
            "dim",
        )
    )


def _row(id_: str, one: Needed) -> Row:
    star = "*" if one.beyond else ""
    figures = (
        number(one.expected),
        f"± {one.half_width:.3g}",
        "-" if one.needed is None else f"{one.needed:,}",
        f"{one.now:,}",
        "-" if one.more is None else f"{one.more:,}{star}",
    )
    return Row(f"{id_}, {one.measure}", figures, (one.of,))
