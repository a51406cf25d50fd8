"""`GET /v1/budgets`"""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from api.desk import ToRead
from api.openapi import answer, problems
from api.problems import ACCESS, STORE_UNAVAILABLE
from judge.budgets import BudgetStanding, Period

router = APIRouter(prefix="/v1/budgets", tags=["budgets"])

EXAMPLE = BudgetStanding(
    of="key", period=Period.MONTH, month="2026-11", limit_usd=50.0, spent_usd=12.25, left_usd=37.75
)


class BudgetList(BaseModel):
    """The budgets that calls of one key count for: its own, then those of its tenant."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    object: Literal["list"] = "list"
    data: tuple[BudgetStanding, ...]


@router.get(
    "",
    responses={
        200: answer(BudgetList(data=(EXAMPLE,)).model_dump(mode="json")),
        **problems(*ACCESS, STORE_UNAVAILABLE),
    },
)
def list_budgets(desk: ToRead) -> BudgetList:
    """The budgets that limit what the caller spends, and how they stand. None are listed where nothing is limited."""
    return BudgetList(data=tuple(desk.store.ask(desk.store.budgets.standing, desk.key)))
