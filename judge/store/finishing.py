"""Items of a run, finished: their verdicts and grades, written in one transaction with the end of the item."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Update, update

from judge.costs import Receipt
from judge.errors import RunBusy
from judge.grades import OVERALL, Grade, Graded
from judge.owner import this_process
from judge.store import digests, endings
from judge.store.many import Changes, Own, add_missing
from judge.store.runs import SUMMED, go_on, lost_by
from judge.store.tables import grade, run_item, verdict
from judge.verdicts import Outcome

_AT = ("tenant", "run", "seq", "revision")
#: What an item came to, beside what is added up.
_ENDED = ("state", "ending", "lost", "model", "call_keys")


def _finishing(own: Own) -> Update:
    # Where it was done before, it is not added up again.
    here = [*(run_item.c[name] == own(name) for name in _AT), run_item.c.state == "open"]
    values = {name: run_item.c[name] + own(name) for name in SUMMED} | {name: own(name) for name in _ENDED}
    return update(run_item).where(*here).values(values)


_FINISH = Changes(run_item, (*_AT, *SUMMED, *_ENDED), _AT, _finishing)


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
        lost = _finish(connection, tenant, finished)
        return [lost.get((one.run, one.by)) for one in finished]

    return finish


def _finish(connection: Connection, tenant: str, finished: Sequence[Finished]) -> dict[tuple[str, str], RunBusy]:
    """Finishes items of any runs. Returns what to raise of those that were lost, by run and owner."""
    by_run: dict[tuple[str, str], list[Finished]] = {}
    for one in finished:
        by_run.setdefault((one.run, one.by), []).append(one)
    lost: dict[tuple[str, str], RunBusy] = {}
    counted: list[tuple[Row[Any], list[Finished]]] = []
    # In one order, whoever finishes: two that wait for each other's runs would wait for ever.
    for (run_id, by), among in sorted(by_run.items(), key=lambda pair: pair[0]):
        found = endings.count(connection, tenant, run_id, by, len(among))
        if found is None:
            # Since then it may have been given back: its items are open still.
            again = RunBusy(f"run {run_id} changed hands while it was graded; resume it")
            lost[run_id, by] = lost_by(connection, tenant, run_id, by) or again
        else:
            counted.append((found, among))
    _write(connection, tenant, counted)
    for run, among in counted:
        digests.seal(connection, tenant, run.id, run.items, run.rubric_hash, (one.seq for one in among))
    return lost


def _write(connection: Connection, tenant: str, counted: Iterable[tuple[Row[Any], Sequence[Finished]]]) -> None:
    """Writes verdicts and grades of items, and ends these: runs as counted, with what was counted."""
    verdicts: list[dict[str, Any]] = []
    grades: list[dict[str, Any]] = []
    places: list[dict[str, Any]] = []
    for run, among in counted:
        for ending, one in enumerate(among, run.endings - len(among) + 1):
            at = {"tenant": tenant, "run": run.id, "seq": one.seq, "revision": one.revision}
            verdicts += _verdict_rows(at, one.graded)
            grades += _grade_rows(at, one.graded.grade)
            places.append({**_place_row(at, one.graded.grade.outcome, one.graded.receipt), "ending": ending})
    add_missing(connection, verdict, verdicts)
    add_missing(connection, grade, grades)
    _FINISH.execute(connection, places)


def finish_now(connection: Connection, tenant: str, run_id: str, finished: Sequence[tuple[int, int, Graded]]) -> None:
    """See `finish_for`, outside the flow of grading. Raises RunBusy where the run is no longer this process's."""
    me = this_process()
    lost = _finish(connection, tenant, [Finished(run_id, me, *one) for one in finished])
    for trouble in lost.values():
        raise trouble
    go_on(connection, tenant, run_id)


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
        **at,
        "state": "held" if outcome is Outcome.LOST else "finished",
        "calls": receipt.calls,
        "reused": receipt.reused,
        "possible_duplicates": receipt.possible_duplicates,
        "prompt_tokens": receipt.prompt_tokens,
        "completion_tokens": receipt.completion_tokens,
        "cost_usd": receipt.cost_usd,
        "latency_s": receipt.latency_s,
        "lost": receipt.lost,
        "model": receipt.model,
        "call_keys": json.dumps(receipt.keys),
    }
