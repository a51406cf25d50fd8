"""Finding and loading rubrics: from files, text, plain data, and those that ship."""

from __future__ import annotations

import difflib
from pathlib import Path

from pydantic import ValidationError

from rubrics.complaint import complaint
from rubrics.errors import RubricError, quote
from rubrics.lines import Lines
from rubrics.rubric import Rubric
from rubrics.source import LARGEST, decode, read

_LIBRARY = Path(__file__).parent / "library"
_SUFFIXES = (".yaml", ".yml", ".json")


def load(ref: str | Path) -> Rubric:
    """The rubric in a .yaml, .yml or .json file, or the shipped one of this name. Raises RubricError."""
    path = Path(ref)
    if isinstance(ref, str) and not path.suffix and path.name == ref:
        return _load_shipped(ref)
    if path.suffix.lower() not in _SUFFIXES:
        raise RubricError("not a rubric file; write a path that ends in .yaml, .yml or .json", file=str(ref))
    return _load_file(path)


def loads(text: str, source: str = "<text>") -> Rubric:
    """The rubric in YAML or JSON text; `source` names it in errors. Raises RubricError."""
    lines = Lines(source)
    return _checked(read(text, lines), lines)


def parse(data: object, source: str = "<data>") -> Rubric:
    """The rubric in plain data, such as the one an item brings along. Raises RubricError."""
    return _checked(data, Lines(source))


def shipped() -> tuple[str, ...]:
    """Names of the rubrics that ship, in order."""
    files = (entry.name for entry in _LIBRARY.iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in files if name.endswith(".yaml")))


def _load_shipped(name: str) -> Rubric:
    names = shipped()
    if name not in names:
        close = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise RubricError(
            f"no rubric of this name ships; {hint}write one of {', '.join(names)}, or a path", file=quote(name)
        )
    file = f"{name}.yaml"
    return loads((_LIBRARY / file).read_text("utf-8"), source=file)


def _load_file(path: Path) -> Rubric:
    lines = Lines(str(path))
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST + 1)
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL in it
        reason = getattr(error, "strerror", None) or error
        raise lines.fault(f"cannot be read ({reason}); write the path of a readable file", None) from None
    return _checked(read(decode(raw, lines), lines), lines)


def _checked(data: object, lines: Lines) -> Rubric:
    try:
        return Rubric.model_validate(data)
    except ValidationError as error:
        raise complaint(error, lines) from None
