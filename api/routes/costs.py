"""`GET /v1/costs`"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from api.desk import ToRead
from api.openapi import answer, problems
from api.problems import ACCESS, INVALID_REQUEST, STORE_UNAVAILABLE
from api.routes.examples import RUN
from judge.answers import Cost, CostList
from judge.store.spending import DAY_S, By, Spent

router = APIRouter(prefix="/v1/costs", tags=["costs"])

MOST = 1_000
EPOCH = date(1970, 1, 1)
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


def _written_out(value: object) -> object:
    """A date as ISO 8601 writes it: a number would be read as seconds since 1970."""
    if isinstance(value, str) and _DAY.fullmatch(value) is None:
        raise PydanticCustomError("day", "Write a day such as 2026-11-01")
    return value


Day = Annotated[date, BeforeValidator(_written_out)]


_EXAMPLE = Cost(
    run=RUN.id, name=RUN.name, calls=1, lost=0, unpriced=0, prompt_tokens=412, completion_tokens=38, cost_usd=0.00023
)
_TOTAL = _EXAMPLE.model_copy(update={"run": None, "name": None})


@router.get(
    "",
    responses={
        200: answer(CostList(data=(_EXAMPLE,), has_more=False, total=_TOTAL).model_dump(mode="json")),
        **problems(*ACCESS, INVALID_REQUEST, STORE_UNAVAILABLE),
    },
)
def list_costs(
    desk: ToRead,
    by: Annotated[By, Query(examples=["run"], description="What they are told by.")] = By.RUN,
    begins: Annotated[
        Day | None, Query(alias="from", examples=["2026-11-01"], description="The first day, in UTC.")
    ] = None,
    ends: Annotated[Day | None, Query(alias="to", examples=["2026-11-30"], description="The last day.")] = None,
    limit: Annotated[int, Query(ge=1, le=MOST, examples=[100])] = 100,
) -> CostList:
    """What calls cost by the ledger: the runs or judges that cost most, or day by day, the newest first."""
    within = (_seconds(begins), None if ends is None else _seconds(ends) + DAY_S)
    found = desk.store.ask(desk.store.spending.spent, by, *within, limit + 1)
    total = desk.store.ask(desk.store.spending.total, *within)
    return CostList(
        data=tuple(_cost(one, by) for one in found[:limit]), has_more=len(found) > limit, total=_cost(total)
    )


def _cost(spent: Spent, by: By | None = None) -> Cost:
    """As the store has it."""
    told = {name: getattr(spent, name) for name in Cost.model_fields.keys() - set(By)}
    if by is By.DAY:
        told["day"] = EPOCH + timedelta(days=int(spent.of or 0))
    elif by is not None:
        told[by.value] = spent.of
    return Cost(**told)


def _seconds(day: date | None) -> float:
    """Since 1970, when a day begins in UTC."""
    return 0.0 if day is None else datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()
