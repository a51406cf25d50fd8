"""What a run came to, in the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from judge.cli.draw.line import COLOURS, OTHER, fact, line, paragraph
from judge.cli.draw.table import Row, table
from judge.grades import CalibrationRef
from judge.notation import bounds, money, number, plain, scale, share, shortened, visible
from judge.report.charts import binned
from judge.sections import SectionSummary
from judge.summary import CriterionSummary, Summary
from judge.verdicts import Outcome

if TYPE_CHECKING:
    from judge.calibration.summaries import CalibratedSummary

BARS = " ▁▂▃▄▅▆▇█"
MOST_ANSWERS = 12
CAUSES_SHOWN = 8
LONGEST_CAUSE = 100
INDENT = "  "


def summary(found: Summary) -> None:
    """The summary of a run."""
    run = found.run
    paragraph(
        ("run ", "dim"), (run.id, "bold"), f"  {visible(run.dataset)} · {run.rubric.name} · {visible(run.judge.name)}"
    )
    if run.judge.kind != "model":
        paragraph((f"The judge is {run.judge.kind}: no model read these outputs.", "bold yellow"))
    if run.rescored_from is not None:
        told = f"as it was with {run.finished + run.held:,} of {run.items:,} items graded"
        paragraph(("rescored from ", "dim"), run.rescored_from, f"  {told}; if it has gone on since, rescore it again")
    head = Row("criterion", ("mean", "scale", "n", "scored", "bounds"), ("distribution",))
    table(head, [*_rows(found), _row(found.overall, "", "bold")])
    if not found.clean:
        paragraph(("bounds: what the mean would be if every missing score were the worst, or the best", "dim"))
    if found.overall.unclipped is not None:
        told = f"the mean overall, {plain(found.overall.unclipped)}, is cut off at 0, and so are its bounds"
        others = "items and sections are not" if found.sections else "items are not"
        paragraph((f"{told}; {others}", "yellow"))
    if found.sections:
        paragraph(
            (
                "name/: a section, on 0..1, below 0 where points can be lost; of items on which all of it is known",
                "dim",
            )
        )
    if found.calibration is not None:
        _calibrated(found, found.calibration)
    _causes(found)
    _totals(found)


def _calibrated(found: Summary, by: CalibrationRef) -> None:
    """How far each criterion can be trusted, and what it comes to on people's scale."""
    paragraph(("by calibration ", "dim"), (f"{visible(by.name)} v{by.version}", "bold"), f"  {by.id}")
    head = Row("criterion", ("calibrated", "stand alone", "agreement"), ("finding",))
    table(head, [Row(one.criterion, _trusted(one), (one.finding,)) for one in found.calibrated])
    for one in found.calibrated:
        if one.rate is not None:
            told = f"{share(one.rate)} would pass with people, {share(one.rate_low)} to {share(one.rate_high)}"
            paragraph(f"{one.criterion}: {told} ({one.rate_by})", indent=2)
        elif one.no_rate is not None:
            paragraph((f"{one.criterion}: no corrected pass rate: {one.no_rate}", "yellow"), indent=2)
    if found.unseen_models:
        told = f"answers came from {', '.join(found.unseen_models)}, which the calibration never saw"
        paragraph((visible(f"{told}: judge calibrations check {by.name}"), "bold yellow"))
    paragraph(("stand alone: grades whose confidence was shown to go with few errors; others ask for a person", "dim"))


def _trusted(one: CalibratedSummary) -> tuple[str, str, str]:
    stands = "-" if one.stands is None or not one.n else share(one.stands / one.n)
    agreement = "undefined" if one.agreement is None else number(one.agreement)
    if one.agreement is not None and one.agreement_low is not None:
        agreement += f" [{number(one.agreement_low)}, {number(one.agreement_high)}]"
    # The mean of the calibrated scores of a pass rate would stand beside the rate itself, which knows more.
    known = one.rate is not None or one.no_rate is not None
    comes_to = share(one.rate) if known else number(one.mean)
    return comes_to, stands, f"{(one.measure or '').replace('_', ' ')} {agreement}"


def _rows(found: Summary) -> Iterator[Row]:
    """The criteria that stand in no section, then every section with its own."""
    by_id = {one.criterion: one for one in found.criteria}
    within = {id_ for section in found.sections for id_ in section.criteria}
    yield from (_row(one) for one in found.criteria if one.criterion not in within)
    for section in found.sections:
        yield Row(INDENT * section.depth + _named(section), _figures(section, section.minimum, 1.0), style="bold")
        yield from (_row(by_id[id_], INDENT * (section.depth + 1)) for id_ in section.criteria)


def _named(section: SectionSummary) -> str:
    return f"{section.section}/"


def _row(one: CriterionSummary, indent: str = "", style: str = "") -> Row:
    return Row(indent + one.criterion, _figures(one, one.minimum, one.maximum), distribution(one), style)


def _figures(one: CriterionSummary | SectionSummary, minimum: float | None, maximum: float | None) -> tuple[str, ...]:
    between = "" if one.scored == one.n else bounds(one.low, one.high)
    return number(one.mean), scale(minimum, maximum), f"{one.n:,}", share(one.scored_share), between


def distribution(one: CriterionSummary) -> tuple[str, ...]:
    """A bar for every answer that was given, in the order of the scale; or one for each twelfth of it."""
    if not one.distribution:
        return ()
    told = [(visible(name), count) for name, count in one.by_answer if count]
    if one.minimum is not None and one.maximum is not None and not 0 < len(told) <= MOST_ANSWERS:
        values = [(value, count) for value, count in one.distribution if isinstance(value, float)]
        parts = [count for _, count in binned(values, one.minimum, one.maximum, MOST_ANSWERS)]
        bars = "".join(_bar(count, max(parts)) for count in parts)
        return (f"{plain(one.minimum)} {bars} {plain(one.maximum)}",)
    told, rest = told[:MOST_ANSWERS], told[MOST_ANSWERS:]
    most = max(count for _, count in told)
    given = [f"{name}{_bar(count, most)}{count:,}" for name, count in told]
    return (*given, f"and {len(rest)} labels more") if rest else tuple(given)


def _bar(count: int, most: int) -> str:
    return BARS[-(-count * 8 // most)]


def _causes(found: Summary) -> None:
    outcomes = [f"{name} {count:,}" for name, count in found.overall.outcomes.items() if name != Outcome.SCORED]
    if outcomes:
        fact("items without a score:", outcomes)
    for outcome, cause, count in found.causes[:CAUSES_SHOWN]:
        told = "" if cause == outcome else f" x {shortened(visible(cause), LONGEST_CAUSE)}"
        paragraph((outcome, COLOURS.get(outcome, OTHER)), f"  {count:,}{told}", indent=2)
    if len(found.causes) > CAUSES_SHOWN:
        more = len(found.causes) - CAUSES_SHOWN
        paragraph(f"and {more:,} causes more: judge runs show {found.run.id} --outcome ...", indent=2)
    if found.run.held:
        again = "add --resend-lost to ask again"
        if found.run.rescored_from is not None:
            again = f"ask again in run {found.run.rescored_from}, and rescore it"
        lost = f"{found.run.held:,} answers are lost, perhaps paid: {again}"
        paragraph((lost, "yellow"), indent=2)


def _totals(found: Summary) -> None:
    totals = found.totals
    if totals.own_rubrics:
        paragraph(f"{totals.own_rubrics:,} items have a rubric of their own, and count in the overall only")
    if totals.passed or totals.failed_required:
        known = totals.passed + totals.failed_required
        fact("required criteria met:", [f"{totals.passed:,} of {known:,} known"])
    fact("cost", _spent(found))
    if totals.models:
        first = found.run.judge.model
        changed = f"  (changed: the probe was answered by {first})" if totals.models != (first,) else ""
        paragraph(("model ", "dim"), visible(", ".join(totals.models)), (visible(changed), "yellow"))
    if found.calibration is None:
        uncalibrated = ": nobody has measured how far this judge agrees with people"
        paragraph(("trust ", "dim"), ("uncalibrated", "bold yellow"), uncalibrated)
    for name, command in (("see ", "show {} --lowest 5"), ("keep", "export {}"), ("send", "report {}")):
        line((f"{name} ", "dim"), "judge runs ", command.format(found.run.id))


def _spent(found: Summary) -> Iterator[str]:
    totals = found.totals
    yield f"{totals.calls:,} calls"
    yield f"{totals.reused:,} answers used again"
    yield from (f"{n:,} {what}" for n, what in ((totals.rejected, "rejected"), (totals.lost, "lost")) if n)
    if totals.unusable:
        yield f"{totals.unusable:,} answers could not be used"
    if totals.possible_duplicates:
        yield f"{totals.possible_duplicates:,} possibly paid twice"
    yield f"{totals.prompt_tokens:,} + {totals.completion_tokens:,} tokens"
    yield money(totals.cost_usd)
