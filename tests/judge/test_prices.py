from __future__ import annotations

import pytest

from judge import Judge, SetupError
from judge.judges import Price
from judge.prices import price_of, worst_case


def test_dollars_by_hand() -> None:
    assert Price(input=0.5, output=2.0).cost(1000, 100) == pytest.approx(0.0007)
    # 1001 bytes are at most 1001 tokens: (1001 * 0.5 + 100 * 2) / 1,000,000
    assert worst_case(Price(input=0.5, output=2.0), 1001, 100) == pytest.approx(0.0007005)
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
    price = Price(input=2.0, output=10.0)
    assert worst_case(price, 100, 7, images=2) == pytest.approx((100 * 2.0 + 2 * 50_000 * 2.0 + 7 * 10.0) / 1e6)


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
    with pytest.raises(SetupError, match=r"add `price: .* or pass --allow-unpriced"):
        price_of(judge)
    assert price_of(judge, allow_unpriced=True) is None
