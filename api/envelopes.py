"""What carries items in and grades out: the domain's own models, wrapped."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from judge import Grade, Item
from judge.batching import WINDOW_S
from judge.grades import JudgeRef, RubricRef, Usage
from judge.runs import Mode
from judge.statuses import RunStatus
from rubrics import Rubric

MOST_ITEMS, MOST_RUN_ITEMS = 100, 20_000
MOST_SAMPLES = 20
LONGEST_NAME = 128
DEADLINE_S, LONGEST_DEADLINE_S = 120.0, 600.0


def read_rubric(value: object) -> object:
    """Inline rubrics are read as those in files are. Raises RubricError."""
    if isinstance(value, dict):
        return Rubric.parse(value)
    if not isinstance(value, str | None):
        raise PydanticCustomError("rubric", "Write the name of a rubric, or a whole rubric")
    return value


class Asked(BaseModel):
    """What to grade items by, and who grades."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    rubric: Annotated[str | Rubric | None, BeforeValidator(read_rubric)] = Field(
        None,
        description="A name that GET /v1/rubrics lists, NAME@REVISION, a hash, or a whole rubric: for items without "
        "one of their own.",
    )
    judge: str = Field(
        min_length=1,
        max_length=LONGEST_NAME,
        description="`provider/model`, a name that GET /v1/judges lists, NAME@REVISION, or a hash.",
    )
    samples: int = Field(1, ge=1, le=MOST_SAMPLES, description="How often each item is judged.")
    resend_lost: bool = Field(False, description="Ask again where an answer was lost, though it may have been paid.")


class Requested(Asked):
    """Items, what to grade them by, and who grades."""

    items: list[Item] = Field(min_length=1, description="No two with the same id.")


class GradesRequest(Requested):
    """What is graded while the caller waits."""

    items: list[Item] = Field(min_length=1, max_length=MOST_ITEMS, description="No two with the same id.")
    deadline_s: float = Field(
        DEADLINE_S,
        ge=1,
        le=LONGEST_DEADLINE_S,
        description="Seconds that grading may take. An item without an answer by then has the outcome `judge_error` "
        "with the cause `deadline`; where it is not yet known how a new judge can be asked, the answer is 503.",
    )


class RunOptions(Asked):
    """A run but for its items."""

    name: str = Field("items", min_length=1, max_length=200, description="Of the items, for people.")
    calibration: str | None = Field(None, max_length=200, description="The calibration that the grades are shown by.")
    budget_usd: float | None = Field(None, gt=0, le=1e9, description="What the run may cost; at this it pauses.")
    retry_failed: bool = Field(False, description="Grade again what failed, where the run was graded before.")
    mode: Mode = Field("live", description="`batch` asks through the provider's batches: half the price, within a day.")
    batch_window_s: float | None = Field(
        None, gt=0, le=WINDOW_S, description="Ask live what a batch has not answered after so many seconds."
    )
    fresh: bool = Field(False, description="A run of its own: no answer of an earlier one is used.")
    dry_run: bool = Field(False, description="Tell what it would cost, and make nothing.")


class RunRequest(RunOptions, Requested):
    """A run: items that are graded in the background, however long it takes. The same again is the same run."""

    items: list[Item] = Field(min_length=1, max_length=MOST_RUN_ITEMS, description="No two with the same id.")


class Resumption(BaseModel):
    """What a run may do when it goes on."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    budget_usd: float | None = Field(
        None, gt=0, le=1e9, description="What it may cost; null: as when it was submitted."
    )
    mode: Mode | None = Field(
        None, description="How what is open is asked; null: as before. `live` takes batches back from the provider."
    )
    batch_window_s: float | None = Field(
        None, gt=0, le=WINDOW_S, description="How long a batch may take now; null: as before."
    )
    resend_lost: bool = Field(False, description="Ask again where an answer was lost, though it may have been paid.")
    retry_failed: bool = Field(False, description="Grade again what failed.")


class RunList(BaseModel):
    """Runs, the newest first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    object: Literal["list"] = "list"
    data: tuple[RunStatus, ...]
    has_more: bool


class GradePage(BaseModel):
    """Grades of a run in the order of its items. Where there are more, `next` goes on after them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    object: Literal["list"] = "list"
    data: tuple[Grade, ...]
    has_more: bool
    next: int | None = Field(description="What to send as `after` for the next page.")


class Grades(BaseModel):
    """One grade for each item, in the order of the items. `usage` is the sum over all of them.

    `rubric` is that of the request; where it names none, one without criteria. Every grade says its own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    object: Literal["list"] = "list"
    data: tuple[Grade, ...]
    rubric: RubricRef
    judge: JudgeRef
    usage: Usage


def total(usages: Sequence[Usage]) -> Usage:
    """The sum. Its cost is None where one is."""
    costs = [usage.cost_usd for usage in usages if usage.cost_usd is not None]
    counted = set(Usage.model_fields) - {"cost_usd"}
    sums = {name: sum(getattr(usage, name) for usage in usages) for name in counted}
    return Usage(**sums, cost_usd=math.fsum(costs) if len(costs) == len(usages) else None)
