"""How a command ends."""

from __future__ import annotations

import functools
from collections.abc import Callable
from enum import IntEnum
from typing import Any, ParamSpec, TypeVar

import typer
from typer.core import TyperGroup

from judge.errors import JudgeError
from rubrics import RubricError

P = ParamSpec("P")
R = TypeVar("R")


class Exit(IntEnum):
    """Exit codes of `judge`."""

    FINE = 0  #: all scored or not applicable
    FAILED = 1  #: finished, with failures or under a threshold
    CANNOT_START = 2
    STOPPED = 3  #: not finished; the same command goes on


class Plain(TyperGroup):
    """Commands that complain of a choice in plain words."""

    def invoke(self, ctx: Any) -> Any:
        """As any group."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            error.message = error.message.removeprefix("Value error, ")
            raise


def say(message: str) -> None:
    """One line for people, beside the results."""
    typer.echo(message, err=True)


def expected(command: Callable[P, R]) -> Callable[P, R]:
    """Errors that a person can mend print one line, and no traceback."""

    @functools.wraps(command)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except (JudgeError, RubricError) as error:
            say(f"judge: {error}")
            raise typer.Exit(Exit.CANNOT_START) from None

    return guarded
