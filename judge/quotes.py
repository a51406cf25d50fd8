"""What a run will send, and what it can cost, before anything is spent."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from judge import prompts
from judge.datasets import Scan
from judge.items import Item
from judge.judges import OUTPUT_MODES, Judge, Price
from judge.prices import BYTES_PER_TOKEN_USUALLY, IMAGE_TOKENS_AT_WORST
from rubrics import Rubric, answer_schema, in_parts

#: The fence of one item: markers and codes, in bytes, generously.
FENCE_BYTES = 600


@dataclass(frozen=True, slots=True)
class Quote:
    """Calls, tokens and dollars. `worst_usd` is None where the price is unknown; nothing is asked twice in it."""

    calls: int
    prompt_tokens: int
    answer_tokens_at_most: int
    worst_usd: float | None


def quote(
    scan: Scan, rubric: Rubric, judge: Judge, price: Price | None, samples: int, own: Iterable[Item] = ()
) -> Quote:
    """What grading a scanned dataset comes to at most: every answer as long as allowed, no call in the ledger.

    `own` are its items that have a rubric of their own.
    """
    count, text_bytes, images = scan.count, scan.text_bytes, scan.images
    calls = sent = seen = longest = 0
    for item in own:
        assert item.own_rubric is not None
        size, pictures = len(prompts.user(item).encode()), len(prompts.images(item))
        count, text_bytes, images = count - 1, text_bytes - size, images - pictures
        shared = shared_bytes(item.own_rubric, judge)
        calls, sent, seen = calls + len(shared), sent + len(shared) * size + sum(shared), seen + len(shared) * pictures
        longest = max(longest, size + max(shared) + pictures * IMAGE_TOKENS_AT_WORST)
    shared = shared_bytes(rubric, judge)
    calls += count * len(shared)
    sent = samples * (sent + len(shared) * text_bytes + count * sum(shared))
    seen = samples * (seen + len(shared) * images) * IMAGE_TOKENS_AT_WORST
    # The item with the longest text may be the one with the most pictures.
    longest = max(longest, scan.longest_bytes + max(shared) + scan.most_images * IMAGE_TOKENS_AT_WORST)
    answers = samples * calls * judge.max_tokens
    worst = None if price is None else price.worst(sent + seen, answers, longest)
    return Quote(samples * calls, -(-sent // BYTES_PER_TOKEN_USUALLY), answers, worst)


def shared_bytes(rubric: Rubric, judge: Judge) -> list[int]:
    """Of each call that an item takes by a rubric, the bytes of all but the item."""
    mode = judge.mode or OUTPUT_MODES[0]
    return [
        len(prompts.system(part, mode).encode()) + len(json.dumps(answer_schema(part))) + FENCE_BYTES
        for part in in_parts(rubric, judge.criteria_per_call)
    ]
