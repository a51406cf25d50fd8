"""`GET /v1/runs/{run}/compare/{other}`"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from api.desk import ToRead
from api.openapi import answer, problems
from api.problems import ACCESS, INVALID_REQUEST, NO_SUCH_RUN, STORE_UNAVAILABLE
from api.routes.examples import RUN
from api.routes.runs import ID, RunId, head_of
from judge.diffs import diff
from judge.grades import OVERALL
from judge.verdicts import Outcome

router = APIRouter(prefix="/v1/runs", tags=["results"])

MOST_MOVED = 100
OTHER = "0d4f7be1a913"


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CriterionComparison(_Model):
    """One criterion, or the overall, over the items that both runs graded.

    Means are over the `both` items that have a score in each. Where the scales are `unlike`, each is on its own one.
    """

    criterion: str
    both: int
    mean_before: float | None = None
    mean_after: float | None = None
    change: float | None = Field(
        default=None, description="Of the means; null where no item has both, or the scales are unlike."
    )
    up: int | None = None
    down: int | None = None
    gained: int = Field(description="Items with a score only in the second run.")
    lost: int = Field(description="Items with a score only in the first run.")
    unlike: str | None = None
    unclipped_before: float | None = None
    unclipped_after: float | None = None


class Side(_Model):
    """What an item has in one of the runs."""

    outcome: Outcome
    score: float | None = None


class Move(_Model):
    """What differs of an item on a criterion."""

    item: str
    criterion: str
    before: Side
    after: Side


class Comparison(_Model):
    """Two runs beside each other, by the ids of their items. `moved` has the items whose overall differs most."""

    before: str
    after: str
    shared: int
    other_texts: int = Field(description="Shared items whose texts are others.")
    only_before: int
    only_after: int
    criteria: tuple[CriterionComparison, ...]
    criteria_only_before: tuple[str, ...]
    criteria_only_after: tuple[str, ...]
    moved: tuple[tuple[Move, ...], ...]


_EXAMPLE = Comparison(
    before=RUN.id,
    after=OTHER,
    shared=1,
    other_texts=0,
    only_before=0,
    only_after=0,
    criteria=(
        CriterionComparison(
            criterion=OVERALL,
            both=1,
            mean_before=0.75,
            mean_after=1.0,
            change=0.25,
            up=1,
            down=0,
            gained=0,
            lost=0,
            unlike=None,
            unclipped_before=None,
            unclipped_after=None,
        ),
    ),
    criteria_only_before=(),
    criteria_only_after=(),
    moved=(
        (
            Move(
                item="1",
                criterion=OVERALL,
                before=Side(outcome=Outcome.SCORED, score=0.75),
                after=Side(outcome=Outcome.SCORED, score=1.0),
            ),
        ),
    ),
)


@router.get(
    "/{run}/compare/{other}",
    responses={
        200: answer(_EXAMPLE.model_dump(mode="json")),
        **problems(*ACCESS, INVALID_REQUEST, NO_SUCH_RUN, STORE_UNAVAILABLE),
    },
)
def compare_runs(
    run: RunId,
    other: Annotated[str, Path(pattern=ID, examples=[OTHER], description="The id of the run that came after.")],
    desk: ToRead,
    most: Annotated[int, Query(ge=0, le=MOST_MOVED, examples=[10], description="Items to tell in full.")] = 10,
) -> Comparison:
    """Compares two runs item by item, as `judge runs diff` does."""
    before, after = (head_of(desk.store, one) for one in (run, other))
    return Comparison.model_validate(diff(desk.store, before, after, most).as_dict())
