"""The alternative annotator test: by hand, beside scipy and statsmodels, and against the figures its authors print."""

from __future__ import annotations

import json
from difflib import SequenceMatcher
from functools import cache
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from judge.calibration.statistics.alt_test import (
    EPSILON,
    AltTest,
    accuracy,
    alt_test,
    benjamini_yekutieli,
    mean_similarity,
    negative_rmse,
    weighted_test,
    wilcoxon,
)
from judge.calibration.statistics.bootstrap import Floats
from judge.calibration.statistics.figures import Figure, Undefined
from tests.sets import DATA, path, rows

NAN = np.nan
SCORES = {"accuracy": accuracy, "neg_rmse": negative_rmse}
CHANCE = Figure(value=0.5, low=0.4, high=0.6, n=100)

# ---------------------------------------------------------------- by hand


def test_the_scores_of_the_paper() -> None:
    others = np.array([[1.0, 2.0, NAN], [2.0, 2.0, 5.0]])
    # 1 of the labels 1, 2; 2 of 2, 2, 5.
    np.testing.assert_allclose(accuracy(np.array([1.0, 2.0]), others), [1 / 2, 2 / 3])
    # -sqrt((0 + 1) / 2); -sqrt((0 + 0 + 9) / 3).
    np.testing.assert_allclose(negative_rmse(np.array([1.0, 2.0]), others), [-np.sqrt(0.5), -np.sqrt(3)])


def test_one_item_of_three_people() -> None:
    # One item: 1, 1, 2 by the people, 1 by the judge; many times over, so that the test is Student's.
    ratings, judge = np.tile([1.0, 1.0, 2.0], (40, 1)), np.ones(40)
    found = alt_test(ratings, judge, accuracy, 0.2, ordered=False, draws=10)
    # Without the first the others are 1, 2: judge 1/2, human 1/2, a tie that both win. So without the second. Without
    # the third the others are 1, 1: judge 1, human 0.
    assert [(row.score_judge, row.score_human) for row in found.rows] == [(0.5, 0.5), (0.5, 0.5), (1.0, 0.0)]
    assert [(row.rho_judge, row.rho_human) for row in found.rows] == [(1.0, 1.0), (1.0, 1.0), (1.0, 0.0)]
    # No spread and means of 0, 0 and -1, below 0.2: certain.
    assert [row.p for row in found.rows] == [0.0, 0.0, 0.0]
    assert (found.omega, found.rho.value, found.tested, found.n) == (1.0, 1.0, 3, 40)
    # The judge is a constant, and so no better than one, whatever omega says.
    assert found.constant == 1.0
    assert found.over_constant.value == 0.0
    assert found.passed is False
    assert found.why == (
        "a constant answer does as well",
        "whether it is better than chance is not known: people gave every item the same score",
    )


def test_the_p_value_is_of_the_losses_less_the_wins() -> None:
    # Two people who always agree on 0 and 1 by turns; the judge is right on 3 of 4 items and a third person never.
    truth = np.tile([0.0, 1.0], 50)
    judge = np.where(np.arange(100) % 4 == 3, 1 - truth, truth)
    ratings = np.column_stack([truth, truth, 1 - truth])
    found = alt_test(ratings, judge, accuracy, 0.2, ordered=False, draws=10)
    # Without the first person the others say t and 1 - t: every answer scores 1/2, 100 ties. So without the second.
    # Without the third the others say t twice: the judge scores 1 on 75 items and 0 on 25, the third person 0: 75 wins
    # and 25 ties. Losses less wins: -1 on 75, 0 on 25: mean -0.75, sd sqrt(100 / 99 * 0.75 * 0.25).
    assert [(row.rho_judge, row.rho_human) for row in found.rows] == [(1.0, 1.0), (1.0, 1.0), (1.0, 0.25)]
    third = found.rows[2]
    sd = np.sqrt(100 / 99 * 0.75 * 0.25)
    assert third.p == pytest.approx(stats.t.cdf((-0.75 - 0.2) / (sd / 10), 99), rel=1e-9)
    assert third.test == "t"


def test_weighted_items_count_as_often_as_they_weigh() -> None:
    """All but p of items with weights 1, 2 and 3 is that of items so often there."""
    rng = np.random.default_rng(4)
    truth = rng.integers(1, 4, 60).astype(np.float64)
    ratings = np.where(rng.random((60, 3)) < 0.6, truth[:, None], rng.integers(1, 4, (60, 3)))
    judge = np.where(rng.random(60) < 0.7, truth, 1.0)
    w = np.where(judge == 1, 3.0, np.where(truth == 3, 2.0, 1.0))
    times = np.repeat(np.arange(60), w.astype(np.int64))
    for ordered, score in ((False, accuracy), (True, negative_rmse)):
        weighted = alt_test(ratings, judge, score, ordered=ordered, w=w, draws=50)
        repeated = alt_test(ratings[times], judge[times], score, ordered=ordered, draws=50)
        plain = alt_test(ratings, judge, score, ordered=ordered, draws=50)
        assert weighted.constant == repeated.constant
        for name in ("rho", "rho_constant", "over_constant", "beyond_chance"):
            assert getattr(weighted, name).value == pytest.approx(getattr(repeated, name).value)
        assert weighted.rho.value != pytest.approx(plain.rho.value, abs=1e-3)
        for one, other in zip(weighted.rows, repeated.rows, strict=True):
            for name in ("score_judge", "score_human", "rho_judge", "rho_human"):
                assert getattr(one, name) == pytest.approx(getattr(other, name))
            assert one.n == 60
            # Copies of an item say nothing new.
            assert one.p is not None
            assert other.p is not None
            assert one.p > other.p
        unseen = np.where(np.arange(60) < 5, NAN, judge)
        some = alt_test(ratings, unseen, score, ordered=ordered, w=w, draws=50)
        assert some.rho.value == pytest.approx(
            alt_test(ratings[5:], judge[5:], score, ordered=ordered, w=w[5:], draws=50).rho.value
        )


@pytest.mark.parametrize("n", [20, 60])
def test_weights_that_are_all_alike_are_none(n: int) -> None:
    ratings, judge = graded(n, 7, 0.5)
    plain = alt_test(ratings, judge, negative_rmse, ordered=True, draws=20)
    alike = alt_test(ratings, judge, negative_rmse, ordered=True, w=np.full(n, 3.7), draws=20)
    assert alike.rows == plain.rows
    assert {row.test for row in plain.rows} == {"t" if n == 60 else "wilcoxon"}


def test_a_weighted_test_by_hand() -> None:
    """Weights 1, 1, 2 of a win, a tie and a loss, and one loss of weight 2 more: a mean of (-1 + 2 + 2) / 6 = 1/2.

    Deviations -3/2, -1/2, 1/2, 1/2 times weights 1, 1, 2, 2, over 6: squares (9 + 1 + 4 + 4) / 4 / 36 = 1/8, by 4/3 for
    four items. As good as 36 / (1 + 1 + 4 + 4) = 3.6 items of one weight.
    """
    p = weighted_test(np.array([-1.0, 0.0, 1.0]), np.array([1.0, 1.0, 2.0]), 0.2)
    assert p == pytest.approx(stats.t.cdf((0.5 - 0.2) / np.sqrt(1 / 6), 2.6))
    assert weighted_test(np.array([-1.0, 0.0, 1.0]), np.array([5.0, 5.0, 10.0]), 0.2) == pytest.approx(p)
    assert weighted_test(np.ones(5), np.arange(1.0, 6.0), 0.2) == 1


def drawn_unevenly(rng: np.random.Generator, right: tuple[float, float]) -> tuple[Floats, Floats, Floats]:
    """Ratings, judge and weights of 270 items of one kind and 30 of another that is as common, but drawn less.

    Two people know the answers, 0 or 1, and a third knows them of .8 of the items; the judge of `right` of each kind.
    """
    kind = np.repeat([0, 1], [270, 30])
    truth = rng.integers(0, 2, 300).astype(np.float64)
    third = np.where(rng.random(300) < 0.8, truth, 1 - truth)
    judge = np.where(rng.random(300) < np.array(right)[kind], truth, 1 - truth)
    return np.column_stack([truth, truth, third]), judge, np.array([1 / 270, 1 / 30])[kind]


def test_a_judge_that_wins_only_where_many_items_were_drawn_does_not_pass() -> None:
    """Against the third person it loses .8 - (.95 + .25) / 2 = .2 on average, just what it may not, and against the
    others .8 * .4 = .32. Of 300 draws 2% above 5% are chance.
    """
    counted, alone, third = 0, 0, 0
    for seed in range(300):
        ratings, judge, w = drawn_unevenly(np.random.default_rng(seed), (0.95, 0.25))
        # The guards are other tests; without them the verdict is omega.
        weighed, plain = (
            alt_test(ratings, judge, accuracy, 0.2, ordered=False, w=one, beyond_chance=CHANCE, draws=2)
            for one in (w, None)
        )
        assert weighed.rows[2].p is not None
        third += weighed.rows[2].p < 0.05
        counted += weighed.omega >= 0.5
        alone += plain.omega >= 0.5
    assert alone > 270
    assert counted <= 3
    assert third <= 0.07 * 300


def test_a_judge_that_is_good_on_all_that_was_drawn_passes() -> None:
    passed = 0
    for seed in range(100):
        ratings, judge, w = drawn_unevenly(np.random.default_rng(seed), (0.95, 0.95))
        found = alt_test(ratings, judge, accuracy, 0.2, ordered=False, w=w, beyond_chance=CHANCE, draws=2)
        passed += found.omega == 1
    assert passed >= 80


@pytest.mark.parametrize(("light", "heavy"), [(16, 4), (38, 2), (94, 6)])
def test_a_handful_of_heavy_items_that_show_no_loss_is_no_win(light: int, heavy: int) -> None:
    """Of light items, a fifth of the whole, as many are won as lost; of heavy ones a quarter is lost: .2 of all.

    Without a supposed loss .3, .6 and .2 of the draws were rejected.
    """
    w = np.repeat([0.2 / light, 0.8 / heavy], [light, heavy])
    rejected, naive = 0, 0
    for seed in range(500):
        rng = np.random.default_rng(seed)
        some = rng.choice([-1.0, 0.0, 1.0], light, p=[0.1, 0.8, 0.1])
        d = np.append(some, (rng.random(heavy) < 0.25).astype(np.float64))
        rejected += weighted_test(d, w, 0.2) < 0.05
        scored = w * (d - w @ d)
        error = np.sqrt(len(d) / (len(d) - 1) * (scored @ scored))
        naive += w @ d - 0.2 < stats.t.ppf(0.05, 1 / (w @ w) - 1) * error
    assert rejected <= 0.07 * 500
    assert naive > 0.12 * 500


def test_a_draw_by_float_noise_is_a_draw() -> None:
    # 0.1 + 0.2 is not 0.3; a judge that means 0.3 is as good as a person who says it.
    ratings = np.tile([0.3, 0.3, 0.3], (40, 1))
    found = alt_test(ratings, np.full(40, 0.1 + 0.2), negative_rmse, ordered=True, draws=10)
    assert found.rho.value == 1.0


def test_benjamini_yekutieli_by_hand() -> None:
    # m = 3, 1 + 1/2 + 1/3 = 11/6: bounds 1/3, 2/3 and 3/3 of 0.05 * 6 / 11 = 0.02727: 0.00909, 0.01818, 0.02727.
    assert benjamini_yekutieli([0.02, 0.001, 0.02]).tolist() == [True, True, True]  # the third reaches 0.02727
    assert benjamini_yekutieli([0.03, 0.001, 0.02]).tolist() == [False, True, False]
    assert benjamini_yekutieli([0.01, 0.01, 0.5]).tolist() == [True, True, False]
    assert benjamini_yekutieli([0.01, 0.02, 0.5]).tolist() == [False, False, False]
    assert benjamini_yekutieli([]).tolist() == []


def test_free_texts_by_their_similarity() -> None:
    texts = ["a bird in flight", "a flying bird", "a fish", "a bird"]
    score = mean_similarity(lambda a, b: SequenceMatcher(None, texts[int(a)], texts[int(b)]).ratio())
    found = score(np.array([3.0, 2.0]), np.array([[0.0, 1.0], [1.0, NAN]]))
    bird = [SequenceMatcher(None, "a bird", other).ratio() for other in texts[:2]]
    assert found.tolist() == [sum(bird) / 2, SequenceMatcher(None, "a fish", "a flying bird").ratio()]


# ---------------------------------------------------------------- oracles


def naive(ratings: Floats, judge: Floats, kind: str, epsilon: float) -> list[tuple[float, float]]:
    """rho and p of each annotator, item by item, with scipy's tests."""
    found = []
    for column in range(ratings.shape[1]):
        won, lost = [], []
        for row, answer in zip(ratings.tolist(), judge.tolist(), strict=True):
            others = [value for place, value in enumerate(row) if place != column and value == value]
            if row[column] != row[column] or not others or answer != answer:
                continue
            if kind == "accuracy":
                scores = [np.mean([value == other for other in others]) for value in (answer, row[column])]
            else:
                scores = [
                    -np.sqrt(np.mean([(value - other) ** 2 for other in others])) for value in (answer, row[column])
                ]
            won.append(float(scores[0] >= scores[1] - 1e-9))
            lost.append(float(scores[1] >= scores[0] - 1e-9))
        difference = np.array(lost) - np.array(won)
        if len(difference) >= 30:
            p = stats.ttest_1samp(difference, epsilon, alternative="less").pvalue
        else:
            every_sign = stats.PermutationMethod(n_resamples=2**10 + 1)
            p = stats.wilcoxon(difference - epsilon, alternative="less", method=every_sign).pvalue
        found.append((float(np.mean(won)), float(p)))
    return found


@pytest.mark.parametrize("n", [6, 10, 45, 100])
@pytest.mark.parametrize("kind", ["accuracy", "neg_rmse"])
@pytest.mark.parametrize("epsilon", [0.1, 0.2])
def test_each_annotator_beside_scipy(n: int, kind: str, epsilon: float) -> None:
    rng = np.random.default_rng(n)
    truth = rng.integers(1, 6, n).astype(float)
    ratings = np.clip(truth[:, None] + rng.integers(-1, 2, (n, 4)), 1, 5)
    ratings[rng.random(ratings.shape) < 0.1] = NAN
    judge = np.clip(truth + rng.integers(-1, 2, n), 1, 5)
    judge[0] = NAN
    found = alt_test(ratings, judge, SCORES[kind], epsilon, ordered=True, fewest=1, draws=10)
    expected = naive(ratings, judge, kind, epsilon)
    np.testing.assert_allclose([row.rho_judge for row in found.rows], [rho for rho, _ in expected], rtol=1e-12)
    np.testing.assert_allclose([row.p for row in found.rows], [p for _, p in expected], rtol=1e-9)
    rejected = multipletests([p for _, p in expected], 0.05, method="fdr_by")[0]
    assert [row.rejected for row in found.rows] == rejected.tolist()
    assert found.omega == rejected.mean()
    assert found.rho.value == pytest.approx(np.mean([rho for rho, _ in expected]), rel=1e-12)


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.sampled_from([0.01, 0.05, 0.2]))
def test_benjamini_yekutieli_beside_statsmodels(p: list[float], q: float) -> None:
    bounds = np.arange(1, len(p) + 1) / len(p) * q / (1 / np.arange(1, len(p) + 1)).sum()
    if (np.abs(np.sort(p) - bounds) < 1e-12).any():
        return  # a p-value on the bound itself goes by the last bit
    assert benjamini_yekutieli(p, q).tolist() == multipletests(p, q, method="fdr_by")[0].tolist()


def test_wilcoxon_of_few_items_by_counting_signs() -> None:
    # Seven items of which the judge wins six and loses one: -1.2 six times, 0.8 once. The one is the smallest: rank 1,
    # so that of the 2^7 signs only those with a sum of positive ranks of at most 1 are as extreme: none, and the one.
    ratings = np.column_stack([np.ones(7), np.ones(7), np.array([0.0] * 6 + [1.0])])
    judge = np.array([1.0] * 6 + [0.0])
    row = alt_test(ratings, judge, accuracy, 0.2, ordered=False, draws=10).rows[2]
    signs = np.array(list(product([0, 1], repeat=7)))
    ranks = np.array([4.5] * 6 + [1.0])
    assert row.test == "wilcoxon"
    assert row.p == pytest.approx((signs @ ranks <= 1.0).mean(), rel=1e-9)
    assert row.p == pytest.approx(2 / 128, rel=1e-9)


@pytest.mark.parametrize("n", [1, 5, 14, 29, 50])
def test_wilcoxon_without_ties_beside_scipy(n: int) -> None:
    differences = np.random.default_rng(n).normal(-0.2, 1, n)
    assert wilcoxon(differences) == pytest.approx(stats.wilcoxon(differences, alternative="less").pvalue, rel=1e-9)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.sampled_from([-1.2, -0.5, -0.2, 0.0, 0.5, 0.8]), max_size=9))
def test_wilcoxon_with_ties_and_zeros_by_counting_signs(given: list[float]) -> None:
    differences = np.array([value for value in given if value])
    ranks = stats.rankdata(np.abs(differences))
    signs = np.array(list(product([0, 1], repeat=len(ranks)))).reshape(2 ** len(ranks), len(ranks))
    observed = ranks[differences > 0].sum()
    assert wilcoxon(np.array(given)) == pytest.approx((signs @ ranks <= observed + 1e-9).mean(), rel=1e-9)


# ---------------------------------------------------------------- properties

LABELS = st.sampled_from([1.0, 2.0, 3.0, NAN])


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_names_and_order_of_the_annotators_do_not_count(data: st.DataObject) -> None:
    table = data.draw(st.lists(st.tuples(LABELS, LABELS, LABELS, LABELS), min_size=8, max_size=40))
    ratings, judge = np.array([row[:3] for row in table]), np.array([row[3] for row in table])
    turned = data.draw(st.permutations(range(3)))

    def tried(ratings: Floats) -> AltTest | str:
        try:
            return alt_test(ratings, judge, negative_rmse, ordered=True, fewest=1, beyond_chance=CHANCE, draws=5)
        except Undefined as undefined:
            return str(undefined)

    one, other = tried(ratings), tried(ratings[:, turned])
    if isinstance(one, str) or isinstance(other, str):
        assert one == other
        return
    assert one.omega == other.omega
    assert one.rho.value == pytest.approx(other.rho.value)
    assert [one.rows[place].p for place in turned] == [row.p for row in other.rows]
    for row in one.rows:
        if row.p is not None:
            assert row.rho_judge is not None
            assert row.rho_human is not None
            assert 0 <= row.p <= 1
            assert row.rho_judge + row.rho_human >= 1 - 1e-12


def graded(n: int, seed: int, noise: float) -> tuple[Floats, Floats]:
    """Three people and a judge with as much noise of its own: simulated."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(3, 1.2, n)
    ratings = np.clip(np.round(truth[:, None] + rng.normal(0, 0.6, (n, 3))), 1, 5)
    return ratings, np.clip(np.round(truth + rng.normal(0, noise, n)), 1, 5)


def test_a_judge_as_good_as_people_passes_and_says_by_how_much() -> None:
    ratings, judge = graded(200, 1, 0.4)
    found = alt_test(ratings, judge, negative_rmse, EPSILON["experts"], ordered=True, names=["x", "y", "z"])
    assert found.passed is True
    assert found.why == ()
    assert [row.annotator for row in found.rows] == ["x", "y", "z"]
    for figure in (found.rho, found.over_constant, found.beyond_chance):
        assert figure.value is not None
        assert figure.low is not None
        assert figure.high is not None
        assert 0 < figure.low <= figure.value <= figure.high


def test_the_same_seed_gives_the_same_result() -> None:
    ratings, judge = graded(60, 2, 0.5)
    cluster = np.arange(60) // 3
    one, two = (alt_test(ratings, judge, negative_rmse, ordered=True, cluster=cluster, draws=50, seed=3) for _ in "ab")
    other = alt_test(ratings, judge, negative_rmse, ordered=True, cluster=cluster, draws=50, seed=4)
    assert one == two
    assert one.rho != other.rho


def test_a_judge_that_ranks_backwards_fails_the_guard() -> None:
    ratings, judge = graded(200, 3, 0.3)
    found = alt_test(ratings, 6 - judge, negative_rmse, 1.0, ordered=True)
    assert found.passed is False
    assert found.beyond_chance.value is not None
    assert found.beyond_chance.value < 0
    assert any("no better than chance" in reason for reason in found.why)


# ---------------------------------------------------------------- bad input


def test_fewer_than_three_annotators_are_no_finding() -> None:
    ratings, judge = graded(100, 4, 0.3)
    found = alt_test(ratings[:, :2], judge, negative_rmse, ordered=True, draws=10)
    assert found.passed is None
    assert found.why == ("only 2 of the annotators could be tested, and it takes 3",)
    assert found.rho.value is not None
    with pytest.raises(Undefined, match=r"^one annotator$"):
        alt_test(ratings[:, :1], judge, negative_rmse, ordered=True)
    alone = np.column_stack([ratings[:, 0], np.full((100, 2), NAN)])
    with pytest.raises(Undefined, match=r"^one annotator$"):
        alt_test(alone, judge, negative_rmse, ordered=True)


def test_an_annotator_with_one_label_is_not_tested() -> None:
    ratings, judge = graded(100, 5, 0.3)
    once = np.full((100, 1), NAN)
    once[7] = 3.0
    found = alt_test(np.hstack([ratings, once]), judge, negative_rmse, ordered=True, draws=10)
    assert (found.tested, len(found.rows)) == (3, 4)
    assert found.rows[3].p is None
    assert found.rows[3].rejected is False
    assert found.rows[3].why == "1 item with labels of others, and it takes 6"


def test_people_who_share_no_item_are_undefined() -> None:
    apart = np.array([[1.0, NAN], [NAN, 2.0]])
    with pytest.raises(Undefined, match="no item that the judge scored has labels from two people"):
        alt_test(apart, np.ones(2), accuracy, ordered=False)
    with pytest.raises(Undefined, match="no annotator has 30 items with labels of others; the most is 10"):
        alt_test(np.ones((10, 3)), np.ones(10), accuracy, ordered=False, fewest=30)
    with pytest.raises(Undefined, match="no item that the judge scored"):
        alt_test(np.ones((10, 3)), np.full(10, NAN), accuracy, ordered=False)


def test_all_labels_equal_pass_nothing() -> None:
    ratings, judge = np.full((50, 3), 4.0), np.tile([4.0, 3.0], 25)
    found = alt_test(ratings, judge, negative_rmse, ordered=True, draws=10)
    assert found.passed is False
    assert found.beyond_chance.why == "people gave every item the same score"


@pytest.mark.parametrize("ordered", [True, False])
def test_a_constant_judge_never_passes(ordered: bool) -> None:
    rng = np.random.default_rng(6)
    ratings = np.where(rng.random((300, 3)) < 0.9, 5.0, 4.0)  # skewed labels: a constant wins every annotator
    found = alt_test(ratings, np.full(300, 5.0), negative_rmse, ordered=ordered, draws=20)
    assert found.omega == 1.0
    assert found.rho.value is not None
    assert found.rho.value > 0.9
    assert found.passed is False
    assert found.why == (
        "a constant answer does as well",
        "whether it is better than chance is not known: the judge gave every item the same score",
    )


# ---------------------------------------------------------------- published figures


def _published() -> list[dict[str, float | str]]:
    files = [DATA / "alttest" / "published_figures.json", DATA / "summeval" / "published_figures.json"]
    cells = [cell for file in files if file.exists() for cell in json.loads(file.read_text(encoding="utf-8"))]
    return [cell for cell in cells if "omega" in cell]


CELLS = _published()


@cache
def _read(name: str) -> list[dict[str, float | str | list[float]]]:
    return rows(name)


@cache
def _tables(dataset: str, criterion: str | None = None) -> tuple[Floats, dict[str, Floats]]:
    """What people and judges said of a data set: labels that are numbers as they are, words by codes of their own."""
    folder = "summeval" if dataset == "summeval" else "alttest"
    codes: dict[str, float] = {}

    def number(given: float | str) -> float:
        return float(given) if not isinstance(given, str) else codes.setdefault(given, 1000.0 + len(codes))

    def wanted(row: dict[str, float | str | list[float]]) -> bool:
        if folder == "alttest":
            return str(row["criterion"]).split(":")[0] == dataset
        expert = str(row.get("annotator", "expert")).startswith("expert")
        return expert and criterion in (None, row["criterion"])

    human = [row for row in _read(f"{folder}/human") if wanted(row)]
    place: dict[tuple[object, object], int] = {}
    column: dict[object, int] = {}
    for row in human:
        place.setdefault((row["item"], row["criterion"]), len(place))
        column.setdefault(row["annotator"], len(column))
    ratings = np.full((len(place), len(column)), NAN)
    for row in human:
        ratings[place[row["item"], row["criterion"]], column[row["annotator"]]] = number(row["score"])  # type: ignore[arg-type]
    judges: dict[str, Floats] = {}
    for row in _read(f"{folder}/judge"):
        cell = row["item"], row["criterion"]
        if wanted(row) and cell in place and (folder == "alttest" or str(row["judge"]).startswith("alttest/")):
            said = row["samples"][0] if "samples" in row else row["verdict"]  # type: ignore[index]
            judge = judges.setdefault(str(row["judge"]).removeprefix("alttest/"), np.full(len(place), NAN))
            judge[place[cell]] = number(said)  # type: ignore[arg-type]
    return ratings, judges


@pytest.mark.skipif(not CELLS, reason="the sets alttest and summeval are not here")
def test_there_are_52_printed_cells() -> None:
    assert len(CELLS) == 52


@pytest.mark.parametrize("cell", CELLS, ids=[f"{cell['dataset']}-{cell['judge']}" for cell in CELLS])
def test_the_printed_omega_and_rho(cell: dict[str, float]) -> None:
    ratings, judges = _tables(str(cell["dataset"]))
    found = alt_test(
        ratings,
        judges[str(cell["judge"])],
        SCORES[str(cell["score"])],
        cell["epsilon"],
        ordered=str(cell["score"]) == "neg_rmse",
        q=cell["q"],
        fewest=int(cell["min_items"]),
        beyond_chance=CHANCE,
        draws=5,
    )
    assert found.rho.value is not None
    assert f"{found.omega:.2f} {found.rho.value:.2f}" == f"{cell['omega']:.2f} {cell['rho']:.2f}"


@pytest.mark.parametrize(
    ("criterion", "omega", "rho", "of_judge"),
    [
        ("coherence", 0.67, 0.68, 0.75),
        ("consistency", 1.0, 0.90, 0.44),
        ("fluency", 1.0, 0.91, 0.21),
        ("relevance", 1.0, 0.80, 0.50),
    ],
)
def test_the_most_frequent_label_passes_the_test_without_guards(
    criterion: str, omega: float, rho: float, of_judge: float
) -> None:
    path("summeval/published_figures.json")
    ratings, judges = _tables("summeval", criterion)
    values, counts = np.unique(ratings, return_counts=True)
    mode = np.full(len(ratings), values[counts.argmax()])
    constant = alt_test(ratings, mode, negative_rmse, 0.2, ordered=True, draws=5)
    assert constant.rho.value is not None
    assert (round(constant.omega, 2), round(constant.rho.value, 2)) == (omega, rho)
    assert constant.omega >= 0.5
    assert constant.passed is False
    judged = alt_test(ratings, judges["gpt-4o"], negative_rmse, 0.2, ordered=True, draws=200)
    assert judged.rho.value is not None
    assert round(judged.rho.value, 2) == of_judge
    assert judged.passed is (criterion == "coherence")
