"""`GET /healthz`"""

from __future__ import annotations

from importlib.metadata import version
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict
from starlette.requests import Request

from api.openapi import answer, problems
from api.problems import NOT_LOCAL, STORE_UNAVAILABLE

VERSION = version("calibrated-judge")

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """The service is up, and its store answers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    status: Literal["ok"] = "ok"
    version: str = VERSION


@router.get("/healthz", responses={200: answer(Health().model_dump()), **problems(NOT_LOCAL, STORE_UNAVAILABLE)})
async def health(request: Request) -> Health:
    """Whether the service can be used."""
    await request.state.store.find("")
    return Health()
