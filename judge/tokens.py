"""What an answer is made of, where a provider tells the probabilities."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Token:
    """A token of an answer, with the alternatives that the model weighed at its place.

    In bytes, since a token may end within a character. `alternatives` are (bytes, natural logarithm of the
    probability), the token itself among them.
    """

    raw: bytes
    alternatives: tuple[tuple[bytes, float], ...]
