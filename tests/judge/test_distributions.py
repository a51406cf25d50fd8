"""Distributions on constructed answers, where a naive scan of the text goes wrong. Probabilities by hand."""

from __future__ import annotations

import math

import pytest

from judge.distributions import Distribution, mean_of, of_samples, of_tokens
from judge.tokens import Token
from rubrics import Criterion, Rubric

RUBRIC = Rubric.loads("""
name: r
criteria:
  - {id: five, scale: ordinal, question: How good?, levels: [1, 2, 3, 4, 5], cannot_tell: true}
  - {id: ten, scale: ordinal, question: How good?, levels: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]}
  - {id: word, scale: ordinal, question: How good?, levels: [poor, poorest of all, good]}
  - {id: kind, scale: categorical, question: Which?, levels: [note, letter]}
  - {id: far, scale: numeric, question: How far?, minimum: 0, maximum: 100}
""")


def tokens(*parts: tuple[str, dict[str, float]] | str) -> tuple[str, list[Token]]:
    """The text, and its tokens: a plain part is certain, another has the probability of each alternative."""
    made = []
    for part in parts:
        text, shares = (part, {part: 1.0}) if isinstance(part, str) else part
        told = tuple((raw.encode(), math.log(share)) for raw, share in shares.items())
        made.append(Token(text.encode(), told))
    return "".join(token.raw.decode() for token in made), made


def told(id_: str, *parts: tuple[str, dict[str, float]] | str) -> Distribution | None:
    text, made = tokens(*parts)
    return of_tokens(text, made, [RUBRIC.criterion(id_)]).get(id_)


def criterion(id_: str) -> Criterion:
    return RUBRIC.criterion(id_)


def test_the_score_is_found_by_its_place_and_not_in_the_reason() -> None:
    found = told(
        "five",
        '{"five":{"reason":"',
        ("4", {"4": 0.5, "5": 0.5}),  # a digit of the reason, as unsure as can be
        ' of 5, \\"score\\":2","score":',
        ("3", {"3": 0.7, "4": 0.2, "2": 0.1}),
        "}}",
    )
    assert found is not None
    assert found.source == "logprobs"
    assert found.shares == {
        "1": 0.0,
        "2": pytest.approx(0.1),
        "3": pytest.approx(0.7),
        "4": pytest.approx(0.2),
        "5": 0.0,
    }
    assert found.expected(criterion("five")) == pytest.approx(3.1)  # 2*0.1 + 3*0.7 + 4*0.2


def test_a_level_of_several_tokens_is_followed_to_its_end() -> None:
    # 1 then 0 is ten; 1 then the end is one; the 2 that was not taken at first is two.
    found = told(
        "ten",
        '{"ten":{"reason":"r","score":',
        ("1", {"1": 0.9, "2": 0.1}),
        ("0", {"0": 0.8, "}": 0.2}),
        "}}",
    )
    assert found is not None
    assert found.shares["10"] == pytest.approx(0.72)
    assert found.shares["1"] == pytest.approx(0.18)
    assert found.shares["2"] == pytest.approx(0.1)


def test_an_alternative_that_may_become_several_levels_counts_as_none() -> None:
    parts = ('{"ten":{"reason":"r","score":', ("7", {"7": 0.85, "1": 0.15}), "}}")
    assert told("ten", *parts) is None  # 1 may become 1 or 10, and 0.85 is under 0.9
    parts = ('{"ten":{"reason":"r","score":', ("7", {"7": 0.95, "1": 0.05}), "}}")
    found = told("ten", *parts)
    assert found is not None
    assert (found.shares["7"], found.mass) == (1.0, pytest.approx(0.95))


def test_the_token_after_a_number_may_turn_it_into_another() -> None:
    found = told("ten", '{"ten":{"reason":"r","score":1', ("}", {"}": 0.6, "0": 0.4}), "}")
    assert found is not None
    assert (found.shares["1"], found.shares["10"]) == (pytest.approx(0.6), pytest.approx(0.4))


def test_words_that_begin_alike_and_tokens_that_split_them() -> None:
    found = told(
        "word",
        '{"word":{"reason":"r","score":',
        ('"po', {'"po': 0.9, '"good"': 0.1}),
        ("or", {"or": 1.0}),
        ('"', {'"': 0.5, "est of": 0.5}),
        "}}",
    )
    assert found is not None
    assert found.shares == {
        "poor": pytest.approx(0.45),
        "poorest of all": pytest.approx(0.45),
        "good": pytest.approx(0.1),
    }


def test_a_token_may_begin_before_the_score_and_within_a_character() -> None:
    head = '{"five":{"reason":"é","score"'.encode()
    cut = head.index("é".encode()) + 1
    made = [Token(raw, ((raw, 0.0),)) for raw in (head[:cut], head[cut:])]
    made.append(Token(b": 4}", ((b": 4}", math.log(0.6)), (b": 5}", math.log(0.4)))))
    made.append(Token(b"}", ((b"}", 0.0),)))
    text = b"".join(token.raw for token in made).decode()
    found = of_tokens(text, made, RUBRIC.leaves)["five"]
    assert (found.shares["4"], found.shares["5"]) == (pytest.approx(0.6), pytest.approx(0.4))


@pytest.mark.parametrize(
    "last",
    [
        ("3", {"3": 0.8, '"cannot_tell"': 0.2}),  # an answer, but no level
        ("3", {"3": 0.8, "9": 0.2}),  # off the scale
        ("3", {"4": 0.99}),  # the token itself is not among those told
    ],
)
def test_what_is_not_on_the_scale_leaves_no_distribution(last: tuple[str, dict[str, float]]) -> None:
    assert told("five", '{"five":{"reason":"r","score":', last, "}}") is None


def test_tokens_that_are_not_the_text_and_scales_without_a_list_have_none() -> None:
    text, made = tokens('{"five":{"reason":"r","score":3}}')
    assert of_tokens(text + " ", made, RUBRIC.leaves) == {}
    assert told("far", '{"far":{"reason":"r","score":', "42", "}}") is None


def test_labels_have_shares_and_no_expected_value() -> None:
    found = told("kind", '{"kind":{"reason":"r","score":"', ("note", {"note": 0.75, "letter": 0.25}), '"}}')
    assert found is not None
    assert found.shares == {"note": pytest.approx(0.75), "letter": pytest.approx(0.25)}
    assert found.expected(criterion("kind")) is None


def test_samples_share_what_they_say() -> None:
    found = of_samples([1, 3, 3, 2], criterion("five"))
    assert found is not None
    assert (found.source, found.mass) == ("samples", 1.0)
    assert found.shares == {"1": 0.25, "2": 0.25, "3": 0.5, "4": 0.0, "5": 0.0}
    assert found.expected(criterion("five")) == 2.25
    assert of_samples([3], criterion("five")) is None
    assert of_samples([1.5, 2.5], criterion("far")) is None


def test_the_mean_of_distributions() -> None:
    one = Distribution(source="logprobs", shares={"note": 0.5, "letter": 0.5}, mass=0.95)
    other = Distribution(source="logprobs", shares={"note": 1.0, "letter": 0.0})
    assert mean_of([one, other]) == Distribution(source="logprobs", shares={"note": 0.75, "letter": 0.25}, mass=0.95)
    assert mean_of([]) is None
