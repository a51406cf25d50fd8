"""What a call may cost at most, and what it did cost."""

from __future__ import annotations

from judge.errors import SetupError
from judge.judges import Judge, Price

#: No tokenizer makes more than one token of a byte.
BYTES_PER_TOKEN_AT_WORST = 1
#: No provider makes more of an image, however short its address.
IMAGE_TOKENS_AT_WORST = 50_000
#: For estimates shown to people, English prose.
BYTES_PER_TOKEN_USUALLY = 4

#: Providers, and routes of litellm, that the list knows by another name.
LISTED_AS = {
    "fireworks_ai": "fireworks",
    "gemini": "google",
    "openai-responses": "openai",
    "together_ai": "together",
    "xai": "x-ai",
}


def price_of(judge: Judge, allow_unpriced: bool = False) -> Price | None:
    """The judge's own price, or the list's; None for an unknown price where that is allowed.

    Raises
    ------
    SetupError
        When the price is unknown and that is not allowed.
    """
    if judge.price is not None:
        return judge.price
    listed = None if judge.base_url else _listed(judge)
    if listed is None and not allow_unpriced:
        raise SetupError(
            f"no price is known for {judge.provider}/{judge.model}"
            f"{' at ' + judge.base_url if judge.base_url else ''}: add `price: {{input: 0.2, output: 0.8}}` "
            "(dollars a million tokens) to the judge's YAML, or pass --allow-unpriced"
        )
    return listed


def _listed(judge: Judge) -> Price | None:
    from genai_prices import Usage, calc_price  # noqa: PLC0415 - 0.2 s, only for judges without a price of their own

    million = 1_000_000
    provider, model = judge.provider, judge.model
    if provider == "litellm":
        provider, _, model = model.partition("/")
    provider = LISTED_AS.get(provider, provider)

    def asked(**tokens: int) -> tuple[float, float]:
        found = calc_price(Usage(**tokens), model_ref=model, provider_id=provider)
        return float(found.input_price), float(found.output_price)

    try:
        # A long prompt may be priced higher; a million tokens at once gives the higher figure, which is the safe one.
        read, written = asked(input_tokens=million, output_tokens=million)
        cached, _ = asked(input_tokens=million, cache_read_tokens=million)
        cache_write, _ = asked(input_tokens=million, cache_write_tokens=million)
    except LookupError:
        return None
    return Price(input=read, output=written, cached=cached, cache_write=cache_write)


def worst_case(price: Price | None, body_bytes: int, max_tokens: int, images: int = 0) -> float | None:
    """Dollars that one call can cost at most, whatever is cached; None where the price is unknown."""
    if price is None:
        return None
    tokens = -(-body_bytes // BYTES_PER_TOKEN_AT_WORST) + images * IMAGE_TOKENS_AT_WORST
    return price.worst(tokens, max_tokens)
