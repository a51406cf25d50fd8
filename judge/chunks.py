"""Chunks: the parts of a run that several workers share out among them."""

from __future__ import annotations

from dataclasses import dataclass

from judge.owner import WORKERS, this_process

#: Items that one of several workers grades at a time: many chunks share a run out evenly, few cost less.
CHUNK_ITEMS = 25


@dataclass(frozen=True, slots=True)
class Part:
    """What of a run is graded here: all that is open of it, or of a chunk.

    Attributes
    ----------
    chunk
        Its number; None for the whole.
    sent_before
        What was sent before this moment and lost is sent again, where that is asked for: in seconds since 1970; None
        for now.
    shared
        Whether the run belongs to all workers, rather than to this process.
    batched
        Whether batches of the run may have brought answers.
    """

    chunk: int | None = None
    sent_before: float | None = None
    shared: bool = False
    batched: bool = False

    @property
    def owner(self) -> str:
        """Who has the run."""
        return WORKERS if self.shared else this_process()

    @property
    def between(self) -> tuple[int, int | None]:
        """The places before its first item, and after its last."""
        return (-1, None) if self.chunk is None else (self.chunk * CHUNK_ITEMS - 1, (self.chunk + 1) * CHUNK_ITEMS)
