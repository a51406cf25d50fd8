"""Anchors before and now: a known change, criterion by criterion."""

from __future__ import annotations

import numpy as np
import pytest

from judge.calibration.drift.anchors import Pair, Stream, one_a_group
from judge.calibration.drift.checking import differs, first, known_change, stability
from judge.calibration.statistics.bootstrap import Floats
from tests.generated_judgements import judgements, labelled, labels_of, only, scale_of

LEVELS = (1.0, 2.0, 3.0)


def pair(
    old: Floats, new: Floats, y: Floats, levels: tuple[float, ...] | None = LEVELS, names: tuple[str, ...] = ()
) -> Pair:
    one = only(labelled(judgements({"clear": old}, levels, names), labels_of("clear", {"ann": y}, names)))
    return Pair(one, new, np.ones(len(new)))


def some(count: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).choice(LEVELS, count)


def test_equal_answers_are_equivalent_where_there_are_enough_of_them() -> None:
    old, y = some(80), some(80, 1)
    found = known_change(pair(old, old, y), "clear", 0.05)
    assert found.verdict == "equivalent"
    assert [one.what for one in found.changes] == ["mean score", "distance from people"]
    assert (found.anchors, found.unscored_before, found.unscored_now, found.scored) == (80, 0, 0, None)
    few = known_change(pair(old[:20], old[:20], y[:20]), "clear", 0.05)
    assert few.verdict == "cannot tell"
    assert all(one.more is not None and one.more > 0 for one in few.changes)


def test_one_comparison_that_changed_is_enough() -> None:
    old = some(80)
    new = 4 - old  # 1 for 3 and 3 for 1: the mean hardly moves, and people are met where they said 2 alone
    found = known_change(pair(old, new, old), "clear", 0.05)
    by_name = {one.what: one.verdict for one in found.changes}
    assert by_name["agreement with people"] == "changed"
    assert by_name["mean score"] != "changed"
    assert found.verdict == "changed"


def test_pass_and_fail_are_counted_and_means_of_samples_are_measured() -> None:
    old, y = (np.arange(100) % 3 > 0).astype(np.float64), (np.arange(100) % 2).astype(np.float64)
    counted = known_change(pair(old, 1 - old, y, (0.0, 1.0)), "clear", 0.05)
    assert counted.changes[0].what == "pass rate"
    assert counted.changes[0].test == "McNemar's exact test"
    measured = known_change(pair(old, old * 0.8, y, (0.0, 1.0)), "clear", 0.05)
    assert measured.changes[0].what == "mean score"
    assert counted.verdict == measured.verdict == "changed"


def test_labels_in_no_order_by_the_share_of_each() -> None:
    names = ("warm", "plain", "cold")
    old = np.arange(120.0) % 3
    found = known_change(pair(old, (old + 1) % 3, old, None, names), "clear", 0.05)
    what = [one.what for one in found.changes]
    assert what == ["share of warm", "share of plain", "share of cold", "agreement with people"]
    # Each label is as frequent as before, and none is where it was.
    assert [one.difference.value for one in found.changes] == pytest.approx([0, 0, 0, -1])
    assert found.verdict == "changed"


def test_answers_that_no_longer_come_are_a_change() -> None:
    old = some(80)
    new = np.where(np.arange(80) % 2, np.nan, old)
    found = known_change(pair(old, new, old), "clear", 0.05)
    assert (found.anchors, found.unscored_now) == (40, 40)
    assert found.scored is not None
    assert found.scored.what == "share scored"
    assert found.verdict == found.scored.verdict == "changed"
    none = known_change(pair(old, np.full(80, np.nan), old), "clear", 0.05)
    assert (none.verdict, none.changes) == ("changed", ())
    assert none.untold == ("a difference needs two groups of items at the least",)


def test_the_worst_verdict_stands() -> None:
    assert first(iter(["equivalent", "cannot tell", "changed"])) == "changed"
    assert first(iter(["none", "data", "waiting"])) == "waiting"
    assert first(iter(["equivalent"])) == "equivalent"
    assert first(iter([])) == "cannot tell"


def test_a_stream_of_one_label() -> None:
    stream = Stream("tone", 2, "tone: cold", 0.0, 1.0)
    assert stream.of(np.array([0.0, 2, np.nan, 1])) == pytest.approx(np.array([0, 1, np.nan, 0]), nan_ok=True)


def test_one_item_of_each_group_by_chance() -> None:
    judged = judgements({"clear": some(30)}, LEVELS, groups=[f"g{n // 3}" for n in range(30)])
    taken = [one_a_group(judged, seed) for seed in range(300)]
    for places in taken:
        assert sorted(place // 3 for place in places.tolist()) == list(range(10))
    counts = np.bincount(np.concatenate(taken), minlength=30)
    assert counts.min() > 60  # each about 100 times
    assert (one_a_group(judged, 4) == one_a_group(judged, 4)).all()


def test_the_histogram_is_by_levels() -> None:
    scale = scale_of(LEVELS)
    # Half of a hundred went from 1 to 3: (.5 + .5/100.. ) is the index of counts 50.5 and .5 over 101.
    old, new = np.repeat([1.0, 2.0], 50), np.repeat([3.0, 2.0], 50)
    found = stability(scale, old, new)
    assert not isinstance(found, str)
    p, q = np.array([50.5, 50.5, 0.5]) / 101.5, np.array([0.5, 50.5, 50.5]) / 101.5
    assert found.index == pytest.approx(((q - p) * np.log(q / p)).sum())
    assert found.moved
    assert stability(scale, np.ones(3), np.ones(3)) == "all scores lie in one bin"


def test_another_model_is_told() -> None:
    assert differs(("m-1",), ("m-1",)) is None
    assert differs((), ("m-1",)) is None
    told = differs(("m-1",), ("m-2",))
    assert told == "the provider says that it runs m-2; when the judge was calibrated it said m-1"
