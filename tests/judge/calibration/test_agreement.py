"""Agreement of one criterion: hand-worked values, oracles, invariances, and what is undefined."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from judge.calibration.scale import Scale
from judge.calibration.statistics import bootstrap
from judge.calibration.statistics.agreement import agreement, concordance, metrics
from judge.calibration.statistics.bootstrap import Floats
from judge.calibration.statistics.confusion import confusion
from judge.calibration.statistics.correlation import spearman
from judge.calibration.statistics.figures import Undefined

BINARY = Scale("binary", 0, 1, np.array([0.0, 1.0]), ("no", "yes"))
ORDINAL = Scale("ordinal", 1, 4, np.array([1.0, 2.0, 3.0, 4.0]), ("1", "2", "3", "4"))
NOMINAL = Scale("nominal", 0, 2, np.array([0.0, 1.0, 2.0]), ("a", "b", "c"))
NUMERIC = Scale("numeric", 0, 10, None)
SCALES = {scale.kind: scale for scale in (BINARY, ORDINAL, NOMINAL, NUMERIC)}


def once(scale: Scale, name: str, y: Any, f: Any, w: Any = None) -> float:
    y, f = np.asarray(y, dtype=np.float64), np.asarray(f, dtype=np.float64)
    weights = np.ones(len(y)) if w is None else np.asarray(w, dtype=np.float64)
    return float(metrics(scale)[name](y, f, weights[None, :])[0])


def of_table(*counts: int) -> tuple[Floats, Floats]:
    """Items of a 2 x 2 table: people no and judge no, no/yes, yes/no, yes/yes."""
    return np.repeat([0.0, 0, 1, 1], counts), np.repeat([0.0, 1, 0, 1], counts)


def any_items(scale: Scale, rng: np.random.Generator, n: int = 60) -> tuple[Floats, Floats]:
    if scale.levels is None:
        y = rng.uniform(0, 10, n).round(1)
        return y, np.clip(y + rng.normal(size=n), 0, 10).round(1)
    y = rng.choice(scale.levels, n)
    return y, np.where(rng.random(n) < 0.6, y, rng.choice(scale.levels, n))


def test_a_table_worked_by_hand() -> None:
    """40 no/no, 10 no/yes, 5 yes/no, 45 yes/yes of 100: agreement .85.

    Margins: people 50/50, judge 45/55. Chance .5 * .45 + .5 * .55 = .5, kappa (.85 - .5) / .5 = .7.
    AC1: mean shares .475 and .525, chance 2 * .475 * .525 = .49875, (.85 - .49875) / .50125 = .700748...
    """
    y, f = of_table(40, 10, 5, 45)
    expected = {
        "tpr": 45 / 50,
        "tnr": 40 / 50,
        "balanced_accuracy": 0.85,
        "youden": 0.7,
        "accuracy": 0.85,
        "kappa": 0.7,
        "ac1": 0.35125 / 0.50125,
        "label_balance": 0.5,
        "positive_rate": 0.55,
    }
    assert {name: once(BINARY, name, y, f) for name in metrics(BINARY)} == pytest.approx(expected, abs=1e-12)
    assert confusion(BINARY, y, f).tolist() == [[40, 10], [5, 45]]


def test_kappa_is_low_and_ac1_high_where_one_answer_is_rare() -> None:
    """The paradox: 1000 items, 950 positive; 920 and 20 found. Agreement .94, TPR 920/950 = .968, TNR 20/50 = .40.

    Chance .95 * .95 + .05 * .05 = .905 (30 missed and 30 passed: the judge too calls 950 positive), kappa
    (.94 - .905) / .095 = .368; AC1: chance 2 * .95 * .05 = .095, (.94 - .095) / .905 = .934. AC1 hides the TNR.
    """
    y, f = of_table(20, 30, 30, 920)
    figures = {name: round(once(BINARY, name, y, f), 2) for name in ("kappa", "ac1", "tpr", "tnr", "accuracy")}
    assert figures == {"kappa": 0.37, "ac1": 0.93, "tpr": 0.97, "tnr": 0.40, "accuracy": 0.94}


def test_levels_worked_by_hand() -> None:
    """People 1 2 3 4, judge 1 3 3 2: exact 2/4, adjacent 3/4, errors 0 1 0 -2: MAE 3/4, bias -1/4, RMSE sqrt(5/4).

    Quadratic kappa: observed 0 + 1 + 0 + 4 = 5 over 4 items. By chance, over all 16 pairs of (1 2 3 4) and (1 3 3 2):
    1: 0 4 4 1, 2: 1 1 1 0, 3: 4 0 0 1, 4: 9 1 1 4, in all 32, over 16. 1 - (5/4) / (32/16) = .375.
    """
    y, f = [1, 2, 3, 4], [1, 3, 3, 2]
    found = {name: once(ORDINAL, name, y, f) for name in metrics(ORDINAL)}
    assert found == pytest.approx(
        {"quadratic_kappa": 0.375, "exact": 0.5, "adjacent": 0.75, "mae": 0.75, "bias": -0.25, "rmse": 1.25**0.5}
    )
    assert once(NUMERIC, "concordance", y, f) == pytest.approx(0.375)


def test_means_half_way_go_to_the_lower_level() -> None:
    """People .5 is no, .51 yes; the judge's 2.5 of levels 1..4 is 2, and thirds that round do not matter."""
    assert once(BINARY, "label_balance", [0.5, 0.51], [0, 1]) == 0.5
    assert once(ORDINAL, "exact", [2, 3, 2], [2.5, 2.5, (1 + 2 + 3) / 3]) == pytest.approx(2 / 3)


@pytest.mark.parametrize("seed", range(5))
def test_scikit_learn_agrees(seed: int) -> None:
    from sklearn.metrics import balanced_accuracy_score, cohen_kappa_score, mean_absolute_error, recall_score

    rng = np.random.default_rng(seed)
    for scale in (BINARY, ORDINAL, NOMINAL):
        y, f = any_items(scale, rng)
        w = rng.uniform(0.5, 3, len(y))
        listed: dict[str, Any] = {"labels": scale.levels, "sample_weight": w}
        kappas = {"kappa": None, "quadratic_kappa": "quadratic"}
        for name in kappas.keys() & metrics(scale).keys():
            assert_allclose(once(scale, name, y, f, w), cohen_kappa_score(y, f, weights=kappas[name], **listed), 1e-9)
        if scale is NOMINAL:
            recalls = [once(scale, f"recall:{name}", y, f, w) for name in scale.names]
            assert_allclose(recalls, recall_score(y, f, average=None, sample_weight=w), 1e-9)
        if scale is BINARY:
            balanced = balanced_accuracy_score(y, f, sample_weight=w)
            assert_allclose(once(scale, "balanced_accuracy", y, f, w), balanced, 1e-9)
        if scale is ORDINAL:
            assert_allclose(once(scale, "mae", y, f, w), mean_absolute_error(y, f, sample_weight=w), 1e-9)


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(sorted(SCALES)), st.integers(0, 2**32), st.integers(2, 12))
def test_a_weight_of_two_is_the_item_twice(kind: str, seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    y, f = any_items(SCALES[kind], rng, n)
    W = rng.integers(0, 4, (3, n)).astype(np.float64)
    W[:, 0] += 1
    for name, metric in metrics(SCALES[kind]).items():
        for row in W:
            again = row.astype(int)
            try:
                weighted, scaled = metric(y, f, np.stack([row, 7.5 * row]))
            except Undefined:
                continue
            assert weighted == pytest.approx(scaled, abs=1e-12, nan_ok=True), name
            try:
                repeated = metric(np.repeat(y, again), np.repeat(f, again), np.ones((1, again.sum())))[0]
            except Undefined:  # a judge of one answer is worth 0 beyond chance where other items show that it has more
                assert np.isnan(weighted) or weighted == pytest.approx(0), name
                continue
            assert weighted == pytest.approx(repeated, abs=1e-12, nan_ok=True), name


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32))
def test_who_is_called_the_judge_does_not_matter_to_kappa(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for scale, names in ((BINARY, ("kappa", "ac1")), (ORDINAL, ("quadratic_kappa",)), (NUMERIC, ("concordance",))):
        y, f = any_items(scale, rng)
        for name in names:
            assert once(scale, name, y, f) == pytest.approx(once(scale, name, f, y), abs=1e-12)
    y, f = any_items(NOMINAL, rng)
    renamed = np.array([2.0, 0.0, 1.0])
    for name in ("kappa", "ac1", "accuracy"):
        other = once(NOMINAL, name, renamed[y.astype(int)], renamed[f.astype(int)])
        assert once(NOMINAL, name, y, f) == pytest.approx(other, abs=1e-12)


@pytest.mark.parametrize(
    ("y", "f", "name", "why"),
    [
        ([1, 1, 1], [0, 1, 1], "tnr", "people called no item negative"),
        ([1, 1, 1], [0, 1, 1], "balanced_accuracy", "people called no item negative"),
        ([0, 0, 0], [0, 1, 1], "tpr", "people called no item positive"),
        ([1, 1, 1], [0, 1, 1], "kappa", "people gave every item the same score"),
        ([1], [1], "kappa", "one item alone"),
        ([], [], "accuracy", "no items"),
        ([], [], "ac1", "no items"),
    ],
)
def test_undefined_says_why(y: list[int], f: list[int], name: str, why: str) -> None:
    with pytest.raises(Undefined, match=why):
        once(BINARY, name, y, f)
    scores = np.array(y, dtype=np.float64), np.array(f, dtype=np.float64)
    figure = agreement(BINARY, *scores, np.arange(len(y)), draws=20)[name]
    assert (figure.value, figure.low) == (None, None)
    assert why in (figure.why or "")


def test_a_judge_that_gives_one_answer_agrees_as_chance_does() -> None:
    one, other = np.array([0.0, 1, 1, 0, 1, 1]), np.ones(6)
    for scale, name in ((BINARY, "kappa"), (ORDINAL, "quadratic_kappa"), (NUMERIC, "concordance")):
        figure = agreement(scale, one + scale.minimum, other + scale.minimum, np.arange(6), draws=50)[name]
        assert figure.value == pytest.approx(0, abs=1e-12), name


def test_a_resample_that_leaves_it_undefined_is_no_number() -> None:
    y, f = np.array([0.0, 0, 1, 1]), np.array([0.0, 1, 1, 0])
    only_positive, nothing = np.array([0.0, 0, 1, 1]), np.zeros(4)
    W = np.stack([only_positive, nothing])
    for name in ("tnr", "balanced_accuracy", "kappa"):
        assert np.isnan(metrics(BINARY)[name](y, f, W)).all(), name
    for name in ("quadratic_kappa", "mae", "rmse", "exact"):
        assert np.isnan(metrics(ORDINAL)[name](y + 1, f + 1, W)[1]), name
    assert np.isnan(metrics(NUMERIC)["concordance"](y, f, W)).all()


def test_every_figure_of_a_criterion_has_its_interval() -> None:
    rng = np.random.default_rng(3)
    for scale in SCALES.values():
        y, f = any_items(scale, rng, 120)
        found = agreement(scale, y, f, np.arange(120) // 4, rng.uniform(1, 2, 120), draws=200, seed=1)
        assert found.keys() == metrics(scale).keys()
        for name, one in found.items():
            assert None not in (one.value, one.low, one.high), (name, one.why)
            assert one.low < one.value < one.high, name


def test_a_faultless_judge_has_an_interval_all_the_same() -> None:
    """30 of 30: Wilson's lower end is n / (n + z^2), 30 / (30 + 3.8415) = .8865."""
    y = np.repeat([0.0, 1.0], 15)
    found = agreement(BINARY, y, y, np.arange(30), draws=50)
    assert found["accuracy"].low == pytest.approx(0.8865, abs=1e-4)
    assert found["accuracy"].high == 1
    # Chance is .5, so kappa's end is (.8865 - .5) / .5.
    assert (found["kappa"].value, found["kappa"].high) == (1, 1)
    assert found["kappa"].low == pytest.approx(0.7730, abs=1e-4)
    assert found["youden"].low is not None
    assert 0.5 < found["youden"].low < 0.8


def test_misses_that_did_not_come_are_thought_of() -> None:
    """15 of each of 4 levels, all met: by chance the disagreement is twice the variance, 2.5.

    1 - .025^(1/60) bounds the share of misses, each by a level at least.
    """
    y = np.repeat(np.arange(1.0, 5.0), 15)
    found = agreement(ORDINAL, y, y, np.arange(60), draws=50)["quadratic_kappa"]
    assert (found.value, found.high) == (1, 1)
    assert found.low == pytest.approx(1 - (1 - 0.025 ** (1 / 60)) / 2.5)


@pytest.mark.parametrize("missed", [0.02, 0.05])
def test_a_nearly_faultless_judge_is_covered(missed: float) -> None:
    """60 items, few of them missed, by one level: kappa and Spearman. 400 sets: the standard error of 95% is 1.1%."""

    def items(rng: np.random.Generator, n: int) -> tuple[Floats, Floats]:
        y = 1.0 + rng.integers(0, 4, n)
        step = np.where(y == 1, 1, np.where(y == 4, -1, rng.choice([-1, 1], n)))
        return y, np.where(rng.random(n) < missed, y + step, y)

    kept = {"quadratic_kappa": metrics(ORDINAL)["quadratic_kappa"], "spearman": spearman}
    y, f = items(np.random.default_rng(0), 500_000)
    truth = {name: metric(y, f, np.ones((1, len(y))))[0] for name, metric in kept.items()}
    held: dict[str, list[bool]] = {name: [] for name in kept}
    for seed in range(400):
        y, f = items(np.random.default_rng([1, seed]), 60)
        for name, one in bootstrap.figures(kept, y, f, np.arange(60), draws=300, seed=seed).items():
            assert one.low is not None
            assert one.high is not None
            held[name].append(one.low <= truth[name] <= one.high)
    assert min(np.mean(each) for each in held.values()) > 0.93


def test_where_misses_are_many_the_bootstraps_interval_stands() -> None:
    rng = np.random.default_rng(4)
    y, f = any_items(ORDINAL, rng, 80)
    kappa = metrics(ORDINAL)["quadratic_kappa"]
    plain = bootstrap.figures({"": lambda y, f, W: kappa(y, f, W)}, y, f, np.arange(80), draws=200)[""]
    assert bootstrap.figures({"": kappa}, y, f, np.arange(80), draws=200)[""] == plain


def test_kappa_of_independent_items_has_the_standard_error_of_theory() -> None:
    """Fleiss, Cohen and Everitt (1969) as statsmodels has it: near the middle, Wilson's interval is about 2 z of it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from statsmodels.stats.inter_rater import cohens_kappa
    y, f = of_table(400, 180, 160, 460)
    expected = cohens_kappa(confusion(BINARY, y, f))
    found = agreement(BINARY, y, f, np.arange(len(y)), draws=20)["kappa"]
    assert found.low is not None
    assert found.high is not None
    assert found.value == pytest.approx(expected.kappa, abs=1e-9)
    assert (found.high - found.low) / 2 / 1.96 == pytest.approx(expected.std_kappa, rel=0.01)


def test_a_scale_without_two_levels_has_no_table() -> None:
    with pytest.raises(ValueError, match="two levels"):
        confusion(NUMERIC, np.zeros(2), np.zeros(2))


@pytest.mark.parametrize("scale", [BINARY, ORDINAL, NUMERIC])
def test_losses_are_what_a_figure_lacks_to_one(scale: Scale) -> None:
    rng = np.random.default_rng(3)
    y = rng.integers(0, 2 if scale.kind == "binary" else 4, 60) + scale.minimum
    f, w = np.where(rng.random(60) < 0.3, y[::-1], y), rng.uniform(0.5, 2, 60)
    known = {name: metric for name, metric in metrics(scale).items() if isinstance(metric, bootstrap.Losing)}
    assert known
    for name in known.keys() - {"label_balance", "positive_rate", "adjacent"}:
        losses, least = known[name].losses(y, f, w)
        assert 1 - losses.sum() == pytest.approx(float(known[name](y, f, w[None, :])[0])), name
        assert 0 < least < 1
        assert known[name].losses(y, y, w)[0].sum() == pytest.approx(0)


def test_a_faultless_judge_may_still_miss_what_did_not_come() -> None:
    y = np.arange(60) % 7 + 1.0
    found = bootstrap.figures({"concordance": concordance}, y, y, np.arange(60), draws=50)["concordance"]
    assert (found.value, found.high) == (1, 1)
    assert found.low is not None
    assert 0.8 < found.low < 1
