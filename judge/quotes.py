"""What a run will send, and what it can cost, before anything is spent."""

from __future__ import annotations

import json
from dataclasses import dataclass

from judge import prompts
from judge.datasets import Scan
from judge.judges import OUTPUT_MODES, Judge, Price
from judge.prices import BYTES_PER_TOKEN_AT_WORST, BYTES_PER_TOKEN_USUALLY, IMAGE_TOKENS_AT_WORST
from rubrics import Rubric, answer_schema

#: The fence of one item: markers and codes, in bytes, generously.
FENCE_BYTES = 600


@dataclass(frozen=True, slots=True)
class Quote:
    """Calls, tokens and dollars. `worst_usd` is None where the price is unknown; nothing is asked twice in it."""

    calls: int
    prompt_tokens: int
    answer_tokens_at_most: int
    worst_usd: float | None


def quote(scan: Scan, rubric: Rubric, judge: Judge, price: Price | None, samples: int) -> Quote:
    """What grading a scanned dataset comes to at most: every answer as long as allowed, no call in the ledger."""
    mode = judge.mode or OUTPUT_MODES[0]
    parts = rubric.parts(judge.criteria_per_call)
    shared = sum(
        len(prompts.system(part, mode).encode()) + len(json.dumps(answer_schema(part))) + FENCE_BYTES for part in parts
    )
    sent = samples * (len(parts) * scan.text_bytes + scan.count * shared)
    calls = samples * scan.count * len(parts)
    answers = calls * judge.max_tokens
    seen = samples * len(parts) * scan.images * IMAGE_TOKENS_AT_WORST
    worst = None if price is None else price.worst(-(-sent // BYTES_PER_TOKEN_AT_WORST) + seen, answers)
    return Quote(calls, -(-sent // BYTES_PER_TOKEN_USUALLY), answers, worst)
