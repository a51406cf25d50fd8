"""The LLM-Rubric network: what each person would answer, from the judge's distributions over all questions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import ConfigDict, PlainSerializer, PlainValidator, model_validator
from scipy.special import expit, softmax

from judge.calibration.calibrators.fitted import Fitted, Reads, shares
from judge.calibration.statistics.bootstrap import Floats


def _weights(given: Any) -> Floats:
    found = np.array(given, dtype=np.float64)
    if not np.isfinite(found).all():
        raise ValueError("weights must be finite")
    found.flags.writeable = False
    return found


#: Parameters as an array that cannot be written to; as nested lists in JSON.
Weights = Annotated[Floats, PlainValidator(_weights), PlainSerializer(lambda found: found.tolist(), return_type=list)]


class Network(Fitted):
    """Two hidden layers that people share, and for each annotator weights that are added to all of them.

    With x the distributions of the Q questions beside each other and a one annotator:

        h1 = sigmoid([x, 1] (W1 + W1a[a]))
        h2 = sigmoid([h1, 1] (W2 + W2a[a]))
        P(answer to question q) = softmax([h2, 1] (V[q] + Va[a, q]))

    The score is the mean of that distribution: of a named annotator, else of all known ones averaged, as for a person
    who is not known.

    Attributes
    ----------
    questions
        In the order of the columns and of the outputs, each with K answers.
    target
        The question that `predict` is about.
    annotators
        In the order of the rows of W1a, W2a and Va.
    W1 : (Q * K + 1, h1)
    W1a : (A, Q * K + 1, h1)
    W2 : (h1 + 1, h2)
    W2a : (A, h1 + 1, h2)
    V : (Q, h2 + 1, K)
    Va : (A, Q, h2 + 1, K)

    References
    ----------
    Hashemi, Eisner, Rosset, Van Durme and Kedzie (2024), LLM-Rubric: a multidimensional, calibrated approach to
    automated evaluation of natural language texts. ACL, section 3 (the network) and 3.1 (the decision).
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    reads: ClassVar[Reads] = "distributions"

    kind: Literal["network"] = "network"
    questions: tuple[str, ...]
    target: str
    annotators: tuple[str, ...]
    W1: Weights
    W1a: Weights
    W2: Weights
    W2a: Weights
    V: Weights
    Va: Weights

    @model_validator(mode="after")
    def _shapes(self) -> Self:
        Q, K, A = len(self.questions), len(self.levels), len(self.annotators)
        first, second = self.W1.shape[-1], self.W2.shape[-1]
        layers = {"W1": (Q * K + 1, first), "W2": (first + 1, second), "V": (Q, second + 1, K)}
        for name, shape in layers.items():
            for given, expected in ((name, shape), (f"{name}a", (A, *shape))):
                if getattr(self, given).shape != expected:
                    raise ValueError(f"{given} has the shape {getattr(self, given).shape}, not {expected}")
        if not A or self.target not in self.questions:
            raise ValueError(f"no annotators, or no question {self.target!r} among {self.questions}")
        return self

    @classmethod
    def released(cls, parameters: Path, description: Path, levels: Sequence[float] = (1, 2, 3, 4)) -> Self:
        """The network that the paper's authors released, from its arrays (.npz) and its description (.json).

        The description names the rows of annotators (`judge_map_annotator_id_to_row`), the questions in order
        (`input_order`) and the place of the target among them (`hyperparameters.finetune_output`).
        """
        told = json.loads(description.read_text(encoding="utf-8"))
        rows: dict[str, int] = told["judge_map_annotator_id_to_row"]
        questions = tuple(told["input_order"])
        with np.load(parameters) as found:
            return cls(
                levels=tuple(levels),
                questions=questions,
                target=questions[told["hyperparameters"]["finetune_output"]],
                annotators=tuple(sorted(rows, key=lambda name: rows[name])),
                **{name: found[name] for name in ("W1", "W1a", "W2", "W2a", "V", "Va")},
            )

    def distribution(self, X: Floats, annotator: str, question: str | None = None) -> Floats:
        """What an annotator would answer: probabilities (n, K).

        Parameters
        ----------
        X : (n, Q * K)
            The judge's distribution over the levels for each question, beside each other.
        annotator
            One of `annotators`.
        question
            One of `questions`; None for the target.

        Raises
        ------
        ValueError
            For an annotator or question that is not known, and for rows that are not distributions.
        """
        for name, known in ((annotator, self.annotators), (question or self.target, self.questions)):
            if name not in known:
                raise ValueError(f"{name!r} is not among those that the network was trained on: {', '.join(known)}")
        a, q = self.annotators.index(annotator), self.questions.index(question or self.target)
        h = expit(_and_one(self._inputs(X)) @ (self.W1 + self.W1a[a]))
        h = expit(_and_one(h) @ (self.W2 + self.W2a[a]))
        found: Floats = softmax(_and_one(h) @ (self.V[q] + self.Va[a, q]), axis=1)
        return found

    def predict_as(self, X: Floats, annotators: Sequence[str]) -> Floats:
        """The score that each row's annotator would give, (n,); shapes and errors as in `distribution`."""
        if len(annotators) != len(X):
            raise ValueError(f"{len(annotators)} annotators for {len(X)} rows")
        names = np.asarray(annotators)
        found = np.empty(len(names))
        for name in dict.fromkeys(annotators):
            theirs = names == name
            found[theirs] = self.distribution(X[theirs], name) @ np.asarray(self.levels)
        return found

    def _map(self, X: Floats) -> Floats:
        means = (self.distribution(X, name) @ np.asarray(self.levels) for name in self.annotators)
        total: Floats = sum(means, np.zeros(len(X)))
        return total / len(self.annotators)

    def _inputs(self, X: Floats) -> Floats:
        return as_inputs(X, len(self.questions), len(self.levels))


def as_inputs(X: Floats, questions: int, K: int) -> Floats:
    """Distributions over K levels for each question, (n, questions * K), with shares that add up to 1.

    Raises ValueError for another shape and for rows that are not distributions.
    """
    X = np.asarray(X, dtype=np.float64)
    if X.ndim != 2 or X.shape[1] != questions * K:
        raise ValueError(f"{questions} questions of {K} levels have {questions * K} columns; these are {X.shape}")
    return shares(X.reshape(-1, K), K).reshape(X.shape)


def _and_one(h: Floats) -> Floats:
    return np.column_stack([h, np.ones(len(h))])
