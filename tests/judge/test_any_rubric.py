"""What holds for every rubric on its way to a judge and back, on generated ones."""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any

import anthropic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from judge import Grade, Item, Judge, parsing
from judge.grading import Grader, weighed
from judge.judges import OUTPUT_MODES, Asking
from judge.providers import Provider, Request, Source, connect
from rubrics import Rubric, answer_schema
from tests.generated import ANY, OF_ONE, RUBRICS, Data, answers, other_name, shuffled, under_other_names

ITEM = Item(id="1", output="x")
#: Where each provider puts the schema, in each mode that has one.
SCHEMAS: dict[tuple[str, str], tuple[str | int, ...]] = {
    ("openai", "json_schema"): ("response_format", "json_schema", "schema"),
    ("openai", "tool"): ("tools", 0, "function", "parameters"),
    ("openai-responses", "json_schema"): ("text", "format", "schema"),
    ("openai-responses", "tool"): ("tools", 0, "parameters"),
    ("anthropic", "json_schema"): ("output_config", "format", "schema"),
    ("anthropic", "tool"): ("tools", 0, "input_schema"),
}


def adapter(provider: str) -> Provider:
    judge = Judge(name="j", provider=provider, model="m", base_url="http://127.0.0.1:9")
    made = connect(judge)
    assert not isinstance(made, Source)
    return made


ADAPTERS = {provider: adapter(provider) for provider, _ in SCHEMAS}


def sent(provider: str, mode: Any, schema: dict[str, Any]) -> Any:
    """The schema in the bytes of a call."""
    found = json.loads(ADAPTERS[provider].compile(Request(Asking(mode, ()), "Grade.", schema))("x", 100))
    for step in SCHEMAS[provider, mode]:
        found = found[step]
    return found


@ANY
@given(RUBRICS)
def test_openai_is_sent_the_strict_schema_as_it_is(data: Data) -> None:
    schema = answer_schema(Rubric.parse(data))
    for provider, mode in SCHEMAS:
        if provider != "anthropic":
            assert sent(provider, mode, schema) == schema


@ANY
@given(RUBRICS)
def test_anthropic_is_sent_what_its_sdk_leaves_unchanged(data: Data) -> None:
    schema = answer_schema(Rubric.parse(data))
    before = json.dumps(schema)
    for mode in ("json_schema", "tool"):
        given = sent("anthropic", mode, schema)
        assert anthropic.transform_schema(given) == given
        assert list(given["properties"]) == list(schema["properties"])
    assert json.dumps(schema) == before


@ANY
@given(RUBRICS)
def test_every_mode_has_a_place_for_the_schema(data: Data) -> None:
    schema = answer_schema(Rubric.parse(data))
    assert {mode for _, mode in SCHEMAS} | {"json_prompt"} == set(OUTPUT_MODES)
    for made in ADAPTERS.values():
        body = json.loads(made.compile(Request(Asking("json_prompt", ()), "Grade.", schema))("x", 100))
        assert not {"response_format", "text", "output_config", "tools"} & body.keys()


def graded(data: Data, given: dict[str, Any]) -> Grade:
    """What a recording of these answers comes to; None is no answer."""
    rows = [{"item": ITEM.id, "criterion": id_, "score": score, "reason": "r"} for id_, score in given.items()]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "recorded.jsonl")
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        judge = Judge(name="r", provider="recorded", options={"file": str(file)})
        adapter = connect(judge)
        assert isinstance(adapter, Source)
        return asyncio.run(Grader(judge, Rubric.parse(data), adapter, adapter.fingerprint).grade(ITEM)).grade


@ANY
@given(OF_ONE, st.data(), st.randoms(use_true_random=False))
def test_order_and_names_in_rubric_and_recording_do_not_change_a_grade(data: Data, draw: Any, chance: Any) -> None:
    rubric = Rubric.parse(data)
    given = {criterion.id: draw.draw(st.none() | answers(criterion)) for criterion in rubric.leaves}
    here = graded(data, given)
    renamed = graded(under_other_names(data), {other_name(id_): score for id_, score in given.items()})
    moved = graded(shuffled(data, chance), dict(reversed(given.items())))
    assert {other_name(id_): one for id_, one in here.criteria.items()} == {
        id_: one.model_copy(update={"cause": here.criteria[id_.removeprefix("other-")].cause})
        for id_, one in renamed.criteria.items()
    }
    assert moved.criteria == here.criteria
    for other in (renamed, moved):
        assert (other.outcome, other.passed) == (here.outcome, here.passed)
        assert (other.low, other.high) == pytest.approx((here.low, here.high))
        assert other.score == pytest.approx(here.score)


@ANY
@given(OF_ONE, st.data())
def test_a_live_answer_and_a_recording_of_it_come_to_the_same(data: Data, draw: Any) -> None:
    rubric = Rubric.parse(data)
    given = {criterion.id: draw.draw(answers(criterion)) for criterion in rubric.leaves}
    text = json.dumps({id_: {"reason": "r", "score": score} for id_, score in given.items()})
    assert weighed(rubric, parsing.parse(text, rubric)) == {
        name: getattr(graded(data, given), name) for name in weighed(rubric, parsing.parse(text, rubric))
    }
