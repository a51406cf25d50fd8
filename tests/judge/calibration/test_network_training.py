"""Training of the network, small and fast; what is learnt is simulated."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from judge.calibration.calibrators.network import Network
from judge.calibration.calibrators.network_training import MISSING, Answers, Settings, Trainer, forward, train
from judge.calibration.statistics.figures import Undefined
from judge.errors import SetupError

QUESTIONS = ("a", "b", "target")
LEVELS = (1.0, 2.0, 3.0, 4.0)
QUICK = Settings(hidden=(6, 6), pretraining_epochs=5, finetuning_epochs=10, batch=32, learning_rate=0.05)


def simulated(n: int = 160, seed: int = 0) -> Answers:
    """Items of one quality, a judge that sees it with noise, and four people of whom two are strict and two mild."""
    rng = np.random.default_rng(seed)
    quality = rng.normal(size=n)
    seen = quality[:, None, None] + rng.normal(size=(n, len(QUESTIONS), 1))
    P = np.exp(-((np.arange(4) - 1.5 - seen) ** 2))
    item, annotator = np.repeat(np.arange(n), 4), np.tile(np.arange(4), n)
    bias = np.array([-1.2, -0.8, 0.8, 1.2])[annotator]
    said = 1.5 + quality[item, None] + bias[:, None] + 0.4 * rng.normal(size=(4 * n, len(QUESTIONS)))
    answers = np.clip(np.round(said), 0, 3).astype(np.int64)
    answers[rng.uniform(size=answers.shape) < 0.1] = MISSING
    X = (P / P.sum(axis=2, keepdims=True)).reshape(n, -1)
    return Answers(X, item, annotator, answers, QUESTIONS, "target", ("w", "x", "y", "z"), LEVELS)


def test_without_torch_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(SetupError, match="extra: torch"):
        train(simulated(4))


def test_nothing_but_training_loads_torch() -> None:
    modules = "judge.calibration.calibrators.selection, judge.calibration.calibrators.network_training"
    code = f"import sys, {modules}; sys.exit(bool({{'torch', 'sklearn'}} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_sheets_that_do_not_go_together_are_refused() -> None:
    good = simulated(4)
    given = {name: getattr(good, name) for name in good.__slots__}
    for changed, said in (
        ({"annotator": good.annotator[:-1]}, "same sheets"),
        ({"item": good.item + 1}, "codes from 1 to 4 where 0 to 3 are known"),
        ({"answers": good.answers + 1}, "known"),
        ({"target": "c"}, "no question 'c'"),
        ({"X": good.X[:, :4]}, "have 12 columns"),
    ):
        with pytest.raises(ValueError, match=said):
            Answers(**{**given, **changed})


def test_sheets_of_some_items() -> None:
    part = simulated(10).of(np.array([2, 5]))
    assert sorted(set(part.item.tolist())) == [2, 5]
    assert len(part.item) == len(part.annotator) == len(part.answers) == 8


def test_a_target_that_nobody_answered_trains_nothing() -> None:
    pytest.importorskip("torch")
    answers = simulated(4)
    answers.answers[:, 2] = MISSING
    with pytest.raises(Undefined, match="nobody answered the question target"):
        train(answers)


def test_numpy_says_what_torch_says() -> None:
    torch: Any = pytest.importorskip("torch")
    answers = simulated(20)
    network = train(answers, Settings(hidden=(5, 4), pretraining_epochs=1, finetuning_epochs=1, batch=8))
    names = ("W1", "W1a", "W2", "W2a", "V", "Va")
    weights = {name: torch.tensor(getattr(network, name)) for name in names}
    X, who = torch.from_numpy(answers.X[answers.item]), torch.from_numpy(answers.annotator)
    theirs = torch.softmax(forward(torch, weights, X, who), dim=2).numpy()
    for at, (name, question) in enumerate((n, q) for n in network.annotators for q in QUESTIONS):
        code = at // len(QUESTIONS)
        ours = network.distribution(answers.X[answers.item[answers.annotator == code]], name, question)
        assert ours == pytest.approx(theirs[answers.annotator == code, at % len(QUESTIONS)], abs=1e-9)


def test_the_gradient_is_that_of_the_numpy_forward_pass() -> None:
    """Torch's gradient of the log loss, beside differences of the numpy forward pass, to 1e-6."""
    torch: Any = pytest.importorskip("torch")
    answers = simulated(12)
    network = train(answers, Settings(hidden=(3, 3), pretraining_epochs=1, finetuning_epochs=0, batch=8))
    at, name = np.flatnonzero((answers.annotator == 1) & (answers.answers[:, 2] != MISSING)), "x"
    X, said = answers.X[answers.item[at]], answers.answers[at, 2]

    def loss(changed: Network) -> float:
        return -float(np.log(changed.distribution(X, name)[np.arange(len(at)), said]).mean())

    weights = {
        one: torch.tensor(getattr(network, one)).requires_grad_() for one in ("W1", "W1a", "W2", "W2a", "V", "Va")
    }
    logits = forward(torch, weights, torch.from_numpy(X), torch.ones(len(at), dtype=torch.int64))[:, 2]
    torch.nn.functional.cross_entropy(logits, torch.from_numpy(said)).backward()
    rng = np.random.default_rng(0)
    for one, tensor in weights.items():
        gradient, plain = tensor.grad.numpy(), getattr(network, one)
        for index in rng.integers(0, plain.size, 8):
            moved = []
            for step in (1e-5, -1e-5):
                changed = plain.copy()
                changed.flat[index] += step
                moved.append(loss(network.model_copy(update={one: changed})))
            assert (moved[0] - moved[1]) / 2e-5 == pytest.approx(gradient.flat[index], abs=1e-6)


def test_the_same_seed_gives_the_same_network_and_leaves_torch_alone() -> None:
    torch: Any = pytest.importorskip("torch")
    answers, settings = simulated(20), Settings(hidden=(4, 4), pretraining_epochs=2, finetuning_epochs=2, batch=8)
    before = torch.random.get_rng_state()
    first = train(answers, settings, seed=3)
    torch.rand(1)
    assert train(answers, settings, seed=3).model_dump_json() == first.model_dump_json()
    assert train(answers, settings, seed=4).model_dump_json() != first.model_dump_json()
    torch.random.set_rng_state(before)


def test_it_learns_who_is_strict() -> None:
    """Held-out items: each person's answer is met better than by the expected value, and better than by the average."""
    pytest.importorskip("torch")
    answers = simulated()
    network = Trainer(answers, QUICK).fit(np.arange(100))
    held = answers.of(np.arange(100, 160))
    told = held.answers[:, 2] != MISSING
    X, y = held.X[held.item[told]], np.asarray(LEVELS)[held.answers[told, 2]]
    people = [answers.annotators[code] for code in held.annotator[told]]

    def rmse(predicted: Any) -> float:
        return float(np.sqrt(np.mean((predicted - y) ** 2)))

    named, average = rmse(network.predict_as(X, people)), rmse(network.predict(X))
    expected = rmse(X.reshape(-1, 3, 4)[:, 2] @ np.asarray(LEVELS))
    assert named < 0.8 * expected
    assert named < 0.8 * average


def test_a_trainer_counts_raters_and_leaves_out_who_gave_no_sheet() -> None:
    pytest.importorskip("torch")
    answers = simulated(12)
    answers.answers[answers.annotator == 3, 2] = MISSING
    assert Trainer(answers).raters == 3
    without = answers.of(answers.item[answers.annotator == 0][:4])
    only = without.annotator != 2
    part = Answers(
        without.X,
        without.item[only],
        without.annotator[only],
        without.answers[only],
        QUESTIONS,
        "target",
        without.annotators,
        LEVELS,
    )
    settings = Settings(hidden=(2, 2), pretraining_epochs=1, finetuning_epochs=1, batch=4)
    assert train(part, settings).annotators == ("w", "x", "z")
