from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from rubrics import Binary, Categorical, Criterion, Level, Mark, Numeric, Ordinal, Points, Preference

CRITERION: TypeAdapter[Criterion] = TypeAdapter(Criterion)


def ordinal(levels: object, **fields: object) -> Ordinal:
    return Ordinal.model_validate({"id": "a", "question": "How?", "scale": "ordinal", "levels": levels, **fields})


def binary(**fields: object) -> Binary:
    return Binary.model_validate({"id": "a", "question": "Is it?", "scale": "binary", **fields})


def categorical(levels: object, **fields: object) -> Categorical:
    return Categorical.model_validate(
        {"id": "a", "question": "Which?", "scale": "categorical", "levels": levels, **fields}
    )


def numeric(minimum: float, maximum: float, **fields: object) -> Numeric:
    bounds = {"minimum": minimum, "maximum": maximum}
    return Numeric.model_validate({"id": "a", "question": "How much?", "scale": "numeric", **bounds, **fields})


def points(worth: float, **fields: object) -> Points:
    return Points.model_validate({"id": "a", "question": "It greets.", "scale": "points", "points": worth, **fields})


def preference(**fields: object) -> Preference:
    return Preference.model_validate({"id": "a", "question": "Which is kinder?", "scale": "preference", **fields})


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ({1: "bad", 2: "", 3: None}, ((1, 1.0, "bad"), (2, 2.0, ""), (3, 3.0, ""))),
        ({"3": "good", "1": "bad"}, ((1, 1.0, "bad"), (3, 3.0, "good"))),
        ([3, -1, 2], ((-1, -1.0, ""), (2, 2.0, ""), (3, 3.0, ""))),
        (["bad", "good"], (("bad", 0.0, ""), ("good", 1.0, ""))),
        ({"bad": "x\n", "2": "y"}, (("bad", 0.0, "x"), ("2", 1.0, "y"))),
        (
            [{"level": "bad", "value": -0.5}, {"level": "good", "value": 4, "description": "x"}],
            (("bad", -0.5, ""), ("good", 4.0, "x")),
        ),
    ],
)
def test_every_way_of_writing_ordinal_levels(levels: object, expected: tuple[object, ...]) -> None:
    assert tuple((step.level, step.value, step.description) for step in ordinal(levels).levels) == expected


def test_binary_levels_are_no_then_yes_however_written() -> None:
    both = (Level(level="no", value=0.0), Level(level="yes", value=1.0, description="so"))
    assert binary(levels={"yes": "so", "no": None}).levels == both
    assert binary(levels={"yes": "so"}).levels == both
    assert binary(levels=both[::-1]).levels == both
    assert binary().listed == ("no", "yes")


@pytest.mark.parametrize("name", [True, 1.0, "1", None, [], 4])
def test_read_takes_the_exact_name_only(name: object) -> None:
    scale = ordinal([1, 2, 3])
    assert scale.read(name) is None
    assert scale.read(1) == Mark(1, 1.0)


def test_answers_are_levels_and_the_words_allowed() -> None:
    scale = ordinal([1, 2], not_applicable=True, cannot_tell="When blank.")
    assert scale.answers == (1, 2, "not_applicable", "cannot_tell")
    assert scale.not_applicable == "The question does not apply to this output."
    assert ordinal([1, 2], not_applicable=False).answers == (1, 2)


def test_normalise_maps_the_ends_to_0_and_1_and_refuses_the_rest() -> None:
    scale = ordinal([1, 2, 5])
    assert [scale.normalise(value) for value in (1, 2, 2.5, 5)] == [0.0, 0.25, 0.375, 1.0]
    for value in (0.999, 5.001, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="not on the scale of a"):
            scale.normalise(value)


def test_passes_from_the_required_level_up() -> None:
    scale = ordinal(["bad", "fair", "good"], required="fair")
    assert [scale.passes(value) for value in (0.0, 0.99, 1.0, 2.0)] == [False, False, True, True]
    assert ordinal([1, 2]).passes(2.0) is None


def test_scale_picks_the_type_and_a_copy_is_checked() -> None:
    scale = CRITERION.validate_python({"id": "a", "question": "Is it?", "scale": "binary"})
    assert isinstance(scale, Binary)
    with pytest.raises(ValidationError):
        scale.model_copy(update={"weight": -1.0})
    with pytest.raises(ValidationError, match="frozen"):
        scale.weight = 2.0


def test_labels_without_values_have_names_and_no_numbers() -> None:
    scale = categorical({"note": "A few lines.", "letter": None})
    assert scale.read("letter") == Mark("letter", None)
    assert scale.read("Letter") is None
    assert not scale.valued
    assert scale.told == (("note", "A few lines."), ("letter", ""))
    assert (scale.threshold, scale.answers) == (None, ("note", "letter"))


def test_labels_with_values_keep_their_order_and_normalise_by_value() -> None:
    levels = [{"level": "calm", "value": 3}, {"level": "angry", "value": -1}, {"level": "flat", "value": 1}]
    scale = categorical(levels, required="flat")
    assert scale.listed == ("calm", "angry", "flat")
    assert [scale.normalise(value) for value in (3.0, 1.0, -1.0)] == [1.0, 0.5, 0.0]
    assert [scale.passes(value) for value in (3.0, 1.0, -1.0)] == [True, True, False]


@pytest.mark.parametrize(
    ("levels", "fields", "message"),
    [
        ([{"level": "a", "value": 1}, "b"], {}, "some labels have a value and some have none"),
        ([{"level": "a", "value": 1}, {"level": "b", "value": 1}], {}, "all labels have the same value"),
        (["a", "b"], {"required": "a"}, "labels without values have no order"),
        (["a", "b"], {"weight": 2}, "labels without values enter no mean"),
        (["a", "A"], {}, "two levels have the same name"),
        (["a", "not_applicable"], {}, "not_applicable is not a level"),
        (["a"], {}, "at least 2 items"),
        ([f"l{n}" for n in range(101)], {}, "too many; write 2 to 100 levels"),
    ],
)
def test_labels_that_cannot_be_meant_are_refused(levels: object, fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        categorical(levels, **fields)


@pytest.mark.parametrize(
    ("scale", "listed"),
    [
        (numeric(1, 4, step=1), (1, 2, 3, 4)),
        (numeric(0, 1, step=0.25), (0, 0.25, 0.5, 0.75, 1)),
        (numeric(-0.3, 0.3, step=0.1), (-0.3, -0.2, -0.1, 0, 0.1, 0.2, 0.3)),
        (numeric(0, 24, step=1), tuple(range(25))),
        (numeric(0, 25, step=1), ()),
        (numeric(0, 1), ()),
    ],
)
def test_a_range_is_listed_where_its_steps_are_few(scale: Numeric, listed: tuple[float, ...]) -> None:
    assert scale.listed == listed
    assert [type(number) for number in scale.listed] == [type(number) for number in listed]


def test_a_number_is_read_in_its_range_and_on_its_steps_only() -> None:
    free, stepped = numeric(0, 10), numeric(0.5, 2, step=0.5)
    assert [free.read(n) for n in (0, 10, 3.75)] == [Mark(None, 0.0), Mark(None, 10.0), Mark(None, 3.75)]
    assert [free.read(n) for n in (-0.01, 10.01, True, "3", None, float("nan"), float("inf"), 10**400)] == [None] * 8
    assert [stepped.read(n) for n in (0.5, 1, 1.2, 2)] == [Mark(None, 0.5), Mark(None, 1.0), None, Mark(None, 2.0)]


def test_a_range_tells_every_digit_and_its_anchors_in_order() -> None:
    scale = numeric(0, 1234567, step=0.5, anchors={"1234567": "Most.", 0: "None.", "2.50": "Little."})
    assert scale.told == (
        ("a number from 0 to 1234567, in steps of 0.5", ""),
        ("0", "None."),
        ("2.5", "Little."),
        ("1234567", "Most."),
    )


def test_a_number_passes_from_the_required_one_up() -> None:
    scale = numeric(0, 1, required=0.8)
    assert [scale.passes(value) for value in (0.79, 0.8, 1.0)] == [False, True, True]
    assert (scale.normalise(0.25), numeric(2, 6).normalise(3)) == (0.25, 0.25)


@pytest.mark.parametrize(
    ("minimum", "maximum", "fields", "message"),
    [
        (1, 1, {}, "the minimum is not below the maximum"),
        (0, 10, {"step": 3}, "the steps do not lead from the minimum to the maximum"),
        (0, 10, {"step": 0}, "greater than or equal to"),
        (0, 10, {"step": 1e-320}, "greater than or equal to"),
        (0, 10, {"required": 11}, "11.0 is not on the scale"),
        (0, 10, {"step": 1, "required": 2.5}, "2.5 is not on the scale"),
        (0, 10, {"anchors": {"11": "x"}}, "'11' is not on the scale"),
        (0, 10, {"anchors": {"half": "x"}}, "'half' is not on the scale"),
        (0, 10, {"anchors": {"1": "x", "1.0": "y"}}, "two anchors for one number"),
        (0, float("inf"), {}, "finite number"),
        (0, 10**10, {}, "less than or equal to"),
    ],
)
def test_ranges_that_cannot_be_meant_are_refused(
    minimum: float, maximum: float, fields: dict[str, object], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        numeric(minimum, maximum, **fields)


def test_points_are_what_yes_is_worth() -> None:
    good, fault = points(5), points(-2, levels={"yes": "It does."})
    assert (good.read("yes"), good.read("no")) == (Mark("yes", 5.0), Mark("no", 0.0))
    assert (fault.read("yes"), fault.read("no")) == (Mark("yes", -2.0), Mark("no", 0.0))
    assert (good.lowest, good.highest, fault.lowest, fault.highest) == (0.0, 5.0, -2.0, 0.0)
    assert fault.told == (("no", ""), ("yes", "It does."))


def test_a_required_yes_must_be_earned_and_a_required_no_avoided() -> None:
    assert [points(5, required="yes").passes(value) for value in (0.0, 5.0)] == [False, True]
    assert [points(-2, required="no").passes(value) for value in (-2.0, 0.0)] == [False, True]


@pytest.mark.parametrize(
    ("worth", "fields", "message"),
    [
        (0, {}, "0 points count for nothing"),
        (1, {"weight": 2}, "points are the weight"),
        (1, {"levels": [{"level": "yes", "value": 1}]}, "a level of a points criterion has no value"),
        (1, {"levels": ["yes", "maybe"]}, "'maybe' is neither yes nor no"),
        (1, {"required": "perhaps"}, "'perhaps' is no level of a"),
        (float("nan"), {}, "finite number"),
    ],
)
def test_points_that_cannot_be_meant_are_refused(worth: float, fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        points(worth, **fields)


def test_a_preference_is_the_share_that_a_has() -> None:
    scale = preference(cannot_tell=True)
    assert scale.answers == ("a", "tie", "b", "cannot_tell")
    assert [scale.read(answer) for answer in ("a", "tie", "b")] == [Mark("a", 1.0), Mark("tie", 0.5), Mark("b", 0.0)]
    assert (scale.read("A"), scale.read(1), scale.read("cannot_tell")) == (None, None, None)
    assert scale.threshold is None


def test_a_preference_may_do_without_ties() -> None:
    scale = preference(tie=False)
    assert scale.listed == ("a", "b")
    assert scale.read("tie") is None
    assert scale.told == (("a", "output A is better"), ("b", "output B is better"))
