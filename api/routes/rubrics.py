"""`GET /v1/rubrics`"""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict

from api.desk import ToRead
from api.errors import Refused
from api.openapi import answer, problems
from api.problems import ACCESS, NO_SUCH_RUBRIC, STORE_UNAVAILABLE
from api.routes.examples import RUBRIC
from rubrics import Rubric

router = APIRouter(prefix="/v1/rubrics", tags=["rubrics"])


class RubricEntry(BaseModel):
    """A rubric, as a list of rubrics shows it. `criteria` are their ids."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: str | None
    description: str
    hash: str
    criteria: tuple[str, ...]

    @classmethod
    def of(cls, rubric: Rubric) -> RubricEntry:
        """The entry of a rubric."""
        return cls(
            name=rubric.name,
            version=rubric.version,
            description=rubric.description,
            hash=rubric.hash,
            criteria=tuple(criterion.id for criterion in rubric.leaves),
        )


class RubricList(BaseModel):
    """The rubrics that can be named."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    object: Literal["list"] = "list"
    data: tuple[RubricEntry, ...]


@router.get(
    "",
    responses={
        200: answer(RubricList(data=(RubricEntry.of(RUBRIC),)).model_dump(mode="json")),
        **problems(*ACCESS, STORE_UNAVAILABLE),
    },
)
async def list_rubrics(desk: ToRead) -> RubricList:
    """The rubrics that can be named."""
    return RubricList(data=tuple(map(RubricEntry.of, desk.shelf.rubrics.values())))


@router.get(
    "/{name}",
    responses={200: answer(RUBRIC.model_dump(mode="json")), **problems(*ACCESS, NO_SUCH_RUBRIC, STORE_UNAVAILABLE)},
)
async def get_rubric(name: Annotated[str, Path(examples=[RUBRIC.name])], desk: ToRead) -> Rubric:
    """The whole of a rubric. Sent back with a request for grades, it grades as its name does."""
    found = desk.shelf.rubrics.get(name)
    if found is None:
        raise Refused(NO_SUCH_RUBRIC, "GET /v1/rubrics lists the rubrics that there are.")
    return found
