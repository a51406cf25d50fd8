"""The questions that people ask of what is stored."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Integer, Row, Select, and_, case, cast, func, or_, select

from judge.grades import OVERALL, CriterionGrade, Grade, JudgeRef, RubricRef, Sample, Usage
from judge.items import Item
from judge.judges import Judge
from judge.ledger import CallState, unpacked
from judge.store.tables import call, grade, item, run, run_item, verdict
from judge.store.tables import judge as judges
from judge.store.tables import rubric as rubrics
from judge.store.verdicts import by_place, stored_rubric, verdict_of
from judge.verdicts import Outcome
from rubrics import Criterion, Rubric

#: A grade is joined to its item in the newest revision.
LATEST = and_(
    grade.c.tenant == run_item.c.tenant,
    grade.c.run == run_item.c.run,
    grade.c.seq == run_item.c.seq,
    grade.c.revision == run_item.c.revision,
)


@dataclass(frozen=True, slots=True)
class RunInfo:
    """A run, as a list of runs shows it."""

    id: str
    state: str
    dataset: str
    dataset_hash: str
    rubric: RubricRef
    judge: JudgeRef
    round: int
    samples: int
    items: int
    finished: int
    held: int
    created_at: float
    cost_usd: float | None
    rescored_from: str | None


@dataclass(frozen=True, slots=True)
class Cell:
    """How many items of a run have an outcome, and a score or label, on a criterion."""

    criterion: str
    outcome: Outcome
    score: float | None
    label: int | str | None
    count: int


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
    counted = select(run_item.c.state, func.count()).where(run_item.c.tenant == tenant, run_item.c.run == row.id)
    states: dict[str, int] = dict(connection.execute(counted.group_by(run_item.c.state)).all())
    return RunInfo(
        id=row.id,
        state=row.state,
        dataset=row.dataset_name,
        dataset_hash=row.dataset_hash,
        rubric=RubricRef(name=row.rubric_name, hash=row.rubric_hash),
        judge=JudgeRef(**json.loads(row.body)["ref"]),
        round=row.round,
        samples=row.samples,
        items=row.items,
        finished=states.get("finished", 0),
        held=states.get("held", 0),
        created_at=row.created_at,
        cost_usd=_cost(connection, tenant, row.id),
        rescored_from=row.rescored_from,
    )


def cells(connection: Connection, tenant: str, run_id: str) -> list[Cell]:
    """Counts of every (criterion, outcome, score) of the run's rubric over the newest revision of each item."""
    # A label counts only where it has no number: of levels that have one, the number tells all.
    label = case((grade.c.score.is_(None), grade.c.level))
    columns = (grade.c.criterion, grade.c.outcome, grade.c.score, label)
    counted = (
        select(*columns, func.count().label("n"))
        .join(run_item, LATEST)
        .where(grade.c.tenant == tenant, grade.c.run == run_id)
        # Criteria of an item's own rubric are other criteria, whatever their ids: only its overall is counted.
        .where(or_(grade.c.criterion == OVERALL, run_item.c.rubric_hash.is_(None)))
        .group_by(*columns)
        .order_by(*columns)
    )
    return [
        Cell(criterion, Outcome(outcome), score, None if told is None else json.loads(told), n)
        for criterion, outcome, score, told, n in connection.execute(counted)
    ]


def bounds(connection: Connection, tenant: str, run_id: str) -> tuple[float, float]:
    """Sums of the lowest and of the highest overall that each item could have, those without a score included."""
    summed = (
        select(func.coalesce(func.sum(grade.c.low), 0.0), func.coalesce(func.sum(grade.c.high), 0.0))
        .join(run_item, LATEST)
        .where(grade.c.tenant == tenant, grade.c.run == run_id, grade.c.criterion == OVERALL)
        .where(grade.c.outcome != Outcome.NOT_APPLICABLE)
    )
    low, high = connection.execute(summed).one()
    still_open = select(func.coalesce(func.sum(run_item.c.lowest), 0.0), func.count()).where(
        run_item.c.tenant == tenant, run_item.c.run == run_id, run_item.c.state == "open"
    )
    lowest, count = connection.execute(still_open).one()
    return float(low) + float(lowest), float(high) + count


def lowest(connection: Connection, tenant: str, run_id: str) -> float:
    """The least overall that any item of a run could have, by its own rubric or by the run's."""
    least = select(func.min(run_item.c.lowest)).where(run_item.c.tenant == tenant, run_item.c.run == run_id)
    return float(connection.execute(least).scalar() or 0.0)


def totals(connection: Connection, tenant: str, run_id: str) -> Totals:
    """Sums over the calls and items of a run."""
    here = (call.c.tenant == tenant, call.c.run == run_id)
    states: dict[str, int] = dict(
        connection.execute(select(call.c.state, func.count()).where(*here).group_by(call.c.state)).all()
    )
    sums = connection.execute(
        select(
            func.coalesce(func.sum(call.c.prompt_tokens), 0),
            func.coalesce(func.sum(call.c.completion_tokens), 0),
            func.coalesce(func.sum(cast(call.c.possible_duplicate, Integer)), 0),
            func.coalesce(func.sum(cast(call.c.usable, Integer)), 0),
        ).where(*here)
    ).one()
    reused = select(func.coalesce(func.sum(run_item.c.reused), 0)).where(
        run_item.c.tenant == tenant, run_item.c.run == run_id
    )
    own = select(func.count(run_item.c.rubric_hash)).where(run_item.c.tenant == tenant, run_item.c.run == run_id)
    models = select(run_item.c.model).where(
        run_item.c.tenant == tenant, run_item.c.run == run_id, run_item.c.model.is_not(None)
    )
    passed = (
        select(grade.c.passed, func.count())
        .join(run_item, LATEST)
        .where(grade.c.tenant == tenant, grade.c.run == run_id, grade.c.criterion == OVERALL)
        .group_by(grade.c.passed)
    )
    passes: dict[bool | None, int] = {row[0]: row[1] for row in connection.execute(passed)}
    return Totals(
        calls=sum(states.values()),
        answered=states.get(CallState.ANSWERED, 0),
        rejected=states.get(CallState.REJECTED, 0),
        lost=states.get(CallState.LOST, 0),
        unusable=states.get(CallState.ANSWERED, 0) - sums[3],
        reused=connection.execute(reused).scalar_one(),
        possible_duplicates=sums[2],
        prompt_tokens=sums[0],
        completion_tokens=sums[1],
        cost_usd=_cost(connection, tenant, run_id),
        models=tuple(sorted(connection.execute(models.distinct()).scalars())),
        own_rubrics=connection.execute(own).scalar_one(),
        passed=passes.get(True, 0),
        failed_required=passes.get(False, 0),
    )


def _cost(connection: Connection, tenant: str, run_id: str) -> float | None:
    """Dollars of the calls that may have been paid; None where one of them has no price."""
    paid = (call.c.tenant == tenant, call.c.run == run_id, call.c.state.in_([CallState.ANSWERED, CallState.LOST]))
    unknown = connection.execute(select(call.c.key).where(*paid, call.c.cost_usd.is_(None)).limit(1)).first()
    if unknown:
        return None
    return float(connection.execute(select(func.coalesce(func.sum(call.c.cost_usd), 0.0)).where(*paid)).scalar_one())


def grades(
    connection: Connection,
    tenant: str,
    info: RunInfo,
    after: int = -1,
    limit: int = 500,
    seqs: Sequence[int] | None = None,
) -> list[tuple[int, Grade]]:
    """A page of a run's graded items in the order of the input, as (seq, grade)."""
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


def _grade(info: RunInfo, place: Row[Any], rows: list[Row[Any]], said: list[Row[Any]], rubric: Rubric) -> Grade:
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


def causes(connection: Connection, tenant: str, run_id: str) -> list[tuple[Outcome, str, int]]:
    """Why grades of a run have no score: (outcome, cause, count), the most frequent first."""
    counted = (
        select(grade.c.outcome, grade.c.cause, func.count())
        .join(run_item, LATEST)
        .where(grade.c.tenant == tenant, grade.c.run == run_id, grade.c.criterion != OVERALL)
        .where(grade.c.outcome.not_in([Outcome.SCORED, Outcome.NOT_APPLICABLE]))
        .group_by(grade.c.outcome, grade.c.cause)
        .order_by(func.count().desc())
    )
    return [(Outcome(outcome), cause or outcome, n) for outcome, cause, n in connection.execute(counted)]


def judges_used(connection: Connection, tenant: str) -> list[tuple[str, str, str, str]]:
    """Every judge that has a run, as (name, kind, model, fingerprint)."""
    stored = select(judges).where(judges.c.tenant == tenant).order_by(judges.c.created_at)
    found = []
    for row in connection.execute(stored):
        body = json.loads(row.body)
        found.append((row.name, body["ref"]["kind"], body["description"]["model"], row.fingerprint))
    return found
