"""JSON on the wire: bytes that are the same for the same call, and fields of a reply made fit to be kept."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from judge.providers import Unreadable

#: No reply has more; a count beyond it is none. The sum over the calls for an item must be fit to be stored.
MOST_TOKENS = 10**7
_DECODER = json.JSONDecoder()
_SPACE = " \t\r\n"
_WORD = re.compile("[a-z_]+")


def encode(value: object) -> bytes:
    """The bytes of a value, the same on every machine."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def decode(raw: bytes) -> Any:
    """A reply. Raises Unreadable where it is not JSON."""
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        raise Unreadable("not_json", "the reply is not JSON") from None


def exact(raw: bytes, *path: str | int) -> str:
    """The text of what stands at a path in a reply that is JSON, just as it was sent.

    A reply that holds an answer as JSON, not as text, is decoded with it; what is wrong with the answer shows only in
    its text: a key that occurs twice is one key in the value.
    """
    whole = raw.decode(json.detect_encoding(raw), "surrogatepass")
    begin, end = _past_space(whole, 0), len(whole)
    for step in path:
        begin, end = {part: span for part, *span in _parts(whole, begin)}[step]
    return whole[begin:end]


def _parts(text: str, at: int) -> Iterator[tuple[str | int, int, int]]:
    """Name or place, begin and end of each part of the object or array that begins at a place."""
    named, place = text[at] == "{", 0
    at = _past_space(text, at + 1)
    while text[at] not in "}]":
        part: str | int = place
        if named:
            part, at = _DECODER.raw_decode(text, at)
            at = _past_space(text, _past_space(text, at) + 1)
        _, end = _DECODER.raw_decode(text, at)
        yield part, at, end
        at, place = _past_space(text, end), place + 1
        if text[at] == ",":
            at = _past_space(text, at + 1)


def _past_space(text: str, at: int) -> int:
    while text[at] in _SPACE:
        at += 1
    return at


def text(value: object) -> str | None:
    """Text from outside, made fit to be stored."""
    return value.encode("utf-8", "replace").decode().replace("\x00", "\ufffd") if isinstance(value, str) else None


def word(value: object) -> str | None:
    """A word of a provider's for what went wrong; None for anything else, which may repeat a text or a key."""
    return value if isinstance(value, str) and _WORD.fullmatch(value) else None


def count(value: object) -> int | None:
    """A number of tokens; None for what cannot be one."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS:
        return value
    return None
