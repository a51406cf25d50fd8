"""What calls will come to, by what the same judge's calls came to before.

Everything grows with what is sent: prompt tokens with bytes, answer tokens with the criteria asked for, dollars with
both at the judge's price. Each is a ratio, with an interval of 95% for one more total of items like those graded
before; items of another kind may lie outside.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from judge.estimates import Forecast, History, Interval, Minutes
from judge.judges import Judge, Price
from judge.providers.batches import SHARE
from judge.quotes import shared_bytes
from rubrics import Rubric

if TYPE_CHECKING:
    from judge.session import Session
    from judge.store.history import Answers, Past
    from judge.store.store import Store

#: Fewer items say nothing of how much they differ.
LEAST_ITEMS = 5
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Load:
    """What is to be sent: calls, the bytes in them, and the criteria that they ask for."""

    calls: int = 0
    sent_bytes: int = 0
    criteria: int = 0

    def __add__(self, other: Load) -> Load:
        return Load(self.calls + other.calls, self.sent_bytes + other.sent_bytes, self.criteria + other.criteria)

    @classmethod
    def of(cls, rubric: Rubric, judge: Judge, samples: int, item_bytes: int, count: int = 1) -> Load:
        """Of items that have so many bytes together."""
        shared = shared_bytes(rubric, judge)
        sent = len(shared) * item_bytes + count * sum(shared)
        return cls(samples * count * len(shared), samples * sent, samples * count * len(rubric.leaves))


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a judge may be asked. None for no limit."""

    concurrency: int
    rpm: float | None = None
    tpm: float | None = None


def forecast(
    store: Store,
    judge: Judge,
    price: Price | None,
    judges: Mapping[str, int],
    rubric: str | None,
    load: Load,
    pace: Pace,
    batch: bool = False,
) -> Forecast | None:
    """What a load will come to; None where too little is known of the judge.

    Parameters
    ----------
    judges
        The fingerprints that the judge has been asked by, each with its samples.
    rubric
        The hash of the only rubric that it is asked by; None for several. Items graded by it are preferred.
    batch
        Whether all that is asked first is asked in batches, at their price and in their time.
    """
    past: list[Past] = []
    if rubric is not None:
        past = store.ask(store.history.items, judges, rubric)
    if len(past) < LEAST_ITEMS:
        past = store.ask(store.history.items, judges)
    if len(past) < LEAST_ITEMS or not load.calls:
        return None
    runs = list(dict.fromkeys(one.run for one in past))
    answers: Answers = store.ask(store.history.answers, runs)
    loads = _loads(store, judge, past)
    calls = total([one.calls for one in loads], [one.calls for one in past], load.calls)
    prompt = total([one.sent_bytes for one in loads], [one.prompt_tokens for one in past], load.sent_bytes)
    written = total([one.criteria for one in loads], [one.completion_tokens for one in past], load.criteria)
    live, read, answered = _live_costs(store, past), prompt.expected / load.sent_bytes, written.expected / load.criteria
    cost = _cost(live, loads, price, load, read, answered)
    if batch and cost is not None:  # what is asked again is asked live
        cost = cost.times(1 - (1 - SHARE) * min(load.calls / calls.expected, 1.0))
    return Forecast(
        calls=calls,
        prompt_tokens=prompt,
        answer_tokens=written,
        cost_usd=cost,
        minutes=None if batch else _minutes(calls, prompt, written, answers, pace),
        rests_on=History(
            items=len(past),
            runs=len(runs),
            same_rubric=all(one.rubric == rubric for one in past),
            answers=answers.calls,
            asked_again=answers.asked_again,
            cached=answers.cached,
            latency_s=answers.latency_s,
            calls_a_minute=answers.per_minute,
        ),
    )


def total(sizes: Sequence[float], found: Sequence[float], size: float) -> Interval:
    """What things of this size come to together, by others that came to `found`.

    Each varies about its share as its size allows: the variance of a total is in proportion to its size.
    """
    known, n = math.fsum(sizes), len(sizes)
    if not known:
        return Interval(expected=0.0, low=0.0, high=0.0)
    ratio = math.fsum(found) / known
    spread = math.fsum((y - ratio * x) ** 2 / x for x, y in zip(sizes, found, strict=True) if x) / (n - 1)
    half = _t(n - 1) * math.sqrt(spread * size * (1 + size / known))
    return Interval(expected=ratio * size, low=max(ratio * size - half, 0.0), high=ratio * size + half)


def _t(degrees: int) -> float:
    from scipy.special import stdtrit  # noqa: PLC0415 - 0.1 s, only where there is a history

    return float(stdtrit(degrees, (1 + CONFIDENCE) / 2))


def _loads(store: Store, judge: Judge, past: Sequence[Past]) -> list[Load]:
    rubrics: dict[str, Rubric] = {}
    for hash_ in {one.rubric for one in past}:
        rubrics[hash_] = store.ask(store.verdicts.stored_rubric, hash_)
    shared = {hash_: shared_bytes(rubric, judge) for hash_, rubric in rubrics.items()}
    loads = []
    for one in past:
        calls, own = len(shared[one.rubric]), sum(shared[one.rubric])
        sent, criteria = calls * one.bytes + own, len(rubrics[one.rubric].leaves)
        loads.append(Load(one.samples * calls, one.samples * sent, one.samples * criteria))
    return loads


def _live_costs(store: Store, past: Sequence[Past]) -> list[float | None]:
    """What items would have cost if all had been asked live."""
    paid: dict[str, float] = store.ask(store.history.in_batches, list({one.run for one in past}))
    of_run = {run: 1 - share + share / SHARE for run, share in paid.items()}
    return [None if one.cost_usd is None else one.cost_usd * of_run.get(one.run, 1.0) for one in past]


def _cost(
    live: Sequence[float | None], loads: Sequence[Load], price: Price | None, load: Load, read: float, written: float
) -> Interval | None:
    """Dollars, by what the price makes of tokens a byte and tokens a criterion: what was cached, lost or asked again is
    in the ratio."""
    costs = [one for one in live if one is not None]
    if price is None or len(costs) < len(live):
        return None

    def priced(one: Load) -> float:
        return (read * one.sent_bytes * price.input + written * one.criteria * price.output) / 1e6

    return total([priced(one) for one in loads], costs, priced(load))


def _minutes(calls: Interval, prompt: Interval, written: Interval, answers: Answers, pace: Pace) -> Minutes | None:
    if answers.latency_s is None:
        return None
    fastest = calls.low * answers.latency_s / 60 / pace.concurrency
    if pace.rpm is not None:
        fastest = max(fastest, calls.low / pace.rpm)
    if pace.tpm is not None:
        fastest = max(fastest, (prompt.low + written.low) / pace.tpm)
    slowest = calls.high / answers.per_minute if answers.per_minute else fastest
    return Minutes(low=fastest, high=max(fastest, slowest))


def to_finish(store: Store, session: Session, rubric: Rubric, run_id: str, batch: bool = False) -> str:
    """What grading the open items of a run would cost, in words: by those that are graded, or at worst.

    `batch` says that they are asked in batches.
    """
    count, size, longest = store.ask(store.history.left, run_id)
    told = f"to grade the {count:,} open items"
    past: list[Past] = store.ask(store.history.items, {session.fingerprint: session.samples}, only=run_id)
    costs = [one.cost_usd for one in past if one.cost_usd is not None]
    if len(costs) >= LEAST_ITEMS:
        cost = total([1.0] * len(costs), costs, count)
        between = f"${cost.low:.4f} to ${cost.high:.4f}, by the {len(costs):,} graded so far"
        return f"{told} would cost about ${cost.expected:.4f} ({between})"
    if session.price is None or not rubric.leaves:
        return f"too few are graded to tell what it would cost {told}"
    load = Load.of(rubric, session.judge, session.samples, size, count)
    worst = session.price.worst(load.sent_bytes, load.calls * session.judge.max_tokens, longest)
    return f"{told} would cost ${worst * SHARE if batch else worst:.4f} at worst"
