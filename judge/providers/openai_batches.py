"""OpenAI's Batch API: a file of requests goes up, files of answers and of errors come down."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Any

from judge.providers import CallError, NotSent, Rejected, Unreadable, wire
from judge.providers.batches import SKEW_S, Known, Line, Result, Status, decoded, id_of, results_of
from judge.providers.transport import Transport, rejected

BATCHES, FILES = "/batches", "/files"
#: Where a batch's metadata has our name of it.
MARK = "judge_batch"
ENDED = frozenset({"completed", "expired", "cancelled", "failed"})
#: How long it may take to have the requests of a batch shown again.
FILE_S = 2.0
#: So many batches of a list in one reply.
PAGE = 100

_AS_FILE = {"headers": {"Content-Type": "multipart/form-data"}}


class OpenAIBatches:
    """Batches of one path of a server, such as `/chat/completions`."""

    most_requests, most_bytes = 50_000, 200_000_000

    def __init__(self, server: Transport, path: str) -> None:
        self._server, self._endpoint = server, f"/v1{path}"

    async def create(self, mark: str, lines: Sequence[Line]) -> str:
        """Uploads the requests, and makes a batch of them."""
        requests = [self._line(one) for one in lines]
        sent = b"[%s]" % b",".join(requests)
        named = [("file", ("requests.jsonl", b"".join(b"%s\n" % one for one in requests)))]
        upload = {"body": {"purpose": "batch"}, "files": named, "options": _AS_FILE}
        file = id_of(decoded(await self._server.asked("post", FILES, sent, **upload)))
        asked = {
            "completion_window": "24h",
            "endpoint": self._endpoint,
            "input_file_id": file,
            "metadata": {MARK: mark},
        }
        try:
            return id_of(decoded(await self._server.asked("post", BATCHES, sent, body=asked)))
        except (NotSent, Rejected) as failure:
            if not isinstance(failure, Rejected) or failure.status < 500:  # else there may be a batch of it
                with suppress(CallError):
                    await self._server.asked("delete", f"{FILES}/{file}")
            raise

    async def find(
        self,
        mark: str,
        custom_ids: Collection[str],
        since: float,
        known: Known,
    ) -> str | None:
        """By the mark in its metadata."""
        params: dict[str, Any] = {"limit": PAGE}
        while True:
            page = decoded(await self._server.asked("get", BATCHES, options={"params": params}))
            found = page.get("data") or []
            for one in found:
                if (one.get("metadata") or {}).get(MARK) == mark:
                    return id_of(one)
            oldest = found[-1].get("created_at") if found else None
            if not page.get("has_more") or not isinstance(oldest, int | float) or oldest < since - SKEW_S:
                return None
            params["after"] = id_of(found[-1])

    async def status(self, id: str) -> Status:
        """See `Batches.status`."""
        batch = await self._batch(id)
        counts = batch.get("request_counts") or {}
        refusal = await self._refusal(batch) if batch["status"] == "failed" else None
        return Status(batch["status"] in ENDED, wire.count(counts.get("completed")), refusal)

    async def cancel(self, id: str) -> None:
        """See `Batches.cancel`."""
        await self._server.asked("post", f"{BATCHES}/{id}/cancel")

    async def results(self, id: str) -> Sequence[Result]:
        """Of both files. A batch that nothing was answered of has none."""
        files = _files(await self._batch(id), "output_file_id", "error_file_id")
        contents = [await self._server.asked("get", f"{FILES}/{file}/content") for file in files]
        return await asyncio.to_thread(results_of, b"\n".join(contents), self._result)

    async def forget(self, id: str) -> None:
        """The files of requests, of answers and of errors, which are kept for a month, or for good."""
        for file in _files(await self._batch(id), "input_file_id", "output_file_id", "error_file_id"):
            await self._server.asked("delete", f"{FILES}/{file}")

    async def _refusal(self, batch: dict[str, Any]) -> str:
        """Why a batch failed: in the provider's words where its own file says what they must not repeat."""
        errors = (batch.get("errors") or {}).get("data") or [{}]
        code = wire.word(errors[0].get("code"))
        try:
            async with asyncio.timeout(FILE_S):
                content = await self._server.asked("get", f"{FILES}/{id_of(batch, 'input_file_id')}/content")
            requests = content.splitlines() or [b""]
            decoded(requests[0], "custom_id")  # anything else would show nothing of what is repeated
            asked = self._server.known(b"[%s]" % b",".join(requests))
            said = await asyncio.to_thread(asked.fit, str(errors[0].get("message") or ""))
        except (CallError, TimeoutError, ValueError, RecursionError):
            said = ""
        return said or code or "it says nothing of why that could be told"

    async def _batch(self, id: str) -> dict[str, Any]:
        return decoded(await self._server.asked("get", f"{BATCHES}/{id}"), "status")

    def _line(self, one: Line) -> bytes:
        names = wire.encode({"custom_id": one.custom_id, "method": "POST", "url": self._endpoint})
        return b'%s,"body":%s}' % (names.removesuffix(b"}"), one.body)

    def _result(self, line: bytes) -> Result:
        told = decoded(line, "custom_id")
        name, response, error = told["custom_id"], told.get("response"), told.get("error")
        if isinstance(response, dict) and response.get("status_code") == 200 and "body" in response:
            return Result(name, wire.exact(line, "response", "body").encode())
        if isinstance(response, dict) and isinstance(status := response.get("status_code"), int):
            unknown = self._server.known(None)
            return Result(name, None, rejected(status, response.get("body"), {}, self._server.explain, unknown).cause)
        cause = wire.word(error.get("code")) if isinstance(error, dict) else None
        if error is None and response is None:
            raise Unreadable("not_a_result", "a line of the batch has neither a response nor an error")
        return Result(name, None, cause or "batch_error")


def _files(batch: dict[str, Any], *fields: str) -> list[str]:
    return [id_of(batch, field) for field in fields if batch.get(field)]
