from __future__ import annotations

import json

import pytest

from rubrics import RubricError
from rubrics.importers import FORMATS, read
from rubrics.importers.ids import Ids, name_of


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("[]", "x.json"),
        ("{}", "x.json"),
        ("name: mine\ncriteria: [{id: a, scale: binary, question: q}]", "x.yaml"),
        ("[" * 200 + "]" * 200, "x.json"),
        ("hello", "<text>"),
        (json.dumps({"grader": {"grader": {"type": "x"}}}), "x.json"),
    ],
)
def test_a_format_that_is_not_known_is_refused(text: str, source: str) -> None:
    with pytest.raises(RubricError, match="name one of healthbench, paperbench, autorubric, openai, promptfoo"):
        read(text, source=source)


def test_a_format_that_does_not_exist_is_refused() -> None:
    with pytest.raises(RubricError, match=r"^x\.json: not a format that is known; name one of"):
        read("[]", "rewardkit", "x.json")
    assert len(FORMATS) == 5


@pytest.mark.parametrize("source", ["a.json", "a.txt", "<text>"])
def test_json_is_read_under_any_name(source: str) -> None:
    text = json.dumps([{"requirement": "It is right."}], indent=2)
    assert read(text, source=source).rubrics[0].leaves[0].question == "It is right."


def test_json_lines_are_told_from_json() -> None:
    example = {"prompt_id": "p", "prompt": [], "rubrics": [{"criterion": "c", "points": 1}]}
    two = "\n".join(json.dumps({**example, "prompt_id": id_}) for id_ in "pq")
    assert [item["id"] for item in read(two, source="<text>").items] == ["p", "q"]
    with pytest.raises(RubricError, match=r"^a\.json:2: not JSON: Extra data; write valid JSON$"):
        read(two, source="a.json")


def test_ids_are_distinct_and_fit() -> None:
    ids = Ids()
    made = [ids.make(text) for text in ("Overall", "a b", "A-b", "", "7 days", "x" * 90, "a b")]
    assert made == ["c1_overall", "a_b", "c3_a_b", "c4", "c5_7_days", "x" * 32, "c7_a_b"]


@pytest.mark.parametrize(
    ("text", "name"), [("Paper 7", "paper-7"), ("--", "imported"), ("É" * 90, "e" * 64), ("a" * 63 + " b", "a" * 63)]
)
def test_names_fit(text: str, name: str) -> None:
    assert name_of(text) == name
