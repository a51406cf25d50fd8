"""The figure of a run: which way it is made, what is refused, and what is said of items that nobody saw."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from judge.calibration.populations.population import Labels, Method, Population, Provenance, Run, estimate
from judge.calibration.statistics.bootstrap import Floats
from judge.calibration.statistics.figures import Figure

NAN = np.nan
NEITHER = Provenance.SHEET, Provenance.DECLARED


def run(seed: int = 1, items: int = 400, labels: int = 80, tpr: float = 0.9, tnr: float = 0.85) -> Run:
    """A run of which people pass 0.8; the first items are labelled."""
    rng = np.random.default_rng(seed)
    y = (rng.random(items) < 0.8).astype(np.float64)
    f = verdicts(rng, y, tpr, tnr)
    return Run(f, np.where(np.arange(items) < labels, y, NAN), np.arange(items))


def verdicts(rng: np.random.Generator, y: Floats, tpr: float, tnr: float) -> Floats:
    u = rng.random(len(y))
    return np.where(y == 1, u < tpr, u >= tnr).astype(np.float64)


def other(seed: int = 2, n: int = 200, tpr: float = 0.9, tnr: float = 0.85) -> Labels:
    """Labels of a population of which people pass half."""
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.5).astype(np.float64)
    return Labels(y, verdicts(rng, y, tpr, tnr), np.arange(n), np.ones(n))


def unlabelled(of: Run) -> Run:
    return Run(of.f, np.full(len(of.f), NAN), of.cluster)


def width(figure: Figure) -> float:
    assert figure.low is not None
    assert figure.high is not None
    return figure.high - figure.low


def test_labels_drawn_from_the_run_are_powered_by_the_judge() -> None:
    found = estimate(run(), Provenance.SHEET)
    assert found.method is Method.PPI
    assert found.figure == found.corrected
    assert "sample of the run" in found.why
    assert width(found.figure) < width(found.labels)
    assert found.weight is not None
    assert 0 < found.weight <= 1
    assert found.multiplier is not None
    assert found.multiplier_limit is not None
    assert 1 < found.multiplier < found.multiplier_limit
    assert found.warnings == ()
    passed = int(np.nansum(run().y))
    assert (found.labels.low, found.labels.high) == pytest.approx(proportion_confint(passed, 80, method="wilson"))
    assert found.raw.value == pytest.approx(run().f.mean())
    assert (found.raw.n, found.figure.n) == (400, 80)


def test_the_multiplier_is_the_ratio_of_the_squares_of_widths_in_the_middle() -> None:
    rng = np.random.default_rng(3)
    truth = rng.normal(50, 5, 20_000)
    f, y = truth + rng.normal(0, 3, 20_000), np.where(np.arange(20_000) < 400, truth, NAN)
    found = estimate(Run(f, y, np.arange(20_000)), Provenance.SHEET, binary=False, scale=(-1000.0, 1000.0))
    assert found.multiplier == pytest.approx((width(found.labels) / width(found.figure)) ** 2, rel=0.01)
    r2 = 25 / 34
    assert found.multiplier_limit == pytest.approx(1 / (1 - r2), rel=0.2)
    assert found.multiplier == pytest.approx(1 / (1 - r2 * (1 - 400 / 20_000)), rel=0.2)


@pytest.mark.parametrize("provenance", NEITHER)
def test_a_judge_not_shown_to_tell_pass_from_fail_is_not_used(provenance: Provenance) -> None:
    found = estimate(run(tpr=0.6, tnr=0.4), provenance)
    assert found.method is Method.LABELS
    assert found.figure == found.labels
    assert found.corrected.value is None
    assert "not shown to tell pass from fail: TPR + TNR - 1 is" in found.why
    assert found.youden is not None
    assert found.youden.low is not None
    assert found.youden.low <= 0


def test_labels_that_all_pass_leave_the_labels_alone() -> None:
    given_ = run()
    found = estimate(Run(given_.f, np.where(np.isnan(given_.y), NAN, 1.0), given_.cluster), Provenance.SHEET)
    assert found.method is Method.LABELS
    assert "failed none of the 80" in found.why
    ends = proportion_confint(80, 80, method="wilson")
    assert (found.figure.value, found.figure.low, found.figure.high) == pytest.approx((1, *ends))


def test_a_mean_whose_judge_runs_the_other_way_rests_on_the_labels() -> None:
    given_ = run()
    found = estimate(Run(1 - given_.f, given_.y, given_.cluster), Provenance.SHEET, binary=False)
    assert found.method is Method.LABELS
    assert "do not rise with" in found.why
    assert found.corrected.value is None


def test_labels_from_elsewhere_are_never_powered() -> None:
    found = estimate(unlabelled(run()), Provenance.ELSEWHERE, other())
    assert found.method is Method.ERROR_RATES
    assert found.labels.value is None
    assert found.weight is None
    assert found.difference is not None
    assert found.difference.flagged
    assert "TPR and TNR may be others there" in found.warnings[0]
    assert found.figure.low is not None
    assert found.figure.high is not None
    assert found.figure.low < 0.8 < found.figure.high
    assert found.figure.n == 200


def test_labels_from_elsewhere_are_refused_where_the_judge_is_not_shown_to_tell() -> None:
    found = estimate(unlabelled(run()), Provenance.ELSEWHERE, other(tpr=0.55, tnr=0.5))
    assert (found.method, found.figure.value, found.corrected.value) == (Method.NONE, None, None)
    assert "TPR + TNR - 1 is" in str(found.figure.why)


def test_to_a_mean_nothing_carries_over_from_elsewhere() -> None:
    found = estimate(unlabelled(run()), Provenance.ELSEWHERE, other(), binary=False)
    assert (found.method, found.figure.value) == (Method.NONE, None)
    assert "to a mean nothing carries over" in found.why
    assert found.raw.value is not None


def biased(seed: int = 4) -> Run:
    """A run of which the labelled items are mostly ones that the judge failed."""
    given_ = run(seed, labels=400)
    rng = np.random.default_rng(seed + 1)  # not the numbers that the run was made from
    picked = rng.random(400) < np.where(given_.f == 1, 0.15, 0.7)
    return Run(given_.f, np.where(picked, given_.y, NAN), given_.cluster)


def test_labels_said_to_be_a_sample_that_look_otherwise_count_as_from_elsewhere() -> None:
    found = estimate(biased(), Provenance.DECLARED)
    assert found.method is Method.ERROR_RATES
    assert "no sample of this run: the judge's mean is" in found.why
    assert found.labels.value is None


def test_labels_of_a_sheet_that_look_otherwise_are_warned_of() -> None:
    found = estimate(biased(), Provenance.SHEET)
    assert found.method is Method.PPI
    assert any("do not look like a sample" in warning for warning in found.warnings)


def test_the_probabilities_of_a_sheet_put_an_uneven_draw_right() -> None:
    given_ = biased()
    pi = np.where(given_.f == 1, 0.15, 0.7)
    found = estimate(Run(given_.f, given_.y, given_.cluster, pi), Provenance.SHEET)
    assert found.warnings == ()
    assert found.labels.value == pytest.approx(0.8, abs=0.08)
    raw = float(np.nanmean(given_.y))
    assert raw < 0.72


def test_nobody_labelled_anything() -> None:
    found = estimate(unlabelled(run()), Provenance.SHEET)
    assert found.method is Method.NONE
    assert {found.figure.why, found.labels.why, found.corrected.why} == {"nobody labelled an item of this run"}
    assert found.bounds is None
    assert found.uncovered == 400


def test_unscored_items_are_counted_and_bounded() -> None:
    given_ = run()
    f = given_.f.copy()
    f[[0, 1, *range(300, 338)]] = NAN
    found = estimate(Run(f, given_.y, given_.cluster), Provenance.SHEET)
    assert (found.items, found.unscored, found.uncovered, found.raw.n) == (400, 40, 0, 360)
    assert found.figure.n == 80
    assert found.bounds == (found.figure.low, found.figure.high)
    passed = np.nansum(f)
    assert found.raw_bounds == pytest.approx((passed / 400, (passed + 40) / 400))


def test_items_that_could_not_be_labelled_are_bounded() -> None:
    given_ = run()
    pi = np.where(np.arange(400) < 300, 80 / 300, 0.0)
    found = estimate(Run(given_.f, given_.y, given_.cluster, pi), Provenance.SHEET)
    assert found.uncovered == 100
    assert found.figure.low is not None
    assert found.figure.high is not None
    assert found.bounds == pytest.approx((0.75 * found.figure.low, 0.75 * found.figure.high + 0.25))
    only = Run(given_.f[:300], given_.y[:300], given_.cluster[:300])
    assert found.figure.value == pytest.approx(estimate(only, Provenance.SHEET).figure.value)


def test_a_stratum_without_labels_is_uncovered() -> None:
    given_ = run()
    stratum = np.where(np.arange(400) < 240, 0, 1)
    found = estimate(Run(given_.f, given_.y, given_.cluster, None, stratum), Provenance.SHEET)
    assert found.uncovered == 160


def test_unscored_items_are_uncovered_where_only_error_rates_carry_over() -> None:
    given_ = unlabelled(run())
    f = np.where(np.arange(400) < 40, NAN, given_.f)
    found = estimate(Run(f, given_.y, given_.cluster), Provenance.ELSEWHERE, other())
    assert (found.unscored, found.uncovered) == (40, 40)
    assert found.figure.low is not None
    assert found.bounds is not None
    assert found.bounds[0] == pytest.approx(0.9 * found.figure.low)
    nothing = estimate(Run(np.full(400, NAN), given_.y, given_.cluster), Provenance.ELSEWHERE, other())
    assert nothing.raw.value is None
    assert nothing.figure.why == "the judge scored no item of this run"


def test_a_mean_of_labels_that_hardly_differ_is_warned_of() -> None:
    y = np.where(np.arange(100) < 40, np.where(np.arange(100) < 3, 4.0, 5.0), NAN)
    found = estimate(Run(np.full(100, 4.5), y, np.arange(100)), Provenance.SHEET, binary=False, scale=(1.0, 5.0))
    assert any("only 3 of 40 labels are not 5" in warning for warning in found.warnings)


@pytest.mark.parametrize(
    ("given_", "provenance", "labels", "message"),
    [
        (run(), Provenance.ELSEWHERE, None, "if, and only if"),
        (unlabelled(run()), Provenance.SHEET, other(), "if, and only if"),
        (run(), Provenance.ELSEWHERE, other(), "labels of its own"),
        (Run(run().f * 3, run().y, run().cluster), Provenance.SHEET, None, "off the scale 0 to 1, such as 3"),
        (Run(run().f, run().y, run().cluster, np.zeros(400)), Provenance.SHEET, None, "probability of that is 0"),
    ],
)
def test_what_does_not_go_together(given_: Run, provenance: Provenance, labels: Labels | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        estimate(given_, provenance, labels)
    with pytest.raises(ValueError, match="a pass rate lies between"):
        estimate(run(), Provenance.SHEET, scale=(1.0, 5.0))


@given(st.integers(0, 10**6), st.sampled_from(NEITHER), st.booleans())
def test_whatever_comes_the_answer_holds_together(seed: int, provenance: Provenance, binary: bool) -> None:
    rng = np.random.default_rng(seed)
    items = int(rng.integers(1, 60))
    f = np.where(rng.random(items) < 0.1, NAN, rng.integers(0, 2, items))
    y = np.where(rng.random(items) < 0.5, NAN, rng.integers(0, 2, items))
    pi = np.where(np.isnan(y) & (rng.random(items) < 0.1), 0.0, rng.uniform(0.2, 1, items))
    cluster, stratum = rng.integers(0, items, items), rng.integers(0, 3, items)
    found = estimate(Run(f, y, cluster, pi, stratum), provenance, binary=binary)
    assert Population.model_validate_json(found.model_dump_json()) == found
    for figure in (found.figure, found.raw, found.labels, found.corrected):
        assert figure.value is not None or figure.why
        if figure.value is not None:
            assert 0 <= figure.value <= 1
        if figure.low is not None and figure.high is not None:
            assert 0 <= figure.low <= figure.high <= 1
        else:
            assert figure.why
    assert found.unscored == int(np.isnan(f).sum())
    assert (found.method is Method.NONE) == (found.figure.value is None)


def by_verdicts(seed: int = 1, items: int = 2000, labels: int = 200) -> Run:
    """A run of which as many items that the judge passed are labelled as of those that it failed."""
    given_ = run(seed, items, items)
    rng = np.random.default_rng(seed + 7)
    stratum = given_.f.astype(np.int64)
    at = np.concatenate([rng.permutation(np.flatnonzero(stratum == k))[: labels // 2] for k in (0, 1)])
    y = np.full(items, NAN)
    y[at] = given_.y[at]
    pi = (labels / 2 / np.bincount(stratum))[stratum]
    return Run(given_.f, y, given_.cluster, pi, stratum)


def test_where_the_drawing_used_the_judges_answers_the_stratified_figure_is_the_corrected_one() -> None:
    given_ = by_verdicts()
    assert given_.pi is not None
    found = estimate(given_, Provenance.SHEET)
    assert found.method is Method.STRATA
    assert found.figure == found.corrected
    assert "drawn by the judge's answers" in found.why
    assert "say nothing" not in found.why
    share = np.bincount(given_.f.astype(np.int64)) / 2000  # sum_k W_k p_k
    rates = [float(np.nanmean(given_.y[given_.f == k])) for k in (0, 1)]
    assert found.figure.value == pytest.approx(share @ rates)
    # p (1 - p) / n of 200 labels by simple random sampling, over sum_k W_k^2 p_k (1 - p_k) / n_k, and what the strata's
    # shares of 2,000 items vary by.
    p = float(share @ rates)
    stratified = sum(w * w * r * (1 - r) / 100 for w, r in zip(share, rates, strict=True))
    stratified += sum(w * (r - p) ** 2 for w, r in zip(share, rates, strict=True)) / 2000
    assert found.multiplier == pytest.approx(p * (1 - p) / 200 / stratified, rel=0.1)
    assert found.multiplier is not None
    assert found.multiplier > 1.2
    assert found.labels.value == pytest.approx(p)
    # sum w^2 (y - p)^2 / (sum w)^2: what the labels' weights cost, without what the strata bring.
    there = ~np.isnan(given_.y)
    w, y = 1 / given_.pi[there], given_.y[there]
    honest = float((w * w * (y - p) ** 2).sum() / w.sum() ** 2)
    assert width(found.labels) == pytest.approx(2 * 1.96 * np.sqrt(honest), rel=0.05)
    assert width(found.figure) < width(found.labels)


def test_a_judge_that_says_one_thing_of_every_item_draws_nothing() -> None:
    y = np.where(np.arange(100) < 40, np.where(np.arange(100) < 20, 4.0, 5.0), NAN)
    given_ = Run(np.full(100, 4.0), y, np.arange(100), np.full(100, 0.4), np.zeros(100, dtype=np.int64))
    found = estimate(given_, Provenance.SHEET, binary=False, scale=(1.0, 5.0))
    assert found.method is Method.LABELS
