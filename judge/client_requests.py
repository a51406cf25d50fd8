"""What a client asks of a service."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import IO, Any, Literal, TypedDict
from urllib.parse import quote

from judge.items import Item
from judge.judges import Judge
from rubrics import Rubric


class RunOptions(TypedDict, total=False):
    """How a run is graded. What is left out is as `POST /v1/runs` has it."""

    samples: int  #: answers for each item
    name: str  #: of the items, for people
    calibration: str | None  #: that the grades are shown by
    budget_usd: float | None  #: at which the run pauses
    mode: Literal["live", "batch"]  #: `batch`: at half the price, within a day
    batch_window_s: float | None  #: after which what a batch has not answered is asked live
    fresh: bool  #: a run of its own: no answer of an earlier one is used
    resend_lost: bool  #: ask again where an answer was lost, though it may have been paid
    retry_failed: bool  #: grade again what failed, where the run was graded before


class _Labelled(TypedDict):
    item: str
    score: bool | int | float | str


class GivenLabel(_Labelled, total=False):
    """What a person says of an item on a criterion; `score` is a level, a number, `not_applicable`, `cannot_tell`."""

    criterion: str | None  #: None where the rubric has one
    annotator: str
    reason: str | None
    group: str | None  #: the document, prompt or conversation


class CalibrationOptions(TypedDict, total=False):
    """How a judge is calibrated. What is left out is as `POST /v1/calibrations` has it."""

    name: str | None
    group: str | None
    system: str | None
    seed: int
    dev: bool
    alpha: float
    delta: float
    coverage: float
    people: Literal["experts", "skilled", "crowd"]


def plain(items: Iterable[Item]) -> list[dict[str, Any]]:
    """Items, as JSON has them."""
    return [item.model_dump(mode="json", exclude_defaults=True) for item in items]


def plain_thing(thing: str | Rubric | Judge | None) -> str | dict[str, Any] | None:
    """A rubric or a judge, as JSON has it, or its name."""
    return thing.model_dump(mode="json", exclude_defaults=True) if isinstance(thing, Rubric | Judge) else thing


def part(name: str) -> str:
    """A name, as one part of a path, whatever is in it."""
    return quote(name, safe="")


def asked_of(judge: str, rubric: str | Rubric | None, options: RunOptions) -> dict[str, Any]:
    """A request, but for its items."""
    return {"judge": judge, "rubric": plain_thing(rubric), **options}


def write(file: IO[bytes], asked: dict[str, Any], items: Iterable[Item]) -> None:
    """A request without its items, and then each of them, as lines of JSON."""
    file.write(f"{json.dumps(asked)}\n".encode())
    for item in items:
        file.write(f"{item.model_dump_json(exclude_defaults=True)}\n".encode())
