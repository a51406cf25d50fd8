"""Choosing a calibrator: what each number of labels allows, and what wins where; the labels are simulated."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from judge.calibration.calibrators import Linear, Network
from judge.calibration.calibrators.selection import LEAST_LABELS, Candidate, Selection, choose
from judge.calibration.statistics.figures import Undefined

FIVE = np.arange(1.0, 6.0)


def grouped(n: int, size: int = 1) -> Any:
    return np.arange(n, dtype=np.int64) // size


def noisy(n: int, seed: int, noise: float = 0.5) -> tuple[Any, Any]:
    """A judge's scores, and labels that are these with noise, thirds of a level each."""
    rng = np.random.default_rng(seed)
    f = rng.uniform(1.5, 4.5, n)
    return f[:, None], np.clip(np.round(3 * (f + noise * rng.normal(size=n))) / 3, 1, 5)


def kind_of(selection: Selection) -> str:
    return selection.chosen.kind


def by_kind(selection: Selection) -> dict[str, Candidate]:
    return {one.kind: one for one in selection.candidates}


@pytest.mark.parametrize("n", [15, 60, 250])
def test_the_identity_wins_where_nothing_helps(n: int) -> None:
    """In all but a few of 20 sets, and where it does not, what is chosen says nearly the same."""
    lost = 0
    for seed in range(20):
        X, y = noisy(n, seed)
        selection = choose(X, y, grouped(n), None, FIVE, seed=seed)
        lost += kind_of(selection) != "identity"
        assert np.abs(selection.chosen.predict(X) - X[:, 0]).mean() < 0.4
    assert lost <= 6


def test_a_shift_wins_where_the_judge_is_mild() -> None:
    found = [kind_of(choose(X - 0.8, y, grouped(40), None, FIVE)) for X, y in (noisy(40, seed) for seed in range(10))]
    assert found.count("shift") >= 7
    assert "identity" not in found


def test_a_line_wins_where_the_judge_exaggerates() -> None:
    found = []
    for seed in range(10):
        X, y = noisy(60, seed)
        found.append(kind_of(choose(3 + 2.5 * (X - 3), y, grouped(60), None, FIVE)))
    assert found.count("linear") >= 8


def test_a_bent_judge_needs_a_hundred_labels_for_a_bent_map() -> None:
    rng = np.random.default_rng(0)
    f = rng.choice(FIVE, 300)
    y = np.array([1.0, 1, 1, 5, 5])[f.astype(int) - 1]
    y = np.clip(np.round(y + 0.4 * rng.normal(size=300)), 1, 5)
    assert kind_of(choose(f[:99, None], y[:99], grouped(99), None, FIVE)) == "linear"
    assert kind_of(choose(f[:100, None], y[:100], grouped(100), None, FIVE)) == "isotonic"


def test_other_judges_help_from_two_hundred_labels_on() -> None:
    rng = np.random.default_rng(1)
    truth = rng.normal(size=200)
    X = np.clip(3 + truth[:, None] + rng.normal(size=(200, 4)), 1, 5)
    y = np.clip(np.round(3 + truth), 1, 5)
    assert kind_of(choose(X, y, grouped(200), None, FIVE)) in ("ridge", "ordinal")
    few = by_kind(choose(X[:199], y[:199], grouped(199), None, FIVE))
    assert few["ridge"].why == "needs 200 labels, and there are 199"
    alone = by_kind(choose(X[:, :1], y, grouped(200), None, FIVE))
    assert alone["ridge"].why == "there is one score an item, so nothing to combine"


def test_temperature_is_chosen_for_a_judge_that_is_too_sure_of_itself() -> None:
    rng = np.random.default_rng(2)
    P = rng.dirichlet(np.ones(5), 300)
    sure = P**4 / (P**4).sum(axis=1, keepdims=True)
    y = np.array([rng.choice(FIVE, p=p) for p in P])
    selection = choose((sure @ FIVE)[:, None], y, grouped(300), None, FIVE, sure)
    kinds = by_kind(selection)
    assert kinds["temperature"].rmse is not None
    assert kinds["identity"].rmse is not None
    assert kinds["temperature"].rmse < kinds["identity"].rmse
    assert kind_of(selection) != "identity"


def test_on_two_levels_platt_is_tried_and_on_five_it_is_not() -> None:
    rng = np.random.default_rng(3)
    f = rng.uniform(size=150)
    y = (rng.uniform(size=150) < f).astype(float)
    assert by_kind(choose(f[:, None], y, grouped(150), None, np.array([0.0, 1.0])))["platt"].rmse is not None
    X, scores = noisy(150, 0)
    assert by_kind(choose(X, scores, grouped(150), None, FIVE))["platt"].why == (
        "the scale has 5 levels, and this is for two"
    )


@pytest.mark.parametrize("n", [20, 49, 99, 199, 399])
def test_no_kind_is_chosen_below_the_labels_it_needs(n: int) -> None:
    rng = np.random.default_rng(n)
    truth = rng.normal(size=n)
    X = np.clip(3 + truth[:, None] + 0.5 * rng.normal(size=(n, 5)), 1, 5)
    selection = choose(X, np.clip(3 + 1.3 * truth, 1, 5), grouped(n), None, FIVE)
    assert LEAST_LABELS.get(kind_of(selection), 0) <= n
    for kind, least in LEAST_LABELS.items():
        if n < least and kind != "platt":
            assert by_kind(selection)[kind].why == f"needs {least} labels, and there are {n}"


def test_labels_count_by_their_effective_number() -> None:
    X, y = noisy(150, 0)
    w = np.where(np.arange(150) < 30, 10.0, 1.0)
    # (300 + 120)^2 / (3000 + 120) = 56.5
    selection = choose(X, y, grouped(150), w, FIVE)
    assert selection.labels == pytest.approx(420**2 / 3120)
    assert by_kind(selection)["isotonic"].why == "needs 100 labels, and there are 57"
    assert choose(X, y, grouped(150), np.full(150, 0.1), FIVE).labels == pytest.approx(150)


def test_of_labels_that_are_all_alike_nothing_is_learned() -> None:
    X, _ = noisy(15, 0)
    selection = choose(X, np.full(15, 5.0), grouped(15), None, FIVE)
    assert (kind_of(selection), selection.why) == ("identity", "people gave every item the same score")
    assert by_kind(selection)["linear"].why == "with fewer than 50 labels it must do better than people's mean"


def test_a_judge_that_says_nothing_gets_a_flat_line_from_fifty_labels_on() -> None:
    rng = np.random.default_rng(4)
    X, y = rng.uniform(1, 5, 200)[:, None], rng.choice([3.0, 4.0], 200)
    chosen = choose(X, y, grouped(200), None, FIVE).chosen
    assert isinstance(chosen, Linear)
    assert chosen.slope < 0.1


def test_a_constant_judge_gets_a_shift() -> None:
    y = np.tile([3.0, 4.0, 5.0], 50)
    selection = choose(np.full((150, 1), 2.0), y, grouped(150), None, FIVE)
    assert kind_of(selection) == "shift"
    assert selection.chosen.predict(np.array([[2.0]])) == pytest.approx([4])
    assert "one score" in (by_kind(selection)["linear"].why or "")


def test_one_group_leaves_the_judge_as_it_is() -> None:
    X, y = noisy(30, 0)
    selection = choose(X - 1, y, np.zeros(30, dtype=np.int64), None, FIVE)
    assert kind_of(selection) == "identity"
    assert selection.why == "one group: nothing can be tried on another"
    assert (selection.folds, selection.repeats) == (0, 0)
    assert all(one.rmse is None for one in selection.candidates)


def test_the_error_of_the_identity_is_its_plain_error_and_the_standard_error_goes_by_groups() -> None:
    # Squared errors 1, 1, 0, 4 in two groups: means 1 and 2 of two items each. MSE 1.5, so RMSE sqrt 1.5.
    # Its standard error by groups: sqrt(2 / 1 * ((2 - 3)^2 + (4 - 3)^2)) / 4 = 1/2, and of the root 1/2 / (2 sqrt 1.5).
    X, y = np.array([[2.0], [3], [4], [3]]), np.array([3.0, 2, 4, 5])
    identity = by_kind(choose(X, y, np.array([0, 0, 1, 1]), None, FIVE))["identity"]
    assert identity.rmse == pytest.approx(np.sqrt(1.5))
    assert identity.error == pytest.approx(0.25 / np.sqrt(1.5))


def test_a_group_is_never_on_both_sides() -> None:
    # Shifts of two groups: each is tried on the other, whatever the seed. Differences 1 and 3: errors 2 and 2.
    X, y = np.full((6, 1), 1.0), np.array([2.0, 2, 2, 4, 4, 4])
    for seed in range(5):
        found = by_kind(choose(X, y, np.array([7, 7, 7, 9, 9, 9]), None, FIVE, seed=seed))
        assert found["shift"].rmse == pytest.approx(2)


def test_the_same_seed_gives_the_same_choice_and_json_gives_it_back() -> None:
    X, y = noisy(120, 5)
    first = choose(X, y, grouped(120, 3), None, FIVE, seed=2)
    assert choose(X, y, grouped(120, 3), None, FIVE, seed=2) == first
    assert Selection.model_validate_json(first.model_dump_json()) == first


class Stand:
    """What trains networks, without training: a network whose annotators all say what two columns of X have."""

    def __init__(self, inputs: Any, raters: int) -> None:
        self.inputs, self.raters, self.fits = inputs, raters, 0

    def fit(self, rows: Any) -> Network:
        self.fits += 1
        assert len(rows) > 0
        return Network(
            levels=(0, 1),
            questions=("q",),
            target="q",
            annotators=("a",),
            W1=[[-40.0], [40.0], [0.0]],
            W1a=np.zeros((1, 3, 1)),
            W2=[[40.0], [-20.0]],
            W2a=np.zeros((1, 2, 1)),
            V=[[[0.0, 40.0], [0.0, -20.0]]],
            Va=np.zeros((1, 1, 2, 2)),
        )


def test_a_network_is_tried_from_seven_hundred_labels_of_three_raters_on() -> None:
    rng = np.random.default_rng(6)
    y = rng.integers(0, 2, 700).astype(float)
    two, f = np.array([0.0, 1.0]), rng.uniform(size=(700, 1))
    stand = Stand(np.column_stack([1 - y, y]), 3)
    selection = choose(f, y, grouped(700, 7), None, two, network=stand)
    assert kind_of(selection) == "network"
    assert stand.fits == selection.folds * selection.repeats + 1
    assert by_kind(choose(f, y, grouped(700), None, two))["network"].why == "the labels of each rater were not given"
    pair = by_kind(choose(f, y, grouped(700), None, two, network=Stand(stand.inputs, 2)))
    assert pair["network"].why == "needs 3 raters or more, and there are 2"


def test_bad_arrays_are_refused() -> None:
    X, y = noisy(10, 0)
    with pytest.raises(ValueError, match="10 labels, and groups in the shape"):
        choose(X, y, np.zeros(3, dtype=np.int64), None, FIVE)
    with pytest.raises(ValueError, match="off the scale"):
        choose(X, y + 5, grouped(10), None, FIVE)
    with pytest.raises(ValueError, match="distributions for 10 items"):
        choose(X, y, grouped(10), None, FIVE, np.full((9, 5), 0.2))
    with pytest.raises(Undefined, match="no labels"):
        choose(np.empty((0, 1)), np.empty(0), np.empty(0, dtype=np.int64), None, FIVE)
