"""Servers that repeat what they were asked: it belongs in no error, however much of it they say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

#: So many characters in a row that were sent, and it is a quotation.
QUOTED_CHARACTERS = 16
_HALF = QUOTED_CHARACTERS // 2
MARK = "[...]"


def unquoted(said: str, sent: bytes, *names: str) -> str:
    """What a server says, with what it repeats of the texts in a body left out.

    Parameters
    ----------
    said
        Without line breaks.
    sent
        A JSON body.
    names
        What may be repeated, such as that of the model.
    """
    texts = [text for text in _texts(json.loads(sent)) if len(text) >= QUOTED_CHARACTERS and text not in names]
    quoted: set[int] = set()
    # Of whatever is quoted, one such half is a part: bodies may be large, and most halves are in none of their texts.
    for half in range(0, len(said), _HALF):
        for text in texts:
            if said[half : half + _HALF] not in text:
                continue
            for start in range(max(half - _HALF, 0), half + 1):
                piece = said[start : start + QUOTED_CHARACTERS]
                if len(piece) == QUOTED_CHARACTERS and piece in text:
                    quoted.update(range(start, start + QUOTED_CHARACTERS))
    kept = "".join("\0" if place in quoted else character for place, character in enumerate(said))
    return re.sub("\0+", MARK, kept)


def _texts(value: Any) -> Iterator[str]:
    """The texts in a body, whatever breaks their lines."""
    if isinstance(value, str):
        yield " ".join(value.split())
    elif isinstance(value, list | dict):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _texts(part)
