"""The formats that are known, and which one a file is in."""

from __future__ import annotations

from typing import Protocol

from rubrics.errors import RubricError
from rubrics.importers import autorubric, healthbench, openai_graders, paperbench, promptfoo
from rubrics.importers.document import document
from rubrics.importers.imported import Imported


class _Format(Protocol):
    def recognises(self, data: object) -> bool: ...

    def convert(self, data: object, source: str) -> Imported: ...


_FORMATS: dict[str, _Format] = {
    "healthbench": healthbench,
    "paperbench": paperbench,
    "autorubric": autorubric,
    "openai": openai_graders,
    "promptfoo": promptfoo,
}
FORMATS = tuple(_FORMATS)


def read(text: str, format: str | None = None, source: str = "<text>") -> Imported:
    """What a file of another tool says; the format is told by the text where none is named. Raises RubricError.

    `source` is the file's name: a rubric without a name of its own is named after it.
    """
    data = document(text, source)
    found = [name for name, known in _FORMATS.items() if known.recognises(data)] if format is None else [format]
    if len(found) != 1 or found[0] not in _FORMATS:
        raise RubricError(f"not a format that is known; name one of {', '.join(FORMATS)}", file=source)
    return _FORMATS[found[0]].convert(data, source)
