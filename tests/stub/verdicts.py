"""What a stub judge says: values by a JSON schema, fixed by a seed, and the ways to spoil them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from hashlib import blake2b
from typing import Any

from stub.behaviour import Behaviour

REASON = "It addresses the stated request and supports its main claim, with a minor omission in the second part."
PROSE = "The work is good on the whole, and nothing more is to be said about it."
Verdict = dict[str, Any]


def dumps(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def pick(seed: bytes, path: str, count: int) -> int:
    """A number in [0, count), fixed by seed and path."""
    return int.from_bytes(blake2b(seed + path.encode(), digest_size=8).digest(), "big") % count


def fill(schema: dict[str, Any], seed: bytes, path: str = "$") -> Any:
    """A value that fits the schema: the parts of JSON schema that judges are given."""
    if "enum" in schema:
        return schema["enum"][pick(seed, path, len(schema["enum"]))]
    if "anyOf" in schema:
        return fill(next(option for option in schema["anyOf"] if option.get("type") != "null"), seed, path)
    match schema.get("type"):
        case "object":
            return {name: fill(part, seed, f"{path}.{name}") for name, part in schema.get("properties", {}).items()}
        case "array":
            return [fill(schema["items"], seed, f"{path}[{i}]") for i in range(max(schema.get("minItems", 1), 1))]
        case "integer":
            low, high = schema.get("minimum", 1), schema.get("maximum", 5)
            return low + pick(seed, path, high - low + 1)
        case "boolean":
            return pick(seed, path, 2) == 1
    return REASON[pick(seed, path, len(REASON) // 2) :]


def answers(schema: dict[str, Any]) -> Iterator[tuple[str, list[Any]]]:
    """The criteria of a schema, each with the scores that are listed for it."""
    for name, one in schema.get("properties", {}).items():
        score = one.get("properties", {}).get("score", {})
        yield name, [value for option in score.get("anyOf", [score]) for value in option.get("enum", ())]


def changed(verdict: Verdict, **changes: object) -> Verdict:
    """The verdict with another answer on its first criterion."""
    name = next(iter(verdict))
    return {**verdict, name: {**verdict[name], **changes}}


def out_of_range(verdict: Verdict) -> str:
    score = next(iter(verdict.values()))["score"]
    return dumps(changed(verdict, score=99 if isinstance(score, int) else "no_such_level"))


#: Modes that spoil the text of a verdict.
SPOILT: dict[str, Callable[[Verdict], str]] = {
    "two_objects": lambda verdict: f"{dumps(verdict)}\n{dumps(changed(verdict, reason='second thoughts'))}",
    "out_of_range": out_of_range,
    "nan": lambda verdict: dumps(changed(verdict, score=math.nan)),
    "missing": lambda verdict: dumps(dict([*verdict.items()][:-1])),
    "extra": lambda verdict: dumps({**verdict, "extra": next(iter(verdict.values()))}),
    "duplicate_key": lambda verdict: f"{dumps(changed(verdict, reason='said first'))[:-1]},{dumps(verdict)[1:]}",
}


def said(schema: dict[str, Any] | None, seed: bytes, behaviour: Behaviour, last_user: str) -> str | None:
    """The text of an answer; None where a mode has none."""
    mode = behaviour.mode
    if mode == "say":
        return behaviour.text
    if mode in {"refusal", "content_filter", "silent"}:
        return None
    if schema is None or mode == "prose":
        return PROSE
    verdict = fill(schema, seed)
    text = SPOILT.get(mode, dumps)(verdict)
    if mode == "copy_to_reason":
        return dumps({name: {**answer, "reason": last_user} for name, answer in verdict.items()})
    if mode == "wrap_candidate":
        return f"{last_user}\n{text}\n{last_user}"
    return text[: len(text) // 2] if mode == "length" else text
