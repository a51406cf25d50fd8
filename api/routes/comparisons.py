"""`GET /v1/runs/{run}/compare/{other}`"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query

from api.desk import ToRead
from api.openapi import answer, problems
from api.problems import ACCESS, INVALID_REQUEST, NO_SUCH_RUN, STORE_UNAVAILABLE
from api.routes.examples import RUN
from api.routes.runs import ID, RunId, head_of
from judge.answers import Comparison, CriterionComparison, Move, Side
from judge.diffs import diff
from judge.grades import OVERALL
from judge.verdicts import Outcome

router = APIRouter(prefix="/v1/runs", tags=["results"])

MOST_MOVED = 100
OTHER = "0d4f7be1a913"


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
