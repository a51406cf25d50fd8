"""Items of a run, finished: their verdicts and grades, written in one transaction with the end of the item."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, update

from judge.costs import Receipt
from judge.errors import RunBusy
from judge.grades import OVERALL, Grade, Graded
from judge.owner import this_process
from judge.store import digests, endings
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
    .values({name: run_item.c[name] + bindparam(f"b_{name}") for name in SUMMED} | {"ending": bindparam("b_ending")})
)


@dataclass(frozen=True, slots=True)
class Finished:
    """An item of a run that is done, for the owner that had the run when it was begun."""

    run: str
    by: str
    seq: int
    revision: int
    graded: Graded


def finish_for(tenant: str) -> Callable[[Connection, Sequence[Finished]], list[RunBusy | None]]:
    """The batch operation that writes verdicts and grades of items of a tenant and ends these, all or nothing.

    Returns, for each, what to raise where its run is no longer the owner's: raised here, it would undo the rest.
    """

    def finish(connection: Connection, finished: Sequence[Finished]) -> list[RunBusy | None]:
        by_run: dict[tuple[str, str], list[Finished]] = {}
        for one in finished:
            by_run.setdefault((one.run, one.by), []).append(one)
        # In one order, whoever finishes: two that wait for each other's runs would wait for ever.
        lost = {key: _finish(connection, tenant, *key, by_run[key]) for key in sorted(by_run)}
        return [lost[one.run, one.by] for one in finished]

    return finish


def _finish(connection: Connection, tenant: str, run_id: str, by: str, finished: Sequence[Finished]) -> RunBusy | None:
    if (lost := lost_by(connection, tenant, run_id, by)) is not None:
        return lost
    verdicts: list[dict[str, Any]] = []
    grades: list[dict[str, Any]] = []
    places: list[dict[str, Any]] = []
    counted = endings.count(connection, tenant, run_id, len(finished))
    for ending, one in enumerate(finished, counted.endings - len(finished) + 1):
        at = {"tenant": tenant, "run": run_id, "seq": one.seq, "revision": one.revision}
        verdicts += _verdict_rows(at, one.graded)
        grades += _grade_rows(at, one.graded.grade)
        places.append({**_place_row(at, one.graded.grade.outcome, one.graded.receipt), "b_ending": ending})
    connection.execute(ignoring(connection, verdict), verdicts)
    connection.execute(ignoring(connection, grade), grades)
    connection.execute(_FINISH, places)
    digests.seal(connection, tenant, run_id, counted.items, counted.rubric_hash, (one.seq for one in finished))
    return None


def finish_now(connection: Connection, tenant: str, run_id: str, finished: Sequence[tuple[int, int, Graded]]) -> None:
    """See `finish_for`, outside the flow of grading. Raises RunBusy where the run is no longer this process's."""
    me = this_process()
    check_owned(connection, tenant, run_id, me)
    _finish(connection, tenant, run_id, me, [Finished(run_id, me, *one) for one in finished])


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
