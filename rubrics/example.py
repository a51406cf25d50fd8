"""A worked example: what a good judge answers to one output."""

from __future__ import annotations

from rubrics.scales import Name
from rubrics.text import Filled, Frozen, Text


class Answer(Frozen):
    """What a good judge answers to one criterion."""

    reason: Filled
    score: Name


class Example(Frozen):
    """A worked example: an output and the right answer to every criterion."""

    input: Text | None = None
    output: Text
    reference: Text | None = None
    context: Text | None = None
    answers: dict[str, Answer]
