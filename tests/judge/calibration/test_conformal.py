"""Conformal intervals, by bins of predicted scores and for items in groups."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from judge.calibration.statistics.bootstrap import Codes, Floats
from judge.calibration.statistics.conformal import Intervals, fit
from tests.generated import ANY
from tests.sets import rows

LEVELS = (1.0, 2.0, 3.0, 4.0, 5.0)
WIDE = (-100.0, 100.0)


def alone(n: int) -> Codes:
    return np.arange(n)


def holds(found: Intervals, g: Floats, y: Floats) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    low, high, _ = found.predict(g)
    return (low <= y) & (y <= high)


def test_quantile_by_hand() -> None:
    # Residuals .1 to 1.9 in steps of .1, 19 items: the ceil(20 * .9) = 18th smallest is 1.8; ceil(20 * .95) = 19th 1.9;
    # ceil(20 * .96) = 20 is one more than there are.
    g, y = np.full(19, 3.0), 3 + np.arange(1, 20) / 10
    for coverage, expected in ((0.9, 1.8), (0.95, 1.9)):
        (found,) = fit(g, y, alone(19), WIDE, coverage=coverage, snapped=False, bins=1).quantiles
        assert found == pytest.approx(expected, abs=1e-12)
    everything = fit(g, y, alone(19), LEVELS, coverage=0.96, bins=1)
    assert (everything.quantiles, everything.n, everything.groups) == ((None,), (19,), (19,))
    low, high, informative = everything.predict(np.array([3.0]))
    assert (low[0], high[0], informative[0]) == (1.0, 5.0, False)


def test_clipped_and_snapped_outward() -> None:
    made = Intervals(
        levels=LEVELS, snapped=True, coverage=0.9, edges=(3.0,), quantiles=(1.2, 0.5), n=(30, 30), groups=(30, 30)
    )
    # Below 3: 1.5 +- 1.2 is [.3, 2.7], clipped to 1 and out to 3; 2.9 +- 1.2 is [1.7, 4.1] -> [1, 5], all of it. From 3
    # on: 3 +- .5 -> [2, 4]; 4.5 +- .5 is [4, 5] as it stands; 4.9 -> [4, 5].
    low, high, informative = made.predict(np.array([1.5, 2.9, 3.0, 4.5, 4.9]))
    assert low.tolist() == [1, 1, 2, 4, 4]
    assert high.tolist() == [3, 5, 4, 5, 5]
    # Informative are those narrower than 60% of 4 = 2.4.
    assert informative.tolist() == [True, False, True, True, True]
    loose = made.model_copy(update={"snapped": False})
    low, high, _ = loose.predict(np.array([1.5, 3.0]))
    assert low.tolist() == [1.0, pytest.approx(2.5)]
    assert high.tolist() == [pytest.approx(2.7), pytest.approx(3.5)]


def test_sixty_percent_of_the_scale_is_uninformative() -> None:
    made = Intervals(levels=(0.0, 10.0), snapped=False, coverage=0.9, edges=(), quantiles=(3.0,), n=(30,), groups=(30,))
    assert made.predict(np.array([5.0]))[2].tolist() == [False]
    narrower = made.model_copy(update={"quantiles": (2.99,)})
    assert narrower.predict(np.array([5.0]))[2].tolist() == [True]


def test_a_group_counts_as_one() -> None:
    # Residuals: 9 groups of one item each, 1 to 9, and one of 90 items, all 20. The mass is 10, and 1 for the group to
    # come; 80% of 11 is 8.8: the 9th. Items counted alike would say 20.
    residual = np.concatenate([np.arange(1.0, 10.0), np.full(90, 20.0)])
    cluster = np.concatenate([np.arange(9), np.full(90, 9)])
    assert fit(np.zeros(99), residual, cluster, WIDE, coverage=0.8, snapped=False, bins=1).quantiles == (9.0,)
    assert fit(np.zeros(99), residual, alone(99), WIDE, coverage=0.8, snapped=False, bins=1).quantiles == (20.0,)


def test_weights_shift_the_quantile() -> None:
    # Residuals 1 to 9, of which 9 counts 6, the others 1. The mass is 14, and 6 for the item to come; 40% of 20 is 8:
    # the 8th. Without weights it is ceil(10 * .4).
    w = np.where(np.arange(9) == 8, 6.0, 1.0)
    y = np.arange(1.0, 10.0)
    assert fit(np.zeros(9), y, alone(9), WIDE, coverage=0.4, snapped=False, bins=1, w=w).quantiles == (8.0,)
    assert fit(np.zeros(9), y, alone(9), WIDE, coverage=0.4, snapped=False, bins=1).quantiles == (4.0,)


def test_bins_by_hand() -> None:
    # 20 groups a bin at 90%. 1 has 12 and 2 has 8: together. 3 has 25. 4 has 20, and 5 with 15 is too few: they join.
    g = np.repeat([1.0, 2, 3, 4, 5], [12, 8, 25, 20, 15])
    found = fit(g, g, alone(80), LEVELS)
    assert (found.edges, found.n, found.groups) == ((2.5, 3.5), (20, 25, 35), (20, 25, 35))
    # In groups of 5 items there are 16 groups: one bin.
    assert fit(g, g, alone(80) // 5, LEVELS).edges == ()
    # At most two: [3, 3] and [4, 5] span 2, [1, 2] and [3, 3] span 2 as well; of equal ones the lower merge.
    assert fit(g, g, alone(80), LEVELS, bins=2).edges == (3.5,)


def test_low_scores_keep_a_bin_where_most_are_high() -> None:
    # Bins of equal counts would put the 40 low scores beside 160 high ones. The first 20 end at 1 + 2 * 19 / 39, the
    # second 20 at 3: their bins may merge with each other, and span less than either does with the high ones.
    g = np.concatenate([np.linspace(1, 3, 40), np.linspace(4, 5, 960)])
    found = fit(g, g, alone(1000), LEVELS)
    assert 3.5 in found.edges
    assert len(found.n) == 5


@ANY
@given(st.integers(0, 300), st.integers(1, 400), st.sampled_from([0.5, 0.8, 0.9, 0.95]), st.integers(0, 1000))
def test_properties(n: int, groups: int, coverage: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    g, y = rng.uniform(1, 5, n).round(int(rng.integers(0, 3))), rng.integers(1, 6, n).astype(float)
    cluster = rng.integers(0, groups, n)
    found = fit(g, y, cluster, LEVELS, coverage=coverage)
    assert Intervals.model_validate_json(found.model_dump_json()) == found
    assert sum(found.n) == n
    assert 1 <= len(found.n) <= 5
    assert len(found.n) == 1 or min(found.groups) >= math.ceil(2 / (1 - coverage) - 1e-9)
    order = rng.permutation(n)
    assert fit(g[order], y[order], cluster[order], LEVELS, coverage=coverage) == found
    low, high, _ = found.predict(g)
    assert (low <= g).all()
    assert (g <= high).all()
    assert set(low) | set(high) <= set(LEVELS)
    # Bins are settled by predictions alone.
    assert fit(g, rng.permutation(y), cluster, LEVELS, coverage=coverage).edges == found.edges
    half, wider = (fit(g, y, cluster, LEVELS, coverage=c, bins=1).quantiles[0] for c in (coverage, coverage + 0.02))
    assert wider is None or (half is not None and half <= wider)


def test_refuses_what_makes_no_sense() -> None:
    with pytest.raises(ValueError, match="coverage lies between"):
        fit(np.ones(3), np.ones(3), alone(3), LEVELS, coverage=1.0)
    with pytest.raises(ValueError, match="different lengths"):
        fit(np.ones(3), np.ones(2), alone(3), LEVELS)
    with pytest.raises(ValueError, match="one edge fewer"):
        Intervals(levels=LEVELS, snapped=True, coverage=0.9, edges=(2.0,), quantiles=(1.0,), n=(3,), groups=(3,))
    with pytest.raises(ValueError, match="no interval"):
        fit(np.ones(30), np.ones(30), alone(30), LEVELS).predict(np.array([np.nan]))


def test_covers_items_on_their_own_exactly_as_it_says() -> None:
    # Of continuous residuals the share of covered items is ceil((n + 1) .9) / (n + 1) on average: 46 / 51 for n = 50.
    # The covered share of one draw is beta(46, 5) with a standard deviation of .0413; the mean of 2000 has .0009.
    rng = np.random.default_rng(11)
    shares = []
    for _ in range(2000):
        y = rng.standard_normal(50)
        (q,) = fit(np.zeros(50), y, alone(50), WIDE, snapped=False, bins=1).quantiles
        assert q is not None
        shares.append(stats.norm.cdf(q) - stats.norm.cdf(-q))
    assert np.mean(shares) == pytest.approx(46 / 51, abs=4 * 0.0413 / math.sqrt(2000))


@pytest.mark.parametrize("sizes", [(8, 8), (1, 30)])
def test_covers_items_of_new_groups_in_each_bin(sizes: tuple[int, int]) -> None:
    # 60 groups whose residuals share most of their spread; larger ones are off by more, low scores by twice as much.
    # Covered is an item of a new group in each bin; at least .9 on average. With 600 draws of 20 new groups each the
    # share in a bin has a standard error of at most sqrt(.9 * .1 / 600) = .0122.
    rng = np.random.default_rng(5)
    covered: dict[str, list[float]] = defaultdict(list)

    def draw(count: int) -> tuple[Floats, Floats, Codes]:
        size = rng.integers(sizes[0], sizes[1] + 1, count)
        cluster = np.repeat(np.arange(count), size)
        g = rng.choice([10.0, 20.0], len(cluster))
        scale = np.where(g == 10, 2.0, 1.0) * (1 + size / 30)[cluster]
        noise = 0.9 * rng.standard_normal(count)[cluster] + 0.4 * rng.standard_normal(len(cluster))
        return g, g + scale * noise, cluster

    for _ in range(600):
        labels, new = draw(60), draw(20)
        for name, bins in (("bins", 5), ("one width", 1)):
            hit = holds(fit(*labels, WIDE, snapped=False, bins=bins), *new[:2])
            for low in (True, False):
                mine = (new[0] == 10) == low
                # A group counts as one.
                size = np.bincount(new[2][mine], minlength=20)
                share = np.bincount(new[2][mine], hit[mine], minlength=20)[size > 0] / size[size > 0]
                covered[f"{name}, {'low' if low else 'high'}"].append(float(share.mean()))
    means = {name: float(np.mean(shares)) for name, shares in covered.items()}
    assert means["bins, low"] >= 0.9 - 3 * 0.0122
    assert means["bins, high"] >= 0.9 - 3 * 0.0122
    # The test can tell: of one width, the intervals of low scores do not.
    assert means["one width, low"] < 0.9 - 3 * 0.0122


def test_summeval_low_scores_are_covered_by_bins_alone() -> None:
    """gpt-4o on consistency, mapped by isotonic regression: the low scores are those that people look at."""
    from sklearn.isotonic import IsotonicRegression

    document = {row["id"]: row["meta"]["doc"] for row in rows("summeval/items")}
    people: dict[str, list[float]] = defaultdict(list)
    for row in rows("summeval/human"):
        if row["criterion"] == "consistency" and row["annotator"].startswith("expert"):
            people[row["item"]].append(row["score"])
    said = {
        row["item"]: row["samples"][0]
        for row in rows("summeval/judge")
        if row["criterion"] == "consistency" and row["judge"] == "alttest/gpt-4o"
    }
    items = list(said)
    f = np.array([said[item] for item in items], dtype=float)
    y = np.array([np.mean(people[item]) for item in items])
    cluster = np.unique([document[item] for item in items], return_inverse=True)[1]
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for seed in range(40):
        part = np.repeat([0, 1, 2], [30, 35, 35])[np.random.default_rng(seed).permutation(100)][cluster]
        mapped = IsotonicRegression(out_of_bounds="clip", y_min=1, y_max=5).fit(f[part == 0], y[part == 0])
        g = mapped.predict(f)
        test, low = part == 2, f[part == 2] <= 3
        for name, bins in (("plain", 1), ("mondrian", 5)):
            made = fit(g[part == 1], y[part == 1], cluster[part == 1], LEVELS, snapped=False, bins=bins)
            hit = holds(made, g[test], y[test])
            found[name].append((float(hit.mean()), float(hit[low].mean())))
    plain, mondrian = (np.mean(found[name], axis=0) for name in ("plain", "mondrian"))
    assert plain[0] >= 0.9
    assert plain[1] < 0.8
    assert mondrian[0] >= 0.9
    assert mondrian[1] >= 0.9
