"""How many more labels: the numbers are those of `planning`, for the labels that count."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judge.calibration.labelled import Joined
from judge.calibration.labelling import planning
from judge.calibration.labelling.plans import Needed, Plan, plan, rate_with
from judge.calibration.splits import Part
from judge.calibration.statistics import confusion
from judge.calibration.statistics.bootstrap import Floats
from tests.generated_judgements import judgements, labelled, labels_of, only

#: Every second item is held out, as in a split in halves.
PARTS = {f"i{n}": Part.TEST if n % 2 else Part.FIT if n % 4 else Part.HOLD for n in range(200)}


def planned(joined: Joined, items: int = 2000, half_width: float = 0.05, dev: bool = False) -> Plan:
    return plan(joined, PARTS, run="r", label_set="s", items=items, half_width=half_width, dev=dev)


def row(found: Plan, measure: str) -> Needed:
    (wanted,) = [one for one in found.criteria["clear"] if one.measure == measure]
    return wanted


def binary() -> tuple[Joined, Floats, Floats]:
    """200 items; people pass 7 of 10. The judge is wrong on every tenth item, and the groups are single items."""
    y = np.array([float(n % 20 < 14) for n in range(200)])
    f = np.where(np.arange(200) % 10 == 4, 1 - y, y)
    return labelled(judgements({"clear": f}, (0.0, 1.0)), labels_of("clear", {"ann": y})), y, f


def test_tpr_and_tnr_have_a_number_each_and_only_held_out_labels_count() -> None:
    joined, y, f = binary()
    found = planned(joined)
    even = np.arange(200) % 2 == 0
    tpr, tnr = f[even & (y == 1)].mean(), (1 - f)[even & (y == 0)].mean()
    p = y[even].mean()
    n1, n0, _ = planning.for_error_rates(tpr, tnr, p, 0.05)
    one, nought = row(found, "TPR"), row(found, "TNR")
    assert (one.needed, nought.needed) == (n1, n0)
    assert (one.expected, nought.expected) == pytest.approx((tpr, tnr))
    assert (one.now, nought.now) == (round(100 * p), round(100 * (1 - p)))
    # Half of what is labelled is held out, and of that the share p is passed.
    assert one.more == math.ceil((n1 - one.now) / (p * 0.5))
    assert nought.more == math.ceil((n0 - nought.now) / ((1 - p) * 0.5))
    # The whole plan is what can be reached within the run.
    assert nought.beyond
    assert found.more == max(each.more or 0 for each in found.criteria["clear"] if not each.beyond) < nought.more


def test_kappa_and_the_pass_rate_agree_with_planning() -> None:
    joined, y, f = binary()
    found = planned(joined)
    even = np.arange(200) % 2 == 0
    scale = only(joined).scale
    assert row(found, "kappa").needed == planning.for_kappa(confusion.confusion(scale, y[even], f[even]), 0.05)
    alone, helped = row(found, "pass rate, labels only"), row(found, "pass rate, with the judge")
    assert alone.needed == planning.for_rate(y[even].mean(), 0.05)
    r = float(np.corrcoef(y[even], f[even])[0, 1])
    assert helped.needed == rate_with(y[even].mean(), 0.05, r, 2000)
    assert helped.needed < alone.needed
    assert (alone.now, alone.of) == (200, "labelled items")  # every label counts for the run
    assert alone.more == alone.needed - 200


def test_a_scale_of_levels() -> None:
    rng = np.random.default_rng(5)
    quality = rng.normal(size=200)
    y, f = (np.clip(np.round(3 + quality + 0.8 * rng.normal(size=200)), 1, 5) for _ in range(2))
    joined = labelled(judgements({"clear": f}, (1.0, 2.0, 3.0, 4.0, 5.0)), labels_of("clear", {"ann": y}))
    found = planned(joined, half_width=0.04)
    even = np.arange(200) % 2 == 0
    people, judge = y[even], f[even]
    table = confusion.confusion(only(joined).scale, people, judge)
    assert row(found, "quadratic kappa").needed == planning.for_kappa(table, 0.04, quadratic=True)
    rho = row(found, "Spearman").expected
    assert rho is not None
    assert row(found, "Spearman").needed == planning.for_spearman(rho, 0.04)
    sd, r = float(np.std(people, ddof=1)), float(np.corrcoef(people, judge)[0, 1])
    # A mean on 1 to 5: 4% of the range is 0.16.
    alone, helped = row(found, "mean, labels only"), row(found, "mean, with the judge")
    assert (alone.half_width, helped.half_width) == pytest.approx((0.16, 0.16))
    assert alone.needed == planning.for_mean(sd, 0.16, items=2000)
    assert helped.needed == planning.for_mean(sd, 0.16, r=r, items=2000)


def test_items_in_groups_need_more() -> None:
    y = np.repeat(np.arange(20) % 3 > 0, 10).astype(np.float64)  # all items of a group alike
    f = np.where(np.repeat(np.arange(20) % 4 == 0, 10), 1 - y, y)
    groups = [f"g{n // 10}" for n in range(200)]
    joined = labelled(judgements({"clear": f}, (0.0, 1.0), groups=groups), labels_of("clear", {"ann": y}))
    alone = labelled(judgements({"clear": f}, (0.0, 1.0)), labels_of("clear", {"ann": y}))
    grouped = row(planned(joined, 10**6), "pass rate, labels only").needed
    single = row(planned(alone, 10**6), "pass rate, labels only").needed
    assert grouped is not None
    assert single is not None
    assert grouped > 4 * single


def test_what_cannot_be_told_says_why() -> None:
    y = np.ones(200)
    joined = labelled(judgements({"clear": np.ones(200)}, (0.0, 1.0)), labels_of("clear", {"ann": y}))
    found = planned(joined)
    assert row(found, "TNR").why == "people passed all items of the pilot, or none"
    assert row(found, "TNR").needed is None
    few = labelled(judgements({"clear": np.ones(200)}, (0.0, 1.0)), labels_of("clear", {"ann": y[:12]}))
    (only_row,) = planned(few).criteria["clear"]
    assert only_row.why == "6 labelled items to plan by; label 10 first"


def test_more_than_the_run_has_is_told() -> None:
    joined, _, _ = binary()
    assert row(planned(joined, items=210), "TNR").beyond
    assert not row(planned(joined, items=10**6), "TNR").beyond


def test_labels_without_numbers_have_kappa_alone() -> None:
    codes = np.arange(200.0) % 3
    names = ("a", "b", "c")
    judged = judgements({"clear": np.where(np.arange(200) % 7 == 0, 0.0, codes)}, names=names)
    found = planned(labelled(judged, labels_of("clear", {"ann": codes}, names)))
    assert [one.measure for one in found.criteria["clear"]] == ["kappa"]


@given(st.floats(0.1, 0.9), st.floats(0, 0.99), st.integers(50, 5000))
@settings(deadline=None, max_examples=60)
def test_a_judge_saves_labels_until_the_run_is_all_labelled(share: float, r: float, items: int) -> None:
    alone = planning.for_rate(share, 0.05)
    helped = rate_with(share, 0.05, r, items)
    assert helped <= alone
    worth = 1 - r * r + r * r * min(helped / items, 1.0)
    assert planning.for_rate(share, 0.05, effect=worth) <= helped  # so many are enough
    if helped > 1:
        less = 1 - r * r + r * r * min((helped - 1) / items, 1.0)
        assert planning.for_rate(share, 0.05, effect=less) > helped - 1  # and one less is not
