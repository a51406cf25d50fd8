"""A worked example: what a good judge answers to one output."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator

from rubrics.levels import answer
from rubrics.text import Filled, Frozen, Text

Score = Annotated[int | float | str, BeforeValidator(answer)]


class Answer(Frozen):
    """What a good judge answers to one criterion."""

    reason: Filled
    score: Score


class Example(Frozen):
    """A worked example: an output and the right answer to every criterion."""

    input: Text | None = None
    output: Text
    reference: Text | None = None
    context: Text | None = None
    answers: dict[str, Answer]
