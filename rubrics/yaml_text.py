"""YAML text into plain data that knows its lines, and plain data into YAML text.

Built from parser events, so that nothing is constructed, expanded or nested beyond what is allowed here. Scalars are
those of YAML 1.2: `yes`, `no`, `on`, `off` and dates are text, 012 is twelve.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from rubrics.errors import RubricError, quote
from rubrics.lines import Lines, Path

_NODES = 100_000
_ALIASES = 20

_CONSTANTS = {"": None, "~": None} | {
    form: value
    for word, value in (("null", None), ("true", True), ("false", False))
    for form in (word, word.title(), word.upper())
}
_INTEGER = re.compile(r"[-+]?[0-9]{1,40}")
#: What YAML does not allow in a text. Compiled when it is first wanted: that takes as long as all else here.
_UNFIT = r"[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")


@dataclass(frozen=True, slots=True)
class _Event:
    kind: Literal["mapping", "list", "scalar", "alias", "end"]
    line: int
    anchor: str | None
    value: str
    plain: bool


def read_yaml(text: str, lines: Lines) -> object:
    """Data of the one document in the text. Raises RubricError."""
    events = _events(text, lines)
    first = next(events, None)
    if first is None:
        raise lines.fault("the text is empty; write a rubric", 1)
    data = _Builder(events, lines).build(first, ())
    if (extra := next(events, None)) is not None:
        raise lines.fault("a second document begins here; write one rubric a file", extra.line)
    return data


def write_yaml(data: object) -> str:
    """Text that `read_yaml` reads as this data of mappings, lists, text and numbers."""
    import yaml  # noqa: PLC0415 - see _events

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: object) -> bool:
            return True

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        # The dumper quotes by YAML 1.1, to which 1e5 is text.
        style = "|" if "\n" in value else None if isinstance(_scalar(value), str) else "'"
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style)

    Dumper.add_representer(str, text)
    return yaml.dump(data, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=110)


def _events(text: str, lines: Lines) -> Iterator[_Event]:
    import yaml  # noqa: PLC0415 - a rubric from JSON or plain data must not pay for it

    if unfit := re.search(_UNFIT, text):
        line = text.count("\n", 0, unfit.start()) + 1
        raise lines.fault("a character that text cannot hold; write the text without it", line)
    kinds: dict[type, Literal["mapping", "list", "scalar", "alias", "end"]] = {
        yaml.MappingStartEvent: "mapping",
        yaml.SequenceStartEvent: "list",
        yaml.ScalarEvent: "scalar",
        yaml.AliasEvent: "alias",
        yaml.MappingEndEvent: "end",
        yaml.SequenceEndEvent: "end",
    }
    try:
        event: Any  # each kind of event has its own fields
        for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            if (kind := kinds.get(type(event))) is not None:
                line = event.start_mark.line + 1
                given = vars(event)
                if given.get("tag") is not None:
                    raise lines.fault(f"the tag {quote(given['tag'])} is not read; write the plain value", line)
                plain = kind == "scalar" and given["implicit"][0]
                yield _Event(kind, line, given.get("anchor"), given.get("value", ""), plain)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, problem = 1 if mark is None else mark.line + 1, error.problem or error.context or ""
        if "nesting depth" in problem:  # of the parser, which may see it first
            raise lines.too_deep(line) from None
        raise lines.fault(f"not YAML: {problem}; write valid YAML", line) from None


class _Builder:
    def __init__(self, events: Iterator[_Event], lines: Lines) -> None:
        self._events = events
        self._lines = lines
        self._anchors: dict[str, tuple[object, int]] = {}
        self._aliases = 0
        self._nodes = 0

    def build(self, event: _Event, path: Path) -> object:
        before = self._nodes
        self._nodes += 1
        if event.kind == "alias":
            return self._alias(event)
        data: object
        if event.kind == "mapping":
            data = self._mapping(path)
        elif event.kind == "list":
            data = self._list(path)
        else:
            data = _scalar(event.value) if event.plain else event.value
        if event.anchor is not None:
            self._anchors[event.anchor] = data, self._nodes - before
        return data

    def _alias(self, event: _Event) -> object:
        if event.anchor not in self._anchors:
            raise self._lines.fault(f"nothing above is named &{event.anchor}; write the anchor first", event.line)
        data, size = self._anchors[event.anchor]
        self._aliases += 1
        self._nodes += size
        if self._aliases > _ALIASES or self._nodes > _NODES:
            raise self._lines.fault("too many aliases; write the text out", event.line)
        return data

    def _mapping(self, path: Path) -> dict[int | str, object]:
        data: dict[int | str, object] = {}
        for event in iter(self._inner, None):
            key = _scalar(event.value) if event.plain else event.value
            if event.kind != "scalar" or isinstance(key, bool) or not isinstance(key, int | str):
                raise self._key_fault(event, path)
            self._lines.mark((*path, key), event.line)
            data[key] = self.build(next(self._events), (*path, key))
        return data

    def _list(self, path: Path) -> list[object]:
        data: list[object] = []
        for event in iter(self._inner, None):
            here = (*path, len(data))
            self._lines.mark(here, event.line)
            data.append(self.build(event, here))
        return data

    def _inner(self) -> _Event | None:
        event = next(self._events)
        return None if event.kind == "end" else event

    def _key_fault(self, event: _Event, path: Path) -> RubricError:
        shown = event.value if event.kind == "scalar" else f"a {event.kind}"
        return self._lines.fault(f"{quote(shown)} cannot be a key; write text, in quotes", event.line, path)


def _scalar(text: str) -> object:
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text
