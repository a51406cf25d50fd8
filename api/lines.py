"""Uploads: JSON lines, the request in the first line and an item in each line after it.

They are kept on disk until they are checked as a whole: memory holds one line at a time, and nothing is left of an
upload that has a fault or is cut off.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, closing, suppress
from itertools import islice
from tempfile import TemporaryFile
from typing import IO

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.requests import Request

from api.bodies import LARGEST_BYTES, parse
from api.envelopes import RunOptions
from api.errors import Refused
from api.handlers import MOST_FAULTS, fault_of
from api.problems import INVALID_REQUEST, NOT_LINES, TOO_LARGE, Fault
from api.receiving import received
from api.requested import check_item, unseen
from api.rooms import Room
from judge import Item, Judge, StoreError
from judge.datasets import Given, Scan, Seen

MEDIA = ("application/jsonl", "application/x-ndjson")
#: Uploads that are received at once, each on disk: of all tenants, and of one.
MOST_UPLOADS, MOST_OF_ONE = 8, 4
PIECE_BYTES = 1024 * 1024


class Uploads:
    """Receives uploads, a few at a time.

    Parameters
    ----------
    max_bytes, max_items
        Of one upload, packed and unpacked.
    """

    def __init__(self, max_bytes: int, max_items: int) -> None:
        self._max_bytes, self.max_items = max_bytes, max_items
        told = "uploads are being received; send this one in a moment"
        self._room = Room("uploads", MOST_UPLOADS, MOST_OF_ONE, told)

    @asynccontextmanager
    async def received(self, request: Request) -> AsyncIterator[IO[bytes]]:
        """The body of a request, in a file that lasts as long as the block. Raises Refused, StoreError."""
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() not in MEDIA:
            raise Refused(NOT_LINES, f"Send the header `Content-Type: {MEDIA[0]}`.")
        with self._room.taken(request.state.caller.tenant), ExitStack() as kept:
            try:
                file = TemporaryFile()  # noqa: SIM115 - it lasts as long as the block
                kept.callback(_discard, file)
                await self._receive(request, file)
            except OSError as error:
                advice = "make room for it, or name another folder in TMPDIR"
                raise StoreError(f"an upload cannot be kept on disk ({error.strerror}); {advice}") from None
            yield file

    async def _receive(self, request: Request, file: IO[bytes]) -> None:
        piece, encoding = bytearray(), request.headers.get("content-encoding", "")
        async for chunk in received(request.stream(), encoding, self._max_bytes, "upload the items in parts"):
            piece += chunk
            if len(piece) >= PIECE_BYTES:
                await asyncio.to_thread(file.write, bytes(piece))
                piece.clear()
        await asyncio.to_thread(file.write, bytes(piece))
        await asyncio.to_thread(file.flush)


def _discard(file: IO[bytes]) -> None:
    with suppress(OSError):  # on a full disk it tries to write what nobody will read
        file.close()


def options_of(file: IO[bytes]) -> RunOptions:
    """The request in the first line. Raises Refused, RequestValidationError, RubricError."""
    file.seek(0)
    raw = file.readline(LARGEST_BYTES + 1)
    if len(raw) > LARGEST_BYTES:
        raise Refused(TOO_LARGE, f"The first line is longer than {LARGEST_BYTES:,} bytes; it holds no items.")
    try:
        return RunOptions.model_validate(parse(raw))
    except ValidationError as error:
        faults = [{**one, "loc": ("body", *one["loc"])} for one in error.errors(include_url=False, include_input=False)]
        raise RequestValidationError(faults) from None


class Lines(Given):
    """The items of an upload, read from its file as often as needed. Scan them first."""

    takes_long = True

    def __init__(self, file: IO[bytes], options: RunOptions, max_items: int, max_output_bytes: int) -> None:
        super().__init__(options.name, ())
        self._file, self._without_rubric = file, options.rubric is None
        self._max_items, self._max_output_bytes = max_items, max_output_bytes
        self._scan: Scan | None = None

    def scan(self) -> Scan:
        """Checks every line, once. Raises Refused, with the lines that are no items."""
        if self._scan is None:
            self._scan = super().scan()
        return self._scan

    def check_for(self, judge: Judge) -> None:
        """Refuses items with an image that a judge cannot see. Raises Refused."""
        if judge.takes_images or not self.scan().images:
            return
        faults = (
            _in_line(number, fault)
            for place, (number, item) in enumerate(self._checked())
            if isinstance(item, Item) and (fault := unseen(item, f"/items/{place}", judge)) is not None
        )
        raise _faulty(tuple(islice(faults, MOST_FAULTS)))

    def _checked(self) -> Iterator[tuple[int, Item | str]]:
        if self._scan is not None:
            yield from ((number, Item.model_validate(parse(raw))) for number, raw in self._lines())
            return
        faults: list[Fault] = []
        place = -1
        with closing(Seen()) as seen:
            for place, (number, raw) in enumerate(self._lines()):
                if place == self._max_items:
                    raise Refused(TOO_LARGE, f"The limit is {self._max_items:,} items; upload them in parts.")
                item = self._item_of(raw, f"/items/{place}")
                if isinstance(item, Item):
                    first = seen.first(item.id, number)
                    if first is None:
                        yield number, item
                        continue
                    item = (Fault(detail=f"The item in line {first} has the same id.", pointer=f"/items/{place}/id"),)
                faults += (_in_line(number, one) for one in item)
                if len(faults) >= MOST_FAULTS:
                    break
        if faults:
            raise _faulty(faults[:MOST_FAULTS])
        if place < 0:
            raise Refused(INVALID_REQUEST, "There is no item; write one in each line after the first.")

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        """The lines after the first that are not blank, and their numbers. One that is too long is cut."""
        self._file.seek(0)
        self._file.readline()
        number = 1
        while raw := self._file.readline(LARGEST_BYTES + 1):
            number += 1
            if raw.strip():
                yield number, raw
            while len(raw) > LARGEST_BYTES and not raw.endswith(b"\n"):
                raw = self._file.readline(LARGEST_BYTES)

    def _item_of(self, raw: bytes, pointer: str) -> Item | Sequence[Fault]:
        """The item in a line, or what is wrong with it."""
        if len(raw) > LARGEST_BYTES:
            return (Fault(detail=f"It is longer than {LARGEST_BYTES:,} bytes; shorten the item.", pointer=pointer),)
        try:
            item = Item.model_validate(parse(raw))
            check_item(item, pointer, self._max_output_bytes)
        except ValidationError as error:
            found = [fault_of(one, pointer) for one in error.errors(include_url=False, include_input=False)]
            return found[:MOST_FAULTS]
        except Refused as error:
            return error.problem.errors or (Fault(detail=error.problem.detail, pointer=pointer),)
        if self._without_rubric and item.rubric is None:
            return (Fault(detail="It has no rubric; give it one, or name one in the first line.", pointer=pointer),)
        return item


def _in_line(number: int, fault: Fault) -> Fault:
    return fault.model_copy(update={"detail": f"Line {number}: {fault.detail}"})


def _faulty(faults: Sequence[Fault]) -> Refused:
    return Refused(INVALID_REQUEST, "Mend these lines, then send all of it again.", *faults)
