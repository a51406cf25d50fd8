"""Blind sheets: items of a run for people to label, drawn with known probabilities, without what the judge said."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO

import numpy as np

from judge.calibration.judgements import Judgements
from judge.calibration.labelling.label_files import ANNOTATOR, SHEET, TEXTS
from judge.calibration.statistics.bootstrap import Codes, Floats
from judge.fences import texts
from judge.items import Item
from judge.notation import inert
from rubrics import CANNOT_TELL, NOT_APPLICABLE, Rubric

#: Strata of a rubric of several criteria: quarters of the overall score.
QUARTERS = 4


@dataclass(frozen=True, slots=True)
class Draw:
    """Which of N items were drawn, and how.

    Attributes
    ----------
    places : (n,)
        Of the drawn ones.
    stratum, probability : (N,)
        Of every item, drawn or not.
    """

    places: Codes
    stratum: Codes
    probability: Floats


def strata(judgements: Judgements, criterion: str | None = None) -> Codes:
    """(n,) the stratum of every item, by what the judge said of it; items without a score are one of their own.

    Parameters
    ----------
    criterion
        Whose answers the strata are. By default the only one that there is, or else quarters of the mean over all
        criteria that have values, each on 0..1.
    """
    said = judgements.said
    if criterion is None and len(said) == 1:
        criterion = next(iter(said))
    if criterion is not None and said[criterion].scale.levels is not None:
        one = said[criterion]
        codes = np.full(len(judgements.items), -1, dtype=np.int64)
        scored = ~np.isnan(one.score)
        codes[scored] = one.scale.nearest(one.score[scored])
        return np.asarray(np.unique(codes, return_inverse=True)[1], dtype=np.int64)
    chosen = said.values() if criterion is None else (said[criterion],)
    shares = [(one.score - one.scale.minimum) / one.scale.width for one in chosen if one.scale.kind != "nominal"]
    mean = np.mean(shares, axis=0) if shares else np.zeros(len(judgements.items))
    edges = np.nanquantile(mean, np.arange(1, QUARTERS) / QUARTERS) if np.isfinite(mean).any() else np.zeros(0)
    codes = np.where(np.isnan(mean), -1, np.searchsorted(edges, mean, side="left"))
    return np.asarray(np.unique(codes, return_inverse=True)[1], dtype=np.int64)


def draw(stratum: Codes, n: int, seed: int) -> Draw:
    """Draws n items, as many of each stratum as there can be: rare answers are looked at as closely as common ones.

    Parameters
    ----------
    stratum : (N,)
        Codes 0..S-1.

    Raises
    ------
    ValueError
        For fewer items than n.
    """
    if n > len(stratum):
        raise ValueError(f"{n} of {len(stratum)} items cannot be drawn")
    sizes = np.bincount(stratum)
    taken = _even(sizes, n)
    rng = np.random.default_rng(seed)
    places = np.concatenate(
        [rng.permutation(np.flatnonzero(stratum == code))[:many] for code, many in enumerate(taken)]
    ).astype(np.int64)
    return Draw(places, stratum, (taken / sizes)[stratum])


def _even(sizes: Codes, n: int) -> Codes:
    """How many of each stratum: all alike, what a small one cannot give from the others."""
    taken = np.zeros_like(sizes)
    left = n
    for order, code in enumerate(np.argsort(sizes, kind="stable")):
        taken[code] = min(int(sizes[code]), -(-left // (len(sizes) - order)))
        left -= int(taken[code])
    return taken


def write(file: IO[str], sheet: str, annotator: str, items: Sequence[Item], rubric: Rubric, seed: int) -> None:
    """A sheet of one annotator as CSV, a row an item in an order of its own: the item's texts, and cells to fill in."""
    answers = [name for id_ in rubric.ids for name in (id_, f"{id_}.reason")]
    writer = csv.DictWriter(file, (SHEET, "item", ANNOTATOR, *TEXTS, *answers))
    writer.writeheader()
    for place in np.random.default_rng([seed, *annotator.encode()]).permutation(len(items)):
        item = items[place]
        told = {name: inert("\n\n".join(_texts(item, name))) for name in TEXTS}
        writer.writerow({SHEET: sheet, "item": item.id, ANNOTATOR: annotator, **told})


def _texts(item: Item, name: str) -> Iterator[str]:
    for fence in item.fences:
        if fence.name == name:
            yield from texts([fence])


def guide(rubric: Rubric) -> str:
    """What annotators need to know: every criterion, and the answers that its column takes."""
    blocks = [rubric.instructions] if rubric.instructions else []
    for criterion in rubric.leaves:
        lines = [f"{criterion.id}: {criterion.question}"]
        lines += [f"  {answer}: {text}" if text else f"  {answer}" for answer, text in criterion.told]
        for word, when in ((NOT_APPLICABLE, criterion.not_applicable), (CANNOT_TELL, criterion.cannot_tell)):
            lines += [f"  {word}: {when}"] if when else []
        blocks.append("\n".join(lines))
    return "\n\n".join((*blocks, "An empty cell is no label. The columns CRITERION.reason are for a few words on why."))
