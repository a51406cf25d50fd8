"""How a judge's answers agree with people's, criterion by criterion, by the metrics that its scale has.

People's score of an item is the mean of those who labelled it. Metrics of listed levels read it, and the judge's,
as the nearest level, of two equally near the lower.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from judge.calibration.scale import Scale
from judge.calibration.statistics import confusion
from judge.calibration.statistics.bootstrap import DRAWS, Codes, Floats, Metric
from judge.calibration.statistics.chance import BeyondChance
from judge.calibration.statistics.correlation import nearest_step
from judge.calibration.statistics.deviations import mae as mae
from judge.calibration.statistics.deviations import rmse as rmse
from judge.calibration.statistics.figures import Figure
from judge.calibration.statistics.moments import Flags, mean, people_must_vary, ratio, varies
from judge.calibration.statistics.shares import Share, SumOfShares, figures


def metrics(scale: Scale) -> dict[str, Metric]:
    """The metrics of a scale, by name.

    Each takes y (n,), f (n,) and reweightings (B, n), and gives (B,): NaN where a reweighting leaves it undefined, and
    `Undefined` is raised where y and f do.

    Returns
    -------
    dict
        binary: `tpr`, `tnr`, `balanced_accuracy`, `youden` (TPR + TNR - 1), `accuracy`, `kappa`, `ac1`,
        `label_balance` and `positive_rate` (share of items that people, and the judge, called positive).
        ordinal: `quadratic_kappa`, `exact`, `adjacent` (within one level), `mae`, `bias` (judge less people), `rmse`.
        numeric: `concordance`, `mae`, `bias`, `rmse`.
        nominal: `accuracy`, `kappa`, `ac1`, and `recall:NAME` of each label.
    """
    return {"binary": _binary, "ordinal": _ordinal, "numeric": _numeric, "nominal": _nominal}[scale.kind](scale)


def agreement(
    scale: Scale,
    y: Floats,
    f: Floats,
    cluster: Codes,
    w: Floats | None = None,
    *,
    draws: int = DRAWS,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, Figure]:
    """Every metric of the scale with its interval.

    Of shares, their sums, kappa and AC1 it is Wilson's, of errors Student's on the logarithm, else the bootstrap's:
    each the simplest that was measured to cover, by `benchmarks/agreement_coverage.py`.

    Parameters
    ----------
    y, f : (n,)
        People's mean and the judge's score on the criterion's own scale; of labels their codes. No NaN.
    cluster : (n,)
        Codes 0..C-1 of the group of each item.
    w : (n,)
        Inverse sampling probabilities; None where every item was as likely.
    """
    return figures(metrics(scale), y, f, cluster, w, draws=draws, confidence=confidence, seed=seed)


def _binary(scale: Scale) -> dict[str, Metric]:
    def classes(y: Floats, f: Floats) -> tuple[Flags, Flags]:
        return scale.nearest(y) == 1, scale.nearest(f) == 1

    def positives(y: Floats, f: Floats) -> tuple[Flags, Flags]:
        people, judge = classes(y, f)
        return judge, people

    def negatives(y: Floats, f: Floats) -> tuple[Flags, Flags]:
        people, judge = classes(y, f)
        return ~judge, ~people

    sensitivity = Share(positives, "people called no item positive", by_judge=True)
    specificity = Share(negatives, "people called no item negative", by_judge=True)
    return {
        "tpr": sensitivity,
        "tnr": specificity,
        "balanced_accuracy": SumOfShares(sensitivity, specificity, times=0.5),
        "youden": SumOfShares(sensitivity, specificity, plus=-1.0),
        "accuracy": _exact(scale),
        "kappa": _kappa(scale),
        "ac1": _ac1(scale),
        "label_balance": Share(lambda y, f: (scale.nearest(y) == 1, _all(y))),
        "positive_rate": Share(lambda y, f: (scale.nearest(f) == 1, _all(y))),
    }


def _ordinal(scale: Scale) -> dict[str, Metric]:
    def adjacent(y: Floats, f: Floats) -> tuple[Flags, Flags]:
        return np.abs(scale.nearest(y) - scale.nearest(f)) <= 1, _all(y)

    return {
        "quadratic_kappa": QuadraticKappa(scale),
        "exact": _exact(scale),
        "adjacent": Share(adjacent),
        "mae": mae(scale),
        "bias": bias,
        "rmse": rmse(scale),
    }


def _numeric(scale: Scale) -> dict[str, Metric]:
    return {"concordance": concordance, "mae": mae(scale), "bias": bias, "rmse": rmse(scale)}


def _nominal(scale: Scale) -> dict[str, Metric]:
    def recall(code: int, name: str) -> Share:
        def read(y: Floats, f: Floats) -> tuple[Flags, Flags]:
            return scale.nearest(f) == code, scale.nearest(y) == code

        return Share(read, f"people never gave {name}", by_judge=True)

    found: dict[str, Metric] = {
        "accuracy": _exact(scale),
        "kappa": _kappa(scale),
        "ac1": _ac1(scale),
    }
    return found | {f"recall:{name}": recall(code, name) for code, name in enumerate(_names(scale))}


@dataclass(frozen=True, slots=True)
class QuadraticKappa:
    """Cohen's kappa of the nearest levels, disagreement growing as the square of the levels in between, as a metric."""

    scale: Scale

    def __call__(self, y: Floats, f: Floats, W: Floats) -> Floats:
        """The kappa under each reweighting, (B, n) -> (B,)."""
        people, judge = self.scale.nearest(y), self.scale.nearest(f)
        people_must_vary(people)
        return confusion.quadratic_kappa(confusion.tables(people, judge, W, confusion.levels(self.scale)))

    def losses(self, y: Floats, f: Floats, w: Floats) -> tuple[Floats, float]:
        """What each item takes from 1, (n,), and what a miss by one level on the heaviest item would take."""
        people, judge = (self.scale.nearest(scores).astype(np.float64) for scores in (y, f))
        whole = float(w.sum())
        squares = w @ people**2 / whole + w @ judge**2 / whole
        by_chance = float(squares - 2 * (w @ people / whole) * (w @ judge / whole))
        losses: Floats = w * np.square(people - judge) / (whole * by_chance)
        return losses, float(w.max()) / (whole * by_chance)


def bias(y: Floats, f: Floats, W: Floats) -> Floats:
    """Mean of the judge's score less people's, in points of the scale, (B, n) -> (B,)."""
    return mean(f - y, W)


@dataclass(frozen=True, slots=True)
class Concordance:
    """Lin's concordance as a metric: what quadratic kappa is on a scale of any numbers.

    1 - mean squared error / what it would be were the same scores paired by chance. NaN where people gave one score; 0
    where the judge did.

    References
    ----------
    Lin (1989), A concordance correlation coefficient to evaluate reproducibility. Biometrics 45, section 2. King and
    Chinchilli (2001), A generalized concordance correlation coefficient for continuous and categorical data. Statistics
    in Medicine 20 (that the two are one).
    """

    def __call__(self, y: Floats, f: Floats, W: Floats) -> Floats:
        """The concordance under each reweighting, (B, n) -> (B,)."""
        people_must_vary(y)
        return 1 - ratio(mean(np.square(f - y), W), _by_chance(y, f, W))

    def losses(self, y: Floats, f: Floats, w: Floats) -> tuple[Floats, float]:
        """What each item takes from 1, (n,), and what the nearest miss on the heaviest item would take."""
        whole = float(w.sum()) * float(_by_chance(y, f, w[None, :])[0])
        losses: Floats = w * np.square(f - y) / whole
        return losses, float(w.max()) * nearest_step(y, w) / whole


concordance: Metric = Concordance()


def _by_chance(y: Floats, f: Floats, W: Floats) -> Floats:
    """The mean squared error of the same scores paired by chance, (B,); 0 where people gave one score."""
    middle = y[0]  # of scores far from 0 the squares would cancel
    means = [mean(scores - middle, W) for scores in (y, f)]
    squares = [mean(np.square(scores - middle), W) for scores in (y, f)]
    return np.where(varies(y, W), sum(squares) - 2 * means[0] * means[1], 0.0)


def _kappa(scale: Scale) -> Metric:
    return BeyondChance(scale, confusion.kappa, confusion.chance_of_kappa)


def _ac1(scale: Scale) -> Metric:
    return BeyondChance(scale, confusion.ac1, confusion.chance_of_ac1, varied=False)


def _exact(scale: Scale) -> Share:
    return Share(lambda y, f: (scale.nearest(y) == scale.nearest(f), _all(y)))


def _names(scale: Scale) -> tuple[str, ...]:
    return scale.names or tuple(str(code) for code in range(confusion.levels(scale)))


def _all(y: Floats) -> Flags:
    return np.ones(len(y), dtype=np.bool_)
