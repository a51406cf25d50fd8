"""A rubric in parts: the criteria that can be asked for in one call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from rubrics.rubric import Rubric
from rubrics.scales import Criterion
from rubrics.section import PART, Node


class Load(NamedTuple):
    """What a criterion puts into the schema of a call."""

    answers: int  #: that are listed
    characters: int  #: of names and answers
    unions: int  #: of types


#: What a call may hold, as documented: answers and characters by OpenAI's strict schemas, unions by Anthropic's.
MOST = Load(answers=1000, characters=120_000, unions=16)


@lru_cache(maxsize=256)
def in_parts(rubric: Rubric, most: int) -> tuple[Rubric, ...]:
    """The rubric in parts of at most `most` criteria each, in order; of fewer where their schema would be too large."""
    groups = list(_groups(rubric, most))
    return (rubric,) if len(groups) == 1 else tuple(_part(rubric, frozenset(group)) for group in groups)


def _groups(rubric: Rubric, most: int) -> Iterator[list[str]]:
    group: list[str] = []
    loads: list[Load] = []
    for criterion in rubric.leaves:
        loads.append(_load(criterion))
        if len(group) == most or not _fit(loads):
            yield group
            group, loads = [], loads[-1:]
        group.append(criterion.id)
    yield group


def _fit(loads: Sequence[Load]) -> bool:
    return all(sum(each) <= most for each, most in zip(zip(*loads, strict=True), MOST, strict=True))


def _load(criterion: Criterion) -> Load:
    words = sum(len(answer) for answer in criterion.answers if isinstance(answer, str))
    # Listed numbers and words are one enum to Anthropic; a range of numbers beside words is not.
    union = not criterion.listed and bool(criterion.answers)
    return Load(len(criterion.answers), len(criterion.id) + len("reason") + len("score") + words, int(union))


@lru_cache(maxsize=1024)
def _part(rubric: Rubric, ids: frozenset[str]) -> Rubric:
    """The rubric with these criteria alone."""
    examples = [
        {**dict(example), "answers": {id_: answer for id_, answer in example.answers.items() if id_ in ids}}
        for example in rubric.examples
    ]
    fields = {name: getattr(rubric, name) for name in Rubric.model_fields}
    return Rubric.model_validate({**fields, **_pruned(rubric, ids), "examples": examples}, context=PART)


def _pruned(node: Node, ids: frozenset[str]) -> dict[str, Any]:
    kept = ((section, _pruned(section, ids)) for section in node.sections)
    return {
        "criteria": tuple(criterion for criterion in node.criteria if criterion.id in ids),
        "sections": tuple({**dict(section), **part} for section, part in kept if part["criteria"] or part["sections"]),
    }
