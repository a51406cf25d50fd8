"""A run counted anew: the same verdicts, weighed by a rubric that only counts them differently. Nobody is asked."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from judge.costs import Receipt
from judge.errors import InputError, RunBusy
from judge.grades import Grade, Graded, Judged, RubricRef, Usage
from judge.grading import weighed
from judge.owner import this_process
from judge.pages import PAGE
from judge.runs import fingerprint, keep_rubric
from judge.verdicts import Verdict
from rubrics import Rubric, lowest

if TYPE_CHECKING:
    from judge.store.results import RunInfo
    from judge.store.store import Store
    from judge.store.verdicts import Said


def rescore(store: Store, info: RunInfo, rubric: Rubric) -> str:
    """The id of a run that has the verdicts of another one, as it stands now, by this rubric.

    It stays as it is made: where the other one has gone on since, another is made. Of a rescored run the verdicts are
    those of its source, while that is there. What is open is open in both, and is graded in the source.

    Raises
    ------
    InputError
        When the rubric asks something else: then a judge has to answer.
    RunBusy
        While the run is being loaded.
    """
    info = _source(store, info)
    before = store.ask(store.verdicts.stored_rubric, info.rubric.hash)
    if before.asked_hash != rubric.asked_hash:
        raise InputError(
            f"{rubric.name} asks something else than {before.name} did in run {info.id} "
            f"({_difference(before, rubric)}): only weights, points, values and required levels may differ; grade the "
            "items by it with: judge grade"
        )
    if rubric.hash == info.rubric.hash:
        return info.id
    if info.state == "loading":
        raise RunBusy(f"run {info.id} is being loaded; rescore it when that is done")
    wanted, found = _found(store, info, rubric)
    if found is not None:
        return found
    keep_rubric(store, rubric)
    made = uuid.uuid4().hex[:12]
    # A calibration is of a rubric: that of the source says nothing of this one.
    changed = {"id": made, "fingerprint": wanted, "rubric_hash": rubric.hash, "calibration": None}
    with store.runs.loading(made):
        store.begin_copy(info.id, changed, lowest(rubric))
        try:
            for page in _pages(store, info):
                finished = [(said.seq, 0, _counted(said, info, said.own_rubric or rubric, made)) for said in page]
                store.change(store.finishing.finish_now, made, finished)
        except BaseException:
            store.change(store.runs.unload, made)
            raise
        store.change(store.runs.release, made, this_process())
    return made


def _source(store: Store, info: RunInfo) -> RunInfo:
    """The run that was graded, behind one that was counted anew; the latter where the former was deleted."""
    while info.rescored_from is not None:
        found = [one for one in store.ask(store.results.runs, info.rescored_from) if one.id == info.rescored_from]
        if not found:
            break
        (info,) = found
    return info


def _found(store: Store, info: RunInfo, rubric: Rubric) -> tuple[str, str | None]:
    """The fingerprint of what the run holds by now, counted by the rubric, and the id of the run that has it, if any.

    Grading by the rubric makes a run of another fingerprint. What a process that has ended left half copied is
    cleared away.
    """
    standing = store.ask(store.runs.standing, info.id)
    graded = fingerprint(info.dataset_hash, rubric.hash, info.judge.fingerprint, info.round)
    copies = 0
    while True:
        wanted = hashlib.sha256(json.dumps([graded, info.id, standing, copies]).encode()).hexdigest()
        try:
            found = store.change(store.runs.find, wanted)
        except RunBusy:
            # Another process copies it. Whether its machine is gone cannot be known; a second copy costs nothing.
            copies += 1
            continue
        return wanted, None if found is None else str(found.id)


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
