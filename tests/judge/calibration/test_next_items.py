"""The next items to label: drawn where the judge was unsure, with probabilities that can be undone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judge import InputError
from judge.calibration.labelling import next_items, planning, sheets
from judge.calibration.labelling.labels import Label
from judge.calibration.labelling.sampling import Sampling
from judge.calibration.populations.population import Provenance
from judge.store.labels import Drawn, Stored
from judge.verdicts import Outcome
from tests.generated_judgements import judgements

UNSURE = np.array([0.0, 0.1, 0.1, 0.2, 0.4, 0.8, 0.8, 1.0, 1.0, 2.0] * 2)


def test_without_an_earlier_draw_exactly_as_many_as_asked_for() -> None:
    found = next_items.draw(UNSURE, 7, np.zeros(20), 1)
    assert len(found.places) == 7
    assert found.expected == pytest.approx(7)
    assert found.probability == pytest.approx(planning.inclusion(UNSURE, 7))
    assert (found.probability > 0).all()  # what the judge is sure of may be drawn too


@given(st.integers(1, 12), st.lists(st.floats(0, 0.9), min_size=20, max_size=20))
@settings(deadline=None, max_examples=50)
def test_as_many_new_ones_as_asked_for_on_average(n: int, given_before: list[float]) -> None:
    before = np.array(given_before)
    if n > (1 - before).sum():
        with pytest.raises(InputError, match="draw fewer with --n"):
            next_items.draw(UNSURE, n, before, 1)
        return
    found = next_items.draw(UNSURE, n, before, 1)
    size = len(found.places)
    assert found.expected >= n - 1e-6
    assert size == n or planning.inclusion(UNSURE, size - 1) @ (1 - before) < n  # and no more are drawn than that takes


def test_chances_of_two_draws_are_those_that_labels_are_weighed_by() -> None:
    """A stratified sheet, then a draw by uncertainty: how often each item is in one of them, by both and by formula."""
    rounds = 6000
    stratum = np.repeat([0, 1], [5, 15])
    first = sheets.draw(stratum, 6, 0).probability  # three of five, three of fifteen
    second = next_items.draw(UNSURE, 4, first, 0).probability
    came = np.zeros(20)
    for seed in range(rounds):
        drawn = np.zeros(20, dtype=bool)
        drawn[sheets.draw(stratum, 6, next_items.seed_of(seed, 0)).places] = True
        drawn[planning.draw(second, next_items.seed_of(seed, 1))] = True
        came += drawn
    wanted = planning.either(first, second)
    off = (came / rounds - wanted) / np.sqrt(wanted * (1 - wanted) / rounds + 1e-12)
    assert np.abs(off).max() < 4


def test_the_control_draws_of_one_seed_are_not_independent() -> None:
    even = np.full(20, 0.25)

    def shared(one: int, other: int) -> int:
        return len(set(planning.draw(even, one).tolist()) & set(planning.draw(even, other).tolist()))

    assert {shared(seed, seed) for seed in range(50)} == {5}
    apart = [shared(next_items.seed_of(seed, 0), next_items.seed_of(seed, 1)) for seed in range(2000)]
    assert np.mean(apart) == pytest.approx(5 * 5 / 20, abs=0.1)


def test_the_mean_by_labels_of_both_draws_is_unbiased() -> None:
    """People's scores that go with the judge's uncertainty: the plain mean of labels is off, the weighted is not."""
    y = UNSURE.copy()
    stratum = np.repeat([0, 1], [5, 15])
    first = sheets.draw(stratum, 6, 0).probability
    second = next_items.draw(UNSURE, 4, first, 0).probability
    judged = judgements({"clear": np.ones(20)}, levels=(1.0, 2.0, 3.0))
    w = 1 / planning.either(first, second)
    plain, weighted = [], []
    for seed in range(3000):
        taken = set(sheets.draw(stratum, 6, next_items.seed_of(seed, 0)).places.tolist())
        taken |= set(planning.draw(second, next_items.seed_of(seed, 1)).tolist())
        at = sorted(taken)
        plain.append(y[at].mean())
        weighted.append((w[at] * y[at]).sum() / 20)
    error = np.std(weighted) / np.sqrt(len(weighted))
    assert abs(np.mean(weighted) - y.mean()) < 4 * error
    assert abs(np.mean(plain) - y.mean()) > 8 * error
    # What the store keeps of the draws comes to the same probabilities.
    kept = [
        [Drawn(item, int(stratum[place]), float(first[place]), False) for place, item in enumerate(judged.items)],
        [Drawn(item, 0, float(second[place]), False) for place, item in enumerate(judged.items)],
    ]
    assert next_items.earlier(judged, kept) == pytest.approx(planning.either(first, second))


def test_uncertainty_is_the_mean_of_the_criteria_that_tell() -> None:
    sure, unsure = np.array([1.0, 1.0, 0.5, 0.5]), np.array([1.0, 0.6, 1.0, 0.6])
    judged = judgements(
        {"clear": np.ones(4), "right": np.ones(4), "mute": np.ones(4)},
        levels=(0.0, 1.0),
        confidence={"clear": sure, "right": unsure},
    )
    found, told = next_items.unsure(judged, {})
    assert told == ("clear", "right")
    # Lacks 0 0 .5 .5 and 0 .4 0 .4, each over its mean of .25 and .2: 0 0 2 2 and 0 2 0 2.
    assert found == pytest.approx(np.array([0, 1, 1, 2]))
    assert next_items.unsure(judged, {}, "right")[0] == pytest.approx(np.array([0, 2, 0, 2]))
    nothing, none = next_items.unsure(judged, {}, "mute")
    assert (nothing.tolist(), none) == ([1.0] * 4, ())


def test_samples_tell_too() -> None:
    judged = judgements({"clear": np.ones(3)}, levels=(1.0, 2.0, 3.0))
    found, told = next_items.unsure(judged, {"clear": np.array([[1.0, 1], [1, 3], [2, 2]])})
    assert told == ("clear",)
    assert found == pytest.approx(np.array([0, 3, 0]))  # 0, 1 and 0 over their mean


def test_labels_of_both_draws_are_weighed_by_both() -> None:
    """How many of a stratum came may differ from what was expected; within it weights are as the formula has them."""
    stratum = np.repeat([0, 1], [5, 15])
    judged = judgements({"clear": np.ones(20)}, (1.0, 2.0, 3.0))
    first = sheets.draw(stratum, 6, next_items.seed_of(3, 0))
    second = next_items.draw(UNSURE, 8, first.probability, next_items.seed_of(3, 1))
    of = {"one": first.places.tolist(), "two": second.places.tolist()}
    stored = [
        Stored(Label(f"i{place}", "clear", "ann", Outcome.SCORED, 2, 2.0), sheet, None)
        for sheet, places in of.items()
        for place in places
        if sheet == "one" or place not in of["one"]  # an item of both has the label of the first
    ]
    kept = [
        [Drawn(f"i{n}", int(codes[n]), float(pi[n]), n in places) for n in range(20)]
        for codes, pi, places in (
            (stratum, first.probability, of["one"]),
            (np.zeros(20), second.probability, of["two"]),
        )
    ]
    found = Sampling.of(judged, stored, kept)
    assert found.provenance is Provenance.SHEET
    wanted = 1 / planning.either(first.probability, second.probability)
    for code in (0, 1):
        among = [one.label.item for one in stored if stratum[int(one.label.item[1:])] == code]
        by_chance = [item for item in among if wanted[int(item[1:])] > 1 + 1e-9]  # what is drawn for certain weighs 1
        ratios = [found.weights[item] / wanted[int(item[1:])] for item in by_chance]
        assert len(ratios) >= 3
        assert ratios == pytest.approx([ratios[0]] * len(ratios))
