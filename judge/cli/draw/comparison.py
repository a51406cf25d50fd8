"""Two runs beside each other, as the terminal shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from judge.cli.draw.line import console, fact, line, paragraph
from judge.diffs import Diff
from judge.grades import OVERALL
from judge.notation import number, plain, visible
from judge.verdicts import Outcome

if TYPE_CHECKING:
    from judge.store.changes import Change
    from judge.store.results import RunHead


def compared(found: Diff) -> None:
    """What differs, criterion by criterion; then the items that differ most."""
    for name, run in (("before", found.before), ("after", found.after)):
        line((f"{name:7}", "dim"), (run.id, "bold"), f"  {visible(run.dataset)} · {_by(run)}")
    _overlap(found)
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("criterion")
    for name in ("both", "before", "after", "change", "up", "down", "gained", "lost"):
        table.add_column(name, justify="right")
    for one in found.criteria:
        moved = ("-", "-") if one.unlike else (str(one.up), str(one.down))
        means = (number(one.mean_before, 3), number(one.mean_after, 3), _signed(one.change))
        table.add_row(one.criterion, f"{one.both:,}", *means, *moved, str(one.gained), str(one.lost))
    console.print(table)
    line(("both: items with a score in each, and the means are over them; gained, lost: a score in one only", "dim"))
    _notes(found)
    for changes in found.moved:
        _item(changes)
    if not found.moved:
        line("no item differs")


def _notes(found: Diff) -> None:
    """What the table cannot tell: scales that do not compare, criteria of one run, means that were cut off."""
    for one in found.criteria:
        if one.unlike:
            paragraph((f"{one.criterion}: not comparable: {one.unlike}", "yellow"))
        cuts = (("before", one.unclipped_before), ("after", one.unclipped_after))
        cut = [f"{plain(mean)} {when}" for when, mean in cuts if mean is not None]
        if cut:
            told = (
                f"{one.criterion}: a mean below 0 is cut off there: {' and '.join(cut)}; the change is without the cut"
            )
            paragraph((told, "yellow"))
    for name, ids in (("before", found.criteria_only_before), ("after", found.criteria_only_after)):
        if ids:
            fact(f"criteria only {name}:", ids)


def _signed(change: float | None) -> str:
    return "-" if change is None else f"{round(change, 3) + 0.0:+.3f}"


def _by(run: RunHead) -> str:
    return f"{run.rubric.name} {run.rubric.hash[:8]} · {visible(run.judge.name)}"


def _overlap(found: Diff) -> None:
    overlap = found.overlap
    parts = [f"{overlap.shared:,} items in both"]
    if overlap.other_texts:
        parts.append(f"{overlap.other_texts:,} of them with other texts")
    parts += [f"{n:,} only {when}" for n, when in ((overlap.only_before, "before"), (overlap.only_after, "after")) if n]
    line(", ".join(parts))


def _item(changes: tuple[Change, ...]) -> None:
    overall = next((change for change in changes if change.criterion == OVERALL), None)
    told = "" if overall is None else f"  {_side(overall.before, overall.before_score)} -> {_after(overall)}"
    line((visible(changes[0].item), "bold"), told)
    for change in changes:
        if change is not overall:
            line("  ", change.criterion, f"  {_side(change.before, change.before_score)} -> {_after(change)}")


def _after(change: Change) -> str:
    by = "" if change.by is None else f"  ({change.by:+.2f})"
    return _side(change.after, change.after_score) + by


def _side(outcome: Outcome, score: float | None) -> str:
    return number(score) if score is not None else outcome
