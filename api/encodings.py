"""Bodies that come compressed, unpacked as they come, a piece at a time: what is asked of memory is one piece."""

from __future__ import annotations

import zlib
from collections.abc import AsyncGenerator, AsyncIterable

from api.errors import Refused
from api.problems import INVALID_ENCODING, OTHER_ENCODING

PIECE_BYTES = 64 * 1024
#: What is unpacked at a time: what is left of it is copied after every file of gzip that ends in it.
PACKED_BYTES = 4 * 1024
#: For zlib: a header as gzip has it.
_GZIP = 16 + zlib.MAX_WBITS


class _Other(Refused):
    """An encoding that is not taken."""

    def __init__(self) -> None:
        super().__init__(OTHER_ENCODING, "Send it as it is, or with `Content-Encoding: gzip`.")
        self.headers = {"Accept-Encoding": "gzip, identity"}


async def decoded(chunks: AsyncIterable[bytes], encoding: str) -> AsyncGenerator[bytes, None]:
    """A body without its `Content-Encoding`. Raises Refused; nothing is unpacked before it is asked for."""
    named = encoding.strip().lower()
    if named not in ("", "identity", "gzip", "x-gzip"):
        raise _Other()
    if named in ("", "identity"):
        async for chunk in chunks:
            yield chunk
        return
    unpacking = zlib.decompressobj(_GZIP)
    async for chunk in chunks:
        for place in range(0, len(chunk), PACKED_BYTES):
            rest = chunk[place : place + PACKED_BYTES]
            while rest:
                if unpacking.eof:  # a file of gzip may be several, one after another
                    unpacking = zlib.decompressobj(_GZIP)
                try:
                    piece = unpacking.decompress(rest, PIECE_BYTES)
                except zlib.error:
                    raise Refused(INVALID_ENCODING, "The body is not gzip; send it as its header says.") from None
                rest = unpacking.unused_data if unpacking.eof else unpacking.unconsumed_tail
                if piece:
                    yield piece
    if not unpacking.eof:
        raise Refused(INVALID_ENCODING, "The body ends in the middle of its gzip; send the whole of it.")
