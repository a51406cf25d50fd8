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
