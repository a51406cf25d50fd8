from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from rubrics import Binary, Criterion, Level, Mark, Ordinal

CRITERION: TypeAdapter[Binary | Ordinal] = TypeAdapter(Criterion)


def ordinal(levels: object, **fields: object) -> Ordinal:
    return Ordinal.model_validate({"id": "a", "question": "How?", "scale": "ordinal", "levels": levels, **fields})


def binary(**fields: object) -> Binary:
    return Binary.model_validate({"id": "a", "question": "Is it?", "scale": "binary", **fields})


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
