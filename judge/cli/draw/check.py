"""Whether a judge is still the one that was calibrated, as the terminal shows it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from judge.cli.draw.line import fact, paragraph
from judge.cli.draw.table import Row, table
from judge.notation import money, number, share, visible

if TYPE_CHECKING:
    from judge.calibration.drift.changes import Change
    from judge.calibration.drift.checking import Check, CriterionCheck
    from judge.calibration.drift.verdict import Drift
    from judge.calibration.statistics.figures import Figure

#: What each verdict means, and its colour.
VERDICTS = {
    "equivalent": ("equivalent: the judge grades as it did, within the margin", "green"),
    "changed": ("changed: calibrate anew before its grades are used", "bold red"),
    "cannot tell": ("cannot tell: too few anchors for this margin", "yellow"),
    "judge": ("the judge changed: calibrate anew before its grades are used", "bold red"),
    "data": ("what is graded changed, the judge did not: label some of the new items", "yellow"),
    "both": ("the judge changed, and what it grades: calibrate anew, on new items too", "bold red"),
    "none": ("no drift", "green"),
    "waiting": (
        "waiting: production moved, and too few anchors were graded since to say whether the judge did",
        "yellow",
    ),
}


def check(found: Check) -> None:
    """What a check found."""
    paragraph(
        ("check of ", "dim"),
        (f"{visible(found.name)} v{found.version}", "bold"),
        f"  {found.calibration} · run {found.run} · {visible(found.judge.name)}",
    )
    if found.judge.kind == "simulated":
        paragraph(("The judge is simulated: no model read these outputs.", "bold yellow"))
    times = "a known change, compared once" if found.known else f"check {found.checks} of a judge that is watched"
    fact("anchors", [f"{found.anchors:,} labelled items graded anew", times, f"cost {money(found.cost_usd)}"])
    if found.production:
        fact("production", [f"run {run}" for run in found.production])
    if found.known:
        _known(found)
    else:
        _silent(found)
    for one in found.criteria.values():
        _words(one)
    for note in found.notes:
        paragraph((visible(note), "yellow"))
    text, colour = VERDICTS[found.verdict]
    paragraph((text, colour))


def _known(found: Check) -> None:
    head = Row("criterion", ("n", "difference", "margin", "p changed", "p equal"), ("verdict",))
    rows = []
    for one in found.criteria.values():
        compared = (*one.changes, *([] if one.scored is None else [one.scored]))
        rows += [_compared(one.criterion, change) for change in compared]
    table(head, rows)
    paragraph(
        ("difference: now less before, with its interval; equal: within the margin, by two one-sided tests", "dim")
    )


def _compared(criterion: str, change: Change) -> Row:
    figures = (
        f"{change.difference.n:,}",
        _figure(change.difference),
        number(change.margin),
        _chance(change.p_changed),
        _chance(change.p_equivalent),
    )
    return Row(f"{criterion}, {visible(change.what)}", figures, (change.verdict,))


def _silent(found: Check) -> None:
    head = Row("criterion", ("n", "judge moved", "p", "production moved", "p"), ("verdict",))
    rows = [
        _drifted(one.criterion, name, drift) for one in found.criteria.values() for name, drift in one.drifts.items()
    ]
    table(head, rows)
    paragraph(
        (
            "judge moved: mean of new less old score of the same items; p: of all checks together, an alarm below "
            f"{number(_alpha(found), 4)}",
            "dim",
        )
    )


def _alpha(found: Check) -> float | None:
    return next((drift.alpha for one in found.criteria.values() for drift in one.drifts.values()), None)


def _drifted(criterion: str, name: str, drift: Drift) -> Row:
    figures = (
        f"{drift.judge_shift.n:,}",
        _figure(drift.judge_shift),
        _chance(drift.p_judge),
        "-" if drift.data_shift.value is None else _figure(drift.data_shift),
        "-" if drift.data_shift.value is None and drift.data_alarm is None else _chance(drift.p_data),
    )
    return Row(visible(name if name != criterion else criterion), figures, (drift.verdict,))


def _chance(p: float) -> str:
    return "<0.0001" if p < 0.0001 else f"{p:.4f}"


def _figure(one: Figure) -> str:
    if one.value is None:
        return "undefined"
    return f"{one.value:+.3f}" if one.low is None else f"{one.value:+.3f} [{one.low:+.3f}, {one.high:+.3f}]"


def _words(one: CriterionCheck) -> None:
    paragraph((one.criterion, "bold"), "  ", (one.verdict, VERDICTS[one.verdict][1]))
    for told in _details(one):
        paragraph(visible(told), indent=2)


def _real(change: Change) -> bool:
    """Whether there is a difference, however small."""
    return (
        change.difference.low is not None
        and change.difference.high is not None
        and (change.difference.low > 0 or change.difference.high < 0)
    )


def _details(one: CriterionCheck) -> Iterator[str]:
    yield from (change.words for change in one.changes if change.verdict != "equivalent" or _real(change))
    yield from dict.fromkeys(drift.words for drift in one.drifts.values())
    if one.scored is not None:
        yield f"without a score: {one.unscored_before:,} before, {one.unscored_now:,} now; {one.scored.words}"
    yield from one.untold
    if one.stability is not None:
        moved = "more than" if one.stability.moved else "within"
        yield (
            f"histogram of scores: stability index {number(one.stability.index, 3)}, {moved} what chance does "
            f"({number(one.stability.by_chance, 3)})"
        )
    if one.itself_before is not None and one.itself_now is not None:
        before, now = share(one.itself_before.value), share(one.itself_now.value)
        yield f"two samples of one item agree: {before} before, {now} now"
