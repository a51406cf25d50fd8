"""What grading a dataset will come to: its calls looked up in the ledger, the rest told by the judge's history."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from judge import prompts
from judge.batching import check_batched
from judge.datasets import Dataset, Scan
from judge.estimates import Estimate, Forecast
from judge.forecast import LEAST_ITEMS, Load, Pace, forecast
from judge.items import Item
from judge.judges import Judge, Price
from judge.ledger import call_key
from judge.prices import BYTES_PER_TOKEN_USUALLY, price_of, worst_case
from judge.providers import Provider, Source, connect
from judge.providers.batches import SHARE
from judge.quotes import quote, shared_bytes
from judge.session import Session, known_asking
from rubrics import Rubric

if TYPE_CHECKING:
    from judge.runs import Options
    from judge.store.store import Store

#: Items whose calls are looked up together.
TOGETHER = 100
#: A judge that was asked by other numbers of samples, up to this, is the same judge.
MOST_SAMPLES = 20

FREE = "no model is asked: nothing to pay"
DONE = "every answer is in the ledger: nothing to pay"
NEVER_ASKED = (
    "no history: this judge was never asked as it is described, and finding out how it can be asked takes a few calls "
    "more; the worst case is all that is known"
)
NO_HISTORY = f"no history: this judge graded fewer than {LEAST_ITEMS} items; the worst case is all that is known"


@dataclass(slots=True)
class _Tally:
    """Calls that are not in the ledger."""

    load: Load = field(default_factory=Load)
    answered: int = 0
    text_bytes: int = 0
    worst_usd: float | None = 0.0


async def estimate(
    store: Store | None, dataset: Dataset, scan: Scan, rubric: Rubric, judge: Judge, options: Options
) -> Estimate:
    """What grading a dataset with these options will come to. Nothing is sent, and nothing is written.

    Without a store there is no history.

    Raises
    ------
    SetupError
        For a judge that cannot be made, whose price is unknown, or that takes no batches where these are asked for.
    """
    adapter = connect(judge)
    if isinstance(adapter, Source):
        return Estimate(items=scan.count, calls=0, note=FREE)
    try:
        if options.mode == "batch":
            check_batched(adapter, judge)
        price = price_of(judge, options.allow_unpriced)
        return await asyncio.to_thread(_estimated, store, dataset, scan, rubric, judge, options, adapter, price)
    finally:
        await adapter.close()


def _estimated(
    store: Store | None,
    dataset: Dataset,
    scan: Scan,
    rubric: Rubric,
    judge: Judge,
    options: Options,
    adapter: Provider,
    price: Price | None,
) -> Estimate:
    asking = None if store is None else known_asking(store, judge)
    if store is None or asking is None:
        own = (item for item in dataset if item.own_rubric is not None) if scan.own_rubrics else ()
        worst = quote(scan, rubric, judge, price, options.samples, own)
        return Estimate(
            mode=options.mode,
            items=scan.count,
            calls=worst.calls,
            prompt_tokens=worst.prompt_tokens,
            answer_tokens_at_most=worst.answer_tokens_at_most,
            worst_usd=_priced(worst.worst_usd, options),
            note=NEVER_ASKED,
        )
    tally = _tally(store, Session(judge, adapter, options.samples, price, asking), rubric, dataset, options.fresh)
    version = prompts.version(asking.mode)
    judges = {asking.fingerprint(judge, adapter.endpoint, version, n): n for n in range(1, MOST_SAMPLES + 1)}
    judges[asking.fingerprint(judge, adapter.endpoint, version, options.samples)] = options.samples
    pace = Pace(options.concurrency or judge.concurrency, options.rpm or judge.rpm, options.tpm or judge.tpm)
    only = None if scan.own_rubrics else rubric.hash
    expected = forecast(store, judge, price, judges, only, tally.load, pace, options.mode == "batch")
    return Estimate(
        mode=options.mode,
        items=scan.count,
        calls=tally.load.calls,
        answered=tally.answered,
        prompt_tokens=-(-tally.text_bytes // BYTES_PER_TOKEN_USUALLY),
        answer_tokens_at_most=tally.load.calls * judge.max_tokens,
        worst_usd=_priced(tally.worst_usd, options),
        expected=expected,
        note=_note(expected) if tally.load.calls else DONE,
    )


def _priced(live_usd: float | None, options: Options) -> float | None:
    return live_usd * SHARE if live_usd is not None and options.mode == "batch" else live_usd


def _note(expected: Forecast | None) -> str:
    if expected is None:
        return NO_HISTORY
    on = expected.rests_on
    by = "by this rubric" if on.same_rubric else "by whatever rubric, since it has graded too few by this one"
    return f"by {on.items:,} items in {on.runs:,} {'run' if on.runs == 1 else 'runs'} that this judge graded {by}"


def _tally(store: Store, session: Session, rubric: Rubric, items: Iterable[Item], fresh: bool) -> _Tally:
    """What is to be asked. Equal questions are asked once."""
    tally, seen, shared = _Tally(), set[str](), dict[str, int]()
    grader, judge = session.grader(rubric, None), session.judge
    assert not isinstance(session.adapter, Source)
    for some in _together(items):
        asked: dict[str, tuple[Load, int, float | None]] = {}
        for item in some:
            stored = len(item.model_dump_json(exclude={"id", "metadata"}).encode())
            for part, body, images in grader.first_calls(item):
                text_bytes = len(body) - sum(len(image.url) for image in images)
                worst = worst_case(session.price, text_bytes, judge.max_tokens, len(images))
                if part.hash not in shared:
                    shared[part.hash] = sum(shared_bytes(part, judge))
                one = Load(1, stored + shared[part.hash], len(part.leaves))
                for sample in range(session.samples):
                    key = call_key(store.tenant, session.adapter.endpoint, body, sample, 0)
                    asked.setdefault(key, (one, text_bytes, worst))
        new = [key for key in asked if key not in seen]
        seen.update(new)
        there = set() if fresh else store.ask(store.history.answered, new)
        tally.answered += len(there)
        for load, text_bytes, worst in (asked[key] for key in new if key not in there):
            tally.load += load
            tally.text_bytes += text_bytes
            tally.worst_usd = None if worst is None or tally.worst_usd is None else tally.worst_usd + worst
    return tally


def _together(items: Iterable[Item]) -> Iterator[Sequence[Item]]:
    left = iter(items)
    while some := list(islice(left, TOGETHER)):
        yield some
