"""The questions that people ask of what is stored."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Row,
    Select,
    Table,
    and_,
    cast,
    exists,
    func,
    or_,
    select,
    text,
    union_all,
)

from judge.grades import OVERALL, CriterionGrade, Grade, JudgeRef, RubricRef, Sample, Usage
from judge.items import Item
from judge.judges import Judge
from judge.ledger import CallState, unpacked
from judge.store import digests
from judge.store.tables import BELOW, OWN_RUBRIC, call, grade, item, run, run_item, verdict
from judge.store.tables import judge as judges
from judge.store.tables import rubric as rubrics
from judge.store.verdicts import LATEST, by_place, stored_rubric, verdict_of
from judge.verdicts import Outcome
from rubrics import Criterion, Rubric

#: What calls may have been paid for; a lost one at its worst.
PAID = (CallState.ANSWERED, CallState.LOST)


@dataclass(frozen=True, slots=True)
class RunHead:
    """What a run is."""

    id: str
    state: str
    dataset: str
    dataset_hash: str
    rubric: RubricRef
    judge: JudgeRef
    round: int
    samples: int
    items: int
    created_at: float
    rescored_from: str | None


@dataclass(frozen=True, slots=True)
class RunInfo(RunHead):
    """A run and how far it is, as a list of runs shows it."""

    finished: int
    held: int
    cost_usd: float | None

    @classmethod
    def of(cls, head: RunHead, finished: int, held: int, cost_usd: float | None) -> RunInfo:
        """A run that is so far."""
        told = {one.name: getattr(head, one.name) for one in fields(head)}
        return cls(**told, finished=finished, held=held, cost_usd=cost_usd)


@dataclass(frozen=True, slots=True)
class Totals:
    """What a run came to. `cost_usd` is None where a price is unknown; lost calls count at their worst.

    `own_rubrics` items have a rubric of their own and enter the overall only. `unusable` answers were cut, unreadable
    or off the schema: paid, and asked for again.
    """

    calls: int
    answered: int
    rejected: int
    lost: int
    unusable: int
    reused: int
    possible_duplicates: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None
    models: tuple[str, ...]
    own_rubrics: int
    passed: int
    failed_required: int


@dataclass(frozen=True, slots=True)
class Exchange:
    """One attempt of one call, for people who want to see what was said."""

    key: str
    attempt: int
    state: CallState
    cause: str | None
    sent_at: float
    cost_usd: float | None
    model: str | None
    possible_duplicate: bool
    raw: bytes | None


def latest(connection: Connection, tenant: str) -> RunInfo | None:
    """The newest run that somebody asked for: one of a check's anchors is the check's."""
    wanted = _runs(tenant).where(run.c.anchors_of.is_(None)).limit(1)
    row = connection.execute(wanted).first()
    return None if row is None else _info(connection, tenant, row)


def runs(
    connection: Connection,
    tenant: str,
    run_id: str | None = None,
    limit: int | None = None,
    after: RunInfo | None = None,
) -> list[RunInfo]:
    """Runs, newest first; or the ones whose id begins with `run_id`; or those that follow another one."""
    wanted = _runs(tenant).limit(limit)
    if after is not None:
        as_new = and_(run.c.created_at == after.created_at, run.c.id > after.id)
        wanted = wanted.where(or_(run.c.created_at < after.created_at, as_new))
    if run_id is not None:
        wanted = wanted.where(run.c.id.startswith(run_id, autoescape=True))
    return [_info(connection, tenant, row) for row in connection.execute(wanted).all()]


def run_info(connection: Connection, tenant: str, run_id: str) -> RunInfo | None:
    """The run of this very id."""
    row = connection.execute(_runs(tenant).where(run.c.id == run_id)).first()
    return None if row is None else _info(connection, tenant, row)


def run_head(connection: Connection, tenant: str, run_id: str) -> RunHead | None:
    """What the run of this very id is; how far it is, is not counted."""
    row = connection.execute(_runs(tenant).where(run.c.id == run_id)).first()
    return None if row is None else _head(row)


def _runs(tenant: str) -> Select[Any]:
    """Runs with the names of their rubrics and judges, newest first."""
    return (
        select(run, rubrics.c.name.label("rubric_name"), judges.c.name.label("judge_name"), judges.c.body)
        .join(rubrics, and_(rubrics.c.tenant == run.c.tenant, rubrics.c.hash == run.c.rubric_hash))
        .join(judges, and_(judges.c.tenant == run.c.tenant, judges.c.fingerprint == run.c.judge_fingerprint))
        .where(run.c.tenant == tenant)
        .order_by(run.c.created_at.desc(), run.c.id)
    )


def _info(connection: Connection, tenant: str, row: Row[Any]) -> RunInfo:
    finished, held = digests.progress(connection, tenant, row.id, row.items)
    return RunInfo.of(_head(row), finished, held, _cost(connection, tenant, row.id))


def _head(row: Row[Any]) -> RunHead:
    return RunHead(
        id=row.id,
        state=row.state,
        dataset=row.dataset_name,
        dataset_hash=row.dataset_hash,
        rubric=RubricRef(name=row.rubric_name, hash=row.rubric_hash),
        judge=JudgeRef(**json.loads(row.body)["ref"]),
        round=row.round,
        samples=row.samples,
        items=row.items,
        created_at=row.created_at,
        rescored_from=row.rescored_from,
    )


def lowest(connection: Connection, tenant: str, run_id: str) -> float:
    """The least overall that any item of a run could have, by its own rubric or by the run's."""
    least = select(func.min(run_item.c.lowest)).where(*_here(run_item, tenant, run_id), text(BELOW))
    return float(connection.execute(least).scalar() or 0.0)


def lowest_open(connection: Connection, tenant: str, run_id: str) -> float:
    """The sum of the least overalls that the open items of a run could have."""
    summed = select(func.sum(run_item.c.lowest)).where(*_here(run_item, tenant, run_id), text(BELOW))
    return float(connection.execute(summed.where(run_item.c.state == "open")).scalar() or 0.0)


def totals(connection: Connection, tenant: str, run_id: str, digest: digests.Digest) -> Totals:
    """Sums over the calls of a run, and over its items, by what these came to."""
    counted = (
        func.count(),
        func.sum(cast(call.c.usable, Integer)),
        func.sum(cast(call.c.possible_duplicate, Integer)),
        func.sum(call.c.prompt_tokens),
        func.sum(call.c.completion_tokens),
        func.count().filter(call.c.cost_usd.is_(None)),
        func.sum(call.c.cost_usd),
    )
    rows = select(call.c.state, *counted).where(*_here(call, tenant, run_id)).group_by(call.c.state)
    calls = {row[0]: [one or 0 for one in row[1:]] for row in connection.execute(rows)}
    by_state = {state: row[0] for state, row in calls.items()}
    usable, twice, prompt, completion = (sum(row[place] for row in calls.values()) for place in range(1, 5))
    paid = [calls[state] for state in PAID if state in calls]
    own = select(func.count()).select_from(run_item).where(*_here(run_item, tenant, run_id), text(OWN_RUBRIC))
    answered = by_state.get(CallState.ANSWERED, 0)
    return Totals(
        calls=sum(by_state.values()),
        answered=answered,
        rejected=by_state.get(CallState.REJECTED, 0),
        lost=by_state.get(CallState.LOST, 0),
        unusable=answered - usable,
        reused=digest.reused,
        possible_duplicates=twice,
        prompt_tokens=prompt,
        completion_tokens=completion,
        cost_usd=None if any(row[5] for row in paid) else float(sum(row[6] for row in paid)),
        models=digest.models,
        own_rubrics=connection.execute(own).scalar_one(),
        passed=digest.passing(True),
        failed_required=digest.passing(False),
    )


def _cost(connection: Connection, tenant: str, run_id: str) -> float | None:
    """Dollars of the calls that may have been paid; None where one of them has no price."""
    unpriced, usd = func.count().filter(call.c.cost_usd.is_(None)), func.coalesce(func.sum(call.c.cost_usd), 0.0)
    paid = call.c.state.in_(PAID)
    row = connection.execute(select(unpriced, usd).where(*_here(call, tenant, run_id), paid)).one()
    return None if row[0] else float(row[1])


def _here(table: Table, tenant: str, run_id: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return table.c.tenant == tenant, table.c.run == run_id


def grades(
    connection: Connection,
    tenant: str,
    info: RunHead,
    after: int = -1,
    limit: int = 500,
    seqs: Sequence[int] | None = None,
    outcomes: Collection[Outcome] = (),
) -> list[tuple[int, Grade]]:
    """A page of a run's graded items in the order of the input, as (seq, grade): of all, or with these outcomes."""
    if outcomes:
        seqs = _with_outcomes(connection, tenant, info.id, outcomes, after, limit)
    wanted = (
        select(run_item)
        .where(run_item.c.tenant == tenant, run_item.c.run == info.id, run_item.c.state != "open")
        .order_by(run_item.c.seq)
    )
    wanted = (
        wanted.where(run_item.c.seq > after).limit(limit) if seqs is None else wanted.where(run_item.c.seq.in_(seqs))
    )
    places = connection.execute(wanted).all()
    if not places:
        return []
    among = [place.seq for place in places]
    graded = by_place(connection, select(grade).join(run_item, LATEST), grade, tenant, info.id, among)
    said = by_place(
        connection, select(verdict).order_by(verdict.c.member, verdict.c.sample), verdict, tenant, info.id, among
    )
    used = {place.rubric_hash or info.rubric.hash for place in places}
    known = {hash_: stored_rubric(connection, tenant, hash_) for hash_ in used}
    return [
        (p.seq, _grade(info, p, graded[p.seq], said.get(p.seq, []), known[p.rubric_hash or info.rubric.hash]))
        for p in places
    ]


def _with_outcomes(
    connection: Connection, tenant: str, run_id: str, outcomes: Collection[Outcome], after: int, limit: int
) -> list[int]:
    """The places of a page of graded items whose overall has one of these outcomes."""
    overall = (grade.c.tenant == tenant, grade.c.run == run_id, grade.c.criterion == OVERALL, grade.c.seq > after)
    newest = exists().where(LATEST, run_item.c.state != "open", run_item.c.seq > after)  # said of both: either is read

    def places(outcome: Outcome) -> Select[Any]:
        # Each for itself in the order of the index, up to a page: asked for together they would all be sorted.
        ordered = select(grade.c.seq).where(*overall, grade.c.outcome == outcome, newest).order_by(grade.c.seq)
        return select(ordered.limit(limit).subquery())

    return sorted(connection.execute(union_all(*map(places, sorted(outcomes)))).scalars())[:limit]


def judge_body(connection: Connection, tenant: str, fingerprint: str) -> dict[str, Any]:
    """A judge's description and reference, and where a model was asked how, and with which version of the prompt."""
    stored = select(judges.c.body).where(judges.c.tenant == tenant, judges.c.fingerprint == fingerprint)
    body: dict[str, Any] = json.loads(connection.execute(stored).scalar_one())
    return body


def judge_asked(connection: Connection, tenant: str, fingerprint: str) -> Judge | None:
    """The judge with a fingerprint, as it was described when it was first asked in a run; None where none was."""
    stored = select(judges.c.body).where(judges.c.tenant == tenant, judges.c.fingerprint == fingerprint)
    body = connection.execute(stored).scalar()
    return None if body is None else Judge.model_validate(json.loads(body)["description"])


def _grade(info: RunHead, place: Row[Any], rows: list[Row[Any]], said: list[Row[Any]], rubric: Rubric) -> Grade:
    overall = next(row for row in rows if row.criterion == OVERALL)
    samples: dict[str, list[Row[Any]]] = {}
    for row in said:
        if row.revision == place.revision:
            samples.setdefault(row.criterion, []).append(row)
    given = {row.criterion: row for row in rows}
    criteria = {one.id: _criterion(one, given[one.id], samples.get(one.id, [])) for one in rubric.leaves}
    return Grade(
        run=info.id,
        item=place.item_id,
        outcome=overall.outcome,
        score=overall.score,
        low=overall.low,
        high=overall.high,
        passed=overall.passed,
        criteria=criteria,
        rubric=RubricRef(name=rubric.name, hash=rubric.hash),
        judge=info.judge.model_copy(update={"model": place.model}),
        usage=Usage(
            calls=place.calls,
            reused=place.reused,
            lost=place.lost,
            possible_duplicates=place.possible_duplicates,
            prompt_tokens=place.prompt_tokens,
            completion_tokens=place.completion_tokens,
            cost_usd=place.cost_usd,
            latency_s=round(place.latency_s or 0.0, 4),
        ),
        metadata=json.loads(place.metadata),
    )


def _criterion(criterion: Criterion, row: Row[Any], said: list[Row[Any]]) -> CriterionGrade:
    samples = [Sample.of(verdict_of(one)) for one in said]
    level = None if row.level is None else json.loads(row.level)
    return CriterionGrade.of(criterion, Outcome(row.outcome), row.score, level, row.cause, samples)


def places(
    connection: Connection,
    tenant: str,
    run_id: str,
    item_id: str | None = None,
    outcome: Outcome | None = None,
    lowest: int | None = None,
    limit: int = 20,
) -> list[int]:
    """Which items of a run to show: by id, by overall outcome, or the lowest scored ones."""
    wanted = (
        select(run_item.c.seq)
        .join(grade, LATEST)
        .where(run_item.c.tenant == tenant, run_item.c.run == run_id, grade.c.criterion == OVERALL)
    )
    if item_id is not None:
        wanted = wanted.where(run_item.c.item_id == item_id)
    if outcome is not None:
        wanted = wanted.where(grade.c.outcome == outcome)
    if lowest is not None:
        wanted = wanted.where(grade.c.score.is_not(None)).order_by(grade.c.score, run_item.c.seq).limit(lowest)
    else:
        wanted = wanted.order_by(run_item.c.seq).limit(limit)
    return list(connection.execute(wanted).scalars())


def exchanges(connection: Connection, tenant: str, run_id: str, item_id: str) -> list[Exchange]:
    """Every attempt of the calls that were made for an item."""
    wanted = select(run_item.c.call_keys).where(
        run_item.c.tenant == tenant, run_item.c.run == run_id, run_item.c.item_id == item_id
    )
    keys = json.loads(connection.execute(wanted).scalar() or "[]")
    found = select(call).where(call.c.tenant == tenant, call.c.key.in_(keys)).order_by(call.c.sent_at)
    return [
        Exchange(
            r.key,
            r.attempt,
            CallState(r.state),
            r.cause,
            r.sent_at,
            r.cost_usd,
            r.model,
            r.possible_duplicate,
            None if r.raw is None else unpacked(r.raw),
        )
        for r in connection.execute(found)
    ]


def item_body(connection: Connection, tenant: str, run_id: str, item_id: str) -> dict[str, Any]:
    """The texts of an item."""
    wanted = (
        select(item.c.body)
        .join(run_item, and_(run_item.c.tenant == item.c.tenant, run_item.c.item_hash == item.c.hash))
        .where(run_item.c.tenant == tenant, run_item.c.run == run_id, run_item.c.item_id == item_id)
    )
    body: dict[str, Any] = json.loads(connection.execute(wanted).scalar_one())
    return body


def items(connection: Connection, tenant: str, run_id: str, ids: Sequence[str]) -> dict[str, Item]:
    """Items of a run, by their ids."""
    wanted = (
        select(run_item.c.item_id, run_item.c.metadata, item.c.body)
        .join(item, and_(run_item.c.tenant == item.c.tenant, run_item.c.item_hash == item.c.hash))
        .where(run_item.c.tenant == tenant, run_item.c.run == run_id, run_item.c.item_id.in_(ids))
    )
    return {
        id_: Item(**json.loads(body), id=id_, metadata=json.loads(metadata))
        for id_, metadata, body in connection.execute(wanted)
    }


def judges_used(connection: Connection, tenant: str) -> list[tuple[str, str, str, str]]:
    """Every judge that has a run, as (name, kind, model, fingerprint)."""
    stored = select(judges).where(judges.c.tenant == tenant).order_by(judges.c.created_at)
    found = []
    for row in connection.execute(stored):
        body = json.loads(row.body)
        found.append((row.name, body["ref"]["kind"], body["description"]["model"], row.fingerprint))
    return found
