"""Judgements and labels made up for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from judge.calibration.headline import Kind
from judge.calibration.judgements import Judgements, Said
from judge.calibration.labelled import Joined, Labelled, join
from judge.calibration.labelling.labels import Label
from judge.calibration.scale import Scale
from judge.calibration.statistics.bootstrap import Floats
from judge.grades import JudgeRef
from judge.verdicts import Outcome
from rubrics import Rubric


def scale_of(levels: Sequence[float] | None, names: tuple[str, ...] = ()) -> Scale:
    """Two levels are pass and fail; names without levels are labels; neither is any number from 0 to 10."""
    if names:
        return Scale("nominal", 0.0, len(names) - 1.0, np.arange(float(len(names))), names)
    if levels is None:
        return Scale("numeric", 0.0, 10.0, None)
    kind: Kind = "binary" if len(levels) == 2 else "ordinal"
    return Scale(kind, min(levels), max(levels), np.array(levels), tuple(str(level) for level in levels))


def judgements(
    scores: Mapping[str, Floats],
    levels: Sequence[float] | None = None,
    names: tuple[str, ...] = (),
    confidence: Mapping[str, Floats] | None = None,
    groups: Sequence[str] | None = None,
    run: str | None = "run",
) -> Judgements:
    """Of items i0, i1, ...; each a group of its own unless groups are given."""
    count = len(next(iter(scores.values())))
    items = tuple(f"i{n}" for n in range(count))
    told = confidence or {}
    scale = scale_of(levels, names)
    criteria = ", ".join(f"{{id: {id_}, scale: binary, question: Is it so}}" for id_ in scores)
    return Judgements(
        rubric=Rubric.loads(f"name: made\ncriteria: [{criteria}]"),
        judge=JudgeRef(name="made", fingerprint="made"),
        run=run,
        items=items,
        groups=items if groups is None else tuple(groups),
        length=np.full(count, np.nan),
        cost_usd=np.zeros(count),
        latency_s=np.zeros(count),
        models=(),
        said={
            id_: Said(
                scale,
                score,
                told.get(id_, np.full(count, np.nan)),
                None,
                tuple(Outcome.INVALID if np.isnan(one) else Outcome.SCORED for one in score),
            )
            for id_, score in scores.items()
        },
    )


def labels_of(criterion: str, values: Mapping[str, Floats], names: tuple[str, ...] = ()) -> list[Label]:
    """By annotator what each said of i0, i1, ...; NaN is no label. Of names the values are codes."""
    return [
        Label(
            f"i{at}",
            criterion,
            annotator,
            Outcome.SCORED,
            names[int(value)] if names else None,
            None if names else float(value),
        )
        for annotator, row in values.items()
        for at, value in enumerate(row)
        if not np.isnan(value)
    ]


def labelled(judged: Judgements, labels: Sequence[Label]) -> Joined:
    """Labels beside judgements."""
    return join(judged, labels)


def only(joined: Joined) -> Labelled:
    """Of the one criterion that there is."""
    (one,) = joined.criteria.values()
    return one
