"""One grade in full, in the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from judge.cli.draw.line import COLOURS, OTHER, fact, line, paragraph
from judge.distributions import Distribution
from judge.grades import Corrected, CriterionGrade, Grade
from judge.notation import answer, money, number, plain, required, sample, share, visible
from judge.verdicts import Outcome
from rubrics import Criterion, Rubric
from rubrics.section import Node

#: Shares under this are not worth a place in a line.
LEAST_SHARE = 0.0005


def grade(one: Grade, rubric: Rubric, probabilities: bool) -> None:
    """One grade in full, by the rubric that made it. `probabilities` says that the judge was asked for them."""
    line()
    between = f"between {number(one.low)} and {number(one.high)}"
    known = between if one.score is None else f"overall {number(one.score)} of 1"
    passed = {True: "  passed", False: "  not passed", None: ""}[one.passed]
    paragraph(
        (visible(one.item), "bold"),
        "  ",
        (one.outcome, COLOURS.get(one.outcome, OTHER)),
        f"  {known}{passed}",
        (f"  {one.trust}", "yellow"),
        "" if one.finding is None else f"  at its weakest {one.finding}",
    )
    _node(rubric, one, probabilities, 2)
    usage = one.usage
    parts = [f"{usage.calls} calls", f"{usage.reused} used again"]
    parts += [f"{usage.prompt_tokens:,} + {usage.completion_tokens:,} tokens", money(usage.cost_usd)]
    fact("  cost", [*parts, f"{usage.latency_s:.2f} s"])


def _node(node: Node, one: Grade, probabilities: bool, indent: int) -> None:
    """The criteria of a part of the rubric, then its sections, each under its heading."""
    for criterion in node.criteria:
        _criterion(criterion, one.criteria[criterion.id], probabilities, indent)
    for section in node.sections:
        paragraph((f"{section.id}/", "bold"), f"  {visible(section.description)}".rstrip(), indent=indent)
        _node(section, one, probabilities, indent + 2)


def _criterion(criterion: Criterion, given: CriterionGrade, probabilities: bool, indent: int) -> None:
    scored = given.outcome is Outcome.SCORED
    told = answer(criterion, given.level, given.score) if scored else given.outcome.value
    expected = f"  expected {number(given.expected)}" if given.expected is not None else ""
    style = COLOURS.get(given.outcome, OTHER)
    paragraph((criterion.id, "bold"), "  ", (told, style), expected, _required(criterion, given), indent=indent)
    for text in (given.reason, given.cause):
        if text:
            paragraph((visible(text), "dim"), indent=indent + 2)
    if given.calibrated is not None:
        _calibrated(criterion, given.calibrated, indent + 2)
    name = " " * (indent + 2)
    if given.distribution is not None:
        fact(f"{name}distribution", _shares(given.distribution))
    elif probabilities and scored:
        line((f"{name}no distribution", "dim"))
    if given.samples:
        fact(f"{name}samples", map(sample, given.samples))


def _calibrated(criterion: Criterion, by: Corrected, indent: int) -> None:
    """The score on people's scale, where it may lie, and whether the grade may stand."""
    parts = [by.finding]
    if by.score is not None:
        parts.append(f"calibrated {number(by.score)}")
    if by.low is not None and by.high is not None:
        between = f"people between {plain(by.low)} and {plain(by.high)}"
        parts.append(between if by.informative else f"uninformative: {between}")
    if by.stands is not None:
        parts.append("stands alone" if by.stands else "abstains: a person should look")
    fact(" " * indent + "trust", parts)


def _required(criterion: Criterion, given: CriterionGrade) -> str:
    met = None if given.score is None else criterion.passes(given.score)
    return "" if met is None else f"  required {required(criterion)}: {'met' if met else 'not met'}"


def _shares(distribution: Distribution) -> Iterator[str]:
    for name, part in distribution.shares.items():
        if part >= LEAST_SHARE:
            yield f"{visible(name)} {share(part)}"
    if distribution.mass < 1:
        yield f"of {share(distribution.mass)} of the probability"
