"""OpenAI graders: `score_model` and `label_model`, alone, in a `multi` grader or as the criteria of an eval."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath
from typing import Any

from rubrics.errors import RubricError
from rubrics.importers.document import Foreign, shaped
from rubrics.importers.ids import Ids, name_of
from rubrics.importers.imported import Imported, Losses
from rubrics.importers.templates import filled
from rubrics.lines import Path, written
from rubrics.rubric import Rubric

_GRADERS = {"score_model", "label_model", "string_check", "text_similarity", "python", "multi"}
#: Where graders are in what holds them.
_HOLDING = ("grader", "graders", "testing_criteria")
_OUTPUT = "the output"
_DEEPEST = 8


class _Message(Foreign):
    role: str
    content: Any
    type: str | None = None


class _Grader(Foreign):
    type: str
    name: str = "grade"


class _ModelGrader(_Grader):
    input: tuple[_Message, ...]


class _ScoreModel(_ModelGrader):
    range: tuple[float, float] | None = None
    pass_threshold: float | None = None


class _LabelModel(_ModelGrader):
    labels: tuple[str, ...]
    passing_labels: tuple[str, ...] = ()


def recognises(data: object) -> bool:
    """Whether there is at least one grader."""
    return next(_graders(data, Losses()), None) is not None


def convert(data: object, source: str) -> Imported:
    """One rubric with a criterion for each grader that asks a model."""
    losses, ids = Losses(), Ids()
    asked: list[tuple[_ModelGrader, str, str]] = []
    for place, given in _graders(data, losses):
        grader = shaped(_kind(given), given, source, place)
        if not isinstance(grader, _ModelGrader):
            losses.left_out(f"a {grader.type} grader, which asks no judge", grader.name)
            continue
        grader.tell_extra(losses, grader.name)
        asked.append((grader, *_texts(grader, losses)))
    if not asked:
        raise RubricError("no score_model or label_model grader; write at least one", file=source)
    rules = {system for _, system, _ in asked}
    shared = rules.pop() if len(rules) == 1 else ""
    criteria = [
        {
            "id": ids.make(grader.name),
            "question": _joined("" if shared else system, question) or grader.name,
            **_scale(grader, losses),
        }
        for grader, system, question in asked
    ]
    name = asked[0][0].name if len(asked) == 1 else PurePath(source).stem
    rubric = Rubric.parse({"name": name_of(name), "instructions": shared, "criteria": criteria}, source)
    return Imported((rubric,), (), losses.lines)


def _graders(data: object, losses: Losses, at: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every grader with its place, out of all that may hold one."""
    if len(at) > _DEEPEST:
        return
    if isinstance(data, list):
        for place, one in enumerate(data):
            yield from _graders(one, losses, (*at, place))
    elif isinstance(data, dict):
        held = next((field for field in _HOLDING if field in data), None)
        if held is not None:
            for field in data:
                if field not in ("type", "name", held):
                    losses.left_out(field, written(at) or "the file")
            yield from _graders(data[held], losses, (*at, held))
        elif data.get("type") in _GRADERS:
            yield at, data
        elif at and at[-1] == "graders":
            for name, one in data.items():
                yield from _graders({"name": name, **one} if isinstance(one, dict) else one, losses, (*at, name))


def _kind(given: dict[str, Any]) -> type[_Grader]:
    kinds: dict[str, type[_Grader]] = {"score_model": _ScoreModel, "label_model": _LabelModel}
    return kinds.get(given["type"], _Grader)


def _texts(grader: _ModelGrader, losses: Losses) -> tuple[str, str]:
    """What the system is told, and what is asked."""
    system: list[str] = []
    asked: list[str] = []
    for message in grader.input:
        message.tell_extra(losses, grader.name)
        content = _content(message.content, grader.name, losses)
        text = filled(content, {"sample.output_text": _OUTPUT}, losses, grader.name)
        if text != _OUTPUT:  # which comes with the item
            (system if message.role in ("system", "developer") else asked).append(text)
    return _joined(*system), _joined(*asked)


def _content(content: Any, place: str, losses: Losses) -> str:
    if isinstance(content, str):
        return content
    texts = []
    for part in content if isinstance(content, list) else [content]:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, dict) and isinstance(part.get("text"), str):
            texts.append(part["text"])
        else:
            losses.left_out("a part of a message that is not text", place)
    return _joined(*texts)


def _joined(*texts: str) -> str:
    return "\n\n".join(text.strip() for text in texts if text.strip())


def _scale(grader: _ModelGrader, losses: Losses) -> dict[str, Any]:
    if isinstance(grader, _ScoreModel):
        low, high = grader.range or (0.0, 1.0)
        scale = {"scale": "numeric", "minimum": low, "maximum": high}
        if grader.pass_threshold is None:
            return scale
        if low <= grader.pass_threshold <= high:
            return {**scale, "required": grader.pass_threshold}
        losses.left_out("a pass_threshold outside the range", grader.name)
        return scale
    assert isinstance(grader, _LabelModel)
    passing = [label for label in grader.labels if label in grader.passing_labels]
    if not passing or len(passing) == len(grader.labels):
        return {"scale": "categorical", "levels": grader.labels}
    levels = [{"level": label, "value": 1 if label in passing else 0} for label in grader.labels]
    return {"scale": "categorical", "levels": levels, "required": passing[0]}
