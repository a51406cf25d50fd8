"""The demonstration of calibration, as the terminal shows it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from judge.calibration.headline import MAIN, OF_PEOPLE
from judge.cli.draw.calibration import VERDICT_COLOURS, beside, figure
from judge.cli.draw.line import fact, line, paragraph
from judge.cli.draw.table import Row, table
from judge.notation import number, share

if TYPE_CHECKING:
    from judge.calibration.calibration import Calibration
    from judge.calibration.correction import Correction
    from judge.calibration.demo.sets import DemoSet
    from judge.calibration.measuring import Measurement
    from judge.calibration.performance import Performance

#: How to do the same, and what each command is for.
OWN = (
    ("judge labels sheet RUN --n 100 --annotators 3", "blind sheets"),
    ("judge labels import sheet-1.csv --run RUN --name mine", "when filled in"),
    ("judge calibrate --run RUN --labels mine --name mine", "as above"),
    ("judge grade FILE --rubric R --judge J --calibration mine", "its grades since"),
)


def introduced() -> None:
    """What is to come, and how its figures are to be read."""
    paragraph(("Three judges against what people said", "bold"))
    paragraph(
        "Half of the groups of each set are held out, and every figure is of those. judge: against the mean of the "
        "people, with its 95% interval; people: one against the others; constant: the best single answer for all."
    )
    line()


def demonstrated(one: DemoSet, made: Calibration) -> None:
    """A set, and what was found on it."""
    labels = made.labels
    line((one.title, "bold"))
    paragraph(f"{labels.items:,} {one.told}")
    if one.credit is None:
        paragraph(("All of it is simulated: no model and no person read these outputs.", "bold yellow"))
    else:
        paragraph((one.credit, "dim"))
        paragraph((f"figures only, no texts; licence and changes: {one.folder}", "dim"))
    parts = [f"{part} {it.items:,} items of {it.groups:,} groups" for part, it in labels.parts.items()]
    people = len(labels.annotators)
    fact("labels", [f"{labels.labels:,}", f"{people} people", *parts])
    table(Row("criterion", ("n", "measure", "judge", "constant", "beside people")), list(_rows(made)))
    for (of, why), ids in _undefined(made).items():
        paragraph((f"{of} undefined on {', '.join(ids)}: {why}", "dim"))
    for verdict, found in _by_verdict(made).items():
        of = f" on {len(found)} of {len(made.measurements)} criteria" if len(made.measurements) > 1 else ""
        paragraph((f"{made.binding.judge.name}: {verdict}{of}", f"bold {VERDICT_COLOURS[verdict]}"))
        for measured in found:
            if len(made.measurements) > 1:
                paragraph(f"{measured.criterion}  {measured.finding.why[0]}", indent=2)
                continue
            for told in (*measured.finding.why, *_details(measured, made.corrections.get(measured.criterion))):
                paragraph(told, indent=2)
    line()


def own_labels(kept: str | None) -> None:
    """How to do the same with labels of one's own.

    Parameters
    ----------
    kept
        Where the calibrations of the demonstration were kept; None where they were not.
    """
    line(("With labels of your own", "bold"))
    widest = max(len(command) for command, _ in OWN)
    for command, what in OWN:
        line(f"  {command.ljust(widest)}  ", (what, "dim"))
    if kept is None:
        paragraph(("Nothing of this was kept; with --keep it is, to look at more closely.", "dim"))
    else:
        paragraph((f"Kept in {kept}; see: judge calibrations list", "dim"))


def _rows(made: Calibration) -> Iterator[Row]:
    """The measure that stands for each criterion; of a single one every measure that people are held to as well."""
    single = len(made.measurements) == 1
    for one in made.measurements.values():
        names = OF_PEOPLE[one.kind] if single else (MAIN[one.kind],)
        for at, measure in enumerate(filter(None, map(one.measure, names))):
            figures = (figure(measure.judge), number(measure.constant), beside(measure))
            name, n = measure.name.replace("_", " "), f"{measure.judge.n:,}"
            yield Row("" if at else one.criterion, (n, name, *figures))


def _undefined(made: Calibration) -> dict[tuple[str, str], list[str]]:
    """The measures that are undefined, why, and of which criteria that holds."""
    found: dict[tuple[str, str], list[str]] = {}
    for one in made.measurements.values():
        measure = one.measure(MAIN[one.kind])
        if measure is not None and measure.judge.value is None:
            named = (measure.name.replace("_", " "), measure.judge.why or "")
            found.setdefault(named, []).append(one.criterion)
    return found


def _by_verdict(made: Calibration) -> dict[str, list[Measurement]]:
    found: dict[str, list[Measurement]] = {}
    for one in made.measurements.values():
        found.setdefault(one.finding.verdict.value, []).append(one)
    return found


def _details(one: Measurement, correction: Correction | None) -> Iterator[str]:
    if (test := one.alt_test) is not None and test.rho.value is not None and test.rho_constant.value is not None:
        yield (
            f"at least as close to the others as a left-out person on {share(test.rho.value)} of the items; the best "
            f"constant answer on {share(test.rho_constant.value)}"
        )
    if one.unscored:
        yield f"{one.unscored:,} of {one.items:,} held-out items have no score of the judge"
    if one.performance is not None and correction is not None:
        yield from _promised(one.performance, correction)


def _promised(told: Performance, correction: Correction) -> Iterator[str]:
    """Threshold and intervals: what was promised, and what came of it on held-out labels."""
    limit, accepted, risk = correction.threshold, told.acceptance.accepted, told.acceptance.risk
    if limit is None or accepted.value is None:
        yield f"no threshold: {correction.no_threshold or accepted.why}"
    elif limit.threshold is None:
        yield f"no grade stands without a person: {limit.why}"
    else:
        wrong = "" if risk.value is None else f"; on held-out labels {share(risk.value)} are"
        yield (
            f"{share(accepted.value)} of the grades stand without a person, those of confidence "
            f"{number(limit.threshold)} and above: at most {limit.alpha:.0%} of them wrong, with a probability "
            f"of {1 - limit.delta:.0%}{wrong}"
        )
    if told.intervals.coverage.value is not None and told.intervals.width.value is not None:
        yield (
            f"{share(told.intervals.coverage.value)} of the intervals for one grade hold the mean of the people; they "
            f"are {told.intervals.width.value:.0%} of the scale wide"
        )
