"""Bodies as they arrive: within a limit, packed and unpacked, and without long waits between their parts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

from api.encodings import decoded
from api.errors import Refused
from api.problems import TOO_LARGE, TOO_SLOW

#: Seconds that may pass without a byte of a body.
IDLE_S = 30.0


async def received(chunks: AsyncIterator[bytes], encoding: str, most: int, advice: str) -> AsyncGenerator[bytes, None]:
    """A body without its encoding. Raises Refused, with advice for one that is too large."""
    size = 0
    async for chunk in decoded(_arriving(chunks, most, advice), encoding):
        size += len(chunk)
        refuse_large(size, most, advice)
        yield chunk


async def _arriving(chunks: AsyncIterator[bytes], most: int, advice: str) -> AsyncGenerator[bytes, None]:
    """The bytes that are sent. They may unpack to less than they are, or to nothing at all."""
    size = 0
    while True:
        try:
            async with asyncio.timeout(IDLE_S):
                chunk = await anext(chunks, None)
        except TimeoutError:
            detail = f"Nothing of the body came for {IDLE_S:g} seconds; send the request again, without a pause."
            raise Refused(TOO_SLOW, detail) from None
        if chunk is None:
            return
        size += len(chunk)
        refuse_large(size, most, advice)
        yield chunk


def refuse_large(size: int, most: int, advice: str) -> None:
    """Raises Refused."""
    if size > most:
        raise Refused(TOO_LARGE, f"The limit is {most:,} bytes; {advice}.")
