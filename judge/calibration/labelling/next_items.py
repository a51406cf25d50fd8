"""Which items to label next: where the judge was unsure, by chance with probabilities that estimates can undo.

A later draw takes no notice of who was drawn, or labelled, before: it draws from all items of the run. So an item's
chance of being in one draw or another is 1 - prod(1 - p), which is what `Sampling` weighs labels by; a draw among the
unlabelled alone would have other chances, that depend on how the earlier one fell. Items that are drawn and labelled
already are counted as drawn, and not labelled twice. As many are drawn as bring the wanted number of new ones, on
average.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from judge.calibration.judgements import Judgements
from judge.calibration.labelling import planning
from judge.calibration.statistics.bootstrap import Codes, Floats
from judge.errors import InputError

if TYPE_CHECKING:
    from judge.store.labels import Drawn


@dataclass(frozen=True, slots=True)
class Next:
    """A draw from N items.

    Attributes
    ----------
    probability : (N,)
        Of every item, with which it was drawn.
    places : (m,)
        Of the drawn ones, ascending.
    expected
        New items that such a draw brings on average.
    """

    probability: Floats
    places: Codes
    expected: float


def unsure(
    judgements: Judgements, samples: dict[str, Floats], criterion: str | None = None
) -> tuple[Floats, tuple[str, ...]]:
    """How unsure the judge was of each item, and the criteria that tell; 1 of every item where none does.

    Parameters
    ----------
    samples
        By criterion the scores of all samples, (N, k), where there are several.
    criterion
        The one to go by; the mean of all that tell without.
    """
    found = {}
    for id_ in judgements.said if criterion is None else (criterion,):
        said = judgements.said[id_]
        several = samples.get(id_) if said.scale.kind != "nominal" else None
        confidence = said.confidence if np.isfinite(said.confidence).any() else None
        if several is not None or confidence is not None:
            found[id_] = planning.uncertainty(several, confidence)
    if not found:
        return np.ones(len(judgements.items)), ()
    return np.asarray(np.mean(list(found.values()), axis=0)), tuple(found)


def earlier(judgements: Judgements, sheets: Sequence[Sequence[Drawn]]) -> Floats:
    """(N,) with which probability each item was drawn by at least one of these sheets."""
    found = np.zeros(len(judgements.items))
    for sheet in sheets:
        of_item = {one.item: one.probability for one in sheet}
        found = planning.either(found, np.array([of_item.get(item, 0.0) for item in judgements.items]))
    return found


def draw(unsure: Floats, n: int, before: Floats, seed: int, floor: float = planning.FLOOR) -> Next:
    """Draws items so that n of them, on average, were in no draw before.

    Parameters
    ----------
    before : (N,)
        `earlier`; 0 where there was none, and then exactly n are drawn.

    Raises
    ------
    InputError
        Where fewer than n items can be new.
    """
    fresh = float((1 - before).sum())
    if n > fresh + 1e-9:
        raise InputError(f"about {int(fresh):,} items were in no draw yet, fewer than {n:,}; draw fewer with --n")

    def expected(size: int) -> float:
        return float(planning.inclusion(unsure, size, floor) @ (1 - before))

    low, high = n, len(unsure)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if expected(middle) >= n - 1e-9 else (middle + 1, high)
    probability = planning.inclusion(unsure, low, floor)
    return Next(probability, planning.draw(probability, seed), expected(low))


def seed_of(seed: int, sheets: int) -> int:
    """A seed of its own for each draw from a run: two draws of one seed would not be independent of each other."""
    return int.from_bytes(hashlib.sha256(f"{seed}\0{sheets}".encode()).digest()[:8], "big")
