"""Finding rubrics: files, and those that ship."""

from __future__ import annotations

import difflib
from pathlib import Path

from rubrics.errors import RubricError, quote
from rubrics.lines import Lines
from rubrics.source import LARGEST, decode

_LIBRARY = Path(__file__).parent / "library"
_SUFFIXES = (".yaml", ".yml", ".json")


def find(ref: str | Path) -> tuple[str, str]:
    """The text of a rubric and what to call it: a file's, or a shipped one's by its name. Raises RubricError."""
    path = Path(ref)
    if isinstance(ref, str) and not path.suffix and path.name == ref:
        return _shipped(ref)
    if path.suffix.lower() not in _SUFFIXES:
        raise RubricError("not a rubric file; write a path that ends in .yaml, .yml or .json", file=str(ref))
    return _file(path), str(path)


def shipped() -> tuple[str, ...]:
    """Names of the rubrics that ship, in order."""
    files = (entry.name for entry in _LIBRARY.iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in files if name.endswith(".yaml")))


def _shipped(name: str) -> tuple[str, str]:
    names = shipped()
    if name not in names:
        close = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise RubricError(
            f"no rubric of this name ships; {hint}write one of {', '.join(names)}, or a path", file=quote(name)
        )
    file = f"{name}.yaml"
    return (_LIBRARY / file).read_text("utf-8"), file


def _file(path: Path) -> str:
    lines = Lines(str(path))
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST + 1)
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL in it
        reason = getattr(error, "strerror", None) or error
        raise lines.fault(f"cannot be read ({reason}); write the path of a readable file", None) from None
    return decode(raw, lines)
