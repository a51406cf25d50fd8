"""How sure a judge was: the share of each answer, from the probabilities of tokens or from several samples.

The tokens of a score are found by its place in the JSON, never by looking for a number in the text: the reason may
name any number. Each alternative at each of them is followed to the one answer that it can still become; what may
become several answers, or none, counts as neither.
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from judge.tokens import Token
from rubrics import Criterion

#: A distribution that misses more than a tenth of the probability is none.
LEAST_MASS = 0.9
_DECODER = json.JSONDecoder()
_SPACE = " \t\r\n"
#: What can follow a whole answer.
_ENDS = b",}] \t\r\n"

Level = int | float | str


class Distribution(BaseModel):
    """The share of every answer on the scale, worst first; they add up to 1.

    `mass` is the probability that tokens gave to these answers, before it was shared out; 1 for samples.
    """

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    source: Literal["logprobs", "samples"]
    shares: dict[str, float]
    mass: float = Field(default=1.0, ge=LEAST_MASS, le=1.0)

    def expected(self, criterion: Criterion) -> float | None:
        """The mean value by these shares; None on a scale without values."""
        if not criterion.valued:
            return None
        values = {str(level): mark.value for level in criterion.listed if (mark := criterion.read(level)) is not None}
        return math.fsum((values[name] or 0.0) * share for name, share in self.shares.items())


def of_samples(levels: Sequence[Level | None], criterion: Criterion) -> Distribution | None:
    """The share of each level among samples; None for fewer than two, or on a scale whose answers are not listed."""
    counted = Counter(levels)
    if len(levels) < 2 or not criterion.listed or not counted.keys() <= set(criterion.listed):
        return None
    return Distribution(
        source="samples", shares={str(level): counted[level] / len(levels) for level in criterion.listed}
    )


def of_probabilities(given: Mapping[str, float], criterion: Criterion) -> Distribution | None:
    """From a probability for each level by its name; None where the levels on the scale have less than 0.9 of it."""
    on_scale = {str(level): float(given.get(str(level), 0.0)) for level in criterion.listed}
    mass = math.fsum(on_scale.values())
    if not on_scale or mass < LEAST_MASS or min(on_scale.values()) < 0:
        return None
    shares = {name: share / mass for name, share in on_scale.items()}
    return Distribution(source="logprobs", shares=shares, mass=min(mass, 1.0))


def mean_of(several: Sequence[Distribution]) -> Distribution | None:
    """The mean of distributions on one scale; None for none."""
    if not several:
        return None
    shares = {name: math.fsum(one.shares[name] for one in several) / len(several) for name in several[0].shares}
    return Distribution(source=several[0].source, shares=shares, mass=min(one.mass for one in several))


def of_tokens(text: str, tokens: Sequence[Token], criteria: Sequence[Criterion]) -> dict[str, Distribution]:
    """The distributions that the tokens of an answer tell, by criterion; without those whose mass is under 0.9.

    `text` is the answer: one JSON object of {id: {reason, score}}, known to be one.
    """
    if b"".join(token.raw for token in tokens) != text.encode():
        return {}
    spans = {id_: span for id_, *span in _score_spans(text)}
    found = {}
    for criterion in criteria:
        if criterion.id in spans and criterion.listed:
            begin, end = (len(text[:at].encode()) for at in spans[criterion.id])
            masses = _masses(tokens, begin, end, criterion)
            on_scale = {str(level): masses.get(_written(level), 0.0) for level in criterion.listed}
            distribution = of_probabilities(on_scale, criterion)
            if distribution is not None:
                found[criterion.id] = distribution
    return found


def _masses(tokens: Sequence[Token], begin: int, end: int, criterion: Criterion) -> Mapping[bytes, float]:
    """The probability of every answer, as it is written: of the one that was given, and of those it turned from.

    None at all where a token is not among those that were weighed at its place.
    """
    answers = [_written(answer) for answer in criterion.answers]
    masses: defaultdict[bytes, float] = defaultdict(float)
    path, given, at = 1.0, b"", 0
    for token in tokens:
        start, at = at, at + len(token.raw)
        if at <= begin:
            continue
        if token.raw not in dict(token.alternatives):
            return {}
        head = token.raw[: max(begin - start, 0)]
        chosen = 0.0
        for raw, logprob in token.alternatives:
            if raw == token.raw:
                chosen = math.exp(min(logprob, 0.0))
            elif raw.startswith(head) and (answer := _only(given + raw[len(head) :], answers)) is not None:
                masses[answer] += path * math.exp(min(logprob, 0.0))
        path *= chosen
        given += token.raw[len(head) :]
        if at > end or (at == end and given.endswith(b'"')):
            break
    if (answer := _only(given, answers)) is not None:
        masses[answer] += path
    return masses


def _only(given: bytes, answers: Sequence[bytes]) -> bytes | None:
    """The one answer that begins like this, or is whole in it; None where there are several, or none."""
    given = given.lstrip(_SPACE.encode())
    possible = [answer for answer in answers if answer.startswith(given) or _is_whole(answer, given)]
    return possible[0] if len(possible) == 1 else None


def _is_whole(answer: bytes, given: bytes) -> bool:
    return given.startswith(answer) and given[len(answer) : len(answer) + 1] in _ENDS


def _written(answer: Level) -> bytes:
    return json.dumps(answer, ensure_ascii=False).encode()


def _score_spans(text: str) -> Iterator[tuple[str, int, int]]:
    """Where the score of each criterion stands."""
    for id_, begin, _ in _members(text, text.index("{")):
        for name, *span in _members(text, begin):
            if name == "score":
                yield id_, span[0], span[1]


def _members(text: str, at: int) -> Iterator[tuple[str, int, int]]:
    """Name, begin and end of each member of the object that begins at a place."""
    at = _past_space(text, at + 1)
    while text[at] != "}":
        name, at = _DECODER.raw_decode(text, at)
        begin = _past_space(text, _past_space(text, at) + 1)
        _, end = _DECODER.raw_decode(text, begin)
        yield name, begin, end
        at = _past_space(text, end)
        if text[at] == ",":
            at = _past_space(text, at + 1)


def _past_space(text: str, at: int) -> int:
    while text[at] in _SPACE:
        at += 1
    return at
