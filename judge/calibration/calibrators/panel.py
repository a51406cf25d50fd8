"""What the LLM-Rubric network needs: the judge's distributions on all criteria, and each person's answers to all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from judge.calibration.calibrators.network_training import MISSING, Answers, Settings, Trainer
from judge.calibration.judgements import Said
from judge.calibration.labelled import Labelled
from judge.calibration.labelling.labels import Label
from judge.errors import InputError
from judge.verdicts import Outcome


def trainers(
    said: Mapping[str, Said], labels: Sequence[Label], seed: int, settings: Settings | None = None
) -> Callable[[Labelled], Trainer]:
    """Makes a trainer of networks for the items of a criterion.

    Raises
    ------
    InputError
        Where the criteria have not the same levels, or the judge's distributions are not known on each.
    """
    levels = {one.scale.levels.tobytes() if one.scale.levels is not None else b"" for one in said.values()}
    if len(levels) > 1 or b"" in levels:
        raise InputError("the network reads criteria that all have the same levels; leave --network out")
    if any(one.shares is None for one in said.values()):
        raise InputError("the network reads distributions: ask with --samples 5, or a judge with logprobs")
    scale = next(iter(said.values())).scale
    assert scale.levels is not None
    known = [label for label in labels if label.outcome is Outcome.SCORED and label.value is not None]
    code = {float(level): place for place, level in enumerate(scale.levels)}
    names = tuple(scale.levels.tolist())

    def trainer(fit: Labelled) -> Trainer:
        row = {str(item): number for number, item in enumerate(fit.items)}
        question = {id_: number for number, id_ in enumerate(said)}
        people = sorted({label.annotator for label in known})
        person = {name: number for number, name in enumerate(people)}
        sheets: dict[tuple[int, int], list[int]] = {}
        for label in known:
            if label.item in row and label.criterion in question:
                key = row[label.item], person[label.annotator]
                answers = sheets.setdefault(key, [MISSING] * len(question))
                answers[question[label.criterion]] = code[float(label.value or 0.0)]
        where = np.array(list(sheets), dtype=np.int64).reshape(-1, 2)
        assert fit.panel is not None
        told = Answers(
            X=fit.panel,
            item=where[:, 0],
            annotator=where[:, 1],
            answers=np.array(list(sheets.values()), dtype=np.int64).reshape(-1, len(question)),
            questions=tuple(said),
            target=fit.criterion,
            annotators=tuple(people),
            levels=names,
        )
        return Trainer(told, settings or Settings(), seed)

    return trainer
