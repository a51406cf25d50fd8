from __future__ import annotations

import pytest

from rubrics import Overall, Rubric, lowest, overall

RUBRIC = Rubric.loads("""
name: weighed
criteria:
  - {id: deep, scale: ordinal, question: How deep, levels: [1, 2, 3, 4, 5], weight: 3, required: 3}
  - {id: safe, scale: binary, question: Is it safe, weight: 1, required: yes, not_applicable: true}
  - {id: tone, scale: ordinal, question: How kind, levels: [cold, warm], weight: 4}
""")
FREE = Rubric.loads("name: free\ncriteria: [{id: a, scale: binary, question: Is it, not_applicable: true}]")


@pytest.mark.parametrize(
    ("values", "not_applicable", "expected"),
    [
        # (3 * 0.5 + 1 * 1 + 4 * 0.25) / 8
        ({"deep": 3.0, "safe": 1.0, "tone": 0.25}, (), Overall(0.4375, 0.4375, 0.4375, True, True)),
        # (3 * 0.5 + 4 * 0.25) / 7: the rest of the weight leaves both sides, and the requirement counts as met
        ({"deep": 3.0, "tone": 0.25}, ("safe",), Overall(2.5 / 7, 2.5 / 7, 2.5 / 7, True, True)),
        # tone missing: 2.5 of 8 at worst, 6.5 of 8 at best; all that is required is known
        ({"deep": 3.0, "safe": 1.0, "tone": None}, (), Overall(None, 0.3125, 0.8125, True, False)),
        # safe missing: cannot be known to pass
        ({"deep": 5.0, "tone": 1.0}, (), Overall(None, 0.875, 1.0, None, False)),
        # safe missing, yet deep alone fails
        ({"deep": 2.9, "tone": 1.0}, (), Overall(None, (1.425 + 4) / 8, (1.425 + 5) / 8, False, False)),
        ({}, (), Overall(None, 0.0, 1.0, None, False)),
        ({}, ("deep", "safe", "tone"), Overall(None, 0.0, 1.0, True, True)),
    ],
)
def test_overall_by_hand(values: dict[str, float | None], not_applicable: tuple[str, ...], expected: Overall) -> None:
    result = overall(RUBRIC, values, not_applicable)
    assert (result.value, result.low, result.high) == pytest.approx((expected.value, expected.low, expected.high))
    assert (result.passed, result.complete) == (expected.passed, expected.complete)


def test_nothing_required_is_never_passed() -> None:
    assert overall(FREE, {"a": 1.0}) == Overall(1.0, 1.0, 1.0, None, True)
    assert overall(FREE, {}, ["a"]) == Overall(None, 0.0, 1.0, None, True)


#: 10 + 4 points can be earned, 8 + 3 lost.
HEALTH = Rubric.loads("""
name: health
criteria:
  - {id: call, scale: points, question: Advises to call for help, points: 10}
  - {id: ask, scale: points, question: Asks how long, points: 4, not_applicable: true}
  - {id: wait, scale: points, question: Advises to wait, points: -8}
  - {id: jargon, scale: points, question: Uses terms without need, points: -3}
""")


@pytest.mark.parametrize(
    ("met", "excused", "expected"),
    [
        (("call", "ask"), (), 14 / 14),
        # (10 - 3) / 14
        (("call", "jargon"), (), 0.5),
        ((), (), 0.0),
        # (-8 - 3) / 14: below 0, and no part of it is cut off
        (("wait", "jargon"), (), -11 / 14),
        # (4 - 8) / 14: the sum is cut off nowhere on the way either
        (("ask", "wait"), (), -4 / 14),
        # (10 - 3) / 10: what does not apply leaves both sums
        (("call", "jargon"), ("ask",), 0.7),
    ],
)
def test_points_met_over_points_that_can_be_earned(
    met: tuple[str, ...], excused: tuple[str, ...], expected: float
) -> None:
    worth = {"call": 10.0, "ask": 4.0, "wait": -8.0, "jargon": -3.0}
    values = {id_: points if id_ in met else 0.0 for id_, points in worth.items() if id_ not in excused}
    assert overall(HEALTH, values, excused).value == pytest.approx(expected)


def test_points_without_an_answer_are_all_lost_or_all_earned() -> None:
    # known: 10 of call. At worst (10 - 8 - 3) / 14, with ask unmet and both faults met; at best (10 + 4) / 14.
    result = overall(HEALTH, {"call": 10.0})
    assert (result.value, result.complete) == (None, False)
    assert (result.low, result.high) == pytest.approx((-1 / 14, 1.0))


def test_no_points_to_earn_is_nothing_to_score() -> None:
    rubric = Rubric.loads("""
name: optional
criteria:
  - {id: good, scale: points, question: It cites, points: 2, not_applicable: true}
  - {id: fault, scale: points, question: It rambles, points: -1}
""")
    assert overall(rubric, {"fault": -1.0}, ["good"]) == Overall(None, 0.0, 1.0, None, True)


PAPER = Rubric.loads("""
name: paper
criteria:
  - {id: table, scale: binary, question: The table is shown, weight: 1}
sections:
  - id: code
    weight: 3
    criteria:
      - {id: loss, scale: binary, question: The loss is there, weight: 2}
      - {id: seed, scale: binary, question: The seed is set, weight: 1}
    sections:
      - id: data
        weight: 1
        criteria:
          - {id: fetch, scale: binary, question: It is fetched, weight: 4, not_applicable: true}
          - {id: split, scale: binary, question: It is split, weight: 1, not_applicable: true}
""")


@pytest.mark.parametrize(
    ("values", "excused", "expected"),
    [
        ((1, 1, 1, 1, 1), (), (1.0, 1.0)),
        # data (0 + 1) / 5 = 0.2; code (2 * 1 + 1 * 0 + 1 * 0.2) / 4 = 0.55; (1 * 0 + 3 * 0.55) / 4
        ((0, 1, 0, 0, 1), (), (0.4125, 0.4125)),
        # data 1 without fetch; code (0 + 1 + 1) / 4 = 0.5; (1 * 1 + 3 * 0.5) / 4
        ((1, 0, 1, None, 1), ("fetch",), (0.625, 0.625)),
        # no data at all, its weight leaves code: (2 + 0) / 3; (1 + 3 * 2 / 3) / 4
        ((1, 1, 0, None, None), ("fetch", "split"), (0.75, 0.75)),
        # fetch unknown: data 1/5 to 1; code (2 + 1 + 0.2) / 4 = 0.8 to 1; (1 + 3 * 0.8) / 4 to 1
        ((1, 1, 1, None, 1), (), (0.85, 1.0)),
        # loss unknown: code (0 + 1 + 1) / 4 = 0.5 to 1; (0 + 1.5) / 4 to 3 / 4
        ((0, None, 1, 1, 1), (), (0.375, 0.75)),
    ],
)
def test_a_tree_is_the_weighted_mean_of_weighted_means(
    values: tuple[float | None, ...], excused: tuple[str, ...], expected: tuple[float, float]
) -> None:
    given = dict(zip(("table", "loss", "seed", "fetch", "split"), values, strict=True))
    result = overall(PAPER, given, excused)
    assert (result.low, result.high) == pytest.approx(expected)
    assert result.complete == (expected[0] == expected[1])


MIXED = Rubric.loads("""
name: mixed
criteria:
  - {id: deep, scale: numeric, question: How deep, minimum: 0, maximum: 10, weight: 3}
  - {id: kind, scale: categorical, question: Which kind, levels: [note, letter]}
sections:
  - id: faults
    criteria:
      - {id: kept, scale: points, question: It keeps to the point, points: 2, not_applicable: true}
      - {id: lied, scale: points, question: It states what is not so, points: -4}
""")


def test_a_section_of_points_counts_as_the_share_it_comes_to() -> None:
    # faults (2 - 4) / 2 = -1; (3 * 0.5 + 1 * -1) / 4. The label has no part in it.
    result = overall(MIXED, {"deep": 5.0, "kept": 2.0, "lied": -4.0})
    assert result.value == pytest.approx(0.125)
    # nothing can be earned in faults: the section leaves the mean
    assert overall(MIXED, {"deep": 5.0, "lied": -4.0}, ["kept"]).value == pytest.approx(0.5)


def test_labels_alone_come_to_no_overall() -> None:
    rubric = Rubric.loads("name: l\ncriteria: [{id: a, scale: categorical, question: Which, levels: [x, y]}]")
    assert overall(rubric, {}) == Overall(None, 0.0, 1.0, None, True)


def points_section(id_: str, good: str, bad: float, weight: int) -> dict[str, object]:
    """A section of 2 points to earn, `good` where they may not apply, and some to lose."""
    earned = {"id": f"{id_}1", "scale": "points", "question": "Good", "points": 2, "not_applicable": good == "optional"}
    lost = {"id": f"{id_}2", "scale": "points", "question": "Bad", "points": -bad}
    return {"id": id_, "weight": weight, "criteria": [earned, lost]}


BINARY = {"id": "a", "scale": "binary", "question": "Is it", "weight": 3}


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"criteria": [BINARY]}, 0.0),
        # (3 * 0 + 1 * -4 / 2) / 4
        ({"criteria": [BINARY], "sections": [points_section("s", "certain", 4, 1)]}, -0.5),
        # the criterion may not apply: the section alone
        ({"criteria": [{**BINARY, "not_applicable": True}], "sections": [points_section("s", "certain", 4, 1)]}, -2.0),
        # the section may not apply, and it is lower when it does
        ({"criteria": [BINARY], "sections": [points_section("s", "optional", 4, 1)]}, -0.5),
        # the lowest of two sections that may not apply stands alone
        ({"sections": [points_section("s", "optional", 4, 1), points_section("t", "optional", 6, 1)]}, -3.0),
        # t always applies: (-1 * 2 + -3 * 1) / 3 with s, which is lower; not -1 without it
        ({"sections": [points_section("s", "optional", 6, 1), points_section("t", "certain", 2, 2)]}, -5 / 3),
        ({"sections": [points_section("s", "certain", 0.5, 1)]}, -0.25),
    ],
)
def test_lowest_by_hand(parts: dict[str, object], expected: float) -> None:
    assert lowest(Rubric.parse({"name": "low", **parts})) == pytest.approx(expected)


def test_lowest_of_points_counts_only_those_that_always_apply() -> None:
    # -11 / 10: ask may not apply, which leaves 10 to be earned
    assert lowest(HEALTH) == pytest.approx(-1.1)
    assert overall(HEALTH, {"call": 0.0, "wait": -8.0, "jargon": -3.0}, ["ask"]).value == pytest.approx(-1.1)


@pytest.mark.parametrize(
    ("values", "not_applicable", "message"),
    [
        ({"a": 1.0000001}, (), "1.0000001 is not on the scale of a"),
        ({"a": float("nan")}, (), "nan is not on the scale"),
        ({"b": 1.0}, (), "free has no criterion b"),
        ({}, ("c",), "free has no criterion c"),
        ({"a": 1.0}, ("a",), "a cannot both have a value and not apply"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    values: dict[str, float | None], not_applicable: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        overall(FREE, values, not_applicable)
