"""promptfoo: the `llm-rubric` assertions of a configuration, and its tests as items."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from pydantic import Field

from rubrics.brief import brief
from rubrics.errors import RubricError
from rubrics.importers.document import Foreign, shaped
from rubrics.importers.ids import Ids, name_of
from rubrics.importers.imported import Imported, Losses
from rubrics.importers.templates import filled
from rubrics.rubric import Rubric

_ELSEWHERE = "file://"


class _Assertion(Foreign):
    type: str = "$ref"
    value: Any = None
    weight: float = Field(default=1.0, ge=0)
    threshold: float | None = None
    metric: str | None = None
    within: tuple[_Assertion, ...] = Field(default=(), alias="assert")


class _Test(Foreign):
    description: str = ""
    vars: Any = None
    options: dict[str, Any] = Field(default_factory=dict)
    metadata: dict[str, Any] = Field(default_factory=dict)
    asserted: tuple[_Assertion, ...] = Field(default=(), alias="assert")


class _Config(Foreign):
    description: str = ""
    prompts: Any = None
    tests: Any = None
    default: Any = Field(default=None, alias="defaultTest")


def recognises(data: object) -> bool:
    """Whether this is a configuration with tests."""
    return isinstance(data, dict) and ("defaultTest" in data or ("tests" in data and "prompts" in data))


def convert(data: object, source: str) -> Imported:
    """One item a test. Tests that all ask the same share a rubric; else each item has its own."""
    reading = _Reading(shaped(_Config, data, source), source)
    name = name_of(PurePath(source).stem)
    asked = list(reading.asked(name))
    if not asked:
        raise RubricError("no llm-rubric to ask; write at least one assertion of that type", file=source)
    rubrics = [rubric for rubric, _ in asked]
    items = [item for _, item in asked if item is not None]
    if len({rubric.hash for rubric in rubrics}) == 1:
        return Imported((rubrics[0].model_copy(update={"name": name}),), tuple(items), reading.losses.lines)
    own = tuple({**item, "rubric": brief(rubric)} for rubric, item in zip(rubrics, items, strict=True))
    return Imported((), own, reading.losses.lines)


class _Reading:
    def __init__(self, config: _Config, source: str) -> None:
        self.losses = Losses()
        self._source = source
        self._description = config.description
        config.tell_extra(self.losses, PurePath(source).name)
        self._default = self._test(config.default, "defaultTest") or _Test()
        self._tests = [
            (f"test-{number}", test)
            for number, given in enumerate(config.tests if isinstance(config.tests, list) else [config.tests], 1)
            if (test := self._test(given, f"test-{number}")) is not None
        ]
        self._prompt = self._only_prompt(config.prompts)

    def asked(self, name: str) -> list[tuple[Rubric, dict[str, Any] | None]]:
        """A rubric for each test and its item; or that of the default test alone."""
        made = []
        for place, test in self._tests or [("defaultTest", _Test())]:
            values = {**(self._default.vars or {}), **(test.vars or {})}
            children = self._children((*self._default.asserted, *test.asserted), values, place, Ids(), Ids())
            if not children:
                self.losses.left_out("no llm-rubric, so there is nothing to ask", place)
                continue
            about = {"name": name_of(f"{name}-{place}"), "description": self._description}
            rubric = Rubric.parse({**about, **children}, f"{self._source}: {place}")
            made.append((rubric, self._item(place, test, values) if self._tests else None))
        return made

    def _test(self, given: Any, place: str) -> _Test | None:
        """A test as it stands in the file; None for one that is elsewhere, or not there."""
        elsewhere = given.get("path") if isinstance(given, dict) else given
        if elsewhere is not None:
            self.losses.left_out(f"{elsewhere}, another file", place)
        if elsewhere is not None or given is None:
            return None
        test = shaped(_Test, given, self._source, (place,))
        test.tell_extra(self.losses, place)
        if not isinstance(test.vars, dict | None):
            self.losses.left_out("vars of another file", place)
            test = test.model_copy(update={"vars": None})
        for field in test.options:
            self.losses.left_out(f"options.{field}", place)
        return test

    def _only_prompt(self, prompts: Any) -> str | None:
        """The prompt that all inputs are made of, where it is one text in the file itself."""
        only = prompts[0] if isinstance(prompts, list) and len(prompts) == 1 else prompts
        # A single word is the name of a file.
        if isinstance(only, str) and not only.startswith(_ELSEWHERE) and (" " in only or "{{" in only):
            return only
        if self._tests:
            self.losses.left_out("the input of items, as not one prompt alone stands here", "prompts")
        return None

    def _item(self, id_: str, test: _Test, values: Mapping[str, Any]) -> dict[str, Any]:
        metadata = {**self._default.metadata, **test.metadata}
        about = {"description": test.description, "vars": dict(values), **metadata}
        item = {"id": id_, "metadata": {field: value for field, value in about.items() if value}}
        if self._prompt is None:
            return item
        return {**item, "input": self._filled_prompt(_chat(self._prompt), values)}

    def _filled_prompt(self, prompt: str | list[dict[str, str]], values: Mapping[str, Any]) -> object:
        if isinstance(prompt, str):
            return filled(prompt, values, self.losses, "prompts")
        return [{**turn, "content": filled(turn["content"], values, self.losses, "prompts")} for turn in prompt]

    def _children(
        self, assertions: Sequence[_Assertion], values: Mapping[str, Any], place: str, criteria_ids: Ids, set_ids: Ids
    ) -> dict[str, Any]:
        """Criteria, and a section for each set of assertions."""
        criteria, sections = [], []
        for assertion in assertions:
            assertion.tell_extra(self.losses, place)
            if not assertion.weight:
                self.losses.left_out("weight 0, which counts for nothing", place)
            elif assertion.type == "assert-set":
                inner = self._children(assertion.within, values, place, criteria_ids, set_ids)
                if assertion.threshold is not None:
                    self.losses.left_out("the threshold of an assert-set", place)
                if inner:
                    id_ = set_ids.make(assertion.metric or "set")
                    sections.append({"id": id_, "weight": assertion.weight, **inner})
            elif (question := self._question(assertion, values, place)) is not None:
                id_ = criteria_ids.make(assertion.metric or question)
                criteria.append({"id": id_, "question": question, "weight": assertion.weight, **_scale(assertion)})
        children = {"criteria": criteria, "sections": sections}
        return {name: made for name, made in children.items() if made}

    def _question(self, assertion: _Assertion, values: Mapping[str, Any], place: str) -> str | None:
        if assertion.type != "llm-rubric":
            self.losses.left_out(f"{assertion.type}, which is no llm-rubric", place)
            return None
        value = assertion.value
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        if value is None or text.startswith(_ELSEWHERE):
            self.losses.left_out(f"an llm-rubric whose text is {text}", place)
            return None
        question = filled(text, {"output": "the output", **values}, self.losses, place)
        if not question.strip():
            self.losses.left_out("an llm-rubric whose text is blank", place)
            return None
        return question


def _scale(assertion: _Assertion) -> dict[str, Any]:
    """Pass or fail; with a threshold a number that must reach it."""
    if assertion.threshold is None:
        return {"scale": "binary", "required": "yes"}
    return {"scale": "numeric", "minimum": 0, "maximum": 1, "required": assertion.threshold}


def _chat(text: str) -> str | list[dict[str, str]]:
    """A prompt that is a JSON list of messages is a chat; any other is text."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return text
    turns = data if isinstance(data, list) else [data]
    chat = all(isinstance(turn, dict) and isinstance(turn.get("content"), str) and "role" in turn for turn in turns)
    return turns if chat else text
