"""On which line of a text every part of its data stands."""

from __future__ import annotations

from rubrics.errors import RubricError, quote

Path = tuple[int | str, ...]

_DEPTH = 32


class Lines:
    """Lines by path, filled while a text is read; empty for data that came without text."""

    def __init__(self, file: str) -> None:
        self.file = file
        self._lines: dict[tuple[str, ...], int] = {}

    def mark(self, path: Path, line: int) -> None:
        """Note where a part begins. Raises RubricError for a second one of the same path, or one too deep."""
        # The key 1 of YAML is the key "1" of JSON.
        as_text = tuple(map(str, path))
        if (first := self._lines.get(as_text)) is not None:
            raise self.fault(f"{quote(path[-1])} is already on line {first}; write it once", line, path[:-1])
        if len(path) > _DEPTH:
            raise self.too_deep(line)
        self._lines[as_text] = line

    def of(self, path: Path) -> int | None:
        """The line of this part, or of the nearest part around it."""
        as_text = tuple(map(str, path))
        known = (as_text[:end] for end in range(len(path), -1, -1) if as_text[:end] in self._lines)
        return self._lines.get(next(known, ()))

    def too_deep(self, line: int) -> RubricError:
        """The error to raise for a part that is nested too deep."""
        return self.fault(f"nested more than {_DEPTH} deep; write it flatter", line)

    def fault(self, message: str, line: int | None, path: Path = ()) -> RubricError:
        """The error to raise for a fault found here."""
        return RubricError(message, file=self.file, line=line, path=written(path))


def written(path: Path) -> str:
    """The path as people write it: `criteria[1].levels`."""
    parts = []
    for step in path:
        named = isinstance(step, str) and step.replace("-", "_").isidentifier()
        parts.append(f".{step}" if named else f"[{quote(step)}]")
    return "".join(parts).removeprefix(".")
