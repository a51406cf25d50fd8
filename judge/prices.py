"""What a call may cost at most, and what it did cost."""

from __future__ import annotations

from judge.errors import SetupError
from judge.judges import Judge, LongPrompt, Price, Rates
from judge.providers import Reading

#: Prompts, in tokens, that every list prices as short, and as long.
SHORT, LONGEST = 1_000, 1_000_000
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
            "(dollars a million tokens) to the judge's description, pass --allow-unpriced on the command line, "
            "or ask whoever runs the service for a judge with a price"
        )
    return listed


def _listed(judge: Judge) -> Price | None:
    from genai_prices import Usage, calc_price  # noqa: PLC0415 - 0.2 s, only for judges without a price of their own

    provider, model = judge.provider, judge.model
    if provider == "litellm":
        provider, _, model = model.partition("/")
    provider = LISTED_AS.get(provider, provider)

    def priced(tokens: int, **more: int) -> tuple[float, float]:
        """For a million tokens, in a call with so many: of the prompt, and of the answer."""
        usage = Usage(input_tokens=tokens, output_tokens=tokens, **more)
        found = calc_price(usage, model_ref=model, provider_id=provider)
        read, written = (round(float(one) * LONGEST / tokens, 9) for one in (found.input_price, found.output_price))
        return read, written

    def rates(tokens: int) -> Rates:
        read, written = priced(tokens)
        cached, _ = priced(tokens, cache_read_tokens=tokens)
        cache_write, _ = priced(tokens, cache_write_tokens=tokens)
        return Rates(input=read, output=written, cached=cached, cache_write=cache_write)

    try:
        short, long = rates(SHORT), rates(LONGEST)
    except LookupError:
        return None
    if short == long:
        return Price(**short.model_dump())
    # Of several steps the first one leads to the dearest: a cost that is known too high keeps a budget.
    above, dearer = SHORT, LONGEST
    while dearer - above > 1:
        middle = (above + dearer) // 2
        above, dearer = (middle, dearer) if rates(middle) == short else (above, middle)
    return Price(**short.model_dump(), long=LongPrompt(**long.model_dump(), above=above))


def cost_of(price: Price | None, reading: Reading, worst_usd: float | None) -> float | None:
    """Dollars that an answer cost: its worst case where the price, or its tokens, are not known."""
    if price is None or reading.prompt_tokens is None or reading.completion_tokens is None:
        return worst_usd
    return price.cost(
        reading.prompt_tokens, reading.completion_tokens, reading.cached_tokens, reading.cache_write_tokens
    )


def worst_case(price: Price | None, body_bytes: int, max_tokens: int, images: int = 0) -> float | None:
    """Dollars that one call can cost at most, whatever is cached; None where the price is unknown.

    No tokenizer makes more than one token of a byte.
    """
    return None if price is None else price.worst(body_bytes + images * IMAGE_TOKENS_AT_WORST, max_tokens)
