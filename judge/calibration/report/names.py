"""What measures are called on a page."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Name:
    """`error` is measured in points of the scale, less is better. `agreement` reaches 1 at best; less is worse.

    `difference` is neither: 0 is best, or there is no best.
    """

    text: str
    of: str = "agreement"


_NAMES = {
    "tpr": Name("TPR"),
    "tnr": Name("TNR"),
    "balanced_accuracy": Name("Balanced accuracy"),
    "youden": Name("TPR + TNR − 1"),
    "accuracy": Name("Accuracy"),
    "kappa": Name("Kappa"),
    "ac1": Name("AC1"),
    "label_balance": Name("Positive by people", "difference"),
    "positive_rate": Name("Positive by the judge", "difference"),
    "quadratic_kappa": Name("Quadratic kappa"),
    "exact": Name("The same level"),
    "adjacent": Name("Within one level"),
    "concordance": Name("Concordance"),
    "mae": Name("Mean absolute error", "error"),
    "rmse": Name("RMSE", "error"),
    "bias": Name("Judge less people", "difference"),
    "spearman": Name("Spearman"),
    "pearson": Name("Pearson"),
    "kendall": Name("Kendall tau-b"),
    "pairwise_accuracy": Name("Pairwise accuracy, ties tuned"),
    "pairwise_accuracy_without_tie": Name("Pairwise accuracy, no ties"),
}
#: What is shown of pairs that were judged in both orders.
ORDERS = {
    "constant": "always one verdict",
    "accuracy": "accuracy, both orders",
    "accuracy_ab": "accuracy, a first",
    "accuracy_ba": "accuracy, b first",
    "both_correct": "right in both",
    "consistency": "the same in both",
    "primacy": "moved to the first",
    "recency": "moved to the second",
}


def name(measure: str) -> Name:
    """Of a measure; of one that is new here its own name."""
    head, _, label = measure.partition(":")
    if label:
        return Name(f"{head.capitalize()} of {label}")
    return _NAMES.get(measure, Name(measure.replace("_", " ")))
