"""How a run stands, for whoever asks."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from judge.grades import JudgeRef, RubricRef

if TYPE_CHECKING:
    from judge.store.submissions import Standing

RunState = Literal["queued", "running", "paused", "cancelled", "completed"]

#: Of runs that go on unasked.
AT_WORK = frozenset({"queued", "running"})


class RunStatus(BaseModel):
    """A run, and how far it is. `why` says what paused it, or what it waits for.

    `graded` items have their grades, `held` ones an answer that is lost; `open` ones are still to be graded.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    object: Literal["run"] = "run"
    id: str
    status: RunState
    why: str | None = None
    name: str
    rubric: RubricRef
    judge: JudgeRef
    samples: int
    items: int
    graded: int
    held: int
    open: int
    cost_usd: float | None = Field(description="So far; lost answers at their worst. Null where a price is unknown.")
    created_at: float = Field(description="Seconds since 1970.")

    @property
    def ended(self) -> bool:
        """Whether nothing more happens to it unasked."""
        return self.status not in AT_WORK

    @classmethod
    def of(cls, one: Standing) -> RunStatus:
        """The status of a run as it is stored."""
        info = one.info
        status = state_of(info.state, None if one.submission is None else one.submission.wish, one.owner)
        why = None if one.submission is None else one.submission.why
        if one.handed_over is not None and status in AT_WORK:
            since = datetime.fromtimestamp(one.handed_over.since, UTC).isoformat(timespec="seconds")
            why = f"the provider has {one.handed_over.calls:,} calls of it in batches, since {since}"
        elif why is None and info.held and status == "completed":
            why = f"{info.held:,} items wait for answers that are lost; resume it with `resend_lost` to ask again"
        return cls(
            id=info.id,
            status=status,
            why=why,
            name=info.dataset,
            rubric=info.rubric,
            judge=info.judge,
            samples=info.samples,
            items=info.items,
            graded=info.finished,
            held=info.held,
            open=info.items - info.finished - info.held,
            cost_usd=info.cost_usd,
            created_at=info.created_at,
        )


def state_of(state: str, wish: str | None, owner: str | None) -> RunState:
    """How a run stands, from what is stored of it, what is wanted of it, and the live process that is at work on it.

    Of a run that nobody submitted, such as one of `judge grade`, it is told by whether somebody is.
    """
    if wish == "paused" or wish == "cancelled":
        return "paused" if wish == "paused" else "cancelled"
    if state == "done" and wish != "wanted":
        return "completed"
    if owner is not None:
        return "running"
    return "queued" if wish == "wanted" else "paused"
