"""A change made on purpose, on the same items."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.weightstats import ttost_paired

from judge.calibration.drift import changes
from judge.calibration.statistics import paired_shares
from judge.calibration.statistics.bootstrap import Floats
from judge.calibration.statistics.figures import Undefined


def pairs(gained: int, lost: int, kept: int, failed: int = 0) -> tuple[Floats, Floats]:
    """Old and new passes: so many 0 then 1, 1 then 0, 1 and 1, 0 and 0."""
    old = np.repeat([0.0, 1.0, 1.0, 0.0], [gained, lost, kept, failed])
    new = np.repeat([1.0, 0.0, 1.0, 0.0], [gained, lost, kept, failed])
    return old, new


def test_mcnemar_by_hand() -> None:
    # 8 gained and 2 lost: 2 (C(10,0) + C(10,1) + C(10,2)) / 2^10 = 2 (1 + 10 + 45) / 1024 = 112 / 1024.
    old, new = pairs(8, 2, 40)
    found = changes.pass_rates(old, new, np.arange(50))
    assert found.p_changed == pytest.approx(112 / 1024, abs=1e-15)
    assert found.difference.value == pytest.approx(6 / 50)


def test_groups_are_turned_over_whole() -> None:
    # Sums 2 and 1 in two groups: 3, 1, -1 and -3 are as likely, two of which are as far from 0 as the 3 that was seen.
    assert paired_shares.turned_over(np.array([2.0, 1.0])) == pytest.approx(0.5)
    # 3, 1, 1: 5 3 3 1 and their reverses; |s| >= 5 in 2 of 8.
    assert paired_shares.turned_over(np.array([3.0, 1.0, 1.0, 0.0])) == pytest.approx(0.25)
    # The same passes gained in five items of one group say less than in five groups.
    old, new = pairs(6, 0, 14)
    alone = changes.pass_rates(old, new, np.arange(20))
    grouped = changes.pass_rates(old, new, np.repeat(np.arange(10), 2))
    assert grouped.p_changed > alone.p_changed
    assert "groups" in grouped.test


@settings(deadline=None)
@given(st.lists(st.integers(-3, 3), min_size=1, max_size=9))
def test_turning_over_is_exact(sums: list[int]) -> None:
    signs = np.array(np.meshgrid(*[[-1, 1]] * len(sums))).reshape(len(sums), -1)
    reached = np.abs(np.array(sums) @ signs) >= abs(sum(sums))
    assert paired_shares.turned_over(np.array(sums, dtype=np.float64)) == pytest.approx(reached.mean(), abs=1e-12)


@settings(deadline=None)
@given(st.integers(0, 30), st.integers(0, 30), st.integers(1, 50))
def test_mcnemar_as_others_have_it(gained: int, lost: int, kept: int) -> None:
    old, new = pairs(gained, lost, kept, 1)
    found = changes.pass_rates(old, new, np.arange(len(old)))
    theirs = mcnemar([[1, gained], [lost, kept]], exact=True).pvalue
    assert found.p_changed == pytest.approx(theirs, abs=1e-9)
    if gained + lost:
        assert found.p_changed == pytest.approx(stats.binomtest(gained, gained + lost).pvalue, abs=1e-9)


def test_no_pair_differs() -> None:
    # Then Tango's limit is z^2 / (n + z^2) on either side; at 90% z = 1.6449: 2.7055 / (20 + 2.7055) = .1192.
    old, new = pairs(0, 0, 12, 8)
    few = changes.pass_rates(old, new, np.arange(20))
    assert few.inside == pytest.approx((-0.119157, 0.119157), abs=1e-6)
    assert few.verdict == "cannot tell"
    # Within .05 once 2.7055 / (n + 2.7055) < .05: from n = 52 on.
    verdicts = [changes.pass_rates(*pairs(0, 0, n), np.arange(n)).verdict for n in (51, 52)]
    assert verdicts == ["cannot tell", "equivalent"]


@pytest.mark.parametrize(("gained", "lost", "n"), [(1, 0, 44), (9, 2, 60), (30, 31, 100), (0, 7, 25), (5, 5, 10)])
@pytest.mark.parametrize("delta", [-0.3, -0.05, 0.0, 0.05, 0.3])
def test_tango_by_the_likelihood_itself(gained: int, lost: int, n: int, delta: float) -> None:
    def against(share_lost: float) -> float:
        shares = np.array([share_lost + delta, share_lost, 1 - 2 * share_lost - delta])
        counts = np.array([gained, lost, n - gained - lost])
        return -float((counts[counts > 0] * np.log(np.maximum(shares[counts > 0], 1e-300))).sum())

    low, high = max(0.0, -delta), (1 - delta) / 2
    best = optimize.minimize_scalar(against, bounds=(low, high), method="bounded", options={"xatol": 1e-12}).x
    variance = n * (2 * best + delta - delta**2)
    expected = (gained - lost - n * delta) / math.sqrt(variance)
    assert paired_shares.tango(gained, lost, n, delta) == pytest.approx(expected, rel=1e-4)


@settings(deadline=None)
@given(st.integers(0, 20), st.integers(0, 20), st.integers(1, 60), st.sampled_from([0.8, 0.9, 0.95]))
def test_the_ends_of_tangos_interval(gained: int, lost: int, kept: int, confidence: float) -> None:
    n = gained + lost + kept
    low, high = paired_shares.paired_shares(gained, lost, n, confidence)
    z = stats.norm.ppf((1 + confidence) / 2)
    assert low < (gained - lost) / n < high
    assert paired_shares.tango(gained, lost, n, low) == pytest.approx(z, abs=1e-6)
    assert paired_shares.tango(gained, lost, n, high) == pytest.approx(-z, abs=1e-6)


def test_all_pairs_change() -> None:
    low, high = paired_shares.paired_shares(10, 0, 10, 0.95)
    assert high == 1.0
    # Tango's lower end for 10 of 10: n (1 - d) / (1 + d) = z^2 there, d = (n - z^2) / (n + z^2).
    z2 = stats.norm.ppf(0.975) ** 2
    assert low == pytest.approx((10 - z2) / (10 + z2), abs=1e-6)


def test_tost_by_hand() -> None:
    # d = -.1 0 .1 .2: mean .05, sum of squares about it .05, so the error is sqrt(.05 / 3 / 4) = .0645497.
    # Margin .25: t = .2 / .0645497 = 3.0984 with 3 degrees of freedom, p = .0267. Against 0: t = .7746, p = .4950.
    old, new = np.full(4, 0.5), np.array([0.4, 0.5, 0.6, 0.7])
    found = changes.scores(old, new, np.arange(4), 0, 1, margin=0.25)
    assert found.p_equivalent == pytest.approx(0.02668, abs=1e-5)
    assert found.p_changed == pytest.approx(0.49503, abs=1e-4)
    assert found.verdict == "equivalent"


@pytest.mark.parametrize("shift", [0.0, 0.02, -0.04, 0.2])
def test_tost_as_others_have_it(shift: float) -> None:
    rng = np.random.default_rng(5)
    old = rng.random(60) * 0.7 + 0.15
    new = np.clip(old + shift + 0.1 * rng.standard_normal(60), 0, 1)
    found = changes.scores(old, new, np.arange(60), 0, 1, draws=200)
    theirs = ttost_paired(new, old, -0.05, 0.05)[0]
    assert found.p_equivalent == pytest.approx(theirs, abs=1e-9)
    assert found.p_changed == pytest.approx(stats.ttest_rel(new, old).pvalue, abs=1e-9)
    assert found.p_wilcoxon == pytest.approx(stats.wilcoxon(new - old).pvalue, abs=1e-9)


def test_wilcoxon_by_hand() -> None:
    # All five differences up, of different size: the only signs as extreme are these and their reverse, 2 / 32.
    found = changes.scores(np.zeros(5), np.arange(1.0, 6), np.arange(5), 0, 10, draws=100)
    assert found.p_wilcoxon == pytest.approx(2 / 32)


def test_groups_count_once() -> None:
    # Every item three times over in its group says no more than once.
    rng = np.random.default_rng(3)
    old = rng.random(30)
    new = np.clip(old + 0.08 * rng.standard_normal(30), 0, 1)
    once = changes.scores(old, new, np.arange(30), 0, 1, draws=200)
    thrice = changes.scores(np.repeat(old, 3), np.repeat(new, 3), np.repeat(np.arange(30), 3), 0, 1, draws=200)
    assert thrice.p_equivalent == pytest.approx(once.p_equivalent, abs=1e-12)
    assert thrice.p_wilcoxon == pytest.approx(once.p_wilcoxon or 0, abs=1e-12)
    alone = changes.scores(np.repeat(old, 3), np.repeat(new, 3), np.arange(90), 0, 1, draws=200)
    assert alone.p_equivalent < once.p_equivalent


def test_shares_of_groups_count_once() -> None:
    old, new = pairs(8, 4, 28)
    once = changes.pass_rates(old, new, np.arange(40))
    thrice = changes.pass_rates(np.repeat(old, 3), np.repeat(new, 3), np.repeat(np.arange(40), 3))
    assert thrice.inside == pytest.approx(once.inside, abs=1e-9)
    assert thrice.p_changed == pytest.approx(once.p_changed, abs=1e-12)


def test_weights_stand_for_items_not_drawn() -> None:
    # Gains were drawn half as often, so each stands for two: (2 * 3 - 1) / (2 * 3 + 17).
    old, new = pairs(3, 1, 16)
    w = np.where(new > old, 2.0, 1.0)
    found = changes.pass_rates(old, new, np.arange(20), w=w)
    assert found.difference.value == pytest.approx(5 / 23)
    assert "score test" in found.test
    measured = changes.scores(old, new, np.arange(20), 0, 1, w=w, draws=100)
    assert measured.difference.value == pytest.approx(5 / 23)


def test_equal_differences_are_not_certainty() -> None:
    # 10 items all as before: up to 1 - .05^(1/10) = .2589 of such items may differ, by the whole range.
    same = np.linspace(0.1, 0.9, 10)
    found = changes.scores(same, same, np.arange(10), 0, 1)
    assert found.inside == pytest.approx((-0.258866, 0.258866), abs=1e-6)
    assert found.p_equivalent == pytest.approx(0.95**10)
    assert found.verdict == "cannot tell"
    # .95^n <= .05 from n = 59 on (.95^58 = .0510, .95^59 = .0485), so 49 more.
    assert found.more == 49
    enough = np.linspace(0.1, 0.9, 59)
    assert changes.scores(enough, enough, np.arange(59), 0, 1, draws=100).verdict == "equivalent"
    moved = changes.scores(same, same + 0.1, np.arange(10), 0, 1)
    assert moved.p_changed == pytest.approx(2 / 1024)
    assert moved.verdict == "changed"


def test_three_verdicts() -> None:
    rng = np.random.default_rng(8)
    old = rng.random(400) * 0.6 + 0.2
    noise = 0.1 * rng.standard_normal(400)
    told = {
        shift: changes.scores(old, np.clip(old + shift + noise, 0, 1), np.arange(400), 0, 1, draws=200)
        for shift in (0.0, 0.02, 0.1)
    }
    assert [one.verdict for one in told.values()] == ["equivalent", "equivalent", "changed"]
    assert told[0.02].p_changed < 0.05
    assert "a real one" in told[0.02].words
    few = changes.scores(old[:12], np.clip(old[:12] + 2 * noise[:12], 0, 1), np.arange(12), 0, 1, draws=200)
    assert few.verdict == "cannot tell"
    assert few.more is not None
    assert f"{few.more} more items would tell" in few.words


def test_about_so_many_more_items_do_tell() -> None:
    rng = np.random.default_rng(21)
    spread, few = 0.2, 40

    def verdict(n: int) -> changes.Change:
        d = spread * rng.standard_normal(n)
        return changes.scores(np.full(n, 0.5), np.clip(0.5 + d, 0, 1), np.arange(n), 0, 1, draws=50)

    # About (1.645 + .842)^2 (.2 / .05)^2 = 99 items if the difference is 0; with so many, 3 of 4 are to tell.
    found = [verdict(few) for _ in range(60)]
    asked = np.median([one.more for one in found if one.more is not None])
    assert 40 < asked < 400
    told = np.mean([verdict(few + int(asked)).verdict != "cannot tell" for _ in range(60)])
    assert told > 0.6


def test_agreement_with_people() -> None:
    # Old agrees on 9 of 10, new on 7 of 10: two pairs lost, none gained.
    y = np.tile([0.0, 1.0], 5)
    old, new = y.copy(), y.copy()
    old[0] = 1 - old[0]
    new[:3] = 1 - new[:3]
    found = changes.agreement(old, new, y, np.arange(10), 0, 1)
    assert found.what == "agreement with people"
    assert found.difference.value == pytest.approx(-0.2)
    assert found.p_changed == pytest.approx(0.5)
    # On a scale: |4 - 3| - |2 - 3|, |4 - 3| - |3 - 3| and |1 - 5| - |5 - 5|: 0, 1 and 4.
    scale = changes.agreement(
        np.array([2.0, 3, 5]), np.array([4.0, 4, 1]), np.array([3.0, 3, 5]), np.arange(3), 1, 5, draws=50
    )
    assert scale.what == "distance from people"
    assert scale.difference.value == pytest.approx(5 / 3)
    assert scale.margin == pytest.approx(0.2)


def test_a_judge_that_only_got_worse_is_seen_by_its_distance() -> None:
    rng = np.random.default_rng(2)
    y = rng.random(300)
    old = np.clip(y + 0.05 * rng.standard_normal(300), 0, 1)
    new = rng.permutation(old)
    assert changes.scores(old, new, np.arange(300), 0, 1, draws=100).verdict != "changed"
    assert changes.agreement(old, new, y, np.arange(300), 0, 1, draws=100).verdict == "changed"


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=3, max_size=25),
    st.floats(0.01, 0.9),
    st.floats(0.01, 0.9),
)
def test_a_wider_margin_never_takes_equivalence_back(items: list[tuple[int, int]], one: float, other: float) -> None:
    narrow, wide = sorted((one, other))
    old, new = (np.array(side, dtype=np.float64) for side in zip(*items, strict=True))
    cluster = np.arange(len(items)) // 2
    cluster = np.unique(cluster, return_inverse=True)[1]
    by_score = [changes.scores(old, new, cluster, 0, 4, margin=4 * m, draws=20) for m in (narrow, wide)]
    passed = [changes.pass_rates((old > 1) * 1.0, (new > 1) * 1.0, cluster, margin=m) for m in (narrow, wide)]
    for tight, loose in (by_score, passed):
        assert loose.p_equivalent <= tight.p_equivalent + 1e-12
        assert loose.p_changed == tight.p_changed
        if tight.verdict == "equivalent":
            assert loose.verdict == "equivalent"
        # As said in the words: equivalent is that the interval lies inside the margin.
        for found in (tight, loose):
            apart = min(abs(abs(end) - found.margin) for end in found.inside)
            if apart > 1e-6:
                inside = max(map(abs, found.inside)) < found.margin
                assert (found.verdict == "equivalent") == inside


def test_equivalence_is_hardly_ever_found_at_the_margin() -> None:
    # True difference exactly the margin, .05 of passes, 200 pairs in 100 groups of two that go together.
    rng = np.random.default_rng(17)
    cluster = np.repeat(np.arange(100), 2)
    found = 0
    runs = 800
    for _ in range(runs):
        gained = np.repeat(rng.random(100), 2)
        old = np.where(gained < 0.15, 0.0, 1.0)
        new = np.where((gained < 0.15) | (gained > 0.9), 1.0, 0.0)
        new = np.where((gained >= 0.15) & (gained < 0.8), old, new)
        new = np.where((gained >= 0.8) & (gained < 0.9), 0.0, new)
        new = np.where(gained >= 0.9, old, new)
        found += changes.pass_rates(old, new, cluster).verdict == "equivalent"
    assert found <= stats.binom.ppf(0.999, runs, 0.05)


def test_refused() -> None:
    ones = np.ones(4)
    with pytest.raises(Undefined, match="two groups"):
        changes.pass_rates(ones, ones, np.zeros(4, dtype=np.int64))
    with pytest.raises(Undefined, match="two groups"):
        changes.scores(np.ones(0), np.ones(0), np.zeros(0, dtype=np.int64), 0, 1)
    with pytest.raises(ValueError, match="0 and 1 only"):
        changes.pass_rates(ones / 2, ones, np.arange(4))
    with pytest.raises(ValueError, match="outside"):
        changes.scores(ones * 7, ones, np.arange(4), 1, 5)
    with pytest.raises(ValueError, match="without a score"):
        changes.scores(np.array([1, np.nan, 1, 1]), ones, np.arange(4), 1, 5)
    with pytest.raises(ValueError, match="4, 3"):
        changes.scores(ones, ones[:3], np.arange(4), 1, 5)
    with pytest.raises(ValueError, match="margin"):
        changes.pass_rates(ones, ones, np.arange(4), margin=0)


def test_the_same_seed_gives_the_same_and_json_comes_back() -> None:
    rng = np.random.default_rng(1)
    old, new = rng.random(30), rng.random(30)
    first, second = (changes.scores(old, new, np.arange(30), 0, 1, draws=100, seed=4) for _ in range(2))
    assert first == second
    assert changes.Change.model_validate_json(first.model_dump_json()) == first
