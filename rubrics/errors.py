"""What can be wrong with a rubric.

Exception
└── RubricError    a rubric cannot be read, found or accepted: where, what is wrong, what to write instead
"""

from __future__ import annotations

import reprlib

from pydantic_core import PydanticCustomError


class RubricError(Exception):
    """One line: `file:line: path: message`; `line` is None for data that came without text."""

    def __init__(self, message: str, file: str, line: int | None = None, path: str = "") -> None:
        super().__init__(message, file, line, path)
        self.message = " ".join(message.split())
        self.file = file if file.isprintable() else ascii(file)
        self.line = line
        self.path = path

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return ": ".join(part for part in (place, self.path, self.message) if part)


def problem(wrong: str, write: str, at: tuple[int | str, ...] = ()) -> PydanticCustomError:
    """A fault found by a validator; `at` leads from the validated value to the faulty part."""
    # The text goes in through the context: as a template, braces in it would be substituted.
    return PydanticCustomError("rubric", "{text}", {"text": f"{wrong}; write {write}", "at": at})


def quote(value: object) -> str:
    """The value as one short line that can be printed anywhere."""
    return reprlib.repr(value)
