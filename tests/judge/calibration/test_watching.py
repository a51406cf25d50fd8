"""A judge that is watched between checks: what is kept, and what it comes to."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

import numpy as np
import pytest

from judge.calibration.bound import Bound
from judge.calibration.calibration import Calibration
from judge.calibration.drift.anchors import Pair, pairs, streams
from judge.calibration.drift.checking import ALPHA
from judge.calibration.drift.watching import Kept, Production, keep, silent, states
from judge.calibration.judgements import Judgements
from judge.calibration.labelling.sampling import Sampling
from judge.calibration.splits import Part
from judge.calibration.statistics.bootstrap import Floats
from judge.errors import StoreError
from judge.store.calibrations import CalibrationInfo
from judge.store.store import Store
from tests.generated_judgements import judgements, labelled, labels_of

LEVELS = (1.0, 2.0, 3.0, 4.0, 5.0)
COUNT = 120


def grades(quality: Floats, rng: np.random.Generator, shift: float = 0.0) -> Floats:
    """A simulated judge that does not always say the same of one item."""
    return np.clip(np.round(quality + shift + 0.6 * rng.standard_normal(len(quality))), 1, 5)


def bound(old: Floats, y: Floats, names: tuple[str, ...] = (), **of: Any) -> Bound:
    """A calibration on all items, of which only what a watch needs is there."""
    judged = judgements({"clear": old}, None if names else LEVELS, names, **of)
    joined = labelled(judged, labels_of("clear", {"ann": y}, names))
    info = CalibrationInfo("c", "c", 1, "r", "j", "s", "h", 0, "run", datetime.now(UTC).timestamp(), "{}")
    made = cast(Calibration, None)  # a watch asks nothing of it
    return Bound(info, made, None, judged, Sampling(), joined, dict.fromkeys(judged.items, Part.FIT), False)


def paired(calibrated: Bound, new: Floats, names: tuple[str, ...] = ()) -> dict[str, Pair]:
    graded = judgements({"clear": new}, None if names else LEVELS, names)
    return dict(pairs(calibrated, calibrated.judgements.items, graded))


def fresh(scores: Floats, run: str = "p") -> Production:
    judged: Judgements = judgements({"clear": scores}, LEVELS)
    return Production(run, judged)


def test_a_shift_is_found_in_a_later_pass_and_the_alarm_stays() -> None:
    rng = np.random.default_rng(1)
    quality = rng.uniform(1, 5, COUNT)
    calibrated = bound(grades(quality, rng), np.round(quality))
    state: dict[tuple[str, int], Kept] = {}
    verdicts = []
    for shift in (0.0, 0.0, -1.0, 0.0):
        among = paired(calibrated, grades(quality, rng, shift))
        found, state = silent(calibrated, streams(calibrated), among, f"r{len(verdicts)}", None, state)
        verdicts.append(found["clear"].verdict)
    assert verdicts == ["none", "none", "judge", "judge"]
    kept = state["clear", -1]
    assert (kept.checks, kept.runs, kept.watch.round) == (4, ("r0", "r1", "r2", "r3"), 4)
    assert kept.watch.judge_alarm is not None
    assert kept.watch.judge_alarm[0] == 3


def test_a_judge_that_stays_as_it_was_hardly_ever_alarms_over_many_checks() -> None:
    alarms = 0
    for seed in range(120):
        rng = np.random.default_rng(seed)
        quality = rng.uniform(1, 5, 60)
        calibrated = bound(grades(quality, rng), np.round(quality))
        state: dict[tuple[str, int], Kept] = {}
        for check in range(4):
            among = paired(calibrated, grades(quality, rng))
            found, state = silent(calibrated, streams(calibrated), among, f"r{check}", None, state)
        alarms += found["clear"].verdict != "none"
    assert alarms <= 120 * ALPHA


def test_kept_as_json_it_goes_on_to_the_last_bit() -> None:
    rng = np.random.default_rng(2)
    quality = rng.uniform(1, 5, COUNT)
    calibrated = bound(grades(quality, rng), np.round(quality))
    among = [paired(calibrated, grades(quality, rng, -0.2)) for _ in range(3)]
    whole: dict[tuple[str, int], Kept] = {}
    parted: dict[tuple[str, int], Kept] = {}
    for one in among:
        _, whole = silent(calibrated, streams(calibrated), one, "r", None, whole)
        _, parted = silent(calibrated, streams(calibrated), one, "r", None, parted)
        parted = {key: Kept.model_validate_json(kept.model_dump_json()) for key, kept in parted.items()}
    assert whole == parted


def test_production_that_moved_alone_is_the_data() -> None:
    rng = np.random.default_rng(3)
    quality = rng.uniform(1, 5, 200)
    calibrated = bound(grades(quality, rng), np.round(quality))
    production = fresh(grades(rng.uniform(3, 5, 400), rng))
    among = paired(calibrated, grades(quality, rng))
    found, state = silent(calibrated, streams(calibrated), among, "r", production, {})
    assert found["clear"].verdict == "data"
    assert state["clear", -1].production == ("p",)
    stability = found["clear"].stability
    assert stability is not None
    assert (stability.n_old, stability.n_new, stability.moved) == (200, 400, True)


def test_production_moves_with_the_judge_too() -> None:
    rng = np.random.default_rng(4)
    quality = rng.uniform(1, 5, 200)
    calibrated = bound(grades(quality, rng), np.round(quality))
    production = fresh(grades(rng.uniform(1, 5, 400), rng, 0.7))
    among = paired(calibrated, grades(quality, rng, 0.7))
    found, _ = silent(calibrated, streams(calibrated), among, "r", production, {})
    assert found["clear"].verdict == "judge"


def test_labels_in_no_order_are_watched_one_by_one() -> None:
    names = ("warm", "plain", "cold")
    old = np.arange(150.0) % 3
    calibrated = bound(old, old, names)
    assert [one.name for one in streams(calibrated)] == ["clear: warm", "clear: plain", "clear: cold"]
    same, state = silent(calibrated, streams(calibrated), paired(calibrated, old, names), "r", None, {})
    assert (same["clear"].verdict, set(state)) == ("none", {("clear", 0), ("clear", 1), ("clear", 2)})
    assert {kept.watch.alpha for kept in state.values()} == {ALPHA / 3}
    # Cold items are called plain from now on.
    other = np.where(old == 2, 1.0, old)
    found, _ = silent(calibrated, streams(calibrated), paired(calibrated, other, names), "r", None, state)
    drifts = found["clear"].drifts
    assert {name: one.verdict for name, one in drifts.items()} == {
        "clear: warm": "none",
        "clear: plain": "judge",
        "clear: cold": "judge",
    }
    assert found["clear"].verdict == "judge"


def test_answers_that_no_longer_come_are_an_alarm() -> None:
    rng = np.random.default_rng(6)
    quality = rng.uniform(1, 5, COUNT)
    old = grades(quality, rng)
    calibrated = bound(old, np.round(quality))
    among = paired(calibrated, np.where(np.arange(COUNT) % 4 == 0, np.nan, old))
    found, _ = silent(calibrated, streams(calibrated), among, "r", None, {})
    assert found["clear"].drifts["clear"].verdict == "none"  # those that do come are the same
    assert (found["clear"].verdict, found["clear"].unscored_now) == ("judge", 30)


def test_items_drawn_by_score_are_weighed() -> None:
    """A sheet that looks at rare scores: a noisy judge gives the same items less extreme ones, and is no other one."""
    alarms = {"weighed": 0, "as if drawn alike": 0}
    for seed in range(60):
        rng = np.random.default_rng(seed)
        quality = rng.normal(3, 0.3, 4000)
        old = grades(quality, rng)
        low, rest = (rng.permutation(np.flatnonzero(side)) for side in (old <= 2, old > 2))
        chosen = np.concatenate((low[:150], rest[:50]))  # in the order of a file that is sorted by score
        w = np.repeat([len(low) / 150, len(rest) / 50], [150, 50])
        calibrated = bound(old[chosen], np.round(quality)[chosen])
        pair = paired(calibrated, grades(quality[chosen], rng))["clear"]
        for name, weights in (("weighed", w / w.max()), ("as if drawn alike", np.ones(200))):
            among = {"clear": Pair(pair.labelled, pair.new, weights)}
            found, _ = silent(calibrated, streams(calibrated), among, "r", None, {})
            alarms[name] += found["clear"].verdict == "judge"
    assert alarms["weighed"] <= 60 * 2 * ALPHA
    assert alarms["as if drawn alike"] > 50


def test_a_run_without_scores_is_not_watched() -> None:
    old = np.full(40, np.nan)
    old[0] = 2.0
    calibrated = bound(old, np.full(40, 3.0))
    found, state = silent(calibrated, streams(calibrated), paired(calibrated, old), "r", None, {})
    assert state == {}
    assert found["clear"].verdict == "cannot tell"
    assert found["clear"].untold == ("clear: fewer than two items of the calibrated run have a score",)


def test_states_are_kept_and_two_checks_do_not_go_on_from_one(store: Store) -> None:
    rng = np.random.default_rng(7)
    quality = rng.uniform(1, 5, COUNT)
    calibrated = bound(grades(quality, rng), np.round(quality))
    among = paired(calibrated, grades(quality, rng))
    _, first = silent(calibrated, streams(calibrated), among, "r0", None, states(store, "c"))
    keep(store, "c", first)
    assert states(store, "c") == first
    assert states(store, "other") == {}
    with pytest.raises(StoreError, match="another check of this calibration ended"):
        keep(store, "c", first)
    _, second = silent(calibrated, streams(calibrated), among, "r1", None, states(store, "c"))
    _, beside = silent(calibrated, streams(calibrated), among, "r2", None, states(store, "c"))
    keep(store, "c", second)
    with pytest.raises(StoreError, match="check once more"):
        keep(store, "c", beside)
    assert states(store, "c") == second
