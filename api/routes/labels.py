"""`/v1/label-sets`: what people said of items."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Annotated, Literal, Self

from fastapi import APIRouter, Body, Path, Query
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, model_validator
from pydantic_core import PydanticCustomError

from api.bodies import StrictRoute, parse
from api.calibrating import add_labels
from api.desk import Desk, ToLabel, ToRead
from api.envelopes import read_rubric
from api.errors import Refused
from api.handlers import MOST_FAULTS
from api.openapi import answer, problems
from api.problems import ACCESS, BODY, INVALID_REQUEST, INVALID_RUBRIC, NO_SUCH_LABELS, STORE_UNAVAILABLE, Fault
from api.requested import rubric_named
from api.routes.examples import ITEM, RUBRIC, RUN
from api.routes.runs import ID
from judge.answers import AddedLabels, LabelSet, StoredLabel
from judge.calibration.labelling.label_files import SOMEBODY, LabelFile
from judge.calibration.labelling.labels import Label, OffScale, allowed, answered
from judge.store.labels import SetInfo, Stored
from judge.store.results import RunInfo
from judge.verdicts import Outcome
from rubrics import Rubric

router = APIRouter(prefix="/v1/label-sets", tags=["labels"])
bodied = APIRouter(prefix="/v1/label-sets", tags=["labels"], route_class=StrictRoute)

MOST_LABELS, MOST_LISTED, MOST_SETS = 20_000, 500, 100
#: Ids of 256 characters, of four bytes each, and what is written around them.
LONGEST_CURSOR = 4_096
_CELL = TypeAdapter(tuple[str, str, str])
#: Where labels are from that come over HTTP.
SOURCE = "the service"
NAMED = r"^[A-Za-z0-9][A-Za-z0-9._ -]{0,127}$"
Name = Annotated[str, Path(pattern=NAMED, examples=["team"], description="Of the label set.")]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


def _answer(value: object) -> object:
    """One complaint, and not one for each kind of answer."""
    if not isinstance(value, bool | int | float | str):
        raise PydanticCustomError("answer", "Write a level, a number or a word")
    return value


class LabelSetList(_Model):
    """Label sets, the newest first."""

    object: Literal["list"] = "list"
    data: tuple[LabelSet, ...]
    has_more: bool


class LabelPage(_Model):
    """Labels by item, criterion and person. Where there are more, `next` goes on after them."""

    object: Literal["list"] = "list"
    data: tuple[StoredLabel, ...]
    has_more: bool
    next: str | None = Field(default=None, description="What to send as `after` for the next page.")


class NewLabel(_Model):
    """What a person says of an item on a criterion."""

    item: str = Field(min_length=1, max_length=256, description="The id that was graded.")
    criterion: str | None = Field(default=None, max_length=64, description="Its id; null where the rubric has one.")
    annotator: str = Field(default=SOMEBODY, min_length=1, max_length=256)
    score: Annotated[bool | int | float | str, BeforeValidator(_answer)] = Field(
        description="A level, a number, `not_applicable` or `cannot_tell`."
    )
    reason: str | None = Field(default=None, max_length=20_000)
    group: str | None = Field(default=None, max_length=256, description="The document, prompt or conversation.")


class NewLabels(_Model):
    """Labels for a set: of the items of a `run`, or by a `rubric`."""

    labels: list[NewLabel] = Field(min_length=1, max_length=MOST_LABELS)
    run: str | None = Field(default=None, pattern=ID, description="Whose items were labelled.")
    rubric: Annotated[str | Rubric | None, BeforeValidator(read_rubric)] = Field(
        default=None, description="A name, or a whole rubric: where there is no run."
    )
    sampled_from: str | None = Field(default=None, pattern=ID, description="The run they are a random sample of.")

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.run is None) == (self.rubric is None):
            raise ValueError("Name the run whose items were labelled, or the rubric")
        return self


def _cursor(last: StoredLabel) -> str:
    """Where a page ended, so that the next one goes on."""
    cell = json.dumps((last.item, last.criterion, last.annotator), ensure_ascii=False)
    return base64.urlsafe_b64encode(cell.encode()).decode()


SET = LabelSet(name="team", asked_hash="3b7e" * 16, created_at=RUN.created_at, labels=1, items=1, annotators=1)
LABEL = StoredLabel(
    item=ITEM["id"], criterion=RUBRIC.criteria[0].id, annotator="ann", outcome=Outcome.SCORED, level=5, value=5.0
)
NEW = {"run": RUN.id, "labels": [{"item": ITEM["id"], "annotator": "ann", "score": 5, "reason": "It is right."}]}
ADDED = AddedLabels(name="team", new=1, changed=0, same=0, placed=0, told=("team: 1 new labels",))


@router.get(
    "",
    responses={
        200: answer(LabelSetList(data=(SET,), has_more=False).model_dump(mode="json")),
        **problems(*ACCESS, INVALID_REQUEST, NO_SUCH_LABELS, STORE_UNAVAILABLE),
    },
)
def list_label_sets(
    desk: ToRead,
    after: Annotated[str | None, Query(pattern=NAMED, description="The last set of a page.", examples=["team"])] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_SETS, examples=[20])] = 20,
) -> LabelSetList:
    """Label sets, the newest first. The next page is that `after` the last one of this."""
    last = None if after is None else set_of(desk, after)
    found: list[SetInfo] = desk.store.ask(desk.store.labels.sets, after=last, limit=limit + 1)
    return LabelSetList(data=tuple(map(_told, found[:limit])), has_more=len(found) > limit)


@router.get(
    "/{name}",
    responses={
        200: answer(SET.model_dump(mode="json")),
        **problems(*ACCESS, INVALID_REQUEST, NO_SUCH_LABELS, STORE_UNAVAILABLE),
    },
)
def get_label_set(name: Name, desk: ToRead) -> LabelSet:
    """How many labels there are, of how many items, by how many people."""
    return _told(set_of(desk, name))


@router.get(
    "/{name}/labels",
    responses={
        200: answer(LabelPage(data=(LABEL,), has_more=True, next=_cursor(LABEL)).model_dump(mode="json")),
        **problems(*ACCESS, INVALID_REQUEST, NO_SUCH_LABELS, STORE_UNAVAILABLE),
    },
)
def list_labels(
    name: Name,
    desk: ToRead,
    after: Annotated[
        str | None,
        Query(max_length=LONGEST_CURSOR, description="`next` of the page before.", examples=[_cursor(LABEL)]),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_LISTED, examples=[100])] = 100,
) -> LabelPage:
    """The labels of a set, by pages. What is added meanwhile moves no other label to another page."""
    set_of(desk, name)
    cell = None if after is None else _cell(after)
    found: list[Stored] = desk.store.ask(desk.store.labels.page, name, cell, limit + 1)
    page, more = tuple(map(_stored, found[:limit])), len(found) > limit
    return LabelPage(data=page, has_more=more, next=_cursor(page[-1]) if more else None)


@bodied.post(
    "/{name}/labels",
    responses={
        200: answer(ADDED.model_dump(mode="json")),
        **problems(*BODY, *ACCESS, INVALID_REQUEST, INVALID_RUBRIC, STORE_UNAVAILABLE),
    },
)
def add_to_label_set(name: Name, body: Annotated[NewLabels, Body(examples=[NEW])], desk: ToLabel) -> AddedLabels:
    """Adds labels to a set, and makes the set where there is none. All of them are taken, or none.

    The same labels may be sent again: they are the same ones.
    """
    run = None if body.run is None else _run(desk, body.run, "/run")
    if body.sampled_from is not None:
        _run(desk, body.sampled_from, "/sampled_from")
    if run is not None:
        rubric: Rubric = desk.store.ask(desk.store.verdicts.stored_rubric, run.rubric.hash)
    else:
        assert body.rubric is not None
        rubric = rubric_named(desk.shelf, body.rubric)
    found = _Taken(rubric)
    for place, label in enumerate(body.labels):
        found.take(place, label)
    done = add_labels(desk.store, found.whole(), rubric, name, SOURCE, run, body.sampled_from)
    added = done.added
    return AddedLabels(
        name=name, new=added.new, changed=added.changed, same=added.same, placed=added.placed, told=done.told
    )


def set_of(desk: Desk, name: str) -> SetInfo:
    """The label set of a name. Raises Refused where there is none."""
    found: list[SetInfo] = desk.store.ask(desk.store.labels.sets, name)
    if not found:
        raise Refused(NO_SUCH_LABELS, "GET /v1/label-sets lists the sets that there are.")
    return found[0]


def _told(info: SetInfo) -> LabelSet:
    """As the store has it."""
    return LabelSet(**{name: getattr(info, name) for name in LabelSet.model_fields.keys() - {"object"}})


def _stored(stored: Stored) -> StoredLabel:
    """As the store has it."""
    label = {name: getattr(stored.label, name) for name in StoredLabel.model_fields.keys() - {"sheet", "sampled_from"}}
    return StoredLabel(**label, sheet=stored.sheet, sampled_from=stored.sampled_from)


def _cell(cursor: str) -> tuple[str, str, str]:
    """The cell that a page ended with. Raises Refused."""
    try:
        return _CELL.validate_python(parse(base64.b64decode(cursor, b"-_", validate=True)))
    except (Refused, ValueError):
        fault = Fault(detail="Send the `next` of a page as it is.", parameter="after")
        raise Refused(INVALID_REQUEST, "No page ended so.", fault) from None


def _run(desk: Desk, run: str, pointer: str) -> RunInfo:
    found: RunInfo | None = desk.store.ask(desk.store.results.run_info, run)
    if found is None:
        raise Refused(INVALID_REQUEST, "There is no such run.", Fault(detail="Name a run.", pointer=pointer))
    return found


class _Taken:
    """Labels by the scales of a rubric, and what is wrong with them."""

    def __init__(self, rubric: Rubric) -> None:
        self._rubric = rubric
        self._labels: dict[tuple[str, str, str], tuple[int, Label]] = {}
        self._groups: dict[str, tuple[int, str]] = {}
        self._faults: list[Fault] = []
        self._repeated = 0

    def take(self, place: int, given: NewLabel) -> None:
        """A label at its place."""
        for pointer, detail in self._wrong(place, given):
            self._faults.append(Fault(detail=detail, pointer=f"/labels/{place}{pointer}"))

    def _wrong(self, place: int, given: NewLabel) -> Iterator[tuple[str, str]]:
        ids = list(self._rubric.ids)
        id_ = ids[0] if given.criterion is None and len(ids) == 1 else given.criterion
        if id_ not in ids:
            yield "/criterion", f"Name one of {', '.join(ids)}."
            return
        criterion = self._rubric.criterion(id_)
        try:
            said = answered(criterion, given.score)
        except OffScale:
            said = None
        if said is None:
            yield "/score", f"Write one of: {allowed(criterion)}."
            return
        label = Label(given.item, id_, given.annotator, *said, given.reason, given.group)
        first, known = self._labels.setdefault(label.cell, (place, label))
        if known.said != label.said:
            yield "", f"The label at /labels/{first} says otherwise."
        self._repeated += first != place
        if label.group is not None:
            first, group = self._groups.setdefault(label.item, (place, label.group))
            if group != label.group:
                yield "/group", f"The item has another group at /labels/{first}."

    def whole(self) -> LabelFile:
        """All of them. Raises Refused where something is wrong."""
        if self._faults:
            raise Refused(INVALID_REQUEST, "Mend these labels; none was taken.", *self._faults[:MOST_FAULTS])
        labels = tuple(label for _, label in self._labels.values())
        return LabelFile("long", labels, self._repeated, (), None, self._groups)
