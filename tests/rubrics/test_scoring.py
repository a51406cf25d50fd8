from __future__ import annotations

import pytest

from rubrics import Overall, Rubric, overall

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
