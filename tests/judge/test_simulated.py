from __future__ import annotations

from statistics import fmean
from typing import Any

import pytest

from judge import Item, Judge, SetupError
from judge.providers.simulated import Simulated
from rubrics import Rubric

ITEMS = [Item(id=str(n), output=f"output {n}") for n in range(300)]
WIDE = Rubric.loads("""
name: wide
criteria:
  - {id: first, scale: ordinal, question: Q, levels: [1, 2, 3, 4, 5]}
  - {id: last, scale: ordinal, question: Q, levels: [1, 2, 3, 4, 5]}
""")


def simulated(**options: Any) -> Simulated:
    return Simulated(Judge(name="s", provider="simulated", options=options))


def means(source: Simulated, items: list[Item] = ITEMS, sample: int = 0) -> tuple[float, float]:
    rows = [source.verdicts(item, WIDE, sample) for item in items]
    first, last = (fmean(row[place].value or 0.0 for row in rows) for place in range(2))
    return first, last


def test_all_it_makes_says_simulated_and_is_a_level_of_the_rubric() -> None:
    source = simulated()
    assert source.kind == "simulated"
    for item in ITEMS[:20]:
        for verdict in source.verdicts(item, WIDE, 0):
            assert (verdict.reason or "").startswith("simulated")
            assert verdict.level in {1, 2, 3, 4, 5}
            assert verdict.value == verdict.level


def test_the_seed_decides_and_neither_the_id_nor_the_order() -> None:
    source, item = simulated(seed=1), ITEMS[0]
    renamed = Item(id="other", output=item.output)
    assert source.verdicts(item, WIDE, 0) == simulated(seed=1).verdicts(renamed, WIDE, 0)
    assert means(source) != means(simulated(seed=2))
    assert source.fingerprint == simulated(seed=1).fingerprint != simulated(seed=2).fingerprint


def test_noise_is_between_samples_and_none_is_none() -> None:
    assert means(simulated(noise=0.0), sample=0) == means(simulated(noise=0.0), sample=1)
    assert means(simulated(noise=0.3), sample=0) != means(simulated(noise=0.3), sample=1)


def test_leniency_and_position_bias_move_scores_as_they_say() -> None:
    fair = means(simulated(noise=0.0))
    lenient = means(simulated(noise=0.0, leniency=0.5))
    assert lenient[0] > fair[0] + 0.5
    biased = means(simulated(noise=0.0, position_bias=0.5))
    assert biased[0] > fair[0] + 0.3
    assert biased[1] < fair[1] - 0.3


def test_length_bias_favours_the_long() -> None:
    def gap(bias: float) -> float:
        source = simulated(noise=0.0, length_bias=bias, usual_length=100, quality="q")
        sides = [
            [Item(id=str(n), output=f"{n:03}" + "x" * length, metadata={"q": 0.5}) for n in range(50)]
            for length in (22, 397)
        ]
        short, long = (means(source, side)[0] for side in sides)
        return long - short

    assert gap(0.25) > 2.0  # a quarter of the width for each of four doublings: 25 to 400 characters
    assert abs(gap(0.0)) < 0.5


def test_a_known_quality_is_what_is_scored() -> None:
    source = simulated(noise=0.0, quality="q", words={"good": 1.0, "poor": 0.0})
    for word, low, high in (("good", 4.0, 5.0), ("poor", 1.0, 2.0), (0.5, 2.0, 4.0)):
        items = [Item(id=str(n), output=str(n), metadata={"q": word}) for n in range(30)]
        assert all(low <= mean <= high for mean in means(source, items))


@pytest.mark.parametrize("options", [{"nosie": 1}, {"noise": 2}, {"leniency": -2}, {"words": {"x": 3}}])
def test_an_option_that_is_none_is_named(options: dict[str, Any]) -> None:
    with pytest.raises(SetupError, match=f"{next(iter(options))}.*; the options are seed"):
        simulated(**options)
