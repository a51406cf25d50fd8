"""The result for one item: what is published, in files, over HTTP and from Python alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from judge.costs import Receipt
from judge.judges import OutputMode
from judge.verdicts import Outcome, Verdict

OVERALL = "overall"

Trust = Literal["uncalibrated"]


class _Published(BaseModel):
    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")


class Sample(_Published):
    """One of several answers to the same question."""

    outcome: Outcome
    level: int | str | None = None
    score: float | None = None
    reason: str | None = None
    cause: str | None = None


class CriterionGrade(_Published):
    """One criterion of one item."""

    outcome: Outcome
    score: float | None = Field(default=None, description="On the criterion's own scale, if scored.")
    level: int | str | None = Field(default=None, description="The level's name; null for a mean of samples.")
    reason: str | None = None
    cause: str | None = Field(default=None, description="Why there is no score.")
    scored_samples: int = Field(default=0, description="How many of the samples carry a score.")
    samples: tuple[Sample, ...] = Field(default=(), description="Every sample, where more than one was asked for.")

    @classmethod
    def of(cls, outcome: Outcome, score: float | None, cause: str | None, samples: Sequence[Sample]) -> CriterionGrade:
        """What samples come to: one speaks for itself; of several, the one nearest to the score gives the reason."""
        scored = [(abs(one.score - score), one) for one in samples if score is not None and one.score is not None]
        only = samples[0] if len(samples) == 1 else None
        shown = only or min(scored, key=lambda pair: pair[0], default=(0.0, None))[1]
        return cls(
            outcome=outcome,
            score=score,
            level=only.level if only else None,
            reason=shown.reason if shown else None,
            cause=cause,
            scored_samples=sum(one.score is not None for one in samples),
            samples=() if only else tuple(samples),
        )


class RubricRef(_Published):
    """Which rubric."""

    name: str
    hash: str


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
    """One item, graded. `score` is the overall on 0..1, or null; then `low` and `high` bound what it could be."""

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
    trust: Trust = Field(default="uncalibrated", description="How far this judge was measured against people.")
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
    """One sample of one item: its verdicts, and the call that they rest on where there is one."""

    verdicts: tuple[Verdict, ...]
    call_key: str | None = None
    call_attempt: int | None = None


@dataclass(frozen=True, slots=True)
class Graded:
    """A grade and what it rests on."""

    grade: Grade
    samples: tuple[Judged, ...]
    receipt: Receipt
