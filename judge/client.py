"""Asks a grading service from Python.

    async with Client("http://127.0.0.1:8400", key="judge_...") as client:
        run = await client.submit(items, rubric="helpfulness", judge="openai/gpt-6-luna")
        run = await client.wait(run.id)
        async for grade in client.grades(run.id):
            print(grade.item, grade.outcome, grade.score)

A request that no answer came to, and one that is told to come again later, is sent again: the service does nothing
twice.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import aiohttp
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt

from judge.budgets import BudgetStanding
from judge.errors import JudgeError
from judge.estimates import Estimate
from judge.events import Event, events_of
from judge.grades import Grade
from judge.items import Item
from judge.judges import Judge
from judge.statuses import RunStatus
from rubrics import Rubric

ATTEMPTS = 8
FIRST_WAIT_S, LONGEST_WAIT_S = 0.2, 30.0
#: What may be better a moment later.
PASSING = frozenset({409, 429, 502, 503, 504})
PAGE = 500
#: A stream of events without a byte for so long, comments included, is taken for dead.
SILENT_S = 60.0


class ServiceError(JudgeError):
    """What the service said instead of an answer.

    Attributes
    ----------
    status, type
        Of HTTP, and the kind of problem (RFC 9457); 0 and empty where no answer came.
    errors
        What is wrong with the request, each with a JSON pointer.
    retry_after_s
        When the service asks to come again; None where it does not.
    """

    def __init__(
        self,
        detail: str,
        status: int = 0,
        type_: str = "",
        errors: tuple[dict[str, str], ...] = (),
        retry_after_s: float | None = None,
    ) -> None:
        told = "; ".join(f"{one['pointer'] or 'the body'}: {one['detail']}" for one in errors)
        super().__init__(f"{detail} {told}".strip())
        self.status, self.type, self.errors, self.retry_after_s = status, type_, errors, retry_after_s

    @property
    def passing(self) -> bool:
        """Whether the same request may be answered a moment later."""
        return self.status == 0 or self.status in PASSING


class Client:
    """A connection to one service. Use it as an async context manager.

    Parameters
    ----------
    url
        Where the service is.
    key
        What `judge keys create` printed; None for a service on this machine that asks for none.
    timeout_s
        Of one request, beside what grading takes.
    """

    def __init__(self, url: str = "http://127.0.0.1:8400", key: str | None = None, timeout_s: float = 60.0) -> None:
        self._url, self._timeout_s = url.rstrip("/"), timeout_s
        self._headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(headers=self._headers, trust_env=False)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._session is not None
        await self._session.close()

    async def grade(
        self,
        items: Iterable[Item],
        *,
        rubric: str | Rubric,
        judge: str,
        samples: int = 1,
        deadline_s: float = 120.0,
    ) -> list[Grade]:
        """The grades of up to 100 items, in their order, when all are done.

        Raises
        ------
        ServiceError
            For what the service refuses. What a single item suffers is an outcome in its grade.
        """
        asked = _asked(items, rubric, judge, samples) | {"deadline_s": deadline_s}
        told = await self._send("POST", "/v1/grades", asked, deadline_s)
        return [Grade.model_validate(one) for one in told["data"]]

    async def submit(
        self,
        items: Iterable[Item],
        *,
        rubric: str | Rubric,
        judge: str,
        samples: int = 1,
        name: str = "items",
        calibration: str | None = None,
        budget_usd: float | None = None,
        fresh: bool = False,
    ) -> RunStatus:
        """Hands items over to be graded in the background. Equal items, rubric and judge are the same run.

        Raises ServiceError.
        """
        asked = _asked(items, rubric, judge, samples) | {"name": name, "fresh": fresh}
        asked |= {"calibration": calibration, "budget_usd": budget_usd}
        told = await self._send("POST", "/v1/runs", asked, headers=_once())
        return RunStatus.model_validate(told)

    async def estimate(
        self, items: Iterable[Item], *, rubric: str | Rubric, judge: str, samples: int = 1, fresh: bool = False
    ) -> Estimate:
        """What such a run would come to; nothing is made, and nothing is sent to the judge. Raises ServiceError."""
        asked = _asked(items, rubric, judge, samples) | {"fresh": fresh, "dry_run": True}
        return Estimate.model_validate(await self._send("POST", "/v1/runs", asked))

    async def budgets(self) -> list[BudgetStanding]:
        """The budgets that limit what this key spends: its own, then its tenant's. Raises ServiceError."""
        told = await self._send("GET", "/v1/budgets")
        return [BudgetStanding.model_validate(one) for one in told["data"]]

    async def status(self, run: str) -> RunStatus:
        """How far a run is. Raises ServiceError."""
        return RunStatus.model_validate(await self._send("GET", f"/v1/runs/{run}"))

    async def wait(self, run: str, every_s: float = 1.0) -> RunStatus:
        """The status of a run when it is completed, paused or cancelled. Raises ServiceError."""
        while True:
            found = await self.status(run)
            if found.ended:
                return found
            await asyncio.sleep(every_s)

    async def runs(self, limit: int = 20) -> list[RunStatus]:
        """The newest runs, at most 100. Raises ServiceError."""
        told = await self._send("GET", f"/v1/runs?limit={limit}")
        return [RunStatus.model_validate(one) for one in told["data"]]

    async def cancel(self, run: str) -> RunStatus:
        """Sends nothing more for a run. Raises ServiceError."""
        return RunStatus.model_validate(await self._send("POST", f"/v1/runs/{run}/cancel"))

    async def resume(
        self,
        run: str,
        *,
        budget_usd: float | None = None,
        resend_lost: bool = False,
        retry_failed: bool = False,
    ) -> RunStatus:
        """Goes on with a run, or asks again for what is lost or failed. Raises ServiceError."""
        asked = {"budget_usd": budget_usd, "resend_lost": resend_lost, "retry_failed": retry_failed}
        told = await self._send("POST", f"/v1/runs/{run}/resume", asked, headers=_once())
        return RunStatus.model_validate(told)

    async def grades(self, run: str) -> AsyncIterator[Grade]:
        """The grades of a run so far, in the order of its items, a page in memory at a time. Raises ServiceError."""
        after: int | None = -1
        while after is not None:
            told = await self._send("GET", f"/v1/runs/{run}/grades?after={after}&limit={PAGE}")
            for one in told["data"]:
                yield Grade.model_validate(one)
            after = told["next"]

    async def register(self, thing: Rubric | Judge) -> str:
        """NAME@REVISION, that a rubric or a judge can be named by from then on; its name alone stands for the newest.

        Raises ServiceError, where it would touch the service's own machine, for one.
        """
        kind = "rubric" if isinstance(thing, Rubric) else "judge"
        asked = {kind: thing.model_dump(mode="json", exclude_defaults=True)}
        told = await self._send("POST", f"/v1/{kind}s", asked)
        return f"{told['name']}@{told['revision']}"

    async def events(self, run: str, after: str | None = None) -> AsyncIterator[Event]:
        """Each grade of a run when it is there, and how the run stands whenever that changes, until it has ended.

        Where the connection breaks it goes on after the last event, by itself; `after` is the id of one to begin after.
        Raises ServiceError.
        """
        failed = 0
        while True:
            error: ServiceError | None = None  # a service that stops ends its streams; another one goes on
            headers = {} if after is None else {"Last-Event-ID": after}
            timeout = aiohttp.ClientTimeout(total=None, connect=self._timeout_s, sock_read=SILENT_S)
            try:
                async with self._requested("GET", f"/v1/runs/{run}/events", None, headers, timeout) as reply:
                    if reply.status == 204:
                        return
                    if reply.status != 200:
                        raise _problem(reply, await reply.read())
                    async for event in events_of(reply.content.iter_any()):
                        after, failed = event.id, 0
                        yield event
                        if event.last:
                            return
            except (aiohttp.ClientError, TimeoutError) as trouble:
                error = self._silent(trouble)
            except ServiceError as refusal:
                if not refusal.passing:
                    raise
                error = refusal
            failed = failed + 1 if error else 0
            if error and failed == ATTEMPTS:
                raise error
            await asyncio.sleep(_pause(error, max(failed, 1)))

    async def _send(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        longer_s: float = 0.0,
        headers: dict[str, str] | None = None,
    ) -> Any:
        """The JSON of the answer, after as many attempts as it takes. Raises ServiceError."""
        attempts = AsyncRetrying(
            retry=retry_if_exception(lambda error: isinstance(error, ServiceError) and error.passing),
            stop=stop_after_attempt(ATTEMPTS),
            wait=_wait,
            reraise=True,
        )
        return await attempts(self._once, method, path, body, longer_s, headers)

    async def _once(
        self, method: str, path: str, body: dict[str, Any] | None, longer_s: float, headers: dict[str, str] | None
    ) -> Any:
        timeout = aiohttp.ClientTimeout(total=self._timeout_s + longer_s)
        try:
            async with self._requested(method, path, body, headers, timeout) as reply:
                raw = await reply.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise self._silent(error) from None
        if reply.status < 300:
            return json.loads(raw)
        raise _problem(reply, raw)

    def _requested(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None,
        headers: dict[str, str] | None,
        timeout: aiohttp.ClientTimeout,
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        if self._session is None:
            raise RuntimeError("the client is not open; use it as: async with Client(...) as client")
        return self._session.request(
            method, self._url + path, json=body, headers=headers, timeout=timeout, allow_redirects=False
        )

    def _silent(self, error: Exception) -> ServiceError:
        return ServiceError(f"{self._url} does not answer ({type(error).__name__}); is `judge serve` up?")


def _once() -> dict[str, str]:
    """A key by which a request that is sent again is known to be the same."""
    return {"Idempotency-Key": f'"{uuid4()}"'}


def _asked(items: Iterable[Item], rubric: str | Rubric, judge: str, samples: int) -> dict[str, Any]:
    told = [item.model_dump(mode="json", exclude_defaults=True) for item in items]
    by = rubric if isinstance(rubric, str) else rubric.model_dump(mode="json", exclude_defaults=True)
    return {"items": told, "rubric": by, "judge": judge, "samples": samples}


def _problem(reply: aiohttp.ClientResponse, raw: bytes) -> ServiceError:
    after = reply.headers.get("Retry-After", "")
    later = float(after) if after.isdecimal() else None
    try:
        told = json.loads(raw)
        detail, errors = f"{told['title']}: {told['detail']}", tuple(told.get("errors", ()))
        return ServiceError(detail, reply.status, told["type"], errors, later)
    except (ValueError, KeyError, TypeError):  # not from the service itself
        return ServiceError(f"an answer of status {reply.status} that is no problem", reply.status, retry_after_s=later)


def _wait(state: RetryCallState) -> float:
    """Seconds before the next attempt."""
    return _pause(None if state.outcome is None else state.outcome.exception(), state.attempt_number)


def _pause(error: BaseException | None, failed: int) -> float:
    """Seconds after so many failures: what the service asks for, else longer each time."""
    asked = error.retry_after_s if isinstance(error, ServiceError) else None
    return min(asked if asked is not None else FIRST_WAIT_S * 2 ** (failed - 1), LONGEST_WAIT_S)
