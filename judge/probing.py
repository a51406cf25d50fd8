"""How a judge can be asked: found out by one call, before any item is sent.

The mode of the structured answer, the parameters that the model takes, and the model that it says it is.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from functools import cache

from judge import parsing, prompts
from judge.attempts import Answer, Deadline
from judge.calling import Caller
from judge.costs import Receipt
from judge.errors import Paused, SetupError, Unaskable
from judge.items import Item
from judge.judges import OUTPUT_MODES, Asking, Judge
from judge.providers import Provider, Reading
from judge.verdicts import SETTLED
from rubrics import Binary, Rubric

PROBE_DEADLINE_S = 120.0
#: An unusable answer may be an accident; a second one in the same mode is not.
TRIES_IN_A_MODE = 2
TOKEN_LIMITS = ("max_completion_tokens", "max_tokens")


@cache
def _rubric() -> Rubric:
    question = Binary(scale="binary", id="greeting", question="Does the output greet somebody?")
    return Rubric(name="probe", criteria=(question,))


@cache
def _item() -> Item:
    return Item(id="probe", input="Say hello.", output="Hello, good to see you!")


def wished(judge: Judge) -> Asking:
    """How a judge is asked first: with all that its description asks for."""
    given = {"temperature": judge.temperature, "reasoning_effort": judge.reasoning_effort}
    parameters = tuple((name, value) for name, value in given.items() if value is not None)
    return Asking(judge.mode or OUTPUT_MODES[0], parameters, logprobs=judge.logprobs)


def round_of_probe() -> int:
    """A round that no other call has, so that a probe is never answered from the ledger."""
    return time.time_ns()


async def probe(judge: Judge, provider: Provider, caller: Caller) -> Asking:
    """The first way of asking that brings a usable answer.

    Raises
    ------
    SetupError
        When no way does, or the judge cannot be asked as it is described.
    Paused
        When its server cannot be asked for now, or a budget has no room for it.
    """
    asking = wished(judge)
    modes = [judge.mode] if judge.mode else list(OUTPUT_MODES)
    reasons: list[str] = []
    while modes:
        asking = replace(asking, mode=modes[0])
        answer, reading = await _try(judge, provider, caller, asking)
        if reading is not None:
            return replace(
                asking, reported_model=reading.model, logprobs=asking.logprobs and reading.tokens is not None
            )
        if answer.refusal is None:
            if answer.reading is None:
                told = f"the judge {judge.name!r} did not answer the probe ({answer.cause}); try again later"
                raise Paused(told) if answer.passing else SetupError(told)
            reasons.append(f"{modes.pop(0)}: its answer did not follow the schema")
            continue
        changed = _without(asking, answer.refusal.parameter, str(answer.refusal))
        if changed is None:
            reasons.append(f"{modes.pop(0)}: {answer.refusal}")
        else:
            asking = changed
    raise SetupError(f"the judge {judge.name!r} gives no structured answer ({'; '.join(reasons)}); name another model")


async def _try(judge: Judge, provider: Provider, caller: Caller, asking: Asking) -> tuple[Answer, Reading | None]:
    """The last answer in one mode, and its reading if that is usable."""
    body = provider.compile(prompts.request(_rubric(), asking))
    deadline = Deadline(PROBE_DEADLINE_S)

    def usable(reading: Reading) -> bool:
        if reading.finish != "stop":
            return False
        return all(verdict.outcome in SETTLED for verdict in parsing.parse(reading.text or "", _rubric()))

    for sample in range(TRIES_IN_A_MODE):
        receipt = Receipt()
        try:
            answer = await caller.ask(
                body(prompts.user(_item()), judge.max_tokens), judge.max_tokens, sample, deadline, receipt, usable
            )
        except Unaskable as refusal:
            raise SetupError(str(refusal)) from None
        finally:
            await asyncio.gather(*receipt.writes)
        if answer.reading is None or usable(answer.reading):
            break
    return answer, answer.reading if answer.reading is not None and usable(answer.reading) else None


def _without(asking: Asking, parameter: str | None, complaint: str) -> Asking | None:
    """The asking without what the provider complained of; None where that is the mode itself."""
    names = (*TOKEN_LIMITS, *dict(asking.parameters))
    blamed = parameter or next(
        (name for name in names if f"'{name}'" in complaint or f"`{name}`" in complaint),
        None,
    )
    if blamed == asking.token_limit == TOKEN_LIMITS[0]:
        return replace(asking, token_limit=TOKEN_LIMITS[1])
    if blamed == "logprobs" and asking.logprobs:
        return replace(asking, logprobs=False)
    kept = tuple(pair for pair in asking.parameters if pair[0] != blamed)
    return None if kept == asking.parameters else replace(asking, parameters=kept)
