"""People and a judge that are drawn, not asked: labels of a set on which a judge can stand in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ITEMS, PEOPLE, SAMPLES, LEVELS = 800, 3, 5, 5
#: Share of the items whose true value lies anywhere between two levels; of the others it is a level.
BETWEEN = 0.5
#: Standard deviations of what one person, and one answer of the judge, is off the true value.
PERSON_NOISE, JUDGE_NOISE = 0.35, 0.25


def write(labels: Path, judgements: Path, seed: int = 1) -> None:
    """Draws a set, and writes the labels and the judgements as files of JSON lines.

    Everybody sees the true value, each with noise of their own, and says the level nearest to what they saw. The judge
    is asked `SAMPLES` times.
    """
    rng = np.random.default_rng(seed)
    true = rng.integers(1, LEVELS + 1, ITEMS) + np.where(rng.random(ITEMS) < BETWEEN, rng.uniform(-0.5, 0.5, ITEMS), 0)
    people = _said(true[:, None] + rng.normal(0, PERSON_NOISE, (ITEMS, PEOPLE)))
    judge = _said(true[:, None] + rng.normal(0, JUDGE_NOISE, (ITEMS, SAMPLES)))
    cells = [{"item": f"s{number:03d}", "criterion": "clear"} for number in range(1, ITEMS + 1)]
    _lines(
        labels,
        [
            {**cell, "annotator": f"simulated-{person}", "score": score}
            for cell, scores in zip(cells, people.tolist(), strict=True)
            for person, score in enumerate(scores, 1)
        ],
    )
    _lines(judgements, [{**cell, "samples": scores} for cell, scores in zip(cells, judge.tolist(), strict=True)])


def _said(seen: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.clip(np.rint(seen), 1, LEVELS).astype(np.int64)


def _lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
