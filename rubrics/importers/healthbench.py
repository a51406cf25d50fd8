"""HealthBench: examples in JSON lines, each a conversation with statements and their points."""

from __future__ import annotations

from typing import Any

from rubrics.brief import brief
from rubrics.importers.document import Foreign, shaped
from rubrics.importers.ids import Ids, name_of
from rubrics.importers.imported import Imported, Losses
from rubrics.rubric import Rubric

INSTRUCTIONS = """\
The input is a conversation; the output is the answer to its last message. Say of each statement whether the output
meets it, be that good or bad. A statement of several parts is met when all of them are; what follows "such as", "for
example" or "including" only illustrates, and need not all be there.
"""


class _Statement(Foreign):
    criterion: str
    points: float
    tags: tuple[str, ...] = ()


class _Turn(Foreign):
    role: str
    content: str


class _Example(Foreign):
    prompt_id: str
    prompt: tuple[_Turn, ...]
    rubrics: tuple[_Statement, ...]
    example_tags: tuple[str, ...] = ()


def recognises(data: object) -> bool:
    """Whether this is a list of examples with statements."""
    first = data[0] if isinstance(data, list) and data else data
    return isinstance(first, dict) and "rubrics" in first and "prompt" in first


def convert(data: object, source: str) -> Imported:
    """One item an example, its rubric in points with it; tags go to the metadata."""
    rows = data if isinstance(data, list) else [data]
    losses = Losses()
    examples = [shaped(_Example, row, source, (place,)) for place, row in enumerate(rows)]
    items = [item for example in examples if (item := _item(example, source, losses)) is not None]
    return Imported((), tuple(items), losses.lines)


def _item(example: _Example, source: str, losses: Losses) -> dict[str, Any] | None:
    place = f"example {example.prompt_id}"
    for part in (example, *example.prompt):
        part.tell_extra(losses, place)
    asked = [statement for statement in example.rubrics if statement.criterion.strip()]
    if len(asked) < len(example.rubrics):
        losses.left_out("a blank criterion", place)
    if all(statement.points <= 0 for statement in asked):
        losses.left_out("no points can be earned, so there is no score", place)
        return None
    ids, criteria, tags = Ids(), [], {}
    for statement in asked:
        statement.tell_extra(losses, place)
        if statement.points == 0:
            losses.left_out("0 points, which count for nothing", place)
            continue
        id_ = ids.make(statement.criterion)
        question, points = statement.criterion, statement.points
        criteria.append({"id": id_, "question": question, "scale": "points", "points": points})
        if statement.tags:
            tags[id_] = list(statement.tags)
    name = name_of(f"healthbench-{example.prompt_id}")
    rubric = Rubric.parse({"name": name, "instructions": INSTRUCTIONS, "criteria": criteria}, f"{source}: {place}")
    return {
        "id": example.prompt_id,
        "input": [{"role": turn.role, "content": turn.content} for turn in example.prompt],
        "metadata": {"tags": list(example.example_tags), "criterion_tags": tags},
        "rubric": brief(rubric),
    }
