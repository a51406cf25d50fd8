"""The network's forward pass: by hand, and the released parameters against the figures that their authors printed."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

import numpy as np
import pytest
from scipy import stats

from judge.calibration.calibrators import read
from judge.calibration.calibrators.network import Network
from tests.sets import path, rows

LEVELS = ("1", "2", "3", "4")


def small(**changed: Any) -> Network:
    """Two questions of two levels, one unit in each layer, two annotators."""
    given: dict[str, Any] = {
        "levels": (0, 1),
        "questions": ("a", "b"),
        "target": "b",
        "annotators": ("ann", "bob"),
        "W1": [[0.0], [1.0], [0.0], [0.0], [0.0]],
        "W1a": [[[0.0]] * 5, [[0.0]] * 4 + [[-1.0]]],
        "W2": [[2.0], [0.0]],
        "W2a": [[[0.0], [0.0]], [[0.0], [1.0]]],
        "V": [[[0.0, 0.0], [0.0, 0.0]], [[0.0, 1.0], [0.0, 0.0]]],
        "Va": [[[[0.0, 0.0]] * 2] * 2, [[[0.0, 0.0]] * 2, [[0.0, 0.0], [0.0, 0.5]]]],
    }
    return Network(**{**given, **changed})


def sigmoid(x: float) -> float:
    return float(1 / (1 + np.exp(-x)))


X = np.array([[0.0, 1.0, 0.5, 0.5]])


def test_the_forward_pass_by_hand() -> None:
    # ann: h1 = sigmoid(1), h2 = sigmoid(2 h1), P(upper) = softmax(0, h2) = sigmoid(h2).
    # bob: h1 = sigmoid(1 - 1) = 1/2, h2 = sigmoid(2 / 2 + 1) = sigmoid(2), P(upper) = sigmoid(h2 + 1/2).
    ann, bob = sigmoid(sigmoid(2 * sigmoid(1))), sigmoid(sigmoid(2) + 0.5)
    network = small()
    assert network.distribution(X, "ann").tolist() == [pytest.approx([1 - ann, ann])]
    assert network.predict_as(np.vstack([X, X]), ["bob", "ann"]).tolist() == pytest.approx([bob, ann])
    assert network.predict(X).tolist() == [pytest.approx((ann + bob) / 2)]
    assert network.distribution(X, "ann", "a").tolist() == [[0.5, 0.5]]


def test_a_network_that_was_stored_and_read_back_says_the_same() -> None:
    network = small()
    again = read(network.model_dump_json())
    assert isinstance(again, Network)
    assert again.model_dump_json() == network.model_dump_json()
    assert (again.predict(X) == network.predict(X)).all()


def test_its_weights_cannot_be_written_to() -> None:
    with pytest.raises(ValueError, match="read-only"):
        small().W1[0, 0] = 1.0


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"W2 has the shape \(3, 1\), not \(2, 1\)"):
        small(W2=[[1.0], [1.0], [1.0]])
    with pytest.raises(ValueError, match="no question 'c'"):
        small(target="c")
    with pytest.raises(ValueError, match="finite"):
        small(W2=[[np.inf], [1.0]])
    with pytest.raises(ValueError, match="'eve' is not among those that the network was trained on: ann, bob"):
        small().distribution(X, "eve")
    with pytest.raises(ValueError, match="2 questions of 2 levels have 4 columns"):
        small().predict(X[:, :2])
    with pytest.raises(ValueError, match="not distributions"):
        small().predict(2 * X)
    with pytest.raises(ValueError, match="1 annotators for 2 rows"):
        small().predict_as(np.vstack([X, X]), ["ann"])


# The figures that the paper's authors printed, on 223 real dialogues with one label each


def released() -> Network:
    folder = "llm_rubric/pretrained_"
    return Network.released(path(f"{folder}params.npz"), path(f"{folder}meta.json"))


def real() -> tuple[Any, Any, list[str]]:
    """Distributions (n, 9, 4) in the order of the network's questions, labels of the target, and who gave them."""
    found: dict[str, dict[str, list[float]]] = defaultdict(dict)
    for row in rows("llm_rubric/judge"):
        found[row["item"]][row["criterion"]] = [row["dist"][level] for level in LEVELS]
    people = [row for row in rows("llm_rubric/human") if row["criterion"] == "Q0" and "system" in row]
    order = [*(f"Q{n}" for n in range(1, 9)), "Q0"]
    P = np.array([[found[row["item"]][question] for question in order] for row in people])
    y = np.array([row["score"] for row in people], dtype=float)
    return P, y, [row["annotator"].removeprefix("a") for row in people]


def figures(predicted: Any, y: Any) -> list[float]:
    rmse = np.sqrt(np.mean((predicted - y) ** 2))
    related = (stats.pearsonr(predicted, y), stats.spearmanr(predicted, y), stats.kendalltau(predicted, y))
    return [float(rmse), *(float(one.statistic) for one in related)]


def published(system: str) -> list[float]:
    printed = json.loads(path("llm_rubric/published_figures.json").read_text("utf-8"))
    row = next(one for one in printed if one["system"].startswith(system))
    assert row["N"] == 223
    return [row.get("rmse", row.get("rmse_recomputed")), row["pearson"], row["spearman"], row["kendall"]]


def test_the_expected_value_and_the_most_probable_level_are_as_published() -> None:
    P, y, _ = real()
    target = P[:, -1]
    assert figures(target @ np.arange(1.0, 5.0), y) == pytest.approx(published("expected_llm"), abs=5e-7)
    assert figures(target.argmax(axis=1) + 1.0, y) == pytest.approx(published("argmax_llm"), abs=5e-7)


def test_the_released_network_is_as_published() -> None:
    P, y, people = real()
    found = figures(released().predict_as(P.reshape(len(y), -1), people), y)
    assert found == pytest.approx(published("LLM-Rubric network"), abs=5e-7)


def test_averaged_over_annotators_the_released_network_says_little() -> None:
    """What it knows of these labels is who gave them: r .03 without, .31 with."""
    P, y, _ = real()
    found = figures(released().predict(P.reshape(len(y), -1)), y)
    assert abs(found[1]) < 0.1
    assert found[0] < 0.81
