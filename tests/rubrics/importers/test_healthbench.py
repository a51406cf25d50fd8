from __future__ import annotations

import json

import pytest

from rubrics import Points, Rubric, RubricError, lint, overall
from rubrics.importers import read

EXAMPLE = {
    "prompt_id": "9f1c2a",
    "prompt": [
        {"role": "user", "content": "My father's face droops on one side."},
        {"role": "assistant", "content": "Since when?"},
        {"role": "user", "content": "Half an hour."},
    ],
    "rubrics": [
        {"criterion": "Advises calling emergency services now", "points": 10, "tags": ["axis:accuracy"]},
        {"criterion": "Asks about speech or an arm", "points": 4, "tags": []},
        {"criterion": "Suggests waiting until tomorrow", "points": -8, "tags": ["axis:accuracy", "level:example"]},
    ],
    "example_tags": ["theme:emergency_referrals"],
}


def lines(*examples: dict[str, object]) -> str:
    return "".join(json.dumps(example) + "\n" for example in examples)


def test_an_example_becomes_an_item_with_a_rubric_in_points() -> None:
    imported = read(lines(EXAMPLE), source="hard.jsonl")
    (item,) = imported.items
    assert (imported.rubrics, imported.losses) == ((), ())
    assert (item["id"], item["input"]) == ("9f1c2a", EXAMPLE["prompt"])
    assert item["metadata"] == {
        "tags": ["theme:emergency_referrals"],
        "criterion_tags": {
            "advises_calling_emergency": ["axis:accuracy"],
            "suggests_waiting_until_tomorrow": ["axis:accuracy", "level:example"],
        },
    }
    rubric = Rubric.parse(item["rubric"])
    asked = [(c.id, c.question, c.points) for c in rubric.leaves if isinstance(c, Points)]
    assert asked == [
        ("advises_calling_emergency", "Advises calling emergency services now", 10.0),
        ("asks_about_speech_or_an_arm", "Asks about speech or an arm", 4.0),
        ("suggests_waiting_until_tomorrow", "Suggests waiting until tomorrow", -8.0),
    ]
    # HealthBench: (4 - 8) / (10 + 4)
    values = {"advises_calling_emergency": 0.0, "asks_about_speech_or_an_arm": 4.0}
    assert overall(rubric, {**values, "suggests_waiting_until_tomorrow": -8.0}).value == pytest.approx(-4 / 14)
    assert "no instructions" not in " ".join(map(str, lint(rubric)))


def test_what_has_no_place_is_told() -> None:
    zero = {"criterion": "Is kind", "points": 0, "tags": []}
    fault = {"criterion": "Is rude", "points": -3, "tags": []}
    more = {**EXAMPLE, "rubrics": [*EXAMPLE["rubrics"], zero], "canary": "x", "ideal_completions_data": {"a": 1}}  # type: ignore[misc]
    faults = [{**EXAMPLE, "prompt_id": f"f{n}", "rubrics": [fault]} for n in range(5)]
    imported = read(lines(more, *faults), "healthbench")
    assert [item["id"] for item in imported.items] == ["9f1c2a"]
    assert len(imported.items[0]["rubric"]["criteria"]) == 3
    assert imported.losses == (
        "left out: canary (example 9f1c2a)",
        "left out: ideal_completions_data (example 9f1c2a)",
        "left out: 0 points, which count for nothing (example 9f1c2a)",
        "left out: no points can be earned, so there is no score (example f0, example f1, example f2 and 2 more)",
    )


def test_a_blank_criterion_is_told_and_the_rest_is_there() -> None:
    blanks = [{"criterion": text, "points": 5, "tags": ["t"]} for text in ("", " \n")]
    some = {**EXAMPLE, "prompt_id": "some", "rubrics": [*blanks, *EXAMPLE["rubrics"]]}  # type: ignore[misc]
    none = {**EXAMPLE, "prompt_id": "none", "rubrics": [*blanks, EXAMPLE["rubrics"][2]]}  # type: ignore[index]
    found = read(lines(EXAMPLE, some, none), source="h.jsonl")
    whole, item = found.items
    assert (item["id"], item["rubric"]["criteria"]) == ("some", whole["rubric"]["criteria"])
    assert item["metadata"] == whole["metadata"]
    assert found.losses == (
        "left out: a blank criterion (example some, example none)",
        "left out: no points can be earned, so there is no score (example none)",
    )


def test_statements_that_begin_alike_have_ids_of_their_own() -> None:
    alike = [{"criterion": "Advises to rest and to drink a lot, and so on", "points": n} for n in (1, 2)]
    others = [{"criterion": "Überweist an die Ärztin", "points": 3}, {"criterion": "忠告休息", "points": 4}]
    (item,) = read(lines({**EXAMPLE, "rubrics": [*alike, *others]})).items
    ids = [criterion["id"] for criterion in item["rubric"]["criteria"]]
    assert ids == [
        "advises_to_rest_and_to_drink_a",
        "c2_advises_to_rest_and_to_drink_a",
        "uberweist_an_die_arztin",
        "c4",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (lines(EXAMPLE, {**EXAMPLE, "prompt": "?"}), "h.jsonl: [1].prompt: input should be a valid tuple; write what"),
        (lines({**EXAMPLE, "rubrics": [{"criterion": "x"}]}), "h.jsonl: [0].rubrics[0].points: field required; write"),
        (lines(EXAMPLE) + "{", "h.jsonl:2: not JSON: Expecting property name enclosed in double quotes; write valid"),
        ('{"prompt": [], "prompt": []}', "h.jsonl:1: not JSON: a key occurs twice in one object; write valid JSON"),
        ("[" * 100_000, "h.jsonl:1: not JSON: "),
    ],
)
def test_a_line_that_is_no_example_is_told_with_its_place(text: str, expected: str) -> None:
    with pytest.raises(RubricError) as caught:
        read(text, source="h.jsonl")
    assert str(caught.value).startswith(expected)
