"""What a service tells of a run as it goes on, read off a stream of server-sent events."""

from __future__ import annotations

import json
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass

from judge.client_transport import ServiceError, read
from judge.grades import Grade
from judge.statuses import RunStatus

#: What each kind of event holds.
_KINDS: dict[str, type[Grade | RunStatus]] = {"status": RunStatus, "grade": Grade, "end": RunStatus}


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

    Kinds that are not known here are passed over. Raises ServiceError for a known one that cannot be read.
    """
    rest = b""
    async for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n\n")
        for block in whole:
            lines = block.decode(errors="replace").split("\n")
            fields = dict(line.split(": ", 1) for line in lines if ": " in line and not line.startswith(":"))
            if "data" in fields and fields.get("event") in _KINDS:
                yield _event(fields)


def _event(fields: dict[str, str]) -> Event:
    kind = fields["event"]
    try:
        data = json.loads(fields["data"])
    except ValueError:
        raise ServiceError("an event that is no JSON; is it the service that is asked?") from None
    return Event(fields.get("id", ""), read(_KINDS[kind], data), kind == "end")
