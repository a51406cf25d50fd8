"""Pictures of pages, looked at pixel by pixel."""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from judge.report.charts import WIDEST_SLOT

#: What the browser says that people prefer.
SCHEMES = {"dark": "0", "light": "1"}
DESK, PHONE = (1280, 1400), (390, 2000)
#: The narrowest margin of a page, in pixels.
MARGIN = 12
COLUMN = round(WIDEST_SLOT * 0.68)


@dataclass(frozen=True, slots=True)
class Bar:
    """A rectangle of one colour, in pixels."""

    left: int
    right: int
    top: int
    bottom: int

    @property
    def height(self) -> int:
        return self.bottom - self.top


@dataclass(frozen=True, slots=True)
class Picture:
    """Red, green and blue of each pixel, by row and column."""

    pixels: Any

    def share(self, colour: bytes) -> float:
        """Which part of the picture has a colour."""
        return float(self._has(colour).mean())

    def margins_are(self, colour: bytes) -> bool:
        """Whether nothing reaches the left or the right edge."""
        has = self._has(colour)
        return bool(has[:, :MARGIN].all() and has[:, -MARGIN:].all())

    def bars(self, colour: bytes) -> list[Bar]:
        """All rectangles of a colour that are about as wide as a column, from top to bottom."""
        found, begun = list[Bar](), dict[tuple[int, int], int]()
        for y, row in enumerate([*self._has(colour), np.zeros(1, bool)]):
            edges = np.flatnonzero(np.diff(np.concatenate(([0], row, [0])).astype(int))).reshape(-1, 2).tolist()
            here = {(left, right) for left, right in edges if COLUMN - 3 <= right - left <= COLUMN}
            found += [Bar(*place, begun.pop(place), y) for place in sorted(begun.keys() - here)]
            begun |= dict.fromkeys(here - begun.keys(), y)
        return found

    def _has(self, colour: bytes) -> Any:
        return (self.pixels == np.frombuffer(colour, np.uint8)).all(axis=2)


def decoded(png: bytes) -> Picture:
    """A picture of 8 bits a channel, without transparency: what a browser takes of a page."""
    parts, at = dict[bytes, bytes](), 8
    while at < len(png):
        (length,), kind = struct.unpack_from(">I", png, at), png[at + 4 : at + 8]
        parts[kind] = parts.get(kind, b"") + png[at + 8 : at + 8 + length]
        at += 12 + length
    width, height, *form = struct.unpack(">IIBBBBB", parts[b"IHDR"])
    assert form == [8, 2, 0, 0, 0]
    lines = np.frombuffer(zlib.decompress(parts[b"IDAT"]), np.uint8).reshape(height, 1 + 3 * width)
    rows = [np.zeros(3 * width, np.uint8)]
    for kind, *_ in lines[:, :1].tolist():
        rows.append(_unfiltered(kind, lines[len(rows) - 1, 1:], rows[-1]))
    return Picture(np.array(rows[1:]).reshape(height, width, 3))


def _unfiltered(kind: int, row: Any, above: Any) -> Any:
    """A row as it was before the difference to its neighbours was taken: none, left, above, their mean, the nearest."""
    if kind == 1:
        return np.cumsum(row.reshape(-1, 3), axis=0, dtype=np.uint8).ravel()
    if kind in (0, 2):
        return row + above if kind else row
    made, over = [0, 0, 0, *row.tolist()], [0, 0, 0, *above.tolist()]
    for i in range(3, len(made)):
        left, up, corner = made[i - 3], over[i], over[i - 3]
        by_left, by_up, by_corner = abs(up - corner), abs(left - corner), abs(left + up - 2 * corner)
        nearest = left if by_left <= by_up and by_left <= by_corner else up if by_up <= by_corner else corner
        made[i] = (made[i] + ((left + up) // 2 if kind == 3 else nearest)) & 0xFF
    return np.array(made[3:], np.uint8)


def colours(style: str) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """The named colours of a style sheet: by day, and by night."""
    blocks = re.findall(r":root \{.*?\}", style, re.S)
    named = [dict(re.findall(r"--([\w-]+): #([0-9a-f]{6});", block)) for block in blocks[:2]]
    light, dark = ({name: bytes.fromhex(digits) for name, digits in found.items()} for found in named)
    return light, dark


def contrast(one: bytes, other: bytes) -> float:
    """Between two colours, as WCAG has it: 1 to 21."""

    def luminance(colour: bytes) -> float:
        parts = [part / 255 for part in colour]
        red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    dim, bright = sorted((luminance(one), luminance(other)))
    return (bright + 0.05) / (dim + 0.05)
