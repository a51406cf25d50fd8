"""Anthropic's Message Batches: requests go up in one body, results come down as lines.

A batch takes no note of ours. One whose id was never told is known by its results, which have our names of its calls.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from judge.providers import Unreadable, wire
from judge.providers.batches import SKEW_S, Known, Line, Result, Status, Undecided, decoded, id_of, results_of
from judge.providers.transport import Transport

BATCHES = "/v1/messages/batches"
PAGE = 100
#: What the results say of a call that has no answer.
CAUSES = {"expired": "batch_expired", "canceled": "batch_cancelled"}

_AS_JSON = {"headers": {"Content-Type": "application/json"}}


class AnthropicBatches:
    """Batches of a server that speaks Messages."""

    most_requests, most_bytes = 100_000, 256_000_000

    def __init__(self, server: Transport) -> None:
        self._server = server

    async def create(self, mark: str, lines: Sequence[Line]) -> str:
        """See `Batches.create`; there is no place for a mark."""
        requests = b",".join(b'{"custom_id":%s,"params":%s}' % (wire.encode(one.custom_id), one.body) for one in lines)
        content = b'{"requests":[%s]}' % requests
        return id_of(decoded(await self._server.asked("post", BATCHES, content, content=content, options=_AS_JSON)))

    async def find(
        self,
        mark: str,
        custom_ids: Collection[str],
        since: float,
        known: Known,
    ) -> str | None:
        """By the names of its calls, among those of as many calls that were made since."""
        may_be = await self._candidates(len(custom_ids), since)
        of_others = await known([id_of(one) for one in may_be])
        undecided = False
        for one in may_be:
            id = id_of(one)
            if id in of_others:
                continue
            if one.get("processing_status") != "ended":
                undecided = True
            elif any(result.custom_id in custom_ids for result in await self.results(id)):
                return id
        if undecided:
            raise Undecided
        return None

    async def _candidates(self, requests: int, since: float) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        params: dict[str, Any] = {"limit": PAGE}
        while True:
            page = decoded(await self._server.asked("get", BATCHES, options={"params": params}))
            batches = [one for one in page.get("data") or [] if isinstance(one, dict)]
            recent = [one for one in batches if _made_at(one) >= since - SKEW_S]
            found += [one for one in recent if _requests(one) == requests]
            if not page.get("has_more") or len(recent) < len(batches) or not batches:
                return found
            params["after_id"] = id_of(batches[-1])

    async def status(self, id: str) -> Status:
        """See `Batches.status`."""
        batch = decoded(await self._server.asked("get", f"{BATCHES}/{id}"), "processing_status")
        counts = batch.get("request_counts") or {}
        return Status(batch["processing_status"] == "ended", wire.count(counts.get("succeeded")))

    async def cancel(self, id: str) -> None:
        """See `Batches.cancel`."""
        await self._server.asked("post", f"{BATCHES}/{id}/cancel")

    async def results(self, id: str) -> Sequence[Result]:
        """From the server that was asked, whatever address it names: the key goes nowhere else."""
        raw = await self._server.asked("get", f"{BATCHES}/{id}/results")
        return await asyncio.to_thread(results_of, raw, self._result)

    async def forget(self, id: str) -> None:
        """Nothing: results are deleted there after 29 days."""

    def _result(self, line: bytes) -> Result:
        told = decoded(line, "custom_id")
        name, result = told["custom_id"], told.get("result")
        if not isinstance(result, dict):
            raise Unreadable("not_a_result", "a line of the batch has no result")
        if result.get("type") == "succeeded":
            return Result(name, wire.exact(line, "result", "message").encode())
        error = (result.get("error") or {}).get("error") or {}
        cause = CAUSES.get(str(result.get("type"))) or self._server.explain(error)[0] or wire.word(error.get("type"))
        return Result(name, None, cause or "batch_error")


def _requests(one: dict[str, Any]) -> int:
    return sum(wire.count(number) or 0 for number in (one.get("request_counts") or {}).values())


def _made_at(one: dict[str, Any]) -> float:
    try:
        return datetime.fromisoformat(one["created_at"]).timestamp()
    except (KeyError, TypeError, ValueError):
        raise Unreadable("not_a_batch", "the reply does not say when a batch was made") from None
