"""JSON text into plain data that knows its lines."""

from __future__ import annotations

import json
import re

from rubrics.lines import Lines

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},:\n]|[^\s\[\]{},:"]+')


def read_json(text: str, lines: Lines) -> object:
    """Data of the one JSON value in the text. Raises RubricError."""
    try:
        data: object = json.loads(text)
    except json.JSONDecodeError as error:
        raise lines.fault(f"not JSON: {error.msg}; write valid JSON", error.lineno) from None
    except RecursionError:
        raise lines.fault("nested too deep; write it flatter", 1) from None
    except ValueError:  # the interpreter's own limit on the digits of an integer
        raise lines.fault("a number has too many digits; write a shorter one", 1) from None
    _mark(text, lines)
    return data


def _mark(text: str, lines: Lines) -> None:
    """Note the line of every key and list item. The text is valid: only then do these few tokens suffice."""
    line, steps, key_next = 1, list[int | str](), False
    for match in _TOKEN.finditer(text):
        token = match[0]
        if token == "\n":
            line += 1
        elif token == ":":
            continue
        elif token == ",":
            key_next = isinstance(steps[-1], str)
            steps[-1] = "" if key_next else int(steps[-1]) + 1
        elif token in ("]", "}"):
            steps.pop()
            key_next = False
        elif key_next:
            steps[-1] = json.loads(token)
            lines.mark(tuple(steps), line)
            key_next = False
        else:
            if steps and isinstance(steps[-1], int):
                lines.mark(tuple(steps), line)
            if token in ("[", "{"):
                key_next = token == "{"
                steps.append("" if key_next else 0)
