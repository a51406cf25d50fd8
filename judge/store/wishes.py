"""What is to become of submitted runs."""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import exists

from judge.store.batches import BatchState
from judge.store.tables import batch, submission


class Wish(StrEnum):
    """What is to become of a submitted run."""

    WANTED = "wanted"  #: graded, by whoever is free
    PAUSED = "paused"  #: nothing, until somebody says so: the judge or the budget stopped it
    CANCELLED = "cancelled"  #: nothing more; its caller said so
    DONE = "done"  #: every item is


#: Of submissions: the provider may have a batch of the run.
HANDED_OVER = exists().where(
    batch.c.tenant == submission.c.tenant, batch.c.run == submission.c.run, batch.c.state != BatchState.ENDED
)
#: What somebody has to do something for: what is wanted; and what was cancelled while the provider has a batch of it.
TO_DO = (submission.c.state == Wish.WANTED) | (submission.c.state == Wish.CANCELLED) & HANDED_OVER
