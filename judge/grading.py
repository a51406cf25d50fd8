"""One item becomes one grade."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from judge import distributions, parsing, prompts
from judge.attempts import GRADE_DEADLINE_S, Answer, Deadline
from judge.calling import Caller
from judge.costs import Receipt
from judge.errors import InputError, SetupError
from judge.grades import CriterionGrade, Grade, Graded, Judged, JudgeRef, RubricRef, Usage
from judge.images import NOT_SEEN
from judge.items import PAIRS, Item
from judge.judges import Asking, Judge
from judge.providers import Body, Image, Provider, Reading, Source
from judge.telemetry import NOBODY, Observer
from judge.verdicts import PRECEDENCE, SETTLED, Outcome, Verdict
from rubrics import Rubric, in_parts
from rubrics import overall as combine

#: An answer that was cut or could not be parsed is asked for again so often.
ASKED_AGAIN = 3
MOST_TOKENS_FACTOR = 8
OWN_RUBRICS_KEPT = 64


@dataclass(frozen=True, slots=True)
class _Part:
    """The criteria that are asked for in one call."""

    rubric: Rubric
    body: Body

    def filled(self, text: str, max_tokens: int, images: Sequence[Image]) -> bytes:
        """The bytes of one call. A body of one's own may know of no images."""
        return self.body(text, max_tokens, images) if images else self.body(text, max_tokens)


@dataclass(frozen=True, slots=True)
class Question:
    """A call as it is asked first."""

    body: bytes
    sample: int
    images: Sequence[Image]


@dataclass(frozen=True, slots=True)
class _Plan:
    rubric: Rubric
    ref: RubricRef
    parts: tuple[_Part, ...]


class Grader:
    """Grades items by one rubric with one judge.

    Parameters
    ----------
    adapter
        The provider or source of the judge.
    asking
        How a provider is asked; None for a source.
    caller
        Who asks a provider; None for a source.
    fingerprint
        Of the judge.
    samples
        How often each item is judged.
    deadline_s
        Seconds that one grade may take from its first slot on, all attempts included.
    """

    def __init__(
        self,
        judge: Judge,
        rubric: Rubric,
        adapter: Provider | Source,
        fingerprint: str,
        asking: Asking | None = None,
        caller: Caller | None = None,
        samples: int = 1,
        deadline_s: float = GRADE_DEADLINE_S,
        run: str | None = None,
        observer: Observer = NOBODY,
    ) -> None:
        self._judge, self._asking, self._caller, self._observer = judge, asking, caller, observer
        self._source = adapter if isinstance(adapter, Source) else None
        self._provider = None if isinstance(adapter, Source) else adapter
        self._samples, self._deadline_s, self._run = samples, deadline_s, run
        self.judge_ref = JudgeRef(
            name=judge.name,
            fingerprint=fingerprint,
            kind=self._source.kind if self._source else "model",
            mode=asking.mode if asking else None,
            model=asking.reported_model if asking else None,
        )
        self.max_tokens = judge.max_tokens
        self._plan = self._compile(rubric)
        self._own = lru_cache(OWN_RUBRICS_KEPT)(self._compile)

    async def grade(self, item: Item, deadline: Deadline | None = None) -> Graded:
        """The grade of one item, within its own deadline or one that is shared.

        Raises Paused, Waiting, StoreError, RubricError, or InputError for images that the judge does not take;
        anything else is an outcome in the grade.
        """
        deadline = deadline or Deadline(self._deadline_s)
        plan = self._plan if item.own_rubric is None else self._own(item.own_rubric)
        receipt = Receipt()
        try:
            judged = await self._judged(plan, item, deadline, receipt)
        except BaseException:
            # What was paid on the way must be on disk before anyone closes the store.
            await asyncio.gather(*receipt.writes, return_exceptions=True)
            raise
        graded = Graded(self._combine(plan, item, judged, receipt), judged, receipt)
        self._observer.graded(self._judge, plan.rubric, graded)
        return graded

    def first_calls(self, item: Item) -> Iterator[tuple[Rubric, bytes, tuple[Image, ...]]]:
        """What a sample of an item begins with: of each call its criteria, its body, and the images in that."""
        plan = self._plan if item.own_rubric is None else self._own(item.own_rubric)
        text, images = prompts.user(item), prompts.images(item)
        for part in plan.parts:
            yield part.rubric, part.filled(text, self._judge.max_tokens, images), images

    def questions(self, item: Item) -> Iterator[Question]:
        """What is asked about an item before anything is asked again."""
        self._images(item)  # refused where the judge cannot see them
        for _, body, images in self.first_calls(item):
            for sample in range(self._samples):
                yield Question(body, sample, images)

    def _images(self, item: Item) -> Sequence[Image]:
        images = prompts.images(item)
        if images and not self._judge.takes_images:
            raise InputError(f"item {item.id} {NOT_SEEN}")
        return images

    async def _judged(self, plan: _Plan, item: Item, deadline: Deadline, receipt: Receipt) -> tuple[Judged, ...]:
        if self._source is not None:
            return tuple(Judged(n, self._source.verdicts(item, plan.rubric, n)) for n in range(self._samples))
        if self._samples == len(plan.parts) == 1:
            return (await self._ask(plan.parts[0], item, 0, deadline, receipt),)
        asked = (self._ask(part, item, n, deadline, receipt) for n in range(self._samples) for part in plan.parts)
        return await _all(*asked)

    def _compile(self, rubric: Rubric) -> _Plan:
        refuse_pairs(rubric)
        asked = () if self._provider is None else in_parts(rubric, self._judge.criteria_per_call)
        return _Plan(rubric, RubricRef(name=rubric.name, hash=rubric.hash), tuple(map(self._part, asked)))

    def _part(self, rubric: Rubric) -> _Part:
        assert self._provider is not None
        assert self._asking is not None
        return _Part(rubric, self._provider.compile(prompts.request(rubric, self._asking)))

    async def _ask(self, part: _Part, item: Item, sample: int, deadline: Deadline, receipt: Receipt) -> Judged:
        """One call of one sample: asked, and asked again where the answer was cut or cannot be parsed."""
        assert self._caller is not None
        text, max_tokens, note = prompts.user(item), self._judge.max_tokens, None
        images = self._images(item)
        judged: list[tuple[Verdict, ...]] = []
        best, most = None, 0

        def usable(reading: Reading) -> bool:
            judged.append(_verdicts(reading, part.rubric))
            return all(verdict.outcome in SETTLED for verdict in judged[-1])

        for _ in range(1 + ASKED_AGAIN):
            said = f"{note}\n\n{text}" if note else text
            body = part.filled(said, max_tokens, images)
            answer = await self._caller.ask(body, max_tokens, sample, deadline, receipt, usable, images)
            verdicts = self._concluded(answer, part.rubric, judged)
            found = Judged(sample, verdicts, answer.key, answer.attempt or None)
            if answer.reading is None:
                return found if best is None or answer.outcome is Outcome.LOST else best
            # An answer that settles more criteria is not given up for a later one that settles fewer.
            settled = sum(verdict.outcome in SETTLED - {Outcome.REFUSED} for verdict in verdicts)
            if settled and settled >= most:
                best, most = found, settled
            worst = next((v for v in verdicts if v.outcome in (Outcome.TRUNCATED, Outcome.INVALID)), None)
            if worst is None:
                break
            self._caller.troubles[worst.outcome] += 1
            if worst.outcome is Outcome.TRUNCATED:
                max_tokens = min(max_tokens * 2, self._judge.max_tokens * MOST_TOKENS_FACTOR)
            else:
                note = prompts.correction(worst.cause or worst.outcome)
        return best or found

    def _concluded(self, answer: Answer, rubric: Rubric, judged: list[tuple[Verdict, ...]]) -> tuple[Verdict, ...]:
        if answer.reading is None:
            return parsing.failed(rubric, answer.outcome, answer.cause or answer.outcome)
        # A fresh answer was parsed when it was written down; one from the ledger was not.
        return judged.pop() if judged else _verdicts(answer.reading, rubric)

    def _combine(self, plan: _Plan, item: Item, judged: Sequence[Judged], receipt: Receipt) -> Grade:
        return Grade(
            run=self._run,
            item=item.id,
            **weighed(plan.rubric, [verdict for one in judged for verdict in one.verdicts]),
            rubric=plan.ref,
            judge=self.judge_ref.model_copy(update={"model": receipt.model}),
            usage=Usage(
                calls=receipt.calls,
                reused=receipt.reused,
                lost=receipt.lost,
                possible_duplicates=receipt.possible_duplicates,
                prompt_tokens=receipt.prompt_tokens,
                completion_tokens=receipt.completion_tokens,
                cost_usd=receipt.cost_usd,
                latency_s=round(receipt.latency_s, 4),
            ),
            metadata=item.metadata,
        )


def refuse_pairs(rubric: Rubric) -> None:
    """Raises SetupError for a rubric that is asked of pairs: nothing asks a pair in one order only."""
    if rubric.pairwise:
        raise SetupError(f"{rubric.name} {PAIRS}")


async def _all(*asked: Coroutine[None, None, Judged]) -> tuple[Judged, ...]:
    """Every sample. Where one cannot be had the others are still waited for: their answers may be paid."""
    ends = await asyncio.gather(*asked, return_exceptions=True)
    for end in ends:
        if isinstance(end, BaseException):
            raise end
    return tuple(end for end in ends if isinstance(end, Judged))


def _verdicts(reading: Reading, rubric: Rubric) -> tuple[Verdict, ...]:
    """What a reading says of every criterion."""
    if reading.finish == "refused":
        return parsing.failed(rubric, Outcome.REFUSED, reading.refusal or "the provider's filter")
    if reading.finish == "length":
        return parsing.failed(rubric, Outcome.TRUNCATED, "the answer ended at the token limit")
    verdicts = parsing.parse(reading.text or "", rubric)
    if reading.text is None or reading.tokens is None or all(one.outcome is Outcome.INVALID for one in verdicts):
        return verdicts
    told = distributions.of_tokens(reading.text, reading.tokens, rubric.leaves)
    return tuple(
        replace(one, distribution=told[one.criterion])
        if one.outcome is Outcome.SCORED and one.criterion in told
        else one
        for one in verdicts
    )


def weighed(rubric: Rubric, verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """What verdicts come to by a rubric: the fields of a grade that it decides. Samples of a criterion are in order."""
    said: dict[str, list[Verdict]] = {id: [] for id in rubric.ids}
    for verdict in verdicts:
        said[verdict.criterion].append(verdict)
    criteria = {one.id: CriterionGrade.combined(one, said[one.id]) for one in rubric.leaves}
    overall = combine(
        rubric,
        {id: one.score for id, one in criteria.items()},
        [id for id, one in criteria.items() if one.outcome is Outcome.NOT_APPLICABLE],
    )
    outcome = overall_outcome([one.outcome for one in criteria.values()])
    if outcome is Outcome.SCORED and overall.complete and overall.value is None:
        outcome = Outcome.NOT_APPLICABLE  # labels alone: there is nothing that an overall could be made of
    return {
        "outcome": outcome,
        "score": overall.value if outcome is Outcome.SCORED else None,
        "low": overall.low,
        "high": overall.high,
        "passed": overall.passed,
        "criteria": criteria,
    }


def overall_outcome(outcomes: Sequence[Outcome]) -> Outcome:
    """The outcome of the whole: `scored` where every criterion is scored or not applicable, and one is scored."""
    for outcome in PRECEDENCE:
        if outcome in outcomes:
            return outcome
    return Outcome.SCORED if Outcome.SCORED in outcomes else Outcome.NOT_APPLICABLE
