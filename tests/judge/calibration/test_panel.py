"""The network within a calibration: it reads all criteria, and learns how each person differs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from judge import InputError
from judge.calibration.calibration import calibrate
from judge.calibration.calibrators.network_training import MISSING, Settings
from judge.calibration.calibrators.panel import trainers
from judge.calibration.judgements import Judgements, Said
from judge.calibration.labelled import join
from judge.calibration.labelling.labels import Label
from judge.calibration.labelling.sampling import Sampling
from judge.calibration.scale import Scale
from judge.grades import JudgeRef
from judge.store.labels import Stored
from judge.verdicts import Outcome
from rubrics import Rubric

RUBRIC = Rubric.loads("""
name: two
criteria:
  - {id: a, scale: ordinal, question: How a?, levels: [1, 2, 3]}
  - {id: b, scale: ordinal, question: How b?, levels: [1, 2, 3]}
""")


def judgements(count: int, known: bool = True) -> Judgements:
    rng = np.random.default_rng(0)
    said = {}
    for criterion in RUBRIC.leaves:
        shares = rng.dirichlet((0.5, 0.5, 0.5), size=count)
        score = shares @ np.array([1.0, 2.0, 3.0])
        scored = (Outcome.SCORED,) * count
        said[criterion.id] = Said(Scale.of(criterion), score, shares.max(axis=1), shares if known else None, scored)
    items = tuple(f"i{n}" for n in range(count))
    blank = np.full(count, np.nan)
    judge = JudgeRef(name="j", fingerprint="f")
    return Judgements(RUBRIC, judge, None, items, items, blank, blank, blank, (), said)


def labels(of: Judgements, people: int) -> list[Label]:
    """Person 0 says what the judge says, person 1 the opposite of it, and so on."""
    found = []
    for id_, said in of.said.items():
        for item, score in zip(of.items, said.score, strict=True):
            for person in range(people):
                level = round(float(score)) if person % 2 == 0 else 4 - round(float(score))
                found.append(Label(item, id_, f"p{person}", Outcome.SCORED, level, float(level)))
    return found


def test_answers_are_laid_out_by_person_and_question() -> None:
    of = judgements(6)
    some = [one for one in labels(of, 2) if (one.criterion, one.annotator) != ("b", "p1")]
    fit = join(of, some).criteria["b"]
    told = trainers(of.said, some, 0)(fit).answers
    assert (told.questions, told.target, told.annotators, told.levels) == (("a", "b"), "b", ("p0", "p1"), (1, 2, 3))
    assert told.X.shape == (6, 6)
    assert told.X[2, 3:] == pytest.approx(of.said["b"].shares[2])  # type: ignore[index]
    for item, person, answers in zip(told.item, told.annotator, told.answers, strict=True):
        score = round(float(of.said["a"].score[item]))
        assert answers[0] == (score if person == 0 else 4 - score) - 1
        assert (answers[1] == MISSING) == (person == 1)


def test_a_network_needs_distributions_on_like_scales() -> None:
    with pytest.raises(InputError, match="the network reads distributions"):
        trainers(judgements(3, known=False).said, [], 0)
    mixed = {**judgements(3).said}
    other = Rubric.parse({"name": "o", "criteria": [{"id": "c", "scale": "binary", "question": "Is it c?"}]})
    mixed["c"] = Said(Scale.of(other.leaves[0]), np.zeros(3), np.zeros(3), np.zeros((3, 2)), (Outcome.SCORED,) * 3)
    with pytest.raises(InputError, match="all have the same levels"):
        trainers(mixed, [], 0)


def test_a_calibration_may_choose_a_network_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch", reason="torch is not installed here; make test-torch has it")
    of = judgements(40)
    kept = [Stored(label, None, None) for label in labels(of, 3)]
    quick = Settings(hidden=(4, 4), pretraining_epochs=1, finetuning_epochs=1)
    import judge.calibration.calibrators.panel as panel

    monkeypatch.setattr(panel, "Settings", lambda: quick)
    found: Any = calibrate(
        of, kept, Sampling(), label_set="s", group=None, record=lambda _: 1, network=True, draws=20
    ).corrections["a"]
    tried = {one.kind: one.why for one in found.selection.candidates}
    assert tried["network"] is not None
    assert tried["network"].startswith("needs 700 labels")
