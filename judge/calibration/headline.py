"""Which measures stand for a criterion, by the kind of its scale."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Kind = Literal["binary", "ordinal", "numeric", "nominal"]

#: The one where there is room for one.
MAIN: Mapping[Kind, str] = {
    "binary": "balanced_accuracy",
    "ordinal": "quadratic_kappa",
    "numeric": "concordance",
    "nominal": "kappa",
}
#: Those that people are held to as well, one against the rest, and that are shown first.
OF_PEOPLE: Mapping[Kind, tuple[str, ...]] = {
    "binary": ("balanced_accuracy", "kappa", "accuracy"),
    "ordinal": ("quadratic_kappa", "exact", "mae", "spearman"),
    "numeric": ("concordance", "mae", "spearman"),
    "nominal": ("kappa", "accuracy"),
}
#: Others that people are held to. Those of pairs would take as long as all else together.
OF_PEOPLE_TOO: Mapping[Kind, tuple[str, ...]] = {
    "binary": ("tpr", "tnr", "youden", "ac1"),
    "ordinal": ("adjacent", "rmse", "pearson"),
    "numeric": ("rmse", "pearson"),
    "nominal": ("ac1",),
}
