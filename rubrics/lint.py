"""What a rubric may say and should not."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from rubrics.criterion import CriterionBase, Levelled
from rubrics.rubric import Rubric
from rubrics.scales import Binary, Numeric, Points
from rubrics.section import Node, Section

_DOMINANT = 0.9
_NAMED = 5

_FAULT = re.compile(
    r"\b(fail(s|ed|ing)?|error(s|neous)?|mistake\w*|wrong(ly)?|incorrect(ly)?|inaccurate(ly)?|omit(s|ted)?|miss(es|ing)"
    r"|hallucinat\w*|invent(s|ed)|fabricat\w*|rude(ly)?|harmful(ly)?|unsafe|violat\w*|irrelevant|contradict(s|ed)?"
    r"|mislead(s|ing)|unnecessar\w*|biased|toxic)\b",
    re.IGNORECASE,
)
_NEGATION = re.compile(r"\b(no|not|never|none|nor|without|free of|avoid(s|ed|ing)?|\w+n't)\b", re.IGNORECASE)


_CLAUSE = re.compile(
    r"\b(what|which|who|whom|whose|when|where|why|how|that|if|whether|unless|without)\b", re.IGNORECASE
)
#: Words that stand in a question or not, by its negation: `does it mention`, `it does not mention`, `it mentions`.
_AUXILIARY = frozenset({"do", "does", "did", "it"})


@dataclass(frozen=True, slots=True)
class Finding:
    """What lint found: a `warning` is to be mended, a `note` may be as it should."""

    severity: Literal["warning", "note"]
    text: str

    def __str__(self) -> str:
        return self.text


def lint(rubric: Rubric) -> tuple[Finding, ...]:
    """Findings, one line each, the warnings first; a rubric that gives none is not thereby good."""
    warnings = [*_whole(rubric), *_nodes(rubric)]
    for criterion in rubric.leaves:
        warnings += _criterion(criterion)
    return (
        *(Finding("warning", text) for text in warnings),
        *(Finding("note", text) for text in (*_undescribed(rubric), *_unshown(rubric))),
    )


def _whole(rubric: Rubric) -> Iterator[str]:
    if not rubric.instructions:
        yield "no instructions: say who reads the output and what matters most"
    if not any(criterion.valued for criterion in rubric.leaves):
        yield "no criterion has values: there will be labels, and no overall score"
    yield from _repeated(rubric)
    yield from _overlapping([criterion.id for criterion in rubric.leaves])


def _repeated(rubric: Rubric) -> Iterator[str]:
    """Criteria that ask the same, or the opposite: of two that both give credit, no output can have all."""
    asked: dict[tuple[str, bool], CriterionBase] = {}
    for criterion in rubric.leaves:
        negated, question = _gist(criterion.question)
        if (same := asked.get((question, negated))) is not None:
            yield f"{criterion.id}: asks the same as {same.id}"
        other = asked.get((question, not negated))
        if other is not None and _gives_credit(criterion) and _gives_credit(other):
            yield f"{criterion.id}: asks the opposite of {other.id}: no output reaches the maximum of both"
        asked.setdefault((question, negated), criterion)


def _gist(question: str) -> tuple[bool, str]:
    """Whether a question is negated, and its words without what negates it or carries no meaning of its own.

    What is not said of a clause within it, as in `it says what not to do`, does not negate the whole.
    """
    inner = _CLAUSE.search(question)
    head, tail = (question, "") if inner is None else (question[: inner.start()], question[inner.start() :])
    negated = _NEGATION.search(head) is not None
    words = re.findall(r"[\w']+", (_NEGATION.sub(" ", head) + tail).casefold())
    return negated, " ".join(re.sub(r"(?<=\w\w\w)e?s$", "", word) for word in words if word not in _AUXILIARY)


def _gives_credit(criterion: CriterionBase) -> bool:
    return isinstance(criterion, Binary) or (isinstance(criterion, Points) and criterion.points > 0)


def _overlapping(ids: list[str]) -> Iterator[str]:
    """Ids that begin with another one: a judge may take one for the other."""
    known = {re.sub(r"-", "_", id_).casefold(): id_ for id_ in ids}
    for folded, id_ in known.items():
        words = folded.split("_")
        for end in range(1, len(words)):
            if (shorter := known.get("_".join(words[:end]))) is not None:
                yield f"{id_}: begins like {shorter}: a judge may take one for the other"


def _nodes(node: Node) -> Iterator[str]:
    """What is wrong with weights, node by node."""
    children: list[tuple[str, float]] = [(c.id, _weight(c)) for c in node.criteria if c.valued and _weight(c)]
    children += [(section.id, section.weight) for section in node.sections]
    total = math.fsum(weight for _, weight in children)
    for id_, weight in children:
        if len(children) > 1 and weight > _DOMINANT * total:
            yield f"{id_}: holds over {_DOMINANT:.0%} of the weight: the others hardly count"
    for section in node.sections:
        if not _reaches(section):
            yield f"{section.id}: has no criterion with values: its weight never counts"
        yield from _nodes(section)


def _weight(criterion: CriterionBase) -> float:
    return max(criterion.points, 0.0) if isinstance(criterion, Points) else criterion.weight


def _reaches(section: Section) -> bool:
    return any(criterion.valued for criterion in section.walk())


def _criterion(criterion: CriterionBase) -> Iterator[str]:
    id_ = criterion.id
    if isinstance(criterion, Levelled) and not isinstance(criterion, Points):
        bare = [str(level.level) for level in criterion.levels if not level.description]
        if bare and not (isinstance(criterion, Binary) and len(bare) == len(criterion.levels)):
            yield f"{id_}: no description of {', '.join(bare)}: say what each level looks like"
        yield from _alike(criterion)
    if criterion.threshold is not None and criterion.threshold == criterion.lowest:
        yield f"{id_}: requires its lowest level, which every output reaches"
    fault = _asks_for_a_fault(criterion.question)
    if isinstance(criterion, Binary) and fault:
        yield f"{id_}: yes counts as good, and the question asks for a fault ({fault}): turn it round"
    if isinstance(criterion, Points) and criterion.points > 0 and fault:
        yield f"{id_}: gives points for what reads like a fault ({fault}): points below 0?"
    if (
        isinstance(criterion, Points)
        and criterion.points < 0
        and not fault
        and _NEGATION.search(criterion.question) is None
    ):
        yield f"{id_}: takes points for what does not read like a fault: points above 0, or plainer words"


def _alike(criterion: Levelled) -> Iterator[str]:
    """Levels that a judge cannot tell apart, so that one of them is never reached."""
    described: dict[str, int | str] = {}
    for level in criterion.levels:
        words = " ".join(re.findall(r"\w+", level.description.casefold()))
        if words and words in described:
            yield f"{criterion.id}: {described[words]} and {level.level} are described alike: one is never chosen"
        described.setdefault(words, level.level)


def _asks_for_a_fault(question: str) -> str | None:
    """The word for a fault in a question that does not negate it."""
    found = _FAULT.search(question)
    return None if found is None or _NEGATION.search(question) else found[0].lower()


def _undescribed(rubric: Rubric) -> Iterator[str]:
    bare = [c.id for c in rubric.leaves if isinstance(c, Binary) and not any(level.description for level in c.levels)]
    if bare:
        yield f"{_some(bare)}: neither yes nor no is described: fine where the question leaves no doubt"
    for criterion in rubric.leaves:
        if isinstance(criterion, Numeric) and not criterion.anchors:
            yield f"{criterion.id}: no anchors: say what its lowest and its highest number look like"


def _some(ids: list[str]) -> str:
    more = len(ids) - _NAMED
    return ", ".join(ids[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _unshown(rubric: Rubric) -> Iterator[str]:
    if not rubric.examples:
        return
    for criterion in (criterion for criterion in rubric.leaves if isinstance(criterion, Levelled)):
        shown = {example.answers[criterion.id].score for example in rubric.examples}
        unshown = [str(answer) for answer in criterion.listed if answer not in shown]
        if unshown:
            yield f"{criterion.id}: no worked example shows {', '.join(unshown)}"
