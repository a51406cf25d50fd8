"""Several people: by hand, beside krippendorff and an analysis of variance, and against what is known of SummEval."""

from __future__ import annotations

import math
from functools import cache
from typing import Literal

import krippendorff
import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import stats
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from judge.calibration.scale import Scale
from judge.calibration.statistics import bootstrap
from judge.calibration.statistics.agreement import QuadraticKappa, mae
from judge.calibration.statistics.bootstrap import Floats
from judge.calibration.statistics.correlation import spearman
from judge.calibration.statistics.figures import Undefined
from judge.calibration.statistics.raters import (
    Level,
    icc,
    iccs,
    krippendorff_alpha,
    krippendorff_alphas,
    left_out,
    left_out_metric,
    majority,
)
from tests.sets import rows

NAN = np.nan
LEVELS: tuple[Level, ...] = ("nominal", "ordinal", "interval")
FIVE = Scale("ordinal", 1, 5, np.arange(1.0, 6.0), ("1", "2", "3", "4", "5"))

#: Krippendorff (2011), Computing Krippendorff's alpha-reliability, section D: four observers, twelve units.
OBSERVED = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
        [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN],
    ]
).T
#: Shrout and Fleiss (1979), table 2: six targets, four judges.
SHROUT = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], dtype=float)


def correlation(y: Floats, f: Floats) -> float:
    """Spearman's, undefined for constants."""
    if len(y) < 2 or np.ptp(y) == 0 or np.ptp(f) == 0:
        raise Undefined("one side is constant")
    return float(stats.spearmanr(y, f).statistic)


def agreement(y: Floats, f: Floats) -> float:
    """The share of equal answers."""
    return float((y == f).mean())


# ---------------------------------------------------------------- Krippendorff's alpha


@pytest.mark.parametrize(("level", "printed"), [("nominal", "0.743"), ("ordinal", "0.815"), ("interval", "0.849")])
def test_alpha_of_the_published_example(level: Level, printed: str) -> None:
    assert f"{krippendorff_alpha(OBSERVED, level):.3f}" == printed


def test_alpha_by_hand() -> None:
    # Two people, items (1,1) (1,3) (2,2) and one label alone that has no part. Values 1: 3, 2: 2, 3: 1; n = 6.
    ratings = np.array([[1.0, 1.0], [1.0, 3.0], [2.0, 2.0], [NAN, 9.0]])
    # Nominal: 2 of 6 ordered pairs differ; expected (36 - 9 - 4 - 1) / (6 * 5).
    assert krippendorff_alpha(ratings, "nominal") == pytest.approx(1 - (2 / 6) / (22 / 30))
    # Interval: squares 4 + 4 over 6; expected 2 (3 * 2 * 1 + 3 * 1 * 4 + 2 * 1 * 1) / 30 = 40 / 30.
    assert krippendorff_alpha(ratings, "interval") == pytest.approx(1 - (8 / 6) / (40 / 30))
    # Ordinal: middle ranks 1.5, 4, 5.5: squares of 4 twice over 6: 32 / 6; expected 2 (6 * 6.25 + 3 * 16 + 2 * 2.25)
    # / 30.
    assert krippendorff_alpha(ratings, "ordinal") == pytest.approx(1 - (32 / 6) / (180 / 30))


TABLES = arrays.arrays(
    np.float64,
    st.tuples(st.integers(2, 12), st.integers(2, 5)),
    elements=st.sampled_from([1.0, 2.0, 3.0, 5.0, NAN, NAN]),
)


@settings(deadline=None, max_examples=150)
@given(TABLES, st.sampled_from(LEVELS))
def test_alpha_beside_krippendorff(ratings: Floats, level: Level) -> None:
    pairable = ratings[(~np.isnan(ratings)).sum(axis=1) >= 2]
    values = np.unique(pairable[~np.isnan(pairable)])
    if len(values) < 2:
        with pytest.raises(Undefined):
            krippendorff_alpha(ratings, level)
        return
    oracle = krippendorff.alpha(reliability_data=ratings.T, level_of_measurement=level)
    assert krippendorff_alpha(ratings, level) == pytest.approx(oracle, abs=1e-9)


@settings(deadline=None, max_examples=60)
@given(TABLES, st.sampled_from(LEVELS), st.data())
def test_a_weight_is_an_item_that_many_times(ratings: Floats, level: Level, data: st.DataObject) -> None:
    times = np.array(data.draw(st.lists(st.integers(0, 3), min_size=len(ratings), max_size=len(ratings))))
    try:
        found = krippendorff_alphas(ratings, level, np.stack([times, np.ones(len(ratings))]).astype(float))
    except Undefined:
        assume(False)
    try:
        expected = krippendorff_alpha(np.repeat(ratings, times, axis=0), level)
    except Undefined:
        assert math.isnan(found[0])
    else:
        assert found[0] == pytest.approx(expected, abs=1e-9)
    assert found[1] == pytest.approx(krippendorff_alpha(ratings, level), abs=1e-12)


@settings(deadline=None, max_examples=60)
@given(TABLES, st.sampled_from(LEVELS), st.integers(0, 9))
def test_alpha_knows_no_order_of_people_or_items(ratings: Floats, level: Level, seed: int) -> None:
    rng = np.random.default_rng(seed)
    turned = rng.permutation(rng.permutation(ratings, axis=0), axis=1)
    try:
        expected = krippendorff_alpha(ratings, level)
    except Undefined as undefined:
        with pytest.raises(Undefined, match=str(undefined)):
            krippendorff_alpha(turned, level)
        return
    assert krippendorff_alpha(turned, level) == pytest.approx(expected, abs=1e-12)
    assert expected <= 1


def test_alpha_of_numbers_far_from_zero() -> None:
    near = krippendorff_alpha(OBSERVED, "interval")
    assert krippendorff_alpha(OBSERVED + 1e8, "interval") == pytest.approx(near, abs=1e-6)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    ("ratings", "why"),
    [
        ([[1.0], [2.0]], "one annotator"),
        ([[1.0, NAN], [2.0, NAN]], "one annotator"),
        ([[1.0, NAN], [NAN, 2.0]], "no item has labels from two people"),
        ([[2.0, 2.0], [2.0, NAN]], "all labels are equal"),
        ([[2.0, 2.0], [1.0, NAN]], "all labels are equal"),
    ],
)
def test_alpha_is_undefined_with_its_reason(ratings: list[list[float]], why: str, level: Level) -> None:
    with pytest.raises(Undefined, match=f"^{why}$"):
        krippendorff_alpha(np.array(ratings), level)


# ---------------------------------------------------------------- intraclass correlation


def test_icc_of_the_published_example() -> None:
    found = icc(SHROUT)
    assert found.mean is not None
    assert (f"{found.single:.2f}", f"{found.mean:.2f}") == ("0.29", "0.62")  # their table 4
    assert (found.n, found.of, found.k) == (6, 6, 4)


def test_icc_by_hand() -> None:
    # Items (1, 2), (3, 4), (5, 6): rows 1.5, 3.5, 5.5, columns 3, 4, all 3.5. MSR = 2 (4 + 0 + 4) / 2 = 8,
    # MSC = 3 (1/4 + 1/4) / 1 = 1.5, MSE = 0: 8 / (8 + 2 * 1.5 / 3) = 8/9; 8 / (8 + 1.5 / 3) = 16/17.
    found = icc(np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, NAN]]))
    assert found.single == pytest.approx(8 / 9)
    assert found.mean == pytest.approx(16 / 17)
    assert found.ceiling() == pytest.approx(math.sqrt(16 / 17))
    assert (found.n, found.of, found.k) == (3, 4, 2)


@pytest.mark.parametrize("seed", range(5))
def test_icc_beside_an_analysis_of_variance(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, k = int(rng.integers(3, 15)), int(rng.integers(2, 6))
    table = np.round(rng.normal(100, 2, (n, 1)) + rng.normal(0, 1, (n, k)) + rng.normal(0, 1, k), 1)
    frame = {"y": table.ravel(), "item": np.repeat(np.arange(n), k), "rater": np.tile(np.arange(k), n)}
    squares = anova_lm(ols("y ~ C(item) + C(rater)", pd.DataFrame(frame)).fit())
    msr, msc, mse = (squares["sum_sq"] / squares["df"]).loc[["C(item)", "C(rater)", "Residual"]]
    single = (msr - mse) / (msr + (k - 1) * mse + k * (msc - mse) / n)
    bottom = msr + (msc - mse) / n
    found = icc(table)
    assert found.single == pytest.approx(single, abs=1e-9)
    if bottom > 0:
        assert found.mean == pytest.approx((msr - mse) / bottom, abs=1e-9)


def test_icc_under_weights_is_of_repeated_items() -> None:
    times = np.array([2, 0, 1, 3, 1, 1])
    single, mean = iccs(SHROUT, np.stack([times, np.ones(6)]).astype(float))
    repeated = icc(np.repeat(SHROUT, times, axis=0))
    assert (single[0], mean[0]) == pytest.approx((repeated.single, repeated.mean), abs=1e-12)
    assert single[1] == pytest.approx(icc(SHROUT).single)


def test_icc_without_a_label_of_a_rater_takes_the_others() -> None:
    found = icc(np.column_stack([SHROUT, np.full(6, NAN)]))
    assert found == icc(SHROUT)


def test_icc_is_undefined_with_its_reason() -> None:
    with pytest.raises(Undefined, match=r"^one annotator$"):
        icc(SHROUT[:, :1])
    with pytest.raises(Undefined, match=r"^all labels are equal$"):
        icc(np.full((5, 3), 4.0))
    with pytest.raises(Undefined, match="1 of 2 items were labelled by all 2 people, and it takes two"):
        icc(np.array([[1.0, 2.0], [NAN, 2.0]]))
    with pytest.raises(Undefined, match="differ more within an item than items differ"):
        icc(np.array([[1.0, 2.0], [2.0, 1.0]]))
    # Every item has the mean 1.5, so MSR = 0. Raters 4/3 and 5/3: MSC = 3 * 2 / 36 = 1/6. Of the squares, 6 / 4, are
    # left 4/3 over 2: MSE = 2/3. The divisor is (1/6 - 2/3) / 3, below 0.
    against = icc(np.array([[1.0, 2.0], [2.0, 1.0], [1.0, 2.0]]))
    assert against.mean is None
    with pytest.raises(Undefined, match="differ more within an item than items differ"):
        against.ceiling()


def test_a_negative_icc_has_no_ceiling() -> None:
    table = [[3, 3, 4], [5, 1, 1], [5, 5, 2], [2, 5, 3], [2, 5, 2], [3, 4, 3]]
    found = icc(np.array(table, dtype=float))
    assert found.mean is not None
    assert found.mean < 0
    with pytest.raises(Undefined, match="no ceiling"):
        found.ceiling()


# ---------------------------------------------------------------- leaving one out


def test_each_rater_and_the_judge_against_the_mean_of_the_rest() -> None:
    ratings = np.array([[1.0, 2.0, 3.0], [4.0, 4.0, 1.0], [5.0, NAN, 2.0], [3.0, NAN, NAN]])
    judge = np.array([2.0, 3.0, 5.0, 1.0])
    seen: list[tuple[list[float], list[float]]] = []

    def error(y: Floats, f: Floats) -> float:
        seen.append((y.tolist(), f.tolist()))
        return float(np.abs(y - f).mean())

    found = left_out(ratings, judge, error, names=["x", "y", "z"])
    # x on three items against (2 + 3) / 2, (4 + 1) / 2, 2; y on two against 2, 2.5; z on three against 1.5, 4, 5.
    assert seen[0] == ([2.5, 2.5, 2.0], [1.0, 4.0, 5.0])
    assert seen[1] == ([2.5, 2.5, 2.0], [2.0, 3.0, 5.0])
    assert seen[2] == ([2.0, 2.5], [2.0, 4.0])
    assert seen[4] == ([1.5, 4.0, 5.0], [3.0, 1.0, 2.0])
    # Errors of people: (1.5 + 1.5 + 3) / 3 = 2, (0 + 1.5) / 2 = 0.75, (1.5 + 3 + 3) / 3 = 2.5; mean 1.75.
    assert found.human.value == pytest.approx(1.75)
    # Of the judge: (0.5 + 0.5 + 3) / 3 = 4/3, (0 + 0.5) / 2 = 0.25, (0.5 + 1 + 0) / 3 = 0.5; mean 25/36.
    assert found.judge.value == pytest.approx(25 / 36)
    assert (found.human.n, found.human.of, found.items) == (3, "annotators", 3)
    assert [(row.annotator, row.n) for row in found.rows] == [("x", 3), ("y", 2), ("z", 3)]


def test_the_majority_of_the_rest_must_be_one_label() -> None:
    ratings = np.array([[1.0, 1.0, 1.0, 2.0], [1.0, 2.0, 3.0, 3.0], [1.0, 2.0, NAN, NAN]])
    found = left_out(ratings, np.array([1.0, 3.0, 2.0]), agreement, "majority")
    # x: 1 of (1,1,2), 3 of (2,3,3), 2 of (2): it agrees on 1 of 3, the judge on 3 of 3. y: 1, 3, 1: 1 of 3, 2 of 3.
    # z: 1 of (1,1,2), none of (1,2,3): 1 of 1, 1 of 1. The last: 1, none: 0 of 1, 1 of 1.
    assert [row.n for row in found.rows] == [3, 3, 1, 1]
    assert found.human.value == pytest.approx((1 / 3 + 1 / 3 + 1 + 0) / 4)
    assert found.judge.value == pytest.approx((1 + 2 / 3 + 1 + 1) / 4)


def test_a_rater_enters_with_both_figures_or_with_neither() -> None:
    ratings = np.array([[1.0, 2.0, 1.0], [2.0, 2.0, 3.0], [3.0, 2.0, 2.0]])
    found = left_out(ratings, np.array([1.0, 3.0, 2.0]), correlation)
    assert [row.why for row in found.rows] == [None, "one side is constant", None]
    assert found.rows[1].human is None
    assert found.rows[1].judge is not None
    assert found.human.n == found.judge.n == 2
    assert found.human.left_out == found.judge.left_out == 1


def test_the_judge_is_compared_on_the_items_that_it_scored() -> None:
    ratings = np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 1.0]])
    found = left_out(ratings, np.array([1.0, 2.0, NAN]), correlation)
    assert found.human.value == pytest.approx(1.0)
    assert found.items == 2


def test_leaving_one_out_is_undefined_with_its_reason() -> None:
    judge = np.array([1.0, 2.0])
    with pytest.raises(Undefined, match=r"^one annotator$"):
        left_out(np.array([[1.0], [2.0]]), judge, correlation)
    with pytest.raises(Undefined, match="no item that the judge scored has labels from two people"):
        left_out(np.array([[1.0, NAN], [NAN, 2.0]]), judge, correlation)
    constant = left_out(np.array([[1.0, 2.0], [2.0, 1.0]]), np.ones(2), correlation)
    assert (constant.judge.value, constant.judge.n, constant.judge.why) == (None, 0, "one side is constant")
    one = left_out(
        np.array([[1.0, 1.0, NAN], [2.0, 2.0, NAN], [NAN, NAN, 3.0]]), np.array([1.0, 2.0, 3.0]), correlation
    )
    assert one.rows[2].why == "shares no item with the rest"
    assert one.human.n == 2


@settings(deadline=None, max_examples=60)
@given(TABLES, st.data())
def test_the_metric_is_the_plain_figure_where_all_weigh_the_same(ratings: Floats, data: st.DataObject) -> None:
    scores = st.sampled_from([1.0, 2.0, 3.0, 5.0, NAN])
    judge = np.array(data.draw(st.lists(scores, min_size=len(ratings), max_size=len(ratings))))
    target = data.draw(st.sampled_from(["mean", "majority"]))
    ones = np.ones((1, len(ratings)))
    try:
        plain = left_out(ratings, judge, correlation, target)
    except Undefined:
        with pytest.raises(Undefined):
            left_out_metric(ratings, spearman, "human", target)(judge, judge, ones)
        return
    for of, figure in (("human", plain.human), ("judge", plain.judge)):
        metric = left_out_metric(ratings, spearman, of, target)
        if figure.value is None:
            with pytest.raises(Undefined):
                metric(judge, judge, ones)
        else:
            assert metric(judge, judge, ones)[0] == pytest.approx(figure.value, abs=1e-9)


@pytest.mark.parametrize("of", ["human", "judge"])
def test_what_raters_lose_on_average_is_what_is_missing_to_1(of: Literal["human", "judge"]) -> None:
    rng = np.random.default_rng(3)
    ratings, judge = rng.integers(1, 5, (40, 3)).astype(float), rng.integers(1, 5, 40).astype(float)
    ratings[:5, 0], judge[7] = NAN, NAN
    w = rng.uniform(1, 3, 40)
    for base in (spearman, QuadraticKappa(FIVE)):
        metric = left_out_metric(ratings, base, of)
        assert isinstance(metric, bootstrap.Losing)
        losses, _ = metric.losses(judge, judge, w)
        assert losses.sum() == pytest.approx(1 - metric(judge, judge, w[None, :])[0])
        assert losses[7] == 0
    assert not isinstance(left_out_metric(ratings, mae, of), bootstrap.Losing)


@pytest.mark.parametrize("of", ["human", "judge"])
def test_the_nearest_miss_is_the_judges_beside_all_or_one_persons(of: Literal["human", "judge"]) -> None:
    """People agree, but for one person's label where it is a person's miss: about what that costs the figure."""
    truth = np.tile(np.arange(1.0, 6.0), 200)
    ratings, judge = np.column_stack([truth] * 4), truth.copy()
    kappa = QuadraticKappa(FIVE)
    metric = left_out_metric(ratings, kappa, of)
    assert isinstance(metric, bootstrap.Losing)
    _, least = metric.losses(judge, judge, np.ones(1000))
    missed = ratings if of == "judge" else ratings.copy()
    (judge if of == "judge" else missed[:, 0])[502] += 1
    found = left_out_metric(missed, kappa, of)(judge, judge, np.ones((1, 1000)))[0]
    assert 1 - found == pytest.approx(least, rel=0.02)


def test_a_judge_that_hardly_misses_is_covered_beside_people() -> None:
    """60 items on five levels, 2% missed by one level: in .3 of 200 sets none is. The standard error of 95% is 1.5%."""

    def drawn(rng: np.random.Generator, n: int) -> tuple[Floats, Floats]:
        truth = rng.integers(1, 6, n).astype(float)
        step = np.where(truth == 1, 1.0, np.where(truth == 5, -1.0, rng.choice([-1.0, 1.0], n)))
        return np.column_stack([truth] * 3), truth + step * (rng.random(n) < 0.02)

    def kappa(ratings: Floats) -> bootstrap.Metric:
        return left_out_metric(ratings, QuadraticKappa(FIVE), "judge")

    ratings, judge = drawn(np.random.default_rng(1), 200_000)
    truth = float(kappa(ratings)(judge, judge, np.ones((1, 200_000)))[0])
    held, collapsed = 0, 0
    for seed in range(200):
        ratings, judge = drawn(np.random.default_rng([2, seed]), 60)
        figure = bootstrap.figures({"": kappa(ratings)}, judge, judge, np.arange(60), draws=100, seed=seed)[""]
        assert figure.low is not None
        assert figure.high is not None
        held += figure.low <= truth <= figure.high
        collapsed += figure.value == 1
    assert held >= 0.93 * 200
    assert collapsed > 0.07 * 200


# ---------------------------------------------------------------- majority


def test_the_label_that_most_gave() -> None:
    ratings = np.array([[1, 2, 1], [1, 2, NAN], [NAN, NAN, NAN], [3, NAN, NAN], [0, 0, 5]], dtype=float)
    np.testing.assert_array_equal(majority(ratings), [1, NAN, NAN, 3, 0])
    np.testing.assert_array_equal(majority(np.full((2, 2), NAN)), [NAN, NAN])


# ---------------------------------------------------------------- SummEval

CRITERIA = ("coherence", "consistency", "fluency", "relevance")


@cache
def _summeval() -> tuple[dict[str, Floats], dict[str, Floats], Floats]:
    """Experts' labels (1600, 3) and gpt-4o's scores (1600,) by criterion, and the document of each item."""
    place: dict[str, int] = {}
    ratings = {criterion: np.full((1600, 3), NAN) for criterion in CRITERIA}
    for row in rows("summeval/human"):
        if row["annotator"].startswith("expert"):
            number = place.setdefault(row["item"], len(place))
            ratings[row["criterion"]][number, int(row["annotator"][-1])] = row["score"]
    judge = {criterion: np.full(1600, NAN) for criterion in CRITERIA}
    for row in rows("summeval/judge"):
        if row["judge"] == "alttest/gpt-4o":
            judge[row["criterion"]][place[row["item"]]] = row["samples"][0]
    documents = np.unique([item.rsplit("__", 1)[0] for item in place], return_inverse=True)[1]
    return ratings, judge, documents.astype(np.int64)


@pytest.mark.parametrize(
    ("criterion", "of_judge", "of_people"),
    [
        ("coherence", "0.516", "0.724"),
        ("consistency", "0.518", "0.760"),
        ("fluency", "0.439", "0.602"),
        ("relevance", "0.424", "0.543"),
    ],
)
def test_gpt_4o_and_people_on_summeval(criterion: str, of_judge: str, of_people: str) -> None:
    ratings, judge, _ = _summeval()
    found = left_out(ratings[criterion], judge[criterion], correlation)
    assert (f"{found.judge.value:.3f}", f"{found.human.value:.3f}") == (of_judge, of_people)
    assert (found.items, found.judge.n) == (1600, 3)


@pytest.mark.parametrize(
    ("criterion", "of_judge", "of_people"),
    [
        ("coherence", "0.522", "0.678"),
        ("consistency", "0.540", "0.810"),
        ("fluency", "0.452", "0.649"),
        ("relevance", "0.379", "0.473"),
    ],
)
def test_gpt_4o_and_people_within_the_documents_of_summeval(criterion: str, of_judge: str, of_people: str) -> None:
    ratings, judge, documents = _summeval()

    def within(y: Floats, f: Floats, weights: Floats) -> Floats:
        found = []
        for document in range(documents.max() + 1):
            one, other = y[documents == document], f[documents == document]
            if np.ptp(one) and np.ptp(other):
                found.append(correlation(one, other))
        return np.full(len(weights), np.mean(found))

    scores, ones = judge[criterion], np.ones((1, 1600))
    judged, people = (
        left_out_metric(ratings[criterion], within, of)(scores, scores, ones)[0] for of in ("judge", "human")
    )
    assert (f"{judged:.3f}", f"{people:.3f}") == (of_judge, of_people)


@pytest.mark.parametrize(
    ("criterion", "ceiling"), list(zip(CRITERIA, ("0.895", "0.982", "0.943", "0.852"), strict=True))
)
def test_what_a_judge_can_reach_on_summeval(criterion: str, ceiling: str) -> None:
    assert f"{icc(_summeval()[0][criterion]).ceiling():.3f}" == ceiling


def test_alpha_of_the_experts_of_summeval() -> None:
    pooled = np.vstack([_summeval()[0][criterion] for criterion in CRITERIA])
    assert f"{krippendorff_alpha(pooled, 'interval'):.4f}" == "0.7187"
    oracle = krippendorff.alpha(reliability_data=pooled.T, level_of_measurement="ordinal")
    assert krippendorff_alpha(pooled, "ordinal") == pytest.approx(oracle, abs=1e-9)
