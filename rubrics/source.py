"""The text of a rubric into plain data that knows its lines."""

from __future__ import annotations

import re
from pathlib import PurePath

from rubrics.json_text import read_json
from rubrics.lines import Lines
from rubrics.yaml_text import read_yaml

LARGEST = 2 * 1024 * 1024

_LIKE_JSON = re.compile(r'\s*\{\s*["}]')


def decode(raw: bytes, lines: Lines) -> str:
    """UTF-8, with or without a byte order mark. Raises RubricError."""
    _refuse_large(len(raw), lines)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise lines.fault("the text is not UTF-8; write it out again as UTF-8", line) from None


def read(text: str, lines: Lines) -> object:
    """YAML or JSON, told by the file's suffix, else by the text. Raises RubricError."""
    _refuse_large(len(text), lines)
    lines.mark((), 1)
    suffix = PurePath(lines.file).suffix.lower()
    as_json = suffix == ".json" or (suffix not in (".yaml", ".yml") and _LIKE_JSON.match(text) is not None)
    return (read_json if as_json else read_yaml)(text.removeprefix("\ufeff"), lines)


def _refuse_large(size: int, lines: Lines) -> None:
    if size > LARGEST:
        raise lines.fault(f"the text is over {LARGEST // 2**20} MB; write a shorter rubric", 1)
