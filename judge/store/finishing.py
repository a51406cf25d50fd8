"""Items of a run, finished: their verdicts and grades, written in one transaction with the end of the item."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, update

from judge.costs import Receipt
from judge.errors import RunBusy
from judge.grades import OVERALL, Grade, Graded
from judge.owner import this_process
from judge.store.conflicts import ignoring
from judge.store.runs import SUMMED, check_owned, lost_by
from judge.store.tables import grade, run_item, verdict
from judge.verdicts import Outcome

_FINISH = (
    update(run_item)
    .where(run_item.c.tenant == bindparam("b_tenant"), run_item.c.run == bindparam("b_run"))
    # Where it was done before, it is not added up again.
    .where(run_item.c.seq == bindparam("b_seq"), run_item.c.revision == bindparam("b_revision"))
    .where(run_item.c.state == "open")
    .values({name: run_item.c[name] + bindparam(f"b_{name}") for name in SUMMED})
)


def finish_for(
    tenant: str, run_id: str, by: str
) -> Callable[[Connection, Sequence[tuple[int, int, Graded]]], list[RunBusy] | None]:
    """The batch operation that writes an item's verdicts and grades and ends it, all or nothing.

    Returns what to raise where the run is no longer the owner's: raised here, it would undo the rest of the batch.
    """

    def finish(connection: Connection, finished: Sequence[tuple[int, int, Graded]]) -> list[RunBusy] | None:
        if (lost := lost_by(connection, tenant, run_id, by)) is not None:
            return [lost for _ in finished]
        verdicts: list[dict[str, Any]] = []
        grades: list[dict[str, Any]] = []
        places: list[dict[str, Any]] = []
        for seq, revision, graded in finished:
            at = {"tenant": tenant, "run": run_id, "seq": seq, "revision": revision}
            verdicts += _verdict_rows(at, graded)
            grades += _grade_rows(at, graded.grade)
            places.append(_place_row(at, graded.grade.outcome, graded.receipt))
        connection.execute(ignoring(connection, verdict), verdicts)
        connection.execute(ignoring(connection, grade), grades)
        connection.execute(_FINISH, places)
        return None

    return finish


def finish_now(connection: Connection, tenant: str, run_id: str, finished: Sequence[tuple[int, int, Graded]]) -> None:
    """See `finish_for`, outside the flow of grading. Raises RunBusy where the run is no longer this process's."""
    check_owned(connection, tenant, run_id, this_process())
    finish_for(tenant, run_id, this_process())(connection, finished)


def _verdict_rows(at: dict[str, Any], graded: Graded) -> Iterator[dict[str, Any]]:
    for said in graded.judged:
        for one in said.verdicts:
            yield {
                **at,
                "member": 0,
                "sample": said.sample,
                "criterion": one.criterion,
                "outcome": one.outcome,
                "level": None if one.level is None else json.dumps(one.level, ensure_ascii=False),
                "value": one.value,
                "reason": one.reason,
                "cause": one.cause,
                "distribution": None if one.distribution is None else one.distribution.model_dump_json(),
                "call_key": said.call_key,
                "call_attempt": said.call_attempt,
            }


def _grade_rows(at: dict[str, Any], result: Grade) -> Iterator[dict[str, Any]]:
    for id, one in result.criteria.items():
        yield {
            **at,
            "criterion": id,
            "outcome": one.outcome,
            "score": one.score,
            "level": None if one.level is None else json.dumps(one.level, ensure_ascii=False),
            "low": None,
            "high": None,
            "passed": None,
            "cause": one.cause,
            "scored_samples": one.scored_samples,
        }
    yield {
        **at,
        "criterion": OVERALL,
        "outcome": result.outcome,
        "score": result.score,
        "level": None,
        "low": result.low,
        "high": result.high,
        "passed": result.passed,
        "cause": None,
        "scored_samples": None,
    }


def _place_row(at: dict[str, Any], outcome: Outcome, receipt: Receipt) -> dict[str, Any]:
    return {
        "b_tenant": at["tenant"],
        "b_run": at["run"],
        "b_seq": at["seq"],
        "b_revision": at["revision"],
        "state": "held" if outcome is Outcome.LOST else "finished",
        "b_calls": receipt.calls,
        "b_reused": receipt.reused,
        "b_possible_duplicates": receipt.possible_duplicates,
        "b_prompt_tokens": receipt.prompt_tokens,
        "b_completion_tokens": receipt.completion_tokens,
        "b_cost_usd": receipt.cost_usd,
        "b_latency_s": receipt.latency_s,
        "lost": receipt.lost,
        "model": receipt.model,
        "call_keys": json.dumps(receipt.keys),
    }
