"""What a call may cost at most, and what it did cost."""

from __future__ import annotations

from judge.errors import SetupError
from judge.judges import Judge, Price

#: No tokenizer makes more than one token of a byte.
BYTES_PER_TOKEN_AT_WORST = 1
#: For estimates shown to people, English prose.
BYTES_PER_TOKEN_USUALLY = 4


def price_of(judge: Judge, allow_unpriced: bool = False) -> Price | None:
    """The judge's own price, or the list's; None for an unknown price where that is allowed.

    Raises
    ------
    SetupError
        When the price is unknown and that is not allowed.
    """
    if judge.price is not None:
        return judge.price
    listed = None if judge.base_url else _listed(judge.provider, judge.model)
    if listed is None and not allow_unpriced:
        raise SetupError(
            f"no price is known for {judge.provider}/{judge.model}"
            f"{' at ' + judge.base_url if judge.base_url else ''}: add `price: {{input: 0.2, output: 0.8}}` "
            "(dollars a million tokens) to the judge's YAML, or pass --allow-unpriced"
        )
    return listed


def _listed(provider: str, model: str) -> Price | None:
    from genai_prices import Usage, calc_price  # noqa: PLC0415 - 0.2 s, only for judges without a price of their own

    million = 1_000_000
    try:
        found = calc_price(Usage(input_tokens=million, output_tokens=million), model_ref=model, provider_id=provider)
    except LookupError:
        return None
    # A long prompt may be priced higher; a million tokens at once gives the higher figure, which is the safe one.
    return Price(input=float(found.input_price), output=float(found.output_price))


def worst_case(price: Price | None, body_bytes: int, max_tokens: int) -> float | None:
    """Dollars that one call can cost at most; None where the price is unknown."""
    if price is None:
        return None
    return price.cost(-(-body_bytes // BYTES_PER_TOKEN_AT_WORST), max_tokens)
