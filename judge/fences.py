"""Foreign text between two lines that no text can hold: how a judge is shown what it grades."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count

#: Digits of a nonce, where no text has them by chance or by design.
NONCE_DIGITS = 32


@dataclass(frozen=True, slots=True)
class Picture:
    """The place of an image: a mark with its number."""

    url: str


@dataclass(frozen=True, slots=True)
class Fence:
    """What stands between two lines with a name and the nonce: a text, or fences and pictures of its own.

    `label` stands in the opening line, beside the name.
    """

    name: str
    inside: str | Sequence[Fence | Picture]
    label: str = ""


def label(**values: str | None) -> str:
    """Values for an opening line, quoted as in JSON, so that each stays in its line; absent ones left out."""
    return " ".join(f"{name}={json.dumps(v, ensure_ascii=False)}" for name, v in values.items() if v is not None)


def texts(fences: Iterable[Fence | Picture]) -> Iterator[str]:
    """All foreign texts, in order."""
    for one in fences:
        if isinstance(one, Fence):
            if one.label:
                yield one.label
            if isinstance(one.inside, str):
                yield one.inside
            else:
                yield from texts(one.inside)


def urls(fences: Iterable[Fence | Picture]) -> Iterator[str]:
    """The images, in the order of their numbers."""
    for one in fences:
        if isinstance(one, Picture):
            yield one.url
        elif not isinstance(one.inside, str):
            yield from urls(one.inside)


def nonce(texts: Iterable[str]) -> str:
    """Hexadecimal digits that occur in none of the texts, fixed by the texts alone.

    The first 128 bits of their SHA-256, lengthened until absent.
    """
    texts = tuple(texts)
    digest = hashlib.sha256()
    for text in texts:
        raw = text.encode()
        digest.update(len(raw).to_bytes(8, "big"))
        digest.update(raw)
    digits, length = digest.hexdigest(), NONCE_DIGITS
    while any(digits[:length] in text for text in texts):
        length += 1
        if length > len(digits):
            digits += hashlib.sha256(digits.encode()).hexdigest()
    return digits[:length]


def shown(fences: Sequence[Fence], code: str | None = None) -> str:
    """The fences one after the other, with the nonce of their texts or another code."""
    code = nonce(texts(fences)) if code is None else code
    numbers = count(1)
    return "\n\n".join(_shown(fence, code, numbers) for fence in fences)


def _shown(one: Fence | Picture, code: str, numbers: Iterator[int]) -> str:
    if isinstance(one, Picture):
        return f"[image {next(numbers)} {code}]"
    inside = one.inside
    text = inside if isinstance(inside, str) else "\n".join(_shown(part, code, numbers) for part in inside)
    opening = f"{one.name} {one.label}" if one.label else one.name
    return f"<{opening} {code}>\n{text}\n</{one.name} {code}>"
