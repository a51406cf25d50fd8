"""Measures of a criterion at their levels, and the band of the curve of risk."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from judge.calibration.correction import Correction
from judge.calibration.labelled import Labelled
from judge.calibration.measures import Measure, measures
from judge.calibration.performance import performance
from judge.calibration.scale import Scale
from judge.calibration.statistics import thresholds
from judge.calibration.statistics.bootstrap import Codes, Floats
from judge.calibration.statistics.documents import by_system
from judge.calibration.statistics.pairs import always_tie, pairwise_accuracy

FIVE = Scale("ordinal", 1.0, 5.0, np.arange(1.0, 6.0), tuple("12345"))
TONES = Scale("nominal", 0.0, 2.0, np.arange(3.0), ("warm", "plain", "cold"))


def labelled(scale: Scale, people: Floats, judge: Floats, cluster: Codes, confidence: Floats | None = None) -> Labelled:
    """Labels of one person, every item as likely."""
    n = len(people)
    return Labelled(
        criterion="clear",
        scale=scale,
        items=np.array([f"i{k}" for k in range(n)], dtype=object),
        annotators=("a",),
        ratings=people[:, None],
        score=judge,
        inputs=judge[:, None],
        shares=None,
        confidence=np.full(n, np.nan) if confidence is None else confidence,
        cluster=cluster,
        stratum=np.zeros(n, dtype=np.int64),
        w=np.ones(n),
        length=np.full(n, 100.0),
    )


def named(found: tuple[Measure, ...], name: str, level: str) -> Measure | None:
    return next((one for one in found if (one.name, one.level) == (name, level)), None)


def of_systems() -> Labelled:
    """400 answers, 40 of each of 10 systems whose means lie a tenth of a point apart, in 40 documents."""
    rng = np.random.default_rng(0)
    system = np.arange(400) % 10
    quality = 2.5 + 0.1 * system + rng.normal(0, 0.7, 400)
    people, judge = (np.clip(np.rint(quality + rng.normal(0, 0.4, 400)), 1, 5) for _ in range(2))
    return replace(labelled(FIVE, people, judge, np.arange(400) // 10), system=system)


def test_systems_are_compared_without_the_tie_of_items() -> None:
    test = of_systems()
    assert test.system is not None
    found = measures(test, tie=1.0, draws=50)
    assert named(found, "pairwise_accuracy", "system") is None
    shown = named(found, "pairwise_accuracy_without_tie", "system")
    plain, tied = (
        by_system({"": pairwise_accuracy(tie)}, test.target, test.score, test.system, draws=50)[""].value
        for tie in (0.0, 1.0)
    )
    assert shown is not None
    assert shown.judge.value == plain
    assert plain is not None
    assert tied is not None
    assert plain > 0.7 > 0.2 > tied


def test_pairs_of_items_are_compared_with_the_tie_beside_a_judge_that_always_ties() -> None:
    test, every = of_systems(), np.ones((1, 400))
    found = named(measures(test, tie=1.0, draws=50), "pairwise_accuracy", "item")
    assert found is not None
    assert found.judge.value == pytest.approx(pairwise_accuracy(1.0)(test.target, test.score, every)[0])
    assert found.constant == pytest.approx(always_tie(test.target, test.score, every)[0])
    assert found.judge.low is not None
    assert found.judge.high is not None
    assert found.judge.low < found.judge.value < found.judge.high
    binary = Scale("binary", 0.0, 1.0, np.array([0.0, 1.0]), ("no", "yes"))
    flat = labelled(binary, (test.target > 3) * 1.0, (test.score > 3) * 1.0, np.arange(400) // 10)
    assert named(measures(flat, tie=0.0, draws=50), "pairwise_accuracy", "item") is None


def test_the_band_of_the_risk_curve_knows_of_groups() -> None:
    """40 groups of 10, errors within a group correlated by .4: the band of all items covers a risk of .2.

    300 sets: the standard error of 95% is 1.3%. Wilson's of 400 items of their own would cover .64.
    """
    held = []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        wrong = rng.random(400) < np.repeat(rng.beta(0.2 * 1.5, 0.8 * 1.5, 40), 10)
        people = rng.integers(0, 3, 400).astype(np.float64)
        test = labelled(TONES, people, (people + wrong) % 3, np.arange(400) // 10, rng.choice([0.6, 0.9], 400))
        fitted = Correction(
            criterion="clear",
            inputs=("clear",),
            selection=None,
            constant=None,
            tie=0.0,
            fitted=400,
            held=400,
            threshold=thresholds.fit(test.confidence, wrong, test.cluster, alpha=0.5, delta=0.1),
        )
        curve = performance(test, fitted, draws=2).acceptance.curve
        assert [point.confidence for point in sorted(curve, key=lambda one: one.n)] == [0.9, 0.6]
        whole = max(curve, key=lambda one: one.n)
        assert whole.risk == pytest.approx(wrong.mean())
        held.append(whole.low <= 0.2 <= whole.high)
    assert np.mean(held) > 0.92


def test_the_risk_of_one_group_alone_may_be_anything() -> None:
    people, cluster = np.tile([0.0, 1.0], 20), np.arange(40) // 10
    confidence = np.where(cluster == 0, 0.9, 0.5)
    test = labelled(TONES, people, people, cluster, confidence)
    fitted = Correction(
        criterion="clear",
        inputs=("clear",),
        selection=None,
        constant=None,
        tie=0.0,
        fitted=40,
        held=40,
        threshold=thresholds.fit(confidence, people > 1, cluster, alpha=0.5, delta=0.1),
    )
    first = min(performance(test, fitted, draws=2).acceptance.curve, key=lambda one: one.n)
    assert (first.n, first.risk, first.low, first.high) == (10, 0, 0, 1)
