"""What a service tells of a run as it goes on, read off a stream of server-sent events."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass

from judge.grades import Grade
from judge.statuses import RunStatus


@dataclass(frozen=True, slots=True)
class Event:
    """One event: a grade, or how the run stands. After the last one nothing more comes unasked.

    Attributes
    ----------
    id
        From where a stream goes on: what to send as `Last-Event-ID`.
    """

    id: str
    told: Grade | RunStatus
    last: bool = False


async def events_of(chunks: AsyncIterable[bytes]) -> AsyncIterator[Event]:
    """The whole events of a stream of bytes, cut anywhere; one that is cut off in the end is none.

    Raises ValueError for what no service of this version sends.
    """
    rest = b""
    async for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n\n")
        for block in whole:
            fields = dict(line.split(": ", 1) for line in block.decode().split("\n") if not line.startswith(":"))
            if "data" in fields:
                yield _event(fields)


def _event(fields: dict[str, str]) -> Event:
    kind, data = fields.get("event", ""), fields["data"]
    told = Grade.model_validate_json(data) if kind == "grade" else RunStatus.model_validate_json(data)
    return Event(fields.get("id", ""), told, kind == "end")
