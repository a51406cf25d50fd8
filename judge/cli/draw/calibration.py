"""A calibration, as the terminal shows it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from judge.calibration.headline import MAIN
from judge.cli.draw.line import fact, line, paragraph
from judge.cli.draw.table import Row, table
from judge.notation import number, share, visible

if TYPE_CHECKING:
    from judge.calibration.calibration import Calibration
    from judge.calibration.correction import Correction
    from judge.calibration.measures import Measure
    from judge.calibration.measuring import Measurement
    from judge.calibration.populations.population import Population
    from judge.calibration.statistics.figures import Figure
    from judge.calibration.statistics.thresholds import Threshold
    from judge.store.calibrations import CalibrationInfo

VERDICT_COLOURS = {
    "can stand in": "green",
    "useful with correction": "yellow",
    "not usable": "red",
    "too few labels": "cyan",
}
_UNKNOWN = 3
PLACES = {"primacy": "first", "recency": "second"}
#: A judge that can stand in, and of whose grades fewer than this stand alone, needs a word.
LEAST_ALONE = 0.5


def calibrations(found: Sequence[CalibrationInfo]) -> None:
    """A line for each."""
    for one in found:
        line(
            (one.id, "bold"),
            f"  {datetime.fromtimestamp(one.created_at):%Y-%m-%d %H:%M}  {visible(one.name)} v{one.version}  "
            f"labels {visible(one.label_set)}  rubric {one.rubric_hash[:8]}  judge {one.judge_fingerprint[:8]}",
        )


def calibration(info: CalibrationInfo, made: Calibration) -> None:
    """What was found, criterion by criterion."""
    binding = made.binding
    paragraph(
        ("calibration ", "dim"),
        (f"{visible(info.name)} v{info.version}", "bold"),
        f"  {info.id} · {binding.rubric.name} · {visible(binding.judge.name)} · labels {visible(binding.label_set)}",
    )
    if binding.judge.kind == "simulated":
        paragraph(("The judge is simulated: no model read these outputs.", "bold yellow"))
    _labels(made)
    head = Row("criterion", ("n", "measure", "judge", "constant", "beside people", "error", "calibrated"), ("finding",))
    rows = [_row(one) for one in made.measurements.values()]
    table(head, rows)
    paragraph(
        (
            "judge: against the mean of the people; beside people: the judge / one person, each against the rest of "
            "them; error: RMSE of its score, and of the calibrated one; all on labels that nothing was fitted on",
            "dim",
        )
    )
    for id_, one in made.measurements.items():
        _why(one, made.corrections.get(id_))
    _populations(made)
    line(("see  ", "dim"), f"judge calibrations show {info.id}")
    line(("send ", "dim"), f"judge calibrations report {info.id}")
    line(("use  ", "dim"), f"judge grade FILE --rubric R --judge J --calibration {info.id}")


def _labels(made: Calibration) -> None:
    labels = made.labels
    parts = [f"{part} {one.items:,} items of {one.groups:,} groups" for part, one in labels.parts.items()]
    people = len(labels.annotators)
    fact(
        "labels",
        [
            f"{labels.labels:,} labels of {labels.items:,} items",
            f"{people} {'person' if people == 1 else 'people'}",
            *parts,
            *([] if made.binding.run is None else [labels.provenance.value]),
        ],
    )
    for doubt in filter(None, (labels.mixed, labels.single)):
        paragraph((visible(doubt), "yellow"))
    if labels.unknown:
        some = ", ".join(labels.unknown[:_UNKNOWN])
        more = f" and {len(labels.unknown) - _UNKNOWN:,} more" if len(labels.unknown) > _UNKNOWN else ""
        paragraph((f"labelled and not judged: {visible(some)}{more}", "yellow"))
    times = "once" if made.openings == 1 else f"{made.openings} times"
    paragraph((f"the held-out labels were looked at {times}", "dim" if made.openings == 1 else "yellow"))


def _row(one: Measurement) -> Row:
    measure = one.measure(MAIN[one.kind])
    told = one.performance
    return Row(
        one.criterion,
        (
            f"{one.items - one.unscored:,}",
            MAIN[one.kind].replace("_", " "),
            "-" if measure is None else figure(measure.judge),
            "-" if measure is None else number(measure.constant),
            "-" if measure is None else beside(measure),
            "-" if told is None else _value(told.raw_rmse),
            "-" if told is None else _value(told.rmse),
        ),
        (one.finding.verdict.value,),
    )


def figure(one: Figure) -> str:
    """A value and its interval."""
    if one.value is None:
        return "undefined"
    return number(one.value) if one.low is None else f"{number(one.value)} [{number(one.low)}, {number(one.high)}]"


def beside(one: Measure) -> str:
    """The judge and a person, each against the rest of the people."""
    if one.person is None or one.person.value is None or one.judge_beside is None:
        return "-"
    return f"{_value(one.judge_beside)} / {_value(one.person)}"


def _percent(one: Figure) -> str:
    """A share and its interval, in per cent."""
    if one.value is None or one.low is None or one.high is None:
        return share(one.value)
    return f"{share(one.value)} [{share(one.low)}, {share(one.high)}]"


def _value(one: Figure | None) -> str:
    return "-" if one is None or one.value is None else number(one.value)


def _why(one: Measurement, correction: Correction | None) -> None:
    paragraph((one.criterion, "bold"), "  ", (one.finding.verdict.value, VERDICT_COLOURS[one.finding.verdict.value]))
    for why in one.finding.why:
        paragraph(visible(why), indent=2)
    for told in _details(one, None if correction is None else correction.threshold):
        paragraph((told, "dim"), indent=2)


def _details(one: Measurement, threshold: Threshold | None) -> Iterator[str]:
    if one.balance:
        given = ", ".join(f"{name} {share(part)}" for name, part in zip(one.levels, one.balance, strict=True))
        yield f"people gave {given}"
    if one.unscored:
        yield f"{one.unscored:,} of {one.items:,} held-out items have no score of the judge"
    if one.orders:
        right, same = one.orders["accuracy"], one.orders["consistency"]
        moved = ", ".join(f"{figure(one.orders[way])} moved to the {place}" for way, place in PLACES.items())
        yield (
            f"pairs, in both orders: accuracy {figure(right)} (a shown first {figure(one.orders['accuracy_ab'])}, "
            f"b first {figure(one.orders['accuracy_ba'])}), of one verdict for all {figure(one.orders['constant'])}; "
            f"the same verdict {figure(same)}; {moved}"
        )
    main = one.measure(MAIN[one.kind])
    if main is not None and main.person is not None and main.person.value is not None:
        ours = "" if main.judge_beside is None else f"the judge {figure(main.judge_beside)}, "
        told = f"{ours}one person {figure(main.person)}, n {main.person.n:,}"
        yield f"against the rest of the people, {MAIN[one.kind].replace('_', ' ')}: {told}"
    if one.performance is None:
        return
    if one.performance.rmse.value is not None:
        raw, after = one.performance.raw_rmse, one.performance.rmse
        yield f"error {figure(raw)}, calibrated {figure(after)}, n {after.n:,}"
    acceptance, intervals = one.performance.acceptance, one.performance.intervals
    if acceptance.accepted.value is None:
        yield f"no threshold: {acceptance.accepted.why}"
    else:
        risk = acceptance.risk
        wrong = "" if risk.value is None else f", of which {_percent(risk)} are wrong, n {risk.n:,}"
        yield f"{_percent(acceptance.accepted)} of the grades stand without a person{wrong}"
        if threshold is not None and threshold.never:
            yield f"none would: {threshold.why}"
        if one.finding.verdict == "can stand in" and acceptance.accepted.value < LEAST_ALONE:
            yield "as good as a person on the whole; but few single grades were shown to need no second look"
    if intervals.coverage.value is not None:
        told = f"{_percent(intervals.informative)} of the intervals for one grade are informative"
        yield f"{told}; {_percent(intervals.coverage)} hold the mean of the people, n {intervals.coverage.n:,}"


def _populations(made: Calibration) -> None:
    if not made.populations:
        return
    head = Row("whole run", ("raw", "labels only", "corrected"), ("by",))
    table(head, [_population(id_, one) for id_, one in made.populations.items()])
    for id_, one in made.populations.items():
        if one.corrected.value is None:
            paragraph((f"{id_}: {visible(one.why)}", "dim"))
        for warning in one.warnings:
            paragraph((f"{id_}: {visible(warning)}", "yellow"))


def _population(id_: str, one: Population) -> Row:
    worth = () if one.multiplier is None else (f"judge worth {one.multiplier:.1f}x the labels drawn alike",)
    return Row(id_, (figure(one.raw), figure(one.labels), figure(one.corrected)), (one.method.value, *worth))
