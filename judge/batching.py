"""Half price: what a run would ask first is handed to the provider in batches, before anything is asked live.

The calls of a batch are the calls of a live run, under the same keys. Their rows are made in the ledger before the
provider hears of them, with half their worst cost; what comes back is written there as answered, and the run that
goes over all items afterwards finds it. It asks live for what is missing, and for what is to be asked again.

    claiming -> creating -> sent -> ended      state of a batch, in the store
        whoever goes on with the run gives rows back that were only claimed; looks for a batch that the provider may
        have, by the mark or the calls that it was made with; waits for one whose id is known; and reads results again,
        of which each settles its call once
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

from judge.costs import Budget
from judge.errors import Paused, RunBusy, SetupError, Waiting
from judge.grading import Grader, Question
from judge.items import Item
from judge.judges import Judge, Price
from judge.ledger import CallState, Claimed, Ledger, Settlement, now
from judge.prices import cost_of, worst_case
from judge.providers import AnswerLost, CallError, NotSent, Provider, Rejected, Source, Unreadable
from judge.providers.batches import SHARE, Batched, Batches, Line, Result, Status, Undecided
from judge.settings import Settings
from judge.store.batches import Batch, BatchState, Outstanding
from judge.store.calls import NOT_CREATED

if TYPE_CHECKING:
    from judge.session import Session
    from judge.store.store import Store

T = TypeVar("T")

#: Bytes of one batch, which is made in memory, and of what is claimed at once.
MOST_BYTES, CHUNK_BYTES = 64_000_000, 8_000_000
#: Rows that are claimed, or settled, side by side: many share a commit.
SIDE_BY_SIDE = 256
#: A batch is looked at again after a tenth of its age, within these bounds.
SOONEST_S, LATEST_S, AGE_SHARE = 0.5, 60.0, 0.1
#: Providers end a batch after a day. One that has not ended so long after that is not waited for.
WINDOW_S, GRACE_S = 24 * 3600.0, 3600.0
#: A batch goes out, and comes back, with all its calls at once: it may take longer than a call.
TRANSFER_S = 900.0
CREATE_ATTEMPTS, FIRST_BACKOFF_S = 4, 1.0
#: The causes of calls that a batch brought no answer to.
MISSING, UNREADABLE = "batch_line_missing", "batch_unreadable"
KEY_CHARACTERS = 48
LATER = "start the same command or request again: nothing is lost"
INSTEAD = "mend it, then start the same command or request again, or ask live, without a batch: nothing is lost"

log = logging.getLogger(__name__)


class Batching:
    """The batches of one run. Made in a running loop.

    Parameters
    ----------
    wanted
        Whether batches are made. Where not, those that the provider has are taken back, and what it answered is kept.
    window_s
        Seconds that a batch may take; what is not answered then is asked live.
    """

    def __init__(
        self,
        store: Store,
        session: Session,
        ledger: Ledger,
        grader: Grader,
        run: str,
        budget: Budget,
        wanted: bool,
        window_s: float | None = None,
    ) -> None:
        assert not isinstance(session.adapter, Source)
        self._store, self._ledger, self._grader, self._run, self._budget = store, ledger, grader, run, budget
        self._provider: Provider = session.adapter
        self._price: Price | None = session.price
        self._timeout_s = session.judge.timeout_s
        self._wanted, self._window_s = wanted, WINDOW_S if window_s is None else window_s
        settings = Settings()
        self._most_requests, self._lag_s = settings.batch_requests, settings.lookup_lag_s
        self._stopping, self._patient, self._elsewhere = asyncio.Event(), True, False
        #: Calls that the provider has in batches, for whoever looks on.
        self.handed_over = 0
        #: Whether all that was never asked was handed over, as far as the budget went.
        self.swept = False
        if wanted:
            check_batched(session.adapter, session.judge)

    def stop(self) -> None:
        """Sends nothing more, and waits for nothing. The provider keeps what it has."""
        self._stopping.set()

    async def execute(self, items: Callable[[], AsyncIterator[Item]], patient: bool, swept: bool = False) -> None:
        """Sends what is open in batches, and waits for them until each is in the ledger.

        Where it was `swept` before, nothing more is sent while the provider has a batch.

        Raises
        ------
        Waiting
            Where not `patient`, while something is waited for.
        Paused
            When the provider cannot be asked for batches.
        """
        if not self._wanted and not await self._store.asked(self._store.batches.has_any, self._run):
            return
        self._ledger.batched, self._patient, self.swept = True, patient, swept
        await self._adopt()
        while not self._stopping.is_set():
            if self._wanted and (not self.swept or not await self._open()):
                await self._send(items)
                self.swept = not self._stopping.is_set()
            made = await self._open()
            for batch in made:
                await self._look(batch)
            waiting = await self._open()
            self.handed_over = sum(batch.requests for batch in waiting)
            if not made and not self._elsewhere:
                break
            if waiting or not made:
                wait_s = min(map(_pause_s, waiting), default=LATEST_S)
                if not patient:
                    raise Waiting(wait_s)
                await self._rest(wait_s)
        self._budget.spent_usd = await self._store.asked(self._store.runs.spent, self._run)

    async def _open(self) -> list[Batch]:
        return await self._store.asked(self._store.batches.of_run, self._run)

    @property
    def _batches(self) -> Batches:
        assert isinstance(self._provider, Batched)
        return self._provider.batches()

    # What another process left.

    async def _adopt(self) -> None:
        for batch in await self._open():
            if batch.state is BatchState.CLAIMING:
                await self._give_back(batch.id)
            elif batch.state is BatchState.CREATING and not await self._found(batch.id, batch.created_at):
                if self._stopping.is_set():
                    return
                await self._give_back(batch.id)

    async def _found(self, id: str, since: float) -> bool:
        """Whether the provider has a batch whose id it could not tell us: looked for until its lists must show it."""
        loop = asyncio.get_running_loop()
        names = {_name(one.key, one.attempt) for one in await self._outstanding(id)}
        until, wait_s = loop.time() + self._lag_s, SOONEST_S
        while not self._stopping.is_set():
            last = loop.time() >= until
            try:
                found = await self._asked(self._batches.find(id, names, since, self._known), TRANSFER_S)
            except Undecided:  # until that batch is done, which may take long
                if not self._patient:
                    raise Waiting(LATEST_S) from None
                last, found = False, None
            except (CallError, TimeoutError) as failure:
                raise Paused(f"the provider cannot be asked which batches it has ({failure}); {LATER}") from None
            if found is not None:
                await self._sent(id, found)
                return True
            if last:
                return False
            await self._rest(wait_s)
            wait_s = min(wait_s * 2, LATEST_S)
        return False

    async def _known(self, ids: Collection[str]) -> Collection[str]:
        return await self._store.asked(self._store.batches.known, ids)

    async def _sent(self, id: str, made: str) -> None:
        """The provider has a batch, and calls it so. Raises RunBusy where its calls were given back meanwhile."""
        if await self._changed(self._store.batches.sent, id, made):
            return
        # They are asked again elsewhere: what it answers would be paid for twice.
        try:
            await self._asked(self._batches.cancel(made))
        except (CallError, TimeoutError) as failure:
            log.warning("batch that nobody waits for is not taken back", extra={"run": self._run, "why": str(failure)})
        raise RunBusy("another process has taken the run over; wait for that one, or stop it")

    async def _give_back(self, id: str) -> None:
        """The provider does nothing for a batch, and never did: nothing is owed for its calls."""
        await self._settle([_unanswered(one, CallState.REJECTED, NOT_CREATED) for one in await self._outstanding(id)])
        await self._changed(self._store.batches.ended, id)

    # What is sent.

    async def _send(self, items: Callable[[], AsyncIterator[Item]]) -> None:
        """Makes batches of all that was never asked, as far as the budget goes."""
        most_requests = min(self._batches.most_requests, self._most_requests)
        most_bytes = min(self._batches.most_bytes, MOST_BYTES)
        at_once = min(SIDE_BY_SIDE, most_requests)
        draft: _Draft | None = None
        self._elsewhere = False
        async for questions in self._questions(items, at_once):
            if self._stopping.is_set():
                break
            draft = draft or await self._drafted()
            if not await self._claimed(draft, questions):
                break
            if len(draft.lines) + at_once > most_requests or draft.size + CHUNK_BYTES > most_bytes:
                await self._create(draft)
                draft = None
        if draft is None:
            return
        if self._stopping.is_set():
            await self._give_back(draft.id)
        else:
            await self._create(draft)

    async def _questions(self, items: Callable[[], AsyncIterator[Item]], most: int) -> AsyncIterator[list[Question]]:
        """What is asked first of all open items, so many at once."""
        chunk: list[Question] = []
        size = 0
        async for item in items():
            for question in self._grader.questions(item):
                chunk.append(question)
                size += len(question.body)
                if len(chunk) == most or size > CHUNK_BYTES:
                    yield chunk
                    chunk, size = [], 0
        if chunk:
            yield chunk

    async def _drafted(self) -> _Draft:
        draft = _Draft(uuid.uuid4().hex[:16])
        await self._changed(self._store.batches.add, draft.id, self._run)
        return draft

    async def _claimed(self, draft: _Draft, questions: list[Question]) -> bool:
        """Makes the rows of what was never asked. False where the budget leaves room for no more."""
        endpoint, fits = self._provider.endpoint, True
        keys = [self._ledger.key(endpoint, one.body, one.sample) for one in questions]
        claims = (
            self._ledger.claim(key, endpoint, self._worst_usd(one), batch=draft.id)
            for key, one in zip(keys, questions, strict=True)
        )
        for key, question, held in zip(keys, questions, await asyncio.gather(*claims), strict=True):
            if held.claimed is Claimed.NEW:
                draft.add(Line(_name(key, held.attempt), question.body))
            fits = fits and held.claimed not in (Claimed.OVER_BUDGET, Claimed.RESERVED)
            if held.claimed is Claimed.HANDED_OVER and now() - held.sent_at < self._window_s:
                self._elsewhere = True
        return fits

    def _worst_usd(self, question: Question) -> float | None:
        text_bytes = len(question.body) - sum(len(image.url) for image in question.images)
        worst = worst_case(self._price, text_bytes, self._grader.max_tokens, len(question.images))
        return None if worst is None else worst * SHARE

    async def _create(self, draft: _Draft) -> None:
        """Hands a batch over. Raises Paused where the provider takes none."""
        if not draft.lines:
            await self._changed(self._store.batches.drop, draft.id)
            return
        await self._changed(self._store.batches.creating, draft.id, len(draft.lines))
        failure, wait_s, since = "", FIRST_BACKOFF_S, now()
        for _ in range(CREATE_ATTEMPTS):
            unsure, named_s = True, None
            try:
                async with asyncio.timeout(TRANSFER_S):
                    made = await self._batches.create(draft.id, draft.lines)
            except NotSent as never:
                failure, unsure = str(never), False
            except Rejected as refusal:
                failure, unsure, named_s = str(refusal), refusal.status >= 500, refusal.retry_after_s
                if not refusal.passes:
                    break
            except (AnswerLost, Unreadable, TimeoutError) as loss:
                failure = str(loss) or "no answer came in time"
            else:
                await self._sent(draft.id, made)
                return
            if unsure and (await self._found(draft.id, since) or self._stopping.is_set()):
                return
            await self._rest(wait_s if named_s is None else min(named_s, LATEST_S))
            wait_s *= 2
            if self._stopping.is_set():
                break
        await self._give_back(draft.id)
        if not self._stopping.is_set():
            raise Paused(f"the provider took no batch ({failure}); {INSTEAD}")

    # What comes back.

    async def _look(self, batch: Batch) -> None:
        """Writes down what a batch brought, if it has ended. What cannot be had now is asked for later, for a while."""
        if batch.provider_id is None:
            return
        age_s = now() - batch.created_at
        try:
            ended = await self._results(batch.provider_id, overdue=age_s > self._window_s)
        except (CallError, TimeoutError) as failure:
            if isinstance(failure, Rejected) and failure.status in (401, 403):
                raise Paused(f"the judge denied access to its batches ({failure}); {LATER}") from None
            if age_s > max(self._window_s, WINDOW_S) + GRACE_S:
                lost = [_unanswered(one, CallState.LOST, UNREADABLE) for one in await self._outstanding(batch.id)]
                await self._end(batch, lost)
                await self._forget(batch.provider_id)
            return
        if ended is None:
            return
        status, results = ended
        if status.refusal is not None:
            await self._give_back(batch.id)
            await self._forget(batch.provider_id)
            raise Paused(f"the provider refused a batch ({status.refusal}); {INSTEAD}")
        await self._book(batch, results, status.answered)
        await self._forget(batch.provider_id)

    async def _forget(self, id: str) -> None:
        """Leaves no prompt with the provider. Where it cannot be asked, they stay as long as it keeps them."""
        try:
            await self._asked(self._batches.forget(id))
        except (CallError, TimeoutError) as failure:
            log.warning("files of a batch are not deleted", extra={"run": self._run, "batch": id, "why": str(failure)})

    async def _results(self, id: str, overdue: bool) -> tuple[Status, Sequence[Result]] | None:
        """How a batch ended, and its results; None while it has not. One that nobody wants to wait for is cancelled."""
        status = await self._asked(self._batches.status(id))
        if status.ended:
            return status, () if status.refusal is not None else await self._asked(
                self._batches.results(id), TRANSFER_S
            )
        if overdue or not self._wanted:
            await self._asked(self._batches.cancel(id))
        return None

    async def _book(self, batch: Batch, results: Sequence[Result], answered: int | None) -> None:
        """Writes down what a batch brought. `answered` is how many answers the provider says that it gave."""
        calls = {_name(one.key, one.attempt): one for one in await self._outstanding(batch.id)}
        # A reply is parsed to its end: beside the loop, which has others to serve.
        await self._end(batch, await asyncio.to_thread(self._settlements, calls, results, answered))

    def _settlements(
        self, left: dict[str, Outstanding], results: Sequence[Result], answered: int | None
    ) -> list[Settlement]:
        told = [self._settlement(left.pop(one.custom_id), one) for one in results if one.custom_id in left]
        seen = {one.custom_id for one in results if one.raw is not None}
        # An answer that was counted and did not come may be that of any call that is left.
        state = CallState.REJECTED if answered is not None and len(seen) >= answered else CallState.LOST
        return told + [_unanswered(one, state, MISSING) for one in left.values()]

    async def _end(self, batch: Batch, settlements: Sequence[Settlement]) -> None:
        await self._settle(settlements)
        await self._changed(self._store.batches.ended, batch.id)

    def _settlement(self, call: Outstanding, result: Result) -> Settlement:
        if result.raw is None:
            return _unanswered(call, CallState.REJECTED, result.cause or MISSING)
        settled = Settlement(call.key, call.attempt, CallState.ANSWERED, now(), raw=result.raw)
        settled = replace(settled, reserved_usd=call.reserved_usd, cost_usd=call.reserved_usd)
        try:
            reading = self._provider.read(result.raw)
        except Unreadable as failure:
            return replace(settled, cause=failure.cause)
        cost = cost_of(self._price, reading, None)
        return replace(
            settled,
            usable=True,  # until an item has read it
            unread=True,
            prompt_tokens=reading.prompt_tokens,
            completion_tokens=reading.completion_tokens,
            cached_tokens=reading.cached_tokens,
            cost_usd=call.reserved_usd if cost is None else cost * SHARE,
            model=reading.model,
            provider_id=reading.reply_id,
        )

    async def _settle(self, settlements: Sequence[Settlement]) -> None:
        for first in range(0, len(settlements), SIDE_BY_SIDE):
            chunk = settlements[first : first + SIDE_BY_SIDE]
            await asyncio.gather(*(self._ledger.settle(one) for one in chunk))

    async def _outstanding(self, id: str) -> list[Outstanding]:
        return await self._store.asked(self._store.batches.outstanding, self._run, id)

    # The store, which is not waited for on the loop.

    async def _changed(self, operation: Callable[..., T], *by: object) -> T:
        return await asyncio.to_thread(self._store.change, operation, *by)

    # How it waits.

    async def _asked(self, asked: Awaitable[T], seconds: float | None = None) -> T:
        async with asyncio.timeout(seconds or self._timeout_s):
            return await asked

    async def _rest(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)


@dataclass(slots=True)
class _Draft:
    """A batch that is being filled."""

    id: str
    lines: list[Line] = field(default_factory=list)
    size: int = 0

    def add(self, line: Line) -> None:
        self.lines.append(line)
        self.size += len(line.body)


def check_batched(provider: Provider, judge: Judge) -> None:
    """Raises SetupError for a judge that takes no batches."""
    if not isinstance(provider, Batched):
        raise SetupError(
            f"{judge.provider} takes no batches; grade without --batch, or with a judge of openai, openai-responses or "
            "anthropic"
        )


def _pause_s(batch: Batch) -> float:
    return min(max((now() - batch.created_at) * AGE_SHARE, SOONEST_S), LATEST_S)


def _name(key: str, attempt: int) -> str:
    """What a call is called in its batch: no more than 64 letters, digits and dashes."""
    return f"{key[:KEY_CHARACTERS]}-{attempt}"


def _unanswered(call: Outstanding, state: CallState, cause: str) -> Settlement:
    """A call without an answer: nothing is owed for one that was rejected, and the worst for one that is lost."""
    cost = call.reserved_usd if state is CallState.LOST else 0.0
    settled = Settlement(call.key, call.attempt, state, now(), cause=cause)
    return replace(settled, reserved_usd=call.reserved_usd, cost_usd=cost)
