"""JSON lines: one object a line, in the strict sense."""

from __future__ import annotations

import json
from typing import Any, BinaryIO

from judge.formats import Row, Rows


def rows(file: BinaryIO, longest: int) -> Rows:
    """The lines that are not blank. None is held of more than `longest` bytes."""
    number = 0
    while raw := file.readline(longest + 1):
        number += 1
        if len(raw) > longest:
            yield number, f"the line is longer than {longest:,} bytes; raise JUDGE_MAX_OUTPUT_BYTES to read it"
            while raw and not raw.endswith(b"\n"):
                raw = file.readline(longest + 1)
            continue
        if number == 1:
            raw = raw.removeprefix(b"\xef\xbb\xbf")
        if raw.strip():
            yield number, _row(raw)


def _row(raw: bytes) -> Row | str:
    try:
        row = json.loads(raw.decode(), parse_constant=_not_a_number, object_pairs_hook=_without_duplicates)
    except UnicodeDecodeError as error:
        return f"not UTF-8 ({error.reason} at byte {error.start}); save the file as UTF-8"
    except json.JSONDecodeError as error:
        return f"not JSON ({error.msg} at column {error.colno}); write one JSON object a line"
    except (ValueError, RecursionError) as error:
        return f"not JSON ({error}); write one JSON object a line"
    return row if isinstance(row, dict) else "not a JSON object; write one JSON object a line"


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key of an object occurs twice")
    return found


def _not_a_number(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")
