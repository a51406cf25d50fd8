"""`/v1/runs`: items that are graded in the background."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Query
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from api import idempotency, limits
from api.bodies import StrictRoute
from api.desk import Desk, ToGrade, ToRead
from api.envelopes import Resumption, RunList, RunOptions, RunRequest
from api.errors import Refused
from api.limits import Full
from api.openapi import answer, problems
from api.problems import (
    ACCESS,
    BODY,
    BUDGET_USED_UP,
    INVALID_KEY,
    INVALID_REQUEST,
    INVALID_RUBRIC,
    JUDGE_PAUSED,
    JUDGE_SETUP,
    KEY_IN_USE,
    KEY_REUSED,
    NO_SUCH_RUN,
    NOT_NOW,
    OTHER_CALIBRATION,
    OVERLOADED,
    RUN_BUSY,
    STORE_UNAVAILABLE,
    Fault,
)
from api.requested import asked_of, check_items
from api.routes.examples import ESTIMATE, RUN, RUN_REQUEST
from judge import Judge
from judge.datasets import Given
from judge.errors import InputError, OtherCalibration, Overloaded
from judge.estimates import Estimate
from judge.estimating import estimate
from judge.runs import Options
from judge.statuses import RunStatus
from judge.store.results import RunHead, RunInfo
from judge.store.store import Store
from judge.store.submissions import Standing
from rubrics import Rubric

router = APIRouter(prefix="/v1/runs", tags=["runs"])
bodied = APIRouter(prefix="/v1/runs", tags=["runs"], route_class=StrictRoute)

MOST_RUNS = 100
ID = "^[0-9a-f]{12}$"
RunId = Annotated[str, Path(pattern=ID, examples=[RUN.id], description="The id of a run.")]
REFUSALS = (
    *BODY,
    *ACCESS,
    INVALID_REQUEST,
    JUDGE_SETUP,
    JUDGE_PAUSED,
    RUN_BUSY,
    STORE_UNAVAILABLE,
)
#: What is refused beside these where a run is made.
SUBMITTED = (BUDGET_USED_UP, INVALID_KEY, INVALID_RUBRIC, KEY_IN_USE, KEY_REUSED, OTHER_CALIBRATION, OVERLOADED)
QUOTED: dict[str, Any] = {
    **answer(ESTIMATE.model_dump(mode="json")),
    "model": Estimate,
    "description": "What it would cost, for a `dry_run`.",
}
HEADERS = {
    "Location": {"description": "Where the run is.", "schema": {"type": "string"}},
    "Retry-After": {"description": "Seconds until it is worth a look.", "schema": {"type": "string"}},
    idempotency.REPLAYED: {
        "description": "`true` where this is the answer of an earlier request.",
        "schema": {"type": "string"},
    },
}


@bodied.post(
    "",
    status_code=202,
    response_model=RunStatus,
    openapi_extra={"parameters": [idempotency.PARAMETER]},
    responses={
        200: QUOTED,
        202: {**answer(RUN.model_dump(mode="json")), "headers": HEADERS | limits.HEADERS},
        **problems(*REFUSALS, *SUBMITTED),
    },
)
async def submit_run(
    body: Annotated[RunRequest, Body(examples=[RUN_REQUEST])], desk: ToGrade, request: Request
) -> Response:
    """Takes items to be graded in the background. What is accepted is on disk, and is graded whatever happens.

    Equal items, rubric, judge and samples are one run: submitted again it goes on with what is open, and pays for
    nothing twice. `fresh` makes a run of its own, or goes on with an earlier such one that is not done. An
    `Idempotency-Key` gives the first answer again, for seven days. With `dry_run` nothing is made or sent: the answer
    says what the run would cost, by what the judge came to before.
    """

    async def work(keep: idempotency.Keep) -> Response:
        rubric, judge = await asyncio.to_thread(asked_of, desk.shelf, body)
        check_items(body.items, judge, desk.max_output_bytes)
        dataset = Given(body.name, body.items, judge.takes_images)
        if body.dry_run:
            return await quoted(desk, dataset, rubric, judge, body)
        return await submitted(desk, dataset, rubric, judge, body, keep)

    if body.dry_run:
        return await work(idempotency.keep_nothing)
    # Asked for again it is answered as it was, whatever became of its rubric and judge.
    return await idempotency.once(desk.store, request, "POST /v1/runs", body, work)


async def quoted(desk: Desk, dataset: Given, rubric: Rubric, judge: Judge, body: RunOptions) -> Response:
    """What a run of items that were checked would cost. Raises SetupError."""
    scan = await asyncio.to_thread(dataset.scan)
    options = Options(samples=body.samples, fresh=body.fresh, mode=body.mode)
    made = await estimate(desk.store, dataset, scan, rubric, judge, options)
    return Response(made.model_dump_json(), media_type="application/json")


async def submitted(
    desk: Desk, dataset: Given, rubric: Rubric, judge: Judge, body: RunOptions, keep: idempotency.Keep
) -> Response:
    """Makes a run of items that were checked, and wants it graded. Raises Refused."""
    accepted = Accepted(desk.store, keep)
    options = Options(
        samples=body.samples,
        budget_usd=body.budget_usd,
        mode=body.mode,
        batch_window_s=body.batch_window_s,
        fresh=body.fresh,
        resend_lost=body.resend_lost,
        retry_failed=body.retry_failed,
        paid_by=desk.key,
    )
    try:
        await desk.worker.submit(dataset, judge, rubric, options, body.calibration, accepted)
    except InputError as error:  # what is left is the calibration
        fault = Fault(detail=str(error), pointer="/calibration")
        raise Refused(INVALID_REQUEST, "The calibration cannot be used.", fault) from None
    except OtherCalibration as error:
        fault = Fault(detail="Name one of this rubric and judge, or leave it out.", pointer="/calibration")
        raise Refused(OTHER_CALIBRATION, str(error), fault) from None
    except Overloaded as error:
        raise Full.of(error) from None
    return accepted.response


@router.get(
    "",
    responses={
        200: answer(RunList(data=(RUN,), has_more=False).model_dump(mode="json")),
        **problems(*ACCESS, INVALID_REQUEST, NO_SUCH_RUN, STORE_UNAVAILABLE),
    },
)
def list_runs(
    desk: ToRead,
    after: Annotated[str | None, Query(pattern=ID, description="The last run of a page.", examples=[RUN.id])] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_RUNS, examples=[20])] = 20,
) -> RunList:
    """Runs, the newest first. The next page is that `after` the last one of this."""
    last = None if after is None else standing_of(desk.store, after).info
    found: list[RunInfo] = desk.store.ask(desk.store.results.runs, limit=limit + 1, after=last)
    told = desk.store.ask(desk.store.submissions.standing, [one.id for one in found[:limit]])
    return RunList(data=tuple(map(RunStatus.of, told)), has_more=len(found) > limit)


@router.get(
    "/{run}",
    responses={
        200: answer(RUN.model_dump(mode="json")),
        **problems(*ACCESS, INVALID_REQUEST, NO_SUCH_RUN, STORE_UNAVAILABLE),
    },
)
def get_run(run: RunId, desk: ToRead) -> RunStatus:
    """How far a run is."""
    return _status(desk.store, run)


@router.post(
    "/{run}/cancel",
    responses={
        200: answer(RUN.model_copy(update={"status": "cancelled"}).model_dump(mode="json")),
        **problems(*ACCESS, INVALID_REQUEST, NO_SUCH_RUN, NOT_NOW, STORE_UNAVAILABLE),
    },
)
async def cancel_run(run: RunId, desk: ToGrade) -> RunStatus:
    """Sends nothing more for a run. Answers under way are kept; `resume` goes on with what is open."""
    await asyncio.to_thread(standing_of, desk.store, run)
    settled = await desk.worker.cancel(run)
    found = await asyncio.to_thread(_status, desk.store, run)
    if not settled and not found.ended:
        raise Refused(NOT_NOW, "The run was not submitted here; stop the program that grades it.")
    return found


@bodied.post(
    "/{run}/resume",
    status_code=202,
    response_model=RunStatus,
    openapi_extra={"parameters": [idempotency.PARAMETER]},
    responses={
        202: {**answer(RUN.model_dump(mode="json")), "headers": HEADERS | limits.HEADERS},
        **problems(*REFUSALS, INVALID_KEY, NO_SUCH_RUN, NOT_NOW, KEY_IN_USE, KEY_REUSED, OVERLOADED),
    },
)
async def resume_run(
    run: RunId,
    body: Annotated[Resumption, Body(examples=[{}, {"retry_failed": True}])],
    desk: ToGrade,
    request: Request,
) -> Response:
    """Goes on with a run that was paused or cancelled, or grades again what is lost or failed.

    While as many runs wait as may, one more is refused, and stays as it was.
    """
    store = desk.store

    async def work(keep: idempotency.Keep) -> Response:
        one = await asyncio.to_thread(standing_of, store, run)
        info, before = one.info, one.submission
        if info.state == "loading" or info.rescored_from is not None:
            raise Refused(NOT_NOW, "It is being loaded, or counts the verdicts of another run anew; resume that one.")
        name = info.judge.name if before is None else before.judge
        if await asyncio.to_thread(desk.shelf.judge, name) is None:
            raise Refused(
                JUDGE_SETUP, f"The run's judge, {name}, is not here any more; put it back, or submit it anew."
            )
        options = Options(samples=info.samples) if before is None else Options(**before.options)
        options = replace(options, paid_by=desk.key, **body.model_dump(exclude_none=True))
        accepted = Accepted(store, keep)
        try:
            await desk.worker.resume(run, name, options, accepted)
        except Overloaded as error:
            raise Full.of(error) from None
        return accepted.response

    return await idempotency.once(store, request, f"POST /v1/runs/{run}/resume", body, work)


class Accepted:
    """The response to a run that is wanted, made and kept in the transaction that wants it."""

    response: Response

    def __init__(self, store: Store, keep: idempotency.Keep) -> None:
        self._store, self._keep = store, keep

    def __call__(self, connection: Connection, tenant: str, run: str) -> None:
        """Makes it anew, where the transaction is tried again. Raises Refused."""
        standing, waiting = self._store.submissions.accepted(connection, tenant, run)
        if standing is None:
            raise no_such_run()
        headers = {"Location": f"/v1/runs/{run}", "Retry-After": "1"} | limits.room(waiting)
        body = RunStatus.of(standing).model_dump_json(by_alias=True)
        self.response = Response(body, 202, headers, "application/json")
        self._keep(connection, tenant, self.response)


def standing_of(store: Store, run: str) -> Standing:
    """How a run stands. Raises Refused where there is none."""
    found: list[Standing] = store.ask(store.submissions.standing, [run])
    if not found:
        raise no_such_run()
    return found[0]


def head_of(store: Store, run: str) -> RunHead:
    """What a run is. Raises Refused where there is none."""
    found: RunHead | None = store.ask(store.results.run_head, run)
    if found is None:
        raise no_such_run()
    return found


def no_such_run() -> Refused:
    """What to raise for an id that no run has."""
    return Refused(NO_SUCH_RUN, "GET /v1/runs lists the runs that there are.")


def _status(store: Store, run: str) -> RunStatus:
    return RunStatus.of(standing_of(store, run))
