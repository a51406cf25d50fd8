"""A run counted anew: the same verdicts, weighed by a rubric that only counts them differently. Nobody is asked."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from judge.costs import Receipt
from judge.errors import InputError
from judge.grades import Grade, Graded, Judged, RubricRef, Usage
from judge.grading import weighed
from judge.pages import PAGE
from judge.runs import fingerprint, keep_rubric
from judge.verdicts import Verdict
from rubrics import Rubric, lowest

if TYPE_CHECKING:
    from judge.store.results import RunInfo
    from judge.store.store import Store
    from judge.store.verdicts import Said


def rescore(store: Store, info: RunInfo, rubric: Rubric) -> str:
    """The id of the run that has the verdicts of another one by this rubric: the one that is there, or a new one.

    It is the run that grading the same items by this rubric would make, so that its open items can be graded.

    Raises
    ------
    InputError
        When the rubric asks something else: then a judge has to answer.
    """
    before = store.ask(store.verdicts.stored_rubric, info.rubric.hash)
    if before.asked_hash != rubric.asked_hash:
        raise InputError(
            f"{rubric.name} asks something else than {before.name} did in run {info.id} "
            f"({_difference(before, rubric)}): only weights, points, values and required levels may differ; grade the "
            "items by it with: judge grade"
        )
    wanted = fingerprint(info.dataset_hash, rubric.hash, info.judge.fingerprint, info.round)
    found = store.change(store.runs.find, wanted)
    if found is not None:
        return str(found.id)
    keep_rubric(store, rubric)
    made = uuid.uuid4().hex[:12]
    store.begin_copy(info.id, {"id": made, "fingerprint": wanted, "rubric_hash": rubric.hash}, lowest(rubric))
    try:
        for page in _pages(store, info):
            finished = [(said.seq, 0, _counted(said, info, said.own_rubric or rubric, made)) for said in page]
            store.change(store.runs.finish_now, made, finished)
    except BaseException:
        store.change(store.runs.remove, made)
        raise
    store.change(store.runs.release, made)
    return made


def _difference(before: Rubric, after: Rubric) -> str:
    """What is asked otherwise: the first criterion with its field, or what is around the criteria."""
    for id in dict.fromkeys((*before.ids, *after.ids)):
        if id not in after.ids:
            return f"{id} is left out"
        if id not in before.ids:
            return f"{id} is new"
        one, other = before.asked_of(id), after.asked_of(id)
        for field in ("scale", *after.criterion(id).__class__.model_fields):
            if one.get(field) != other.get(field):
                return f"{id}: the {field} differ{'' if field.endswith('s') else 's'}"
    for field in ("instructions", "examples"):
        if getattr(before, field) != getattr(after, field):
            return f"the {field} differ"
    return "the sections or the order of the criteria differ"


def _pages(store: Store, info: RunInfo) -> Iterator[Sequence[Said]]:
    after = -1
    while page := store.ask(store.verdicts.said, info.id, after, PAGE):
        yield page
        after = page[-1].seq


def _counted(said: Said, info: RunInfo, rubric: Rubric, run: str) -> Graded:
    judged = tuple(
        Judged(one.sample, tuple(_valued(verdict, rubric) for verdict in one.verdicts), one.call_key, one.call_attempt)
        for one in said.judged
    )
    receipt = Receipt(lost=said.lost, model=said.model, keys=said.call_keys)
    grade = Grade(
        run=run,
        item=said.item_id,
        **weighed(rubric, [verdict for one in judged for verdict in one.verdicts]),
        rubric=RubricRef(name=rubric.name, hash=rubric.hash),
        judge=info.judge,
        usage=Usage(lost=said.lost),
    )
    return Graded(grade, judged, receipt)


def _valued(verdict: Verdict, rubric: Rubric) -> Verdict:
    """The verdict with the value that this rubric gives its level."""
    mark = None if verdict.level is None else rubric.criterion(verdict.criterion).read(verdict.level)
    return verdict if mark is None else replace(verdict, value=mark.value)
