"""Rubrics of every shape, and answers to them, as Hypothesis draws them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import count
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from rubrics import Criterion
from rubrics.scales import Numeric

# The first example pays for imports.
ANY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

# No digits: the dumper quotes by YAML 1.1 and would leave 1e5, a number in 1.2, without quotes.
WORDS = st.text(st.characters(exclude_categories=["C", "N"]), min_size=1, max_size=20).filter(str.strip)
NAMES = st.lists(st.from_regex(r"[a-z][a-z ]{0,8}[a-z]", fullmatch=True), min_size=2, max_size=6, unique=True)
WHEN = st.booleans() | WORDS
NUMBERS = st.integers(-100, 100) | st.floats(-100, 100)
Data = dict[str, Any]


def shared(scale: str, *, weighed: bool = True) -> st.SearchStrategy[Data]:
    optional: dict[str, st.SearchStrategy[Any]] = {"not_applicable": WHEN, "cannot_tell": WHEN}
    if weighed:
        optional["weight"] = st.floats(0.01, 1000)
    return st.fixed_dictionaries({"question": WORDS, "scale": st.just(scale)}, optional=optional)


def valued(names: list[str], numbers: list[float]) -> list[Data]:
    return [{"level": name, "value": number} for name, number in zip(names, numbers, strict=False)]


def joined(*parts: st.SearchStrategy[Data]) -> st.SearchStrategy[Data]:
    return st.tuples(*parts).map(lambda found: {field: value for part in found for field, value in part.items()})


RISING = st.lists(NUMBERS, min_size=6, max_size=6, unique=True).map(sorted)
BINARY = joined(shared("binary"), st.fixed_dictionaries({}, optional={"required": st.just("yes")}))
ORDINAL = joined(
    shared("ordinal"),
    st.fixed_dictionaries(
        {
            "levels": st.dictionaries(st.integers(-100, 100), WORDS, min_size=2, max_size=6)
            | NAMES
            | st.builds(valued, NAMES, RISING)
        }
    ),
)
LABELS = joined(shared("categorical", weighed=False), st.fixed_dictionaries({"levels": NAMES}))
GRADES = joined(shared("categorical"), st.fixed_dictionaries({"levels": st.builds(valued, NAMES, RISING)}))
NUMERIC = joined(
    shared("numeric"),
    st.builds(
        lambda low, step, steps, stepped, words: {
            "minimum": low,
            "maximum": low + step * steps,
            "anchors": {str(low): words},
            **({"step": step} if stepped else {}),
        },
        st.integers(-100, 100),
        st.integers(1, 9),
        st.integers(1, 40),
        st.booleans(),
        WORDS,
    ),
)
WORTH = st.fixed_dictionaries({"points": NUMBERS.filter(bool)})
POINTS = joined(shared("points", weighed=False), WORTH)
EARNED = joined(shared("points", weighed=False), st.fixed_dictionaries({"points": st.integers(1, 100)}))
PREFERENCE = joined(shared("preference"), st.fixed_dictionaries({"tie": st.booleans()}))
BY_POINTS = st.builds(lambda one, more: {"criteria": [one, *more]}, EARNED, st.lists(POINTS, max_size=3))
MEAN = BINARY | ORDINAL | LABELS | GRADES | NUMERIC
SECTION = st.fixed_dictionaries({}, optional={"description": WORDS, "weight": st.floats(0.01, 1000)})
TREES = st.recursive(
    st.builds(lambda criteria: {"criteria": criteria}, st.lists(MEAN, min_size=1, max_size=3)) | BY_POINTS,
    lambda inner: st.builds(
        lambda criteria, sections: {"criteria": criteria, "sections": sections},
        st.lists(MEAN, min_size=1, max_size=2),
        st.lists(joined(SECTION, inner), min_size=1, max_size=3),
    ),
    max_leaves=5,
)
PAIRS = st.builds(lambda criteria: {"criteria": criteria}, st.lists(PREFERENCE, min_size=1, max_size=3))
ABOUT = st.fixed_dictionaries(
    {"name": st.just("any")}, optional={"instructions": WORDS, "description": WORDS, "version": st.integers(0, 99)}
)


def numbered(node: Data, ids: Iterator[int]) -> Data:
    """The node, with an id for every criterion and section in it."""
    criteria = [{"id": f"c{next(ids)}", **criterion} for criterion in node.get("criteria", ())]
    sections = [{"id": f"s{next(ids)}", **numbered(section, ids)} for section in node.get("sections", ())]
    return {**node, "criteria": criteria, "sections": sections}


def whole(nodes: st.SearchStrategy[Data]) -> st.SearchStrategy[Data]:
    return joined(ABOUT, nodes).map(lambda data: numbered(data, count()))


#: Rubrics that are asked of one output, and all.
OF_ONE, RUBRICS = whole(TREES), whole(TREES | PAIRS)


def answers(criterion: Criterion) -> st.SearchStrategy[Any]:
    """What a judge may answer."""
    if isinstance(criterion, Numeric) and not criterion.listed:
        return st.sampled_from((criterion.minimum, criterion.maximum))
    return st.sampled_from(criterion.answers)


def shuffled(node: Data, chance: random.Random) -> Data:
    """The criteria and the sections of every node in another order."""
    criteria = list(node["criteria"])
    sections = [shuffled(section, chance) for section in node["sections"]]
    chance.shuffle(criteria)
    chance.shuffle(sections)
    return {**node, "criteria": criteria, "sections": sections}


def other_name(id_: str) -> str:
    return f"other-{id_}"


def under_other_names(node: Data) -> Data:
    """The node with other ids, as `other_name` has them."""
    criteria = [{**criterion, "id": other_name(criterion["id"])} for criterion in node["criteria"]]
    return {**node, "criteria": criteria, "sections": [under_other_names(section) for section in node["sections"]]}
