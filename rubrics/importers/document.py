"""The text of another tool's file into plain data, and plain data into that tool's shapes."""

from __future__ import annotations

import json
from pathlib import PurePath
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from rubrics.errors import RubricError
from rubrics.importers.imported import Losses
from rubrics.lines import Lines, written
from rubrics.yaml_text import read_yaml


class Foreign(BaseModel):
    """A shape of another tool: fields that have no place here are kept to be told."""

    model_config = ConfigDict(frozen=True, extra="allow", defer_build=True, populate_by_name=True)

    def tell_extra(self, losses: Losses, place: str) -> None:
        """Notes every field that is filled and not read."""
        for field, value in (self.model_extra or {}).items():
            if value not in (None, "", [], {}):
                losses.left_out(field, place)


F = TypeVar("F", bound=Foreign)


def shaped(kind: type[F], data: object, source: str, at: tuple[str | int, ...] = ()) -> F:
    """The data as this shape. Raises RubricError with the first fault."""
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        message = f"{first['msg'].lower()}; write what the format asks for"
        raise RubricError(message, file=source, path=written((*at, *first["loc"]))) from None


def document(text: str, source: str) -> object:
    """YAML, JSON, or JSON lines as a list; told by the suffix, else by the text. Raises RubricError."""
    suffix = PurePath(source).suffix.lower()
    text = text.removeprefix("\ufeff")
    if suffix in (".yaml", ".yml") or (suffix not in (".json", ".jsonl") and text.lstrip()[:1] not in ("{", "[")):
        return read_yaml(text, Lines(source))
    if suffix != ".jsonl":
        try:
            return _json(text)
        except json.JSONDecodeError as error:
            # More after the first value: perhaps one on every line.
            if suffix == ".json" or not error.msg.startswith("Extra data"):
                raise _fault(error, source, error.lineno) from None
        except (ValueError, RecursionError) as error:
            raise _fault(error, source, None) from None
    return [_line(line, source, number) for number, line in enumerate(text.split("\n"), 1) if line.strip()]


def _line(line: str, source: str, number: int) -> Any:
    try:
        return _json(line)
    except (ValueError, RecursionError) as error:
        raise _fault(error, source, number) from None


def _json(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_once)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key occurs twice in one object")
    return found


def _fault(error: Exception, source: str, line: int | None) -> RubricError:
    message = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
    return RubricError(f"not JSON: {message}; write valid JSON", file=source, line=line)
