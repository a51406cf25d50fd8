"""autorubric: criteria with weights above or below 0, some with options; alone or in a dataset."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import Any, Literal

from rubrics.brief import brief
from rubrics.errors import RubricError
from rubrics.importers.document import Foreign, shaped
from rubrics.importers.ids import Ids, name_of
from rubrics.importers.imported import Imported, Losses
from rubrics.levels import CANNOT_TELL, NOT_APPLICABLE
from rubrics.rubric import Rubric

_LONGEST_LEVEL = 64


class _Option(Foreign):
    label: str
    value: float
    na: bool = False


class _Criterion(Foreign):
    requirement: str
    weight: float = 10.0
    name: str | None = None
    options: list[_Option] | None = None
    scale_type: Literal["ordinal", "nominal"] = "ordinal"


class _Item(Foreign):
    submission: str
    description: str = ""
    rubric: Any = None
    prompt: str | None = None
    reference_submission: str | None = None
    ground_truth: list[str] | None = None
    ground_truth_reasons: list[str | None] | None = None


class _Dataset(Foreign):
    name: str | None = None
    prompt: str | None = None
    rubric: Any
    reference_submission: str | None = None
    items: list[_Item]


def recognises(data: object) -> bool:
    """Whether there are requirements where autorubric has them."""
    if isinstance(data, dict) and isinstance(data.get("items"), list) and "rubric" in data:
        return any(isinstance(item, dict) and "submission" in item for item in data["items"])
    try:
        entries, _ = _entries(data, "")
    except RubricError:
        return False
    return any(isinstance(entry, dict) and "requirement" in entry for entry in entries)


def convert(data: object, source: str) -> Imported:
    """One rubric; of a dataset the items too, those with a rubric of their own with it."""
    losses = Losses()
    stem = PurePath(source).stem
    if not isinstance(data, dict) or "items" not in data:
        made = _Made(data, name_of(stem), source, losses)
        return Imported((made.rubric,), (), losses.lines)
    dataset = shaped(_Dataset, data, source)
    dataset.tell_extra(losses, "the dataset")
    name = name_of(dataset.name or stem)
    shared = None if dataset.rubric is None else _Made(dataset.rubric, name, source, losses)
    items = [_item(item, number, dataset, shared, source, losses) for number, item in enumerate(dataset.items, 1)]
    # Where every item has a rubric of its own, nothing is graded by the shared one.
    rubrics = () if shared is None or all("rubric" in item for item in items) else (shared.rubric,)
    return Imported(rubrics, tuple(items), losses.lines)


def _item(
    item: _Item, number: int, dataset: _Dataset, shared: _Made | None, source: str, losses: Losses
) -> dict[str, Any]:
    id_ = f"item-{number}"
    item.tell_extra(losses, id_)
    own = None if item.rubric is None else _Made(item.rubric, id_, source, losses)
    made = own or shared
    if made is None:
        raise RubricError("no rubric for it; write one beside it or for the dataset", file=source, path=id_)
    given = {"ground_truth": item.ground_truth, "ground_truth_reasons": item.ground_truth_reasons}
    labels = {field: made.by_id(values) for field, values in given.items() if values}
    reference = item.reference_submission
    filled = {
        "id": id_,
        "input": dataset.prompt if item.prompt is None else item.prompt,
        "output": item.submission,
        "reference": dataset.reference_submission if reference is None else reference,
        "metadata": {"description": item.description, **labels},
        "rubric": None if own is None else brief(own.rubric),
    }
    return {field: value for field, value in filled.items() if value is not None}


class _Made:
    """A rubric made, and the ids given to autorubric's criteria in their order, those left out too."""

    def __init__(self, data: object, name: str, source: str, losses: Losses) -> None:
        entries, guidelines = _entries(data, source)
        given = [shaped(_Criterion, entry, source, (place,)) for place, entry in enumerate(_flat(entries, losses))]
        ids = Ids()
        pairs = [(ids.make(criterion.name or criterion.requirement), criterion) for criterion in given]
        for id_, criterion in pairs:
            criterion.tell_extra(losses, id_)
            if not criterion.weight:
                losses.left_out("weight 0, which counts for nothing", id_)
            elif not criterion.requirement.strip():
                losses.left_out("a blank requirement", id_)
        self._ids = [id_ for id_, _ in pairs]
        counting = [pair for pair in pairs if pair[1].weight and pair[1].requirement.strip()]
        criteria = _criteria(counting, losses)
        self.rubric = Rubric.parse({"name": name, "instructions": guidelines, "criteria": criteria}, source)

    def by_id(self, values: Sequence[str | None]) -> dict[str, str]:
        """What autorubric lists by place."""
        placed = zip(self._ids, values, strict=False)
        return {id_: value for id_, value in placed if value is not None and id_ in self.rubric.ids}


def _entries(data: object, source: str) -> tuple[Sequence[Any], str]:
    """The list of criteria and sections, and the guidelines, of all the forms of a rubric."""
    guidelines = ""
    for keys in (("rubric", "sections", "criteria"), ("sections", "criteria")):
        if isinstance(data, dict):
            guidelines = data.get("guidelines") or guidelines
            data = next((data[key] for key in keys if key in data), None)
    if not isinstance(data, list):
        raise RubricError("no list of criteria; write one under `criteria`", file=source)
    return data, guidelines


def _flat(entries: Sequence[Any], losses: Losses) -> list[Any]:
    """The criteria of sections in the place of the sections, which have no weight of their own in autorubric."""
    criteria: list[Any] = []
    for number, entry in enumerate(entries, 1):
        if isinstance(entry, dict) and isinstance(entry.get("criteria"), list):
            criteria += entry["criteria"]
            for field in entry.keys() - {"criteria"}:
                losses.left_out(f"{field} of a section", f"section {number}")
        else:
            criteria.append(entry)
    return criteria


def _criteria(pairs: Sequence[tuple[str, _Criterion]], losses: Losses) -> list[dict[str, Any]]:
    """Points where some weights are below 0, as both are a sum over what can be earned; else weights."""
    below = [id_ for id_, criterion in pairs if criterion.weight < 0]
    mixed = 0 < len(below) < len(pairs)
    by_points = mixed and all(criterion.options is None for _, criterion in pairs)
    for id_ in below if mixed else ():
        how = "the score can fall below 0" if by_points else "points lost become points not earned"
        losses.changed(f"by a weight below 0, {how}", id_)
    made = []
    for id_, criterion in pairs:
        if criterion.options is not None:
            made.append(_choice(id_, criterion, criterion.options, losses))
        else:
            losses.changed("CANNOT_ASSESS becomes cannot_tell, which leaves the overall open", id_)
            made.append((_points if by_points else _binary)(id_, criterion))
    return made


def _points(id_: str, criterion: _Criterion) -> dict[str, Any]:
    asked = {"id": id_, "question": criterion.requirement, CANNOT_TELL: True}
    return {**asked, "scale": "points", "points": criterion.weight}


def _binary(id_: str, criterion: _Criterion) -> dict[str, Any]:
    """Yes or no; where the weight is below 0, yes is the worse."""
    asked = {"id": id_, "question": criterion.requirement, CANNOT_TELL: True, "weight": abs(criterion.weight)}
    scale = {"scale": "binary"} if criterion.weight > 0 else {"scale": "ordinal", "levels": ["yes", "no"]}
    return {**asked, **scale}


def _choice(id_: str, criterion: _Criterion, options: list[_Option], losses: Losses) -> dict[str, Any]:
    """Options as levels, the share of one minus their value where the weight is below 0."""
    for option in options:
        option.tell_extra(losses, id_)
    worth = [(o.label, o.value if criterion.weight > 0 else round(1 - o.value, 9)) for o in options if not o.na]
    ordered = sorted(worth, key=lambda pair: pair[1]) if criterion.scale_type == "ordinal" else worth
    values = {value for _, value in worth}
    alike = len(values) < 2
    if alike:
        losses.changed("options of one value have none", id_)
    elif (min(values), max(values)) != (0, 1):
        losses.changed("values are stretched to run from 0 to 1", id_)
    rising = criterion.scale_type == "ordinal" and len(values) == len(worth)
    excused = "; ".join(option.label for option in options if option.na)
    return {
        "id": id_,
        "question": criterion.requirement,
        "weight": 1.0 if alike else abs(criterion.weight),
        "scale": "ordinal" if rising else "categorical",
        "levels": [_level(n, label, None if alike else value) for n, (label, value) in enumerate(ordered, 1)],
        NOT_APPLICABLE: excused or False,
    }


def _level(place: int, label: str, value: float | None) -> dict[str, Any]:
    """A label that is too long to answer with becomes the description."""
    name = " ".join(label.split())
    if len(name) <= _LONGEST_LEVEL and name.isprintable() and name not in (CANNOT_TELL, NOT_APPLICABLE):
        return {"level": name, "value": value}
    return {"level": f"option {place}", "value": value, "description": label}
