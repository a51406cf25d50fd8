"""PPI++ of a sample of a run: by hand, beside its authors' package, and what must not change it."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from judge.calibration.populations.prediction_powered import powered
from judge.calibration.statistics.bootstrap import Codes, Floats
from judge.calibration.statistics.figures import Undefined

NAN = np.nan
SEEDS = st.integers(0, 10**6)


@pytest.fixture(scope="module")
def ppi_py() -> Any:
    with warnings.catch_warnings():  # it silences every warning of its process when imported
        warnings.simplefilter("ignore")
        return pytest.importorskip("ppi_py")


def verdicts(seed: int, items: int = 300, labels: int = 60, theta: float = 0.7) -> tuple[Floats, Floats]:
    """People's labels of the first items, and the judge's of all."""
    rng = np.random.default_rng(seed)
    y = (rng.random(items) < theta).astype(np.float64)
    f = np.where(rng.random(items) < 0.85, y, 1 - y)
    y[labels:] = NAN
    return y, f


def one_each(values: Floats) -> Codes:
    return np.arange(len(values))


def test_by_hand() -> None:
    # Labels 1, 0; judge 1, 0 there and 1, 1 on the others. Cov = 1/4, Var of the four = 1/4: lam = 1.
    # theta = 1/2 + (3/4 - 1/2). As published lam' = 1 - 2/4: y - f/2 is 1/2 and 0, whose variance 1/16 is halved.
    y, f = np.array([1.0, 0, NAN, NAN]), np.array([1.0, 0, 1, 1])
    found = powered(y, f, one_each(y))
    assert (found.value, found.lam, found.r, found.n) == (pytest.approx(0.75), 1, pytest.approx(1), 2)
    assert found.variance == pytest.approx(1 / 32)


def test_strata_by_hand() -> None:
    # Six items with labels 1, 1, 0 and two with 0, 0: 3/4 * 2/3; variance (3/4)^2 * (2/9) / 3.
    y = np.array([1.0, 1, 0, NAN, NAN, NAN, 0, 0])
    found = powered(y, np.ones(8), one_each(y), stratum=np.repeat([7, 3], [6, 2]))
    assert found.value == pytest.approx(0.5)
    assert found.variance == pytest.approx(9 / 16 * 2 / 27)
    # The strata's shares vary as well: (3/4 (2/3 - 1/2)^2 + 1/4 (0 - 1/2)^2) / 8 = 1/96.
    assert found.between == pytest.approx(1 / 96)
    assert found.unbiased == pytest.approx(9 / 16 * 2 / 27 * 3 / 2 + 1 / 96)
    assert found.df == 5 - 2


def test_weights_by_hand() -> None:
    # 1 / pi: 2 and 4, so the mean of 1 and 0 is 2 / 6.
    y = np.array([1.0, 0, NAN])
    assert powered(y, np.zeros(3), one_each(y), pi=np.array([0.5, 0.25, 0.1])).value == pytest.approx(1 / 3)


@given(SEEDS, st.integers(20, 250))
def test_it_is_ppi_of_its_authors_with_the_other_items_as_second_sample(ppi_py: Any, seed: int, labels: int) -> None:
    rng = np.random.default_rng(seed)
    f = rng.normal(3, 1, 300)
    y = 0.8 * f + rng.normal(0, 1, 300)
    known = np.where(np.arange(300) < labels, y, NAN)
    found = powered(known, f, one_each(f))
    given_ = (y[:labels], f[:labels], f[labels:])
    if found.lam < 1:  # theirs is clipped where lam (1 - n/N) is above 1
        assert found.value == pytest.approx(ppi_py.ppi_mean_pointestimate(*given_).item(), abs=1e-9)
        low, high = (end.item() for end in ppi_py.ppi_mean_ci(*given_, alpha=0.05))
        half = stats.norm.ppf(0.975) * found.variance**0.5
        assert (found.value - half, found.value + half) == (pytest.approx(low, abs=1e-9), pytest.approx(high, abs=1e-9))
    fixed = powered(known, f, one_each(f), lam=0.5)
    theirs = ppi_py.ppi_mean_ci(*given_, alpha=0.1, lam=0.5 * (1 - labels / 300))
    half = stats.norm.ppf(0.95) * fixed.variance**0.5
    assert fixed.value - half == pytest.approx(theirs[0].item(), abs=1e-9)


def test_strata_are_theirs_one_by_one(ppi_py: Any) -> None:
    rng = np.random.default_rng(5)
    stratum = np.repeat([0, 1], [400, 200])
    f = rng.normal(stratum, 1)
    y = (1 + stratum) / 3 * f + rng.normal(0, 0.5, 600)
    known = np.where(rng.random(600) < 0.3, y, NAN)
    found = powered(known, f, one_each(f), stratum=stratum)
    value = variance = 0.0
    for k, share in ((0, 2 / 3), (1, 1 / 3)):
        here, labelled = stratum == k, ~np.isnan(known)
        given_ = (y[here & labelled], f[here & labelled], f[here & ~labelled])
        value += share * ppi_py.ppi_mean_pointestimate(*given_).item()
        low, high = ppi_py.ppi_mean_ci(*given_, alpha=0.05)
        variance += (share * (high - low).item() / 2 / stats.norm.ppf(0.975)) ** 2
    assert found.value == pytest.approx(value, abs=1e-9)
    assert found.variance == pytest.approx(variance, abs=1e-9)


@given(SEEDS)
def test_the_weight_of_the_judge_is_clipped(seed: int) -> None:
    rng = np.random.default_rng(seed)
    y, f = rng.normal(0, 2, 80), rng.normal(0, 1, 80)
    f += rng.choice([-2.0, 0, 0.5, 4]) * y
    y[40:] = NAN
    found = powered(y, f, one_each(f), stratum=rng.integers(0, 3, 80))
    assert 0 <= found.lam <= 1
    against = powered(y, np.where(np.isnan(y), f, -y), one_each(f))
    assert against.lam == 0
    assert against.value == pytest.approx(np.nanmean(y))


@given(SEEDS)
def test_the_names_of_groups_and_strata_and_the_order_of_items_do_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    y, f = verdicts(seed, 120, 50)
    cluster, stratum, pi = rng.integers(0, 30, 120), rng.integers(0, 3, 120), rng.uniform(0.2, 0.6, 120)
    found = powered(y, f, cluster, pi, stratum)
    order = rng.permutation(120)
    names, strata = rng.permutation(99), rng.permutation(9)
    again = powered(y[order], f[order], names[cluster][order], pi[order], strata[stratum][order])
    for field in ("value", "lam", "variance", "smoothed", "effect", "share"):
        assert getattr(again, field) == pytest.approx(getattr(found, field), rel=1e-9, abs=1e-12)
    assert again.rate_interval() == pytest.approx(found.rate_interval(), abs=1e-9)


@given(SEEDS)
def test_items_that_repeat_each_other_add_nothing(seed: int) -> None:
    y, f = verdicts(seed)
    once = powered(y, f, one_each(f), lam=0.6)
    twice = powered(np.repeat(y, 2), np.repeat(f, 2), np.repeat(one_each(f), 2), lam=0.6)
    assert twice.value == pytest.approx(once.value)
    assert twice.unbiased * twice.effect == pytest.approx(once.unbiased, rel=1e-9)
    (low, high), (low_once, high_once) = twice.rate_interval(), once.rate_interval()
    assert high - low > 0.95 * (high_once - low_once)


@pytest.mark.parametrize(("passed", "n"), [(0, 12), (3, 40), (40, 40), (81, 90)])
def test_labels_alone_have_wilsons_interval(passed: int, n: int) -> None:
    y = np.full(200, NAN)
    y[:n] = np.arange(n) < passed
    found = powered(y, np.full(200, NAN), one_each(y), lam=0)
    assert found.rate_interval() == pytest.approx(proportion_confint(passed, n, method="wilson"), abs=1e-9)


def test_labels_that_are_alike_in_strata_or_groups_have_no_more_than_their_number() -> None:
    y = np.where(np.arange(100) % 2 == 0, 1.0, NAN)
    wilson = proportion_confint(50, 50, method="wilson")
    by_strata = powered(y, np.ones(100), one_each(y), stratum=np.arange(100) // 20).rate_interval()
    assert by_strata[0] == pytest.approx(wilson[0], abs=0.01)
    by_groups = powered(y, np.ones(100), np.arange(100) // 10).rate_interval()
    assert by_groups[0] < proportion_confint(10, 10, method="wilson")[0]


def test_a_judge_that_agreed_with_every_label_is_not_believed_in_full() -> None:
    rng = np.random.default_rng(6)
    truth = (rng.random(5000) < 0.9).astype(np.float64)
    y = np.where(np.arange(5000) < 30, truth, NAN)
    low, high = powered(y, truth, one_each(y)).rate_interval()
    normal = 1.96 * (0.9 * 0.1 / 5000) ** 0.5
    assert (high - low) / 2 > 5 * normal
    assert low < truth.mean() < high


def test_all_items_labelled() -> None:
    y, f = verdicts(7, 50, 50)
    found = powered(y, f, one_each(y))
    assert found.value == pytest.approx(y.mean())
    assert found.variance == pytest.approx(y.var() / 50)


def test_an_unscored_item_says_nothing_and_its_label_counts() -> None:
    y, f = verdicts(8)
    f[[0, 1, 200]] = NAN
    found = powered(y, f, one_each(y))
    assert found == powered(y, np.where(np.isnan(f), np.nanmean(f), f), one_each(y))
    assert found.n == 60
    assert powered(y, np.full(300, NAN), one_each(y)).value == pytest.approx(np.nanmean(y))


def test_strata_with_one_label_are_taken_together() -> None:
    y, f = verdicts(9, 100, 0)
    stratum = np.repeat([0, 1, 2, 3], [40, 40, 10, 10])
    y[:5], y[40:45], y[80], y[90] = [1, 1, 0, 1, 0], [1, 1, 1, 0, 1], 1, 0
    found = powered(y, f, one_each(y), stratum=stratum, lam=0)
    assert found.value == pytest.approx(0.4 * 0.6 + 0.4 * 0.8 + 0.2 * 0.5)
    assert found.df == 12 - 3
    alone = powered(np.where(stratum == 3, NAN, y), f, one_each(y), stratum=np.minimum(stratum, 2), lam=0)
    assert alone.df == 11 - 2


def test_an_interval_of_a_mean_near_the_end_of_its_scale_reaches_inwards() -> None:
    y = np.array([5.0, 5, 5, 5, 5, 5, 5, 5, 4, 3, *[NAN] * 90])
    found = powered(y, np.full(100, NAN), one_each(y), lam=0)
    low, high = found.mean_interval((1.0, 5.0))
    assert high <= 5
    assert found.value - low > high - found.value
    middle = powered(y - 2, np.full(100, NAN), one_each(y), lam=0).mean_interval((-95.0, 105.0))
    half = stats.t.ppf(0.975, 9) * (np.nanvar(y, ddof=1) / 10) ** 0.5
    assert middle == pytest.approx((2.7 - half, 2.7 + half), abs=0.01)


def test_what_has_no_interval_says_why() -> None:
    nothing = np.full(9, NAN)
    with pytest.raises(Undefined, match="no item is labelled"):
        powered(nothing, np.ones(9), np.arange(9))
    alike = powered(np.where(np.arange(9) < 4, 3.0, NAN), np.ones(9), np.arange(9))
    with pytest.raises(Undefined, match="all alike"):
        alike.mean_interval((1.0, 5.0))
    together = powered(np.array([1.0, 0, 1, NAN]), np.ones(4), np.array([0, 0, 0, 1]))
    with pytest.raises(Undefined, match="1 groups show no spread"):
        together.rate_interval()


def test_an_interval_of_strata_by_hand() -> None:
    """Strata of 60% and 40% of 100 items, of which 9 of 10 and 2 of 10 labels pass."""
    stratum = np.repeat([0, 1], [60, 40])
    y = np.full(100, NAN)
    y[:10], y[60:70] = [1.0] * 9 + [0.0], [1.0] * 2 + [0.0] * 8
    found = powered(y, np.zeros(100), one_each(y), stratum=stratum, lam=0)
    low, high = found.strata_interval()
    ends = [stats.beta.ppf([0.025, 0.975], hits + 0.5, 10 - hits + 0.5) for hits in (9, 2)]
    between = (0.6 * 0.28**2 + 0.4 * 0.42**2) / 100  # around 0.6 * 0.9 + 0.4 * 0.2 = 0.62
    z2 = stats.norm.ppf(0.975) ** 2
    below = (0.6 * (0.9 - ends[0][0])) ** 2 + (0.4 * (0.2 - ends[1][0])) ** 2 + z2 * between
    above = (0.6 * (ends[0][1] - 0.9)) ** 2 + (0.4 * (ends[1][1] - 0.2)) ** 2 + z2 * between
    assert (low, high) == pytest.approx((0.62 - np.sqrt(below), 0.62 + np.sqrt(above)))
    grouped = powered(y, np.zeros(100), np.arange(100) // 2, stratum=stratum, lam=0)
    wider = grouped.strata_interval()
    assert wider[0] < low
    assert wider[1] > high
    one_group = powered(y, np.zeros(100), np.zeros(100, dtype=np.int64), stratum=stratum, lam=0)
    with pytest.raises(Undefined, match="no spread"):
        one_group.strata_interval()


def test_strata_of_which_all_labels_agree_have_an_interval() -> None:
    stratum = np.repeat([0, 1], [60, 40])
    y = np.full(100, NAN)
    y[:10], y[60:70] = 1.0, 0.0
    low, high = powered(y, np.zeros(100), one_each(y), stratum=stratum, lam=0).strata_interval()
    assert low < 0.5 < 0.6 < 0.7 < high
