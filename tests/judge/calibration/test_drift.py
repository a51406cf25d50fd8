"""Which of the two drifted."""

from __future__ import annotations

import numpy as np
import pytest

from judge.calibration.drift.verdict import Drift
from judge.calibration.drift.verdict import verdict as verdict_of
from judge.calibration.drift.watch import Watch, part
from judge.calibration.statistics.bootstrap import Floats


def grade(quality: Floats, rng: np.random.Generator, shift: float = 0.0) -> Floats:
    """A simulated judge: quality and noise."""
    return np.clip(quality + shift + 0.1 * rng.standard_normal(len(quality)), 0, 1)


def checked(judge: float, data: float, seed: int = 0, anchors: int = 200, items: int = 400) -> Watch:
    """One check: production, then one pass over the anchors. Shifts of the judge and of what it grades."""
    rng = np.random.default_rng(seed)
    quality = 0.2 + 0.6 * rng.random(anchors)
    begun = Watch.begin(grade(0.2 + 0.6 * rng.random(500), rng), 0, 1)
    production = begun.after_production(grade(0.2 + 0.6 * rng.random(items) + data, rng, judge))
    return production.after_anchors(grade(quality, rng), grade(quality, rng, judge), quality)


@pytest.mark.parametrize(
    ("judge", "data", "verdict"),
    [(0.0, 0.0, "none"), (-0.15, 0.0, "judge"), (0.0, -0.15, "data"), (-0.15, -0.15, "both"), (0.15, -0.15, "both")],
)
def test_verdicts(judge: float, data: float, verdict: str) -> None:
    found = verdict_of(checked(judge, data))
    assert found.verdict == verdict
    assert (found.judge_alarm is not None) == (judge != 0)
    assert (found.p_judge <= found.alpha) == (judge != 0)
    if found.judge_shift.low is not None and found.judge_shift.high is not None:
        assert found.judge_shift.low < judge < found.judge_shift.high or judge == 0
    assert found.judge_shift.of == "anchors"
    assert Drift.model_validate_json(found.model_dump_json()) == found


def test_words() -> None:
    assert verdict_of(checked(0, 0)).words.startswith("No drift")
    assert "made anew" in verdict_of(checked(-0.15, 0)).words
    assert "What is graded changed" in verdict_of(checked(0, -0.15)).words
    assert "what is graded did too" in verdict_of(checked(-0.15, -0.15)).words


def test_production_waits_for_the_anchors() -> None:
    few = checked(0, -0.15, anchors=60)
    found = verdict_of(few)
    assert found.verdict == "waiting"
    assert (found.anchors_since, found.anchors_wanted) == (60, 100)
    assert "60 anchors of one pass were graded since, 100 are wanted" in found.words
    # Another pass of 60 does not make 120: each pass stands for itself.
    rng = np.random.default_rng(9)
    quality = 0.2 + 0.6 * rng.random(120)
    more = few.again().after_anchors(*(grade(quality[:60], rng) for _ in range(2)), quality[:60])
    assert verdict_of(more).anchors_since == 60
    enough = more.after_anchors(*(grade(quality[60:], rng) for _ in range(2)), quality[60:])
    assert verdict_of(enough).verdict == "data"
    # Anchors graded before the alarm were no answer to it.
    rng = np.random.default_rng(10)
    before = Watch.begin(grade(0.2 + 0.6 * rng.random(500), rng), 0, 1)
    before = before.after_anchors(*(grade(quality, rng) for _ in range(2)), quality)
    late = before.after_production(grade(0.05 + 0.6 * rng.random(400), rng))
    assert verdict_of(late).verdict == "waiting"
    assert verdict_of(late).anchors_since == 0


def test_a_small_shift_wants_more_anchors() -> None:
    found = verdict_of(checked(0, -0.06, items=2000, seed=4))
    assert found.data_alarm is not None
    assert found.anchors_wanted is not None
    assert found.anchors_wanted > 150


def test_so_many_anchors_as_are_wanted_would_have_shown_the_judge() -> None:
    # Production moved by .08 because of the judge: in 9 of 10 the anchors that are wanted raise their alarm.
    shown = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        quality = 0.2 + 0.6 * rng.random(600)
        old, new = grade(quality, rng), grade(quality, rng, -0.08)
        watch = Watch.begin(grade(0.2 + 0.6 * rng.random(1000), rng), 0, 1, guard=1)
        watch = watch.after_production(grade(0.2 + 0.6 * rng.random(1500), rng, -0.08))
        assert watch.data_alarm is not None
        watch = watch.after_anchors(old, new, quality)
        wanted = verdict_of(watch).anchors_wanted
        assert wanted is not None
        assert watch.judge_alarm is not None
        shown.append(watch.judge_alarm[1] <= wanted)
    assert np.mean(shown) >= 0.9


def test_the_judge_that_changes_after_the_data_did() -> None:
    # Production's alarm outlasts its guard, and only then the judge changes: both, whatever the shifts add up to.
    rng = np.random.default_rng(6)
    quality = 0.2 + 0.6 * rng.random(200)
    old = grade(quality, rng)
    watch = checked(0, -0.15)
    assert verdict_of(watch).verdict == "data"
    later = watch.again().after_anchors(old, grade(quality, rng, 0.15), quality)
    found = verdict_of(later)
    assert found.verdict == "both"
    assert found.judge_alarm is not None
    assert found.judge_alarm[0] == 2
    assert found.data_shift.value is None


def test_a_judge_alarm_is_not_forgotten() -> None:
    rng = np.random.default_rng(7)
    quality = 0.2 + 0.6 * rng.random(100)
    old = grade(quality, rng)
    watch = checked(-0.15, 0).again().after_anchors(old, grade(quality, rng), quality)
    found = verdict_of(watch)
    assert found.verdict == "judge"
    assert found.judge_alarm is not None
    assert found.judge_alarm[0] == 1
    assert found.p_judge <= part(0.05, 1) * 2


def test_nothing_seen_yet() -> None:
    found = verdict_of(Watch.begin(np.array([0.2, 0.8]), 0, 1))
    assert (found.verdict, found.p_judge, found.p_data) == ("none", 1.0, 1.0)
    assert found.judge_shift.value is None
    assert found.beyond.value is None
    assert found.anchors_wanted is None
