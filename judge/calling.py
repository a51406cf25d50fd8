"""One call: the only place that retries.

A 429 that names a wait is a wait, not an attempt. Four attempts and the endpoint's retry budget are for server
errors, refused connections and unreadable replies. One deadline bounds them all. An answer lost after sending is
never asked for again here.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type

from judge.attempts import (
    ATTEMPTS,
    GIVES_WAY_S,
    GRADE_DEADLINE_S,
    LATER_S,
    Again,
    Answer,
    Call,
    Deadline,
    named,
    stop,
    wait,
)
from judge.costs import Budget, Receipt
from judge.endpoint import Endpoint
from judge.errors import Unaskable, Waiting
from judge.judges import Judge, Price
from judge.ledger import CallState, Claimed, Delivery, Held, Ledger, Settlement, now
from judge.looking_up import NEVER_ARRIVED, Told, look_up
from judge.prices import BYTES_PER_TOKEN_USUALLY, cost_of, worst_case
from judge.providers import (
    AddressRefused,
    AnswerLost,
    CallError,
    Image,
    NotSent,
    Provider,
    Reading,
    Rejected,
    Unreadable,
)
from judge.telemetry import NOBODY, Observer
from judge.verdicts import Outcome

#: How often to look for an answer that another process asked for, and for what others give back.
POLL_S = 0.5
#: What ends soon without our doing: an equal call, and calls that may give something back to a budget.
WAITED_FOR = frozenset({Claimed.ELSEWHERE, Claimed.RESERVED})
#: Prompt and answer do not fit into the model's context, whether it says so before or in mid-answer.
TOO_LONG = "context_length_exceeded"

KEY_REFUSED = 401
#: Refusals of a model, which say nothing of others that the server has.
BARRED = {403: "the judge denied access", 404: "the judge has no such model"}


class Caller:
    """Asks one judge, under one endpoint's limits, with one ledger.

    `stopping` is set from outside when nothing more may be sent; `resting` holds the tasks that wait for a slot or
    for a retry, which may then be cancelled without losing an answer.
    """

    def __init__(
        self,
        provider: Provider,
        judge: Judge,
        ledger: Ledger,
        endpoint: Endpoint,
        price: Price | None,
        budget: Budget | None = None,
        observer: Observer = NOBODY,
    ) -> None:
        self._provider, self._judge, self._ledger, self._observer = provider, judge, ledger, observer
        self.endpoint, self.price, self.budget = endpoint, price, budget or Budget()
        self._look_up = look_up(provider, judge, ledger)
        self.troubles: Counter[str] = Counter()
        self.stopping = False
        self.resting: set[asyncio.Task[None]] = set()
        self._retrying = AsyncRetrying(
            retry=retry_if_exception_type(Again),
            wait=wait,
            stop=stop,
            sleep=self._rest,
            before_sleep=self._retried,
            reraise=True,
        )

    async def ask(
        self,
        body: bytes,
        max_tokens: int,
        sample: int,
        deadline: Deadline,
        receipt: Receipt,
        usable: Callable[[Reading], bool],
        images: Sequence[Image] = (),
    ) -> Answer:
        """The answer to a body, from the ledger or from the judge.

        `usable` says whether a reading settles the question, `images` are those in the body.

        Raises
        ------
        Paused
            When the judge cannot be asked at all: nothing was decided about this call.
        Waiting
            When others have a call of a run in flight for longer than it may wait: nor was it then.
        """
        key = self._ledger.key(self._provider.endpoint, body, sample)
        # Providers count an image by its pixels, however long its URL is.
        text_bytes = len(body) - sum(len(image.url) for image in images)
        worst = worst_case(self.price, text_bytes, max_tokens, len(images))
        receipt.keys.append(key)
        call = Call(key, body, text_bytes, max_tokens, usable, deadline, receipt, worst)
        if (delivery := await self._ledger.take(key)) is not None:
            return self._delivered(call, delivery)
        if self.endpoint.metered and (found := await self._ledger.find(key)) is not None:
            return self._reuse(call, found)
        self.endpoint.begun()
        try:
            answer = await self._attempt(call)
        except Again as first:
            answer = await self._attempts(call, first)
        # Wherever it ended: who asks for lost answers again must find it.
        receipt.lost += answer.reading is None and call.loss is not None
        return answer

    async def _attempts(self, call: Call, first: Again) -> Answer:
        """All attempts after a first one that failed. tenacity is kept off the path of calls that succeed at once."""
        failures = [first]

        async def attempt(call: Call) -> Answer:
            if failures:
                raise failures.pop()
            return await self._attempt(call)

        try:
            return await self._retrying.copy()(attempt, call)
        except Again as last:
            self.endpoint.gave_up(last.cause, str(last))
            cause = "deadline" if call.late else last.cause
            return Answer(call.key, call.attempt, cause=cause, passing=not last.answered)

    async def _attempt(self, call: Call) -> Answer:
        while True:
            met = await self._met(call)
            if isinstance(met, Answer):
                return met
            met = await self._waited(call, met)
            if met.claimed is not Claimed.NEW:
                return await self._unsent(call, met)

    async def _met(self, call: Call) -> Answer | Held:
        """What a call with a slot brings, or what keeps it from being sent."""
        # A call that would most likely be cut off is not begun: it would be paid for nothing.
        if call.deadline.passed(self.endpoint.response_s):
            return Answer(call.key, call.attempt, cause="deadline")
        tokens = call.text_bytes // BYTES_PER_TOKEN_USUALLY + call.max_tokens
        slot = self.endpoint.slot(tokens, self._judge.model)
        try:
            async with asyncio.timeout_at(None if call.deadline.at == math.inf else call.deadline.at):
                await self._resting(slot.__aenter__)
        except TimeoutError:
            return Answer(call.key, call.attempt, cause="deadline")
        try:
            self._go_on()
            # A grade's first call has all of its time, be it short: what an answer takes now shows when one comes.
            needs_s = 0.0 if call.deadline.at == math.inf else self.endpoint.response_s
            call.deadline.start()
            if not self.budget.fits(call.worst_usd) and (found := await self._ledger.find(call.key)) is not None:
                return self._reuse(call, found)
            await self._resting(lambda: self.budget.reserve(call.worst_usd))
            # Nor where there was time for an answer, and waiting took it.
            if call.deadline.passed(needs_s):
                self.budget.settle(call.worst_usd, 0.0)
                return Answer(call.key, call.attempt, cause="deadline")
            held = await self._claimed(call)
            if held.claimed is Claimed.NEW:
                return await self._send(call, held)
            self.budget.settle(call.worst_usd, 0.0)
            return held
        finally:
            await slot.__aexit__(None, None, None)

    async def _waited(self, call: Call, held: Held) -> Held:
        """What a claim finds once nothing is in its way that ends by itself, or when the call's time is over.

        No slot is held, and no turn of a rate is taken.
        """
        waited_for = WAITED_FOR if self._ledger.of_run else WAITED_FOR | {Claimed.HANDED_OVER}
        clock = asyncio.get_running_loop().time
        until = clock() + (GIVES_WAY_S if self._ledger.gives_way and not call.receipt.calls else math.inf)
        while held.claimed in waited_for and not call.deadline.passed(self.endpoint.response_s):
            twin = self._ledger.in_flight(call.key)
            if clock() > until and twin is None and held.claimed is Claimed.ELSEWHERE:
                raise Waiting(GIVES_WAY_S)
            await (self._rest(POLL_S) if twin is None else self._resting(twin.wait))
            held = await self._claim(call, looks=True)
            call.attempt = held.attempt
        return held

    async def _unsent(self, call: Call, held: Held) -> Answer:
        """What becomes of a call that is not sent."""
        if held.claimed is Claimed.REUSED:
            return self._reuse(call, held)
        if held.claimed is Claimed.HELD:
            return await self._held(call, held)
        if held.shortage is not None:
            raise held.shortage.error()
        # A run can be looked at again, when others have done their part; a single grade cannot wait so long.
        if self._ledger.of_run and self._ledger.in_flight(call.key) is None:
            raise Waiting(LATER_S)
        return Answer(call.key, call.attempt, cause="deadline")

    async def _claim(self, call: Call, looks: bool = False) -> Held:
        kept = self._look_up is not None
        hold = kept and not call.looked_up
        # No call outlasts the grade that it is for.
        longest_s = min(self._judge.timeout_s, GRADE_DEADLINE_S)
        return await self._ledger.claim(
            call.key, self._provider.endpoint, call.worst_usd, longest_s, kept=kept, hold=hold, looks=looks
        )

    async def _claimed(self, call: Call) -> Held:
        """A claim, given back where nobody is left to send it."""
        claim = asyncio.ensure_future(self._claim(call))
        try:
            held = await asyncio.shield(claim)
        except asyncio.CancelledError:
            self._begin(call.receipt, self._given_back(call, claim))
            raise
        call.attempt = held.attempt
        return held

    async def _given_back(self, call: Call, claim: asyncio.Future[Held]) -> None:
        held = await claim
        call.attempt = held.attempt
        if held.claimed is Claimed.NEW:
            await self._failed(call, CallState.REJECTED, "cancelled_before_sending", 0.0)
        else:
            self.budget.settle(call.worst_usd, 0.0)

    def _reuse(self, call: Call, held: Held) -> Answer:
        assert held.raw is not None
        call.receipt.reused += 1
        reading = self._provider.read(held.raw)
        call.receipt.model = reading.model
        return Answer(call.key, held.attempt, reading)

    def _delivered(self, call: Call, delivery: Delivery) -> Answer:
        """An answer that a batch brought is this call's, as if it had come just now: its budget was settled then."""
        call.attempt = delivery.attempt
        call.receipt.calls += 1
        reading = self._provider.read(delivery.raw)
        return self._booked(call, delivery.raw, reading, delivery.cost_usd)

    async def _send(self, call: Call, held: Held) -> Answer:
        loop = asyncio.get_running_loop()
        began = call.sent_at = loop.time()
        self._observer.sent(self._judge)
        call.receipt.calls += 1
        call.receipt.possible_duplicates += held.possible_duplicate
        raw: bytes | None = None
        try:
            async with asyncio.timeout(min(self._judge.timeout_s, max(call.deadline.at - began, 0.0))):
                to_keep = self._look_up and self._look_up.send(call.body, call.key, call.attempt)
                raw = await (to_keep or self._provider.send(call.body))
            reading = self._provider.read(raw)
        except Rejected as refusal:
            await self._failed(call, CallState.REJECTED, refusal.cause, 0.0)
            return self._refused(call, refusal)
        except AddressRefused as refusal:
            await self._failed(call, CallState.REJECTED, refusal.cause, 0.0)
            # Without a breaker, which is for all who ask for this model: others may.
            raise Unaskable(f"{refusal}; or name another judge") from None
        except NotSent as failure:
            await self._failed(call, CallState.REJECTED, failure.cause, 0.0)
            raise self._again(call, failure) from None
        except AnswerLost as loss:
            return await self._lost(call, loss.cause)
        except TimeoutError:
            return await self._lost(call, "timeout")
        except Unreadable as failure:
            await self._failed(call, CallState.ANSWERED, failure.cause, call.worst_usd, raw)
            raise self._again(call, failure, answered=True) from None
        except asyncio.CancelledError:
            # Whoever cancels cannot wait, yet the row must not look as if its answer could still come.
            self._begin(call.receipt, self._failed(call, CallState.LOST, "cancelled", call.worst_usd))
            raise
        except Exception as error:  # noqa: BLE001 - a provider of one's own may raise anything; the row says what
            await self._failed(call, CallState.LOST, type(error).__name__, call.worst_usd, raw)
            self.endpoint.gave_up(type(error).__name__, "its provider does not say why")
            call.loss = type(error).__name__
            return Answer(call.key, call.attempt, outcome=Outcome.LOST, cause=call.loss)
        seconds = loop.time() - began
        self.endpoint.answered(seconds)
        call.receipt.latency_s += seconds
        cost = cost_of(self.price, reading, call.worst_usd)
        self.budget.settle(call.worst_usd, cost)
        return self._booked(call, raw, reading, cost)

    def _booked(self, call: Call, raw: bytes, reading: Reading, cost: float | None) -> Answer:
        """The answer, which is written down; grading goes on meanwhile, and waits for the write before it reports."""
        too_long = reading.finish == "context"
        usable = not too_long and call.usable(reading)
        settlement = call.answered(raw, reading, usable, cost)
        self._over(call, settlement)
        self._begin(call.receipt, self._ledger.settle(settlement))
        if too_long:
            self.troubles[TOO_LONG] += 1
            return Answer(call.key, call.attempt, cause=TOO_LONG)
        return Answer(call.key, call.attempt, reading)

    def _begin(self, receipt: Receipt, write: Coroutine[Any, Any, None]) -> None:
        """Begins a write that nobody waits for here: whoever has the receipt does."""
        receipt.writes.append(self._ledger.begin(write))

    def _go_on(self) -> None:
        """Ends a task that must not send anything more."""
        if self._ledger.broken is not None:
            raise self._ledger.broken
        if self.stopping:
            raise asyncio.CancelledError

    async def _failed(
        self, call: Call, state: CallState, cause: str, cost: float | None, raw: bytes | None = None
    ) -> None:
        self.troubles[cause] += 1
        self.budget.settle(call.worst_usd, cost)
        call.receipt.pay(cost)
        await self._settle(call, state, cause, cost, raw)

    async def _settle(
        self, call: Call, state: CallState, cause: str, cost: float | None, raw: bytes | None = None
    ) -> None:
        settlement = Settlement(
            call.key, call.attempt, state, now(), cause=cause, raw=raw, reserved_usd=call.worst_usd, cost_usd=cost
        )
        self._over(call, settlement)
        await self._ledger.settle(settlement)

    def _over(self, call: Call, settlement: Settlement) -> None:
        """Tells whoever watches."""
        seconds = None if call.sent_at is None else asyncio.get_running_loop().time() - call.sent_at
        call.sent_at = None
        self._observer.settled(self._judge, settlement, seconds)

    async def _held(self, call: Call, held: Held) -> Answer:
        """What becomes of a call whose answer was lost: it is looked up, if that can be done and was not yet."""
        if self._look_up is not None and not call.looked_up:
            call.looked_up = True
            found = await self._look_up.find(call.key, held, call.deadline.passed, self._rest)
            if isinstance(found, bytes):
                return await self._recalled(call, found)
            if found is Told.DENIED:
                await self._settle(call, CallState.REJECTED, NEVER_ARRIVED, self._instead(call, 0.0))
                raise Again(NEVER_ARRIVED, "the judge never had the call", 0.0)
            if self._ledger.resend_lost:
                raise Again("lost", "the answer is lost, and may be asked for again", 0.0)
        call.loss = call.loss or "lost"
        return Answer(call.key, held.attempt, outcome=Outcome.LOST, cause=call.loss)

    async def _recalled(self, call: Call, raw: bytes) -> Answer:
        """A lost answer that the provider had kept is this call's, as if it had come."""
        if call.loss is None:  # another process sent it
            call.receipt.calls += 1
        try:
            reading = self._provider.read(raw)
        except Unreadable as failure:
            await self._settle(call, CallState.ANSWERED, failure.cause, call.worst_usd, raw)
            call.loss = None
            raise self._again(call, failure) from None
        cost = cost_of(self.price, reading, call.worst_usd)
        return self._booked(call, raw, reading, self._instead(call, cost))

    def _instead(self, call: Call, cost: float | None) -> float | None:
        """What a call cost, in the place of the worst case that its lost answer was counted at here: it is not lost."""
        if call.loss is not None and call.worst_usd is not None and cost is not None:
            self.budget.spent_usd += cost - call.worst_usd
            call.receipt.pay(-call.worst_usd)
        call.loss = None
        return cost

    async def _lost(self, call: Call, cause: str) -> Answer:
        await self._failed(call, CallState.LOST, cause, call.worst_usd)
        call.loss = cause
        if self._look_up is not None and not call.looked_up and not call.deadline.passed():
            raise Again(cause, "the answer was lost", 0.0)
        if call.deadline.passed():
            return Answer(call.key, call.attempt, outcome=Outcome.JUDGE_ERROR, cause="deadline")
        return Answer(call.key, call.attempt, outcome=Outcome.LOST, cause=cause)

    def _refused(self, call: Call, refusal: Rejected) -> Answer:
        """What an error status means. Returns, or raises Again or Paused."""
        status, wait_s = refusal.status, named(refusal.retry_after_s)
        # Log probabilities that a model does not give, and texts that a filter flags, are refused with a 403 too: that
        # is about what was asked.
        asked = refusal.parameter == "logprobs" or refusal.cause == "content_filter"
        broke = refusal.cause == "out_of_money"
        if broke or status == KEY_REFUSED:
            told = f"the judge {'is out of money' if broke else 'refused the key'} ({refusal})"
            raise Unaskable(self.endpoint.open_breaker(told))
        if status in BARRED and not asked:
            told = f"{BARRED[status]} ({refusal})"
            # A mistyped address and a mistyped model look alike.
            where = f"; asked at {self._provider.endpoint}" if status == 404 else ""
            raise self.endpoint.refuse(self._judge.model, told + where)
        if status == 429 or refusal.cause == "slow_down":
            self.endpoint.refused_for_rate()
            call.attempts += wait_s is None
            raise Again(refusal.cause, str(refusal), wait_s)
        if refusal.passes:
            raise self._again(call, refusal, wait_s)
        outcome = Outcome.REFUSED if refusal.cause == "content_filter" else Outcome.JUDGE_ERROR
        return Answer(call.key, call.attempt, outcome=outcome, cause=refusal.cause, refusal=refusal)

    def _again(self, call: Call, failure: CallError, wait_s: float | None = None, answered: bool = False) -> Again:
        call.attempts += 1
        if not self.endpoint.may_retry():
            call.attempts = ATTEMPTS
        return Again(failure.cause, str(failure), wait_s, answered)

    def _retried(self, state: RetryCallState) -> None:
        failure = state.outcome and state.outcome.exception()
        if isinstance(failure, Again):
            self._observer.retried(self._judge, failure.cause)

    async def _rest(self, seconds: float) -> None:
        await self._resting(lambda: self.endpoint.pause(seconds))

    async def _resting(self, wait: Callable[[], Awaitable[object]]) -> None:
        """A wait that may be cut short when nothing more is to be sent."""
        self._go_on()
        task = asyncio.current_task()
        assert task is not None
        self.resting.add(task)
        try:
            await wait()
        finally:
            self.resting.discard(task)
