"""Ids and names made from other people's words."""

from __future__ import annotations

import re
import unicodedata

_LONGEST = 32


class Ids:
    """Ids of criteria, or of sections: distinct however alike the words are."""

    def __init__(self) -> None:
        self._taken = {"overall"}
        self._count = 0

    def make(self, text: str) -> str:
        """An id of the first words of a text; with a number where there are none, or they are taken."""
        self._count += 1
        number, words = self._count, _first_words(_plain(text, "_").lower())
        id_ = words
        while not id_[:1].isalpha() or id_ in self._taken:
            # In front: a judge may take an id that begins like another one for it.
            id_ = f"c{number}_{words}".rstrip("_")
            number += 1
        self._taken.add(id_)
        return id_


def name_of(text: str) -> str:
    """A rubric's name made from a text."""
    return _plain(text, "-").lower()[:64].strip("-") or "imported"


def _plain(text: str, between: str) -> str:
    letters = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9]+", between, letters).strip(between)


def _first_words(text: str) -> str:
    if len(text) <= _LONGEST:
        return text
    return text[: _LONGEST + 1].rpartition("_")[0] or text[:_LONGEST]
