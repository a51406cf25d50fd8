from __future__ import annotations

import pytest
from genai_prices import Usage, calc_price
from hypothesis import given
from hypothesis import strategies as st

from judge import Judge, SetupError
from judge.judges import LongPrompt, Price
from judge.prices import price_of, worst_case


def test_dollars_by_hand() -> None:
    assert Price(input=0.5, output=2.0).cost(1000, 100) == pytest.approx(0.0007)
    # 1001 bytes are at most 1001 tokens: (1001 * 0.5 + 100 * 2) / 1,000,000
    price = Price(input=0.5, output=2.0, cache_write=0.5)
    assert worst_case(price, 1001, 100) == pytest.approx(0.0007005)
    assert worst_case(None, 1001, 100) is None


def test_cached_tokens_by_hand() -> None:
    price = Price(input=2.0, output=10.0, cached=0.2, cache_write=2.5)
    # 1000 prompt tokens: 600 read from the cache, 300 written to it, 100 neither
    assert price.cost(1000, 0, 600, 300) == pytest.approx((100 * 2.0 + 600 * 0.2 + 300 * 2.5) / 1e6)
    assert price.cost(1000, 7) == pytest.approx((1000 * 2.0 + 7 * 10.0) / 1e6)
    assert price.worst(1000, 7) == pytest.approx((1000 * 2.5 + 7 * 10.0) / 1e6)


def test_an_unknown_price_of_cached_tokens_is_not_taken_for_less() -> None:
    price = Price(input=2.0, output=10.0)
    assert price.cost(1000, 0, 1000) == price.cost(1000, 0)
    assert price.cost(1000, 0, 0, 1000) == pytest.approx(1.25 * price.cost(1000, 0))
    assert price.cost(10, 0, 10**6, 10**6) == price.cost(10, 0)  # no more is cached than there is


def test_an_image_behind_an_address_has_its_tokens() -> None:
    price = Price(input=2.0, output=10.0, cache_write=0.0)
    assert worst_case(price, 100, 7, images=2) == pytest.approx((100 * 2.0 + 2 * 50_000 * 2.0 + 7 * 10.0) / 1e6)


def test_a_long_prompt_by_hand() -> None:
    long = LongPrompt(input=4.0, output=15.0, cached=0.4, cache_write=5.0, above=1000)
    price = Price(input=2.0, output=10.0, cached=0.2, cache_write=2.5, long=long)
    assert price.cost(1000, 7) == pytest.approx((1000 * 2.0 + 7 * 10.0) / 1e6)
    # 1001 prompt tokens: 600 read from the cache, 300 written to it, 101 neither
    assert price.cost(1001, 7, 600, 300) == pytest.approx((101 * 4.0 + 600 * 0.4 + 300 * 5.0 + 7 * 15.0) / 1e6)
    assert price.worst(1000, 7) == pytest.approx((1000 * 2.5 + 7 * 10.0) / 1e6)
    assert price.worst(1001, 7) == pytest.approx((1001 * 5.0 + 7 * 15.0) / 1e6)
    # Many calls: what they come to together says nothing of how long one is.
    assert price.worst(5000, 70, longest=1000) == pytest.approx((5000 * 2.5 + 70 * 10.0) / 1e6)
    assert price.worst(5000, 70, longest=1001) == pytest.approx((5000 * 5.0 + 70 * 15.0) / 1e6)


@given(
    st.integers(0, 3000),
    st.integers(0, 3000),
    st.integers(0, 3000),
    st.integers(0, 3000),
    st.sampled_from([None, 0.0, 1.0, 3.0]),
    st.booleans(),
)
def test_no_call_costs_more_than_was_reserved(
    prompt: int, answer: int, cached: int, written: int, rate: float | None, long: bool
) -> None:
    further = LongPrompt(input=1.0, output=9.0, cache_write=rate, above=1500) if long else None
    price = Price(input=2.0, output=4.0, cache_write=rate, long=further)
    assert price.cost(prompt, answer, cached, written) <= price.worst(prompt, answer) + 1e-12


def test_listed_prices_of_short_prompts_are_not_those_of_long_ones() -> None:
    for name in ("anthropic/claude-sonnet-4-5", "openai/gpt-5-mini"):
        listed = price_of(Judge.load(name))
        assert listed is not None
        provider, _, model = name.partition("/")
        for tokens in (2_000, 150_000, 200_001, 500_000):
            usage = Usage(input_tokens=tokens, output_tokens=100)
            cost = float(calc_price(usage, model_ref=model, provider_id=provider).total_price)
            assert listed.cost(tokens, 100) == pytest.approx(cost)


@pytest.mark.parametrize("name", ["anthropic/claude-haiku-4-5", "openai-responses/gpt-5-mini", "openai/gpt-5-mini"])
def test_listed_prices_know_the_cache(name: str) -> None:
    listed = price_of(Judge.load(name))
    assert listed is not None
    assert listed.cached is not None
    assert listed.cache_write is not None
    assert 0 < listed.cached < listed.input <= listed.cache_write


def test_the_judges_own_price_goes_before_the_list() -> None:
    own = Price(input=9.0, output=9.0)
    assert price_of(Judge(name="j", provider="openai", model="gpt-4o", price=own)) == own
    listed = price_of(Judge.load("openai/gpt-4o"))
    assert listed is not None
    assert 0 < listed.input < listed.output


@pytest.mark.parametrize(
    "judge",
    [
        Judge.load("openai/no-such-model-anywhere"),
        Judge(name="j", provider="openai", model="gpt-4o", base_url="http://127.0.0.1:9/v1"),
    ],
)
def test_an_unknown_price_is_refused_unless_allowed(judge: Judge) -> None:
    with pytest.raises(SetupError, match=r"add `price: .*, pass --allow-unpriced .*, or ask whoever runs the service"):
        price_of(judge)
    assert price_of(judge, allow_unpriced=True) is None
