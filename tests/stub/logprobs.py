"""The tokens of an answer with their probabilities, in OpenAI's form.

Every score that a schema lists gets a share, fixed by the seed, and the alternatives at each token of a score carry the
shares of the scores that they can still become: levels are told apart in mid-word, and what is read from the tokens can
be worked out by hand.
"""

from __future__ import annotations

import math
import re
from typing import Any

from stub.verdicts import answers, dumps, pick

#: What none of the scores gets.
ELSEWHERE = 0.02
_TOKEN = re.compile(rb"[0-9]|[A-Za-z_]{1,3}|[^0-9A-Za-z_\x80-\xff]{1,3}|[\x80-\xff]|.", re.DOTALL)
_SCORE = re.compile(r'"([^"]*)":\{"reason":"(?:[^"\\]|\\.)*","score":("(?:[^"\\]|\\.)*"|-?[0-9.]+)')


def shares(scores: list[Any], seed: bytes, path: str) -> dict[bytes, float]:
    """The probability of each score as it is written; with ELSEWHERE they make up 1."""
    weights = {dumps(score).encode(): 1 + pick(seed, f"{path}={dumps(score)}", 9) for score in scores}
    return {written: (1 - ELSEWHERE) * weight / sum(weights.values()) for written, weight in weights.items()}


def tokens(text: str, schema: dict[str, Any] | None, seed: bytes, most: int) -> list[dict[str, Any]]:
    """The whole text, token by token, each with at most so many alternatives."""
    listed = dict(answers(schema)) if schema else {}
    found: list[tuple[bytes, dict[bytes, float]]] = []
    at, shared, given = 0, dict[bytes, float](), b""
    for match in [*_SCORE.finditer(text), None]:
        rest = _split(text[at : match.start(2)] if match else text[at:])
        if rest and given:  # what follows a number tells that it does not go on
            found.append((rest[0], _ways(shared, given, rest[0], rest.pop(0))))
        found += [(raw, {}) for raw in rest]
        if match:
            at, given = match.end(2), b""
            shared = shares(listed.get(match[1], []), seed, f"$.{match[1]}.score")
            for raw in _split(match[2]):
                found.append((raw, _ways(shared, given, raw, b"}")))
                given += raw
    return [_token(raw, ways or {raw: 0.9, b" ": 0.1}, most) for raw, ways in found]


def _ways(shared: dict[bytes, float], begun: bytes, raw: bytes, end: bytes) -> dict[bytes, float]:
    """Every way on from the beginning of a score, with its share: `raw` is the one that is gone, `end` ends a score."""
    possible = {score: share for score, share in shared.items() if score.startswith(begun)}
    ways = {} if begun else {b"\n": ELSEWHERE}
    total = sum(possible.values()) + sum(ways.values())
    for score, share in possible.items():
        step = end if score == begun else _split(score[len(begun) :].decode())[0]
        ways[step] = ways.get(step, 0.0) + share / total
    return {raw: 1e-6} | ways


def _split(text: str) -> list[bytes]:
    return _TOKEN.findall(text.encode())


def _token(raw: bytes, ways: dict[bytes, float], most: int) -> dict[str, Any]:
    likely = sorted(ways.items(), key=lambda way: -way[1])[:most]
    return {**_told(raw, ways[raw]), "top_logprobs": [_told(way, share) for way, share in likely]}


def _told(raw: bytes, share: float) -> dict[str, Any]:
    return {"token": raw.decode("utf-8", "replace"), "bytes": list(raw), "logprob": math.log(share)}
