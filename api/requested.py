"""What a request asks for: by which rubric, by which judge, and of which items; checked before anything is paid."""

from __future__ import annotations

from collections.abc import Sequence

from api.envelopes import Asked, Requested
from api.errors import Refused
from api.handlers import MOST_FAULTS, rubric_fault
from api.problems import INVALID_REQUEST, INVALID_RUBRIC, JUDGE_SETUP, Fault
from judge import Item, Judge
from judge.fences import urls
from judge.items import PAIRS
from judge.shelf import Shelf
from rubrics import Rubric, RubricError


def asked_of(shelf: Shelf, body: Asked) -> tuple[Rubric, Judge]:
    """By which rubric, and by which judge. It may look into the store. Raises Refused."""
    return rubric_of(shelf, body), judge_of(shelf, body.judge)


def rubric_of(shelf: Shelf, body: Asked) -> Rubric:
    """The rubric that is named, or sent. Raises Refused."""
    found = _asked(shelf, body)
    if found.pairwise:
        fault = Fault(detail=f"{PAIRS}; write another scale, or name another rubric", pointer="/rubric")
        raise Refused(INVALID_RUBRIC, "The rubric is not for single outputs.", fault)
    return found


def _asked(shelf: Shelf, body: Asked) -> Rubric:
    asked = body.rubric
    if asked is None:
        if isinstance(body, Requested) and (without := sum(item.rubric is None for item in body.items)):
            fault = Fault(detail=f"Items without a rubric of their own: {without}; name one here.", pointer="/rubric")
            raise Refused(INVALID_REQUEST, "Every item needs a rubric.", fault)
        return Rubric.of_each_item()
    return rubric_named(shelf, asked)


def rubric_named(shelf: Shelf, asked: str | Rubric) -> Rubric:
    """The rubric that is named, or sent, whatever its scales. Raises Refused."""
    if isinstance(asked, Rubric):
        return asked
    found = shelf.rubric(asked)
    if found is None:
        advice = f"Name one of {', '.join(shelf.rubrics)}, one that was registered, or send a whole rubric."
        raise Refused(INVALID_RUBRIC, "There is no rubric of this name.", Fault(detail=advice, pointer="/rubric"))
    return found


def judge_of(shelf: Shelf, asked: str) -> Judge:
    """The judge that is named. Raises Refused."""
    judge = shelf.judge(asked)
    if judge is None:
        fault = Fault(detail=f"Name one of {', '.join(shelf.judges)}, or one that was registered.", pointer="/judge")
        raise Refused(JUDGE_SETUP, "There is no judge of this name.", fault)
    return judge


def check_items(items: Sequence[Item], judge: Judge, max_output_bytes: int) -> None:
    """Refuses what would fail halfway, when other items may have been paid. Raises Refused."""
    _refuse_duplicates(items)
    for place, item in enumerate(items):
        check_item(item, f"/items/{place}", max_output_bytes)
        if (fault := unseen(item, f"/items/{place}", judge)) is not None:
            raise Refused(INVALID_REQUEST, "An item has an image that the judge cannot see.", fault)


def _refuse_duplicates(items: Sequence[Item]) -> None:
    first: dict[str, int] = {}
    faults = [
        Fault(detail=f"The item at /items/{first[item.id]} has the same id.", pointer=f"/items/{place}/id")
        for place, item in enumerate(items)
        if first.setdefault(item.id, place) != place
    ]
    if faults:
        raise Refused(INVALID_REQUEST, "Every item needs an id of its own.", *faults[:MOST_FAULTS])


def unseen(item: Item, pointer: str, judge: Judge) -> Fault | None:
    """What is wrong with an item at a place of the body that has an image, where the judge takes none."""
    if judge.takes_images or not any(urls(item.fences)):
        return None
    return Fault(detail="The judge takes no images; name one that does, or leave them out.", pointer=pointer)


def check_item(item: Item, pointer: str, max_output_bytes: int) -> None:
    """Refuses an item that stands at a place of the body, whoever is to judge it. Raises Refused."""
    if item.output_bytes > max_output_bytes:
        fault = Fault(detail=f"The limit is {max_output_bytes:,} bytes.", pointer=f"{pointer}/output")
        raise Refused(INVALID_REQUEST, "An output is too large; shorten it, or leave it out.", fault)
    try:
        item.own_rubric  # noqa: B018 - it is parsed here, as grading will need it
    except RubricError as error:
        fault = rubric_fault(error, f"{pointer}/rubric")
        raise Refused(INVALID_RUBRIC, "Mend the item's rubric, then send the request again.", fault) from None
