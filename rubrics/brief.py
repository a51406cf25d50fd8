"""A rubric as people write one: defaults left out, levels as `name: description` lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rubrics.rubric import Rubric
from rubrics.yaml_text import write_yaml


def brief(rubric: Rubric) -> dict[str, Any]:
    """Plain data that parses to an equal rubric."""
    return _node(rubric.model_dump(mode="json", exclude_defaults=True))


def as_yaml(rubric: Rubric) -> str:
    """YAML text that loads as an equal rubric."""
    return write_yaml(brief(rubric))


def _node(data: dict[str, Any]) -> dict[str, Any]:
    ordered = _ordered(data, ("name", "version", "id", "description", "weight", "instructions"))
    for part, written in (("criteria", _criterion), ("sections", _node)):
        if part in ordered:
            ordered[part] = [written(one) for one in ordered[part]]
    return ordered


def _criterion(data: dict[str, Any]) -> dict[str, Any]:
    ordered = _ordered(data, ("id", "question", "scale", "weight", "points", "minimum", "maximum", "step", "required"))
    if "levels" in ordered:
        ordered["levels"] = _levels([_ordered(level, ()) for level in ordered["levels"]], ordered["scale"])
    return ordered


def _ordered(data: dict[str, Any], first: Sequence[str]) -> dict[str, Any]:
    """These fields first; a whole number without its `.0`."""
    ordered = {field: data[field] for field in (*first, *data) if field in data}
    return {
        field: int(value) if isinstance(value, float) and value.is_integer() else value
        for field, value in ordered.items()
    }


def _levels(levels: list[dict[str, Any]], scale: str) -> object:
    names = [level["level"] for level in levels]
    usual = names if isinstance(names[0], int) else range(len(names))
    values: list[float | None] = [level.get("value") for level in levels]
    implied = all(value is None for value in values) or (scale != "categorical" and values == list(usual))
    if not implied:
        return levels
    if not any("description" in level for level in levels):
        return names
    if isinstance(names[0], str) and all(name.removeprefix("-").isdecimal() for name in names):
        return [{field: level[field] for field in ("level", "description") if field in level} for level in levels]
    return {level["level"]: level.get("description", "") for level in levels}
