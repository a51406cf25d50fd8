"""The result for one item: what is published, in files, over HTTP and from Python alike."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from judge import distributions
from judge.costs import Receipt
from judge.distributions import Distribution
from judge.judges import OutputMode
from judge.verdicts import Outcome, Verdict, prevailing
from rubrics import Criterion

OVERALL = "overall"

Trust = Literal["uncalibrated", "calibrated"]


class _Published(BaseModel):
    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")


class Sample(_Published):
    """One of several answers to the same question."""

    outcome: Outcome
    level: int | str | None = None
    score: float | None = None
    reason: str | None = None
    cause: str | None = None
    distribution: Distribution | None = None

    @classmethod
    def of(cls, verdict: Verdict) -> Sample:
        """A verdict, as it is published."""
        return cls(
            outcome=verdict.outcome,
            level=verdict.level,
            score=verdict.value,
            reason=verdict.reason,
            cause=verdict.cause,
            distribution=verdict.distribution,
        )


class Corrected(_Published):
    """What a calibration makes of one criterion of one item, and how far the judge was found to agree with people."""

    score: float | None = Field(default=None, description="On people's scale; null where it cannot be told.")
    low: float | None = Field(default=None, description="The interval that holds the people's mean, both ends in it.")
    high: float | None = None
    informative: bool | None = Field(default=None, description="False for one of 60% of the scale or more.")
    confidence: float | None = Field(default=None, description="The judge's share of the answer that it gave.")
    stands: bool | None = Field(
        default=None, description="Whether it may stand without a person; null where no threshold is known."
    )
    finding: str = Field(description="What held-out labels say of the judge on this criterion.")
    measure: str | None = None
    agreement: float | None = Field(default=None, description="With the mean of the people, on held-out labels.")
    agreement_low: float | None = None
    agreement_high: float | None = None


class CriterionGrade(_Published):
    """One criterion of one item."""

    outcome: Outcome
    score: float | None = Field(
        default=None, description="On the criterion's own scale, if scored; null for a label without a value."
    )
    level: int | str | None = Field(
        default=None, description="The level's name; null for a number, or a mean of several."
    )
    reason: str | None = None
    cause: str | None = Field(default=None, description="Why there is no score.")
    scored_samples: int = Field(default=0, description="How many of the samples carry a score.")
    samples: tuple[Sample, ...] = Field(default=(), description="Every sample, where more than one was asked for.")
    distribution: Distribution | None = Field(default=None, description="The share of every answer, where known.")
    expected: float | None = Field(default=None, description="The mean score by the distribution.")
    calibrated: Corrected | None = Field(default=None, description="By the calibration, where there is one.")

    @classmethod
    def combined(cls, criterion: Criterion, verdicts: Sequence[Verdict]) -> CriterionGrade:
        """What samples come to: the mean where at least half of them are scored; of labels, the most frequent."""
        samples = [Sample.of(verdict) for verdict in verdicts]
        if len(verdicts) == 1:
            only = verdicts[0]
            return cls.of(criterion, only.outcome, only.value, only.level, only.cause, samples)
        scored = [verdict for verdict in verdicts if verdict.outcome is Outcome.SCORED]
        if 2 * len(scored) < len(verdicts):
            outcome = prevailing([verdict.outcome for verdict in verdicts])
            cause = f"{len(scored)} of {len(verdicts)} samples scored"
            return cls.of(criterion, outcome, None, None, cause, samples)
        if not criterion.valued:
            (label, most), *others = Counter(verdict.level for verdict in scored).most_common()
            if others and others[0][1] == most:
                cause = f"the samples tie between {label} and {others[0][0]}"
                return cls.of(criterion, Outcome.ABSTAINED, None, None, cause, samples)
            return cls.of(criterion, Outcome.SCORED, None, label, None, samples)
        values = [verdict.value for verdict in scored if verdict.value is not None]
        # Rounding must not carry a mean off its scale.
        mean = min(max(math.fsum(values) / len(values), min(values)), max(values))
        levels = {verdict.level for verdict in verdicts}  # None among them for one without a score
        return cls.of(criterion, Outcome.SCORED, mean, levels.pop() if len(levels) == 1 else None, None, samples)

    @classmethod
    def of(
        cls,
        criterion: Criterion,
        outcome: Outcome,
        score: float | None,
        level: int | str | None,
        cause: str | None,
        samples: Sequence[Sample],
    ) -> CriterionGrade:
        """A result with its samples: one speaks for itself; of several, the one nearest to it gives the reason."""
        scored = [one for one in samples if one.outcome is Outcome.SCORED]
        only = samples[0] if len(samples) == 1 else None
        distribution = _distribution(criterion, scored) if outcome is Outcome.SCORED else None
        shown = only or (_nearest(scored, score, level) if outcome is Outcome.SCORED else None)
        return cls(
            outcome=outcome,
            score=score,
            level=level,
            reason=shown.reason if shown else None,
            cause=cause,
            scored_samples=len(scored),
            samples=() if only else tuple(samples),
            distribution=distribution,
            expected=distribution.expected(criterion) if distribution else None,
        )


def _nearest(scored: Sequence[Sample], score: float | None, level: int | str | None) -> Sample | None:
    if score is None:
        return next((one for one in scored if one.level == level), None)
    near = ((abs(one.score - score), one) for one in scored if one.score is not None)
    return min(near, key=lambda pair: pair[0], default=(0.0, None))[1]


def _distribution(criterion: Criterion, scored: Sequence[Sample]) -> Distribution | None:
    """By the tokens of every sample where they are known; else by the samples."""
    told = [one.distribution for one in scored if one.distribution is not None]
    if told and len(told) == len(scored):
        return distributions.mean_of(told)
    return distributions.of_samples([one.level if one.level is not None else one.score for one in scored], criterion)


class RubricRef(_Published):
    """Which rubric."""

    name: str
    hash: str


class CalibrationRef(_Published):
    """Which calibration."""

    id: str
    name: str
    version: int
    models: tuple[str, ...] = Field(default=(), description="What the provider reported when it was made.")


class JudgeRef(_Published):
    """Which judge. `kind` says `model`, or `recorded` or `simulated` where no model was asked."""

    name: str
    fingerprint: str
    kind: str = "model"
    model: str | None = Field(default=None, description="The model that the provider reported.")
    mode: OutputMode | None = Field(default=None, description="How the structured answer was obtained.")


class Usage(_Published):
    """What the grade came to. Answers used again cost nothing."""

    calls: int = 0
    reused: int = 0
    lost: int = 0
    possible_duplicates: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float | None = Field(default=0.0, description="Null where a price is unknown.")
    latency_s: float = 0.0


class Grade(_Published):
    """One item, graded.

    `score` is the overall on 0..1 (below 0 only where points can be lost), or null; then `low` and `high` bound what
    it could be.
    """

    #: Changes when a field changes its meaning or goes away; new fields do not change it.
    schema_version: Literal["grade/1"] = Field(default="grade/1", alias="schema")
    run: str | None = None
    item: str
    outcome: Outcome
    score: float | None = None
    low: float
    high: float
    passed: bool | None = Field(
        None, description="Whether every required criterion is met; null where none is, or unknown."
    )
    trust: Trust = Field(default="uncalibrated", description="Whether this judge was measured against people.")
    calibration: CalibrationRef | None = None
    calibrated_score: float | None = Field(
        default=None, description="The overall of the calibrated scores; null while one of them is missing."
    )
    finding: str | None = Field(
        default=None, description="The weakest finding of the calibration on the criteria that apply."
    )
    criteria: dict[str, CriterionGrade]
    rubric: RubricRef
    judge: JudgeRef
    usage: Usage
    metadata: dict[str, Any] = Field(default_factory=dict)

    model_config = ConfigDict(
        defer_build=True, frozen=True, extra="forbid", populate_by_name=True, serialize_by_alias=True
    )


@dataclass(frozen=True, slots=True)
class Judged:
    """What one call for one sample said: its verdicts, and the call that they rest on where there is one."""

    sample: int
    verdicts: tuple[Verdict, ...]
    call_key: str | None = None
    call_attempt: int | None = None


@dataclass(frozen=True, slots=True)
class Graded:
    """A grade and what it rests on."""

    grade: Grade
    judged: tuple[Judged, ...]
    receipt: Receipt
