"""Training of the LLM-Rubric network. The only file that needs torch, which is the extra `torch`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from judge.calibration.calibrators.network import Network, as_inputs
from judge.calibration.statistics.bootstrap import Codes, Floats
from judge.calibration.statistics.figures import Undefined
from judge.errors import SetupError

#: Stands for a question that was not answered.
MISSING = -1


class Settings(BaseModel):
    """How to train; as the paper's authors released it, unless told otherwise.

    Attributes
    ----------
    hidden
        Units of the two hidden layers.
    pretraining_epochs, finetuning_epochs
        On all questions, then on the target alone. One epoch is as many random batches as fit into the answers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    hidden: tuple[int, int] = (25, 25)
    pretraining_epochs: int = Field(default=20, ge=0)
    finetuning_epochs: int = Field(default=30, ge=0)
    batch: int = Field(default=64, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)


@dataclass(frozen=True, slots=True)
class Answers:
    """What people answered, sheet by sheet: one person, one item, all questions.

    Attributes
    ----------
    X : (n, Q * K)
        The judge's distributions for each item, beside each other in the order of `questions`.
    item, annotator : (m,)
        Each sheet's item, 0..n-1, and its person, codes of `annotators`.
    answers : (m, Q)
        Codes of `levels`, and -1 where a question was not answered.
    """

    X: Floats
    item: Codes
    annotator: Codes
    answers: Codes
    questions: tuple[str, ...]
    target: str
    annotators: tuple[str, ...]
    levels: tuple[float, ...]

    def __post_init__(self) -> None:
        as_inputs(self.X, len(self.questions), len(self.levels))
        m = len(self.item)
        if self.annotator.shape != (m,) or self.answers.shape != (m, len(self.questions)):
            raise ValueError("items, annotators and answers are not of the same sheets")
        for codes, lowest, count in (
            (self.item, 0, len(self.X)),
            (self.annotator, 0, len(self.annotators)),
            (self.answers, MISSING, len(self.levels)),
        ):
            if codes.size and (codes.min() < lowest or codes.max() >= count):
                raise ValueError(f"codes from {codes.min()} to {codes.max()} where {lowest} to {count - 1} are known")
        if self.target not in self.questions:
            raise ValueError(f"no question {self.target!r} among {', '.join(self.questions)}")

    def of(self, items: Iterable[int] | Codes) -> Answers:
        """The sheets of these items alone; all else stays as it is."""
        kept = np.isin(self.item, np.asarray(items))
        return replace(self, item=self.item[kept], annotator=self.annotator[kept], answers=self.answers[kept])


@dataclass(frozen=True, slots=True)
class Trainer:
    """Trains networks on parts of the answers, as choosing a calibrator by cross-fitting asks for."""

    answers: Answers
    settings: Settings = field(default_factory=Settings)
    seed: int = 0

    @property
    def inputs(self) -> Floats:
        """What the networks read, (n, Q * K)."""
        return self.answers.X

    @property
    def raters(self) -> int:
        """People who answered the target question at all."""
        target = self.answers.questions.index(self.answers.target)
        return len(np.unique(self.answers.annotator[self.answers.answers[:, target] != MISSING]))

    def fit(self, rows: Codes) -> Network:
        """A network trained on the items of these rows."""
        return train(self.answers.of(rows), self.settings, self.seed)


def train(answers: Answers, settings: Settings | None = None, seed: int = 0) -> Network:
    """A network trained in two stages: on every question, then on the target alone.

    All weights start from N(0, 1). The loss is the cross-entropy of the questions that were answered, the optimiser
    Adam, a fresh one in each stage. An annotator without a sheet among these is left out of the network: weights that
    were never trained say nothing. The same answers, settings and seed give the same network on one machine and one
    release of torch. The process's own random state is left alone.

    Parameters
    ----------
    settings
        None for those of the paper's release.
    seed
        Of the first weights and of the batches.

    Raises
    ------
    SetupError
        Where torch is not installed.
    Undefined
        Where no sheet answers the target question.

    References
    ----------
    Hashemi et al. (2024), section 3.2; settings of the authors' released code.
    """
    torch = _torch()
    settings = settings or Settings()
    target = answers.questions.index(answers.target)
    if not (answers.answers[:, target] != MISSING).any():
        raise Undefined(f"nobody answered the question {answers.target}")
    people, annotator = np.unique(answers.annotator, return_inverse=True)
    Q, K = len(answers.questions), len(answers.levels)
    random = torch.Generator().manual_seed(seed)
    weights = _started(torch, random, len(people), Q, K, settings.hidden)
    X = torch.from_numpy(as_inputs(answers.X, Q, K)[answers.item])
    who, said = torch.from_numpy(annotator.astype(np.int64)), torch.from_numpy(answers.answers.astype(np.int64))
    with _one_thread(torch):
        for questions, epochs in (
            (slice(0, Q), settings.pretraining_epochs),
            (slice(target, target + 1), settings.finetuning_epochs),
        ):
            _stage(torch, weights, (X, who, said), questions, epochs, settings, random)
    return Network(
        levels=answers.levels,
        questions=answers.questions,
        target=answers.target,
        annotators=tuple(answers.annotators[code] for code in people),
        **{name: found.detach().numpy() for name, found in weights.items()},
    )


def _stage(
    torch: Any,
    weights: dict[str, Any],
    sheets: tuple[Any, Any, Any],
    questions: slice,
    epochs: int,
    settings: Settings,
    random: Any,
) -> None:
    """Trains the weights in place, by the loss on these questions."""
    X, who, said = sheets
    optimiser = torch.optim.Adam(weights.values(), lr=settings.learning_rate)
    for _ in range(epochs * max(len(said) // settings.batch, 1)):
        rows = torch.randint(len(said), (settings.batch,), generator=random)
        wanted = said[rows][:, questions].flatten()
        if not bool((wanted != MISSING).any()):
            continue
        optimiser.zero_grad()
        logits = forward(torch, weights, X[rows], who[rows])[:, questions].flatten(0, 1)
        torch.nn.functional.cross_entropy(logits, wanted, ignore_index=MISSING).backward()
        optimiser.step()


@contextmanager
def _one_thread(torch: Any) -> Iterator[None]:
    """So small a network is slower on several, and differs in its last digits by their number."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def forward(torch: Any, weights: dict[str, Any], X: Any, who: Any) -> Any:
    """The logits of every question, (b, Q, K), of items X (b, Q * K) and annotators `who` (b,), as torch tensors."""
    ones = torch.ones((len(X), 1), dtype=X.dtype)
    h = X
    for name in ("W1", "W2"):
        h = torch.cat([h, ones], dim=1)
        h = torch.sigmoid(h @ weights[name] + torch.einsum("bi,bih->bh", h, weights[f"{name}a"][who]))
    h = torch.cat([h, ones], dim=1)
    return torch.einsum("bi,qik->bqk", h, weights["V"]) + torch.einsum("bi,bqik->bqk", h, weights["Va"][who])


def _started(torch: Any, random: Any, A: int, Q: int, K: int, hidden: Sequence[int]) -> dict[str, Any]:
    first, second = hidden
    shapes = {"W1": (Q * K + 1, first), "W2": (first + 1, second), "V": (Q, second + 1, K)}
    shapes |= {f"{name}a": (A, *shape) for name, shape in shapes.items()}
    return {
        name: torch.randn(shape, generator=random, dtype=torch.float64).requires_grad_()
        for name, shape in shapes.items()
    }


def _torch() -> Any:
    try:
        import torch  # noqa: PLC0415 - an extra, and heavy
    except ImportError:
        raise SetupError("training needs torch; install this project with its extra: torch") from None
    return torch
