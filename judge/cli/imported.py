"""The files that `judge rubrics import` reads beside the import, and those that it writes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from judge.errors import InputError
from judge.items import FIELDS
from rubrics import Rubric
from rubrics.brief import as_yaml

ITEMS = "items.jsonl"


def text_of(path: Path) -> str:
    """The text of a file. Raises InputError."""
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not UTF-8; save it as UTF-8") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); name a readable file") from None


def with_outputs(items: Sequence[dict[str, Any]], path: Path) -> tuple[list[dict[str, Any]], int]:
    """The items with the outputs of a JSONL file by id, and how many outputs belong to no item. Raises InputError."""
    outputs: dict[str, Any] = {}
    for number, line in enumerate(text_of(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            outputs[str(row["id"])] = row["output"]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise InputError(f"{path}:{number}: is not an output; write an object with `id` and `output`") from None
    known = {item["id"] for item in items}
    filled = [{**item, "output": outputs[item["id"]]} if item["id"] in outputs else item for item in items]
    return filled, len(outputs.keys() - known)


def write(rubrics: Sequence[Rubric], items: Sequence[dict[str, Any]], out: Path) -> list[Path]:
    """One rubric as a YAML file, items with rubrics of their own as JSON lines, both as files of a new folder.

    Nothing is written over. Raises InputError.
    """
    try:
        if len(rubrics) == 1 and not items:
            _refuse_other(out, (".yaml", ".yml"), "one rubric, in YAML")
            return [_written(out, as_yaml(rubrics[0]))]
        if not rubrics:
            _refuse_other(out, (".jsonl",), "items, in JSON lines")
            return [_written(out, _lines(items))]
        _refuse_other(out, ("",), "several files, in a folder")
        out.mkdir()
        written = [_written(out / f"{rubric.name}.yaml", as_yaml(rubric)) for rubric in rubrics]
        return [*written, _written(out / ITEMS, _lines(items))] if items else written
    except FileExistsError:
        raise InputError(f"{out}: is there already; name another --out") from None
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror}); name another --out") from None


def _refuse_other(out: Path, suffixes: tuple[str, ...], what: str) -> None:
    if out.suffix.lower() not in suffixes:
        raise InputError(f"{out}: this comes to {what}; name it so: --out {out.stem}{suffixes[0]}")


def _lines(items: Sequence[dict[str, Any]]) -> str:
    ordered = ({field: item[field] for field in FIELDS if field in item} for item in items)
    return "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in ordered)


def _written(path: Path, text: str) -> Path:
    with path.open("x", encoding="utf-8") as file:
        file.write(text)
    return path
