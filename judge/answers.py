"""What a service answers, beside grades and runs: said by it, and read by its client."""

from __future__ import annotations

from datetime import date
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from judge.grades import CalibrationRef, JudgeRef, RubricRef
from judge.judges import Judge, OutputMode
from judge.rendering import RenderedCall
from judge.verdicts import Outcome
from rubrics.lint import Finding

#: A file of grades.
File = Literal["jsonl", "csv", "parquet"]


class _Model(BaseModel):
    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")


class CriterionFigures(_Model):
    """One criterion over all items of a run, or the overall. `n` are the items that it applies to.

    `low` and `high` are what the mean would be if every missing score were the worst, or the best.
    """

    criterion: str
    n: int
    scored: int
    scored_share: float | None = None
    not_applicable: int
    mean: float | None = Field(
        default=None, description="Of the scored items, on the scale of the criterion; null for plain labels."
    )
    low: float | None = None
    high: float | None = None
    minimum: float | None = None
    maximum: float | None = None
    distribution: list[tuple[float | int | str, int]] = Field(description="Each score that occurs, and how often.")
    outcomes: dict[str, int]
    answers: list[tuple[str, float | None]] = Field(description="Each answer on the scale, and its value.")
    unclipped: float | None = Field(default=None, description="Of the overall: its mean, where that is below 0.")


class SectionFigures(_Model):
    """One section of the rubric over all items of a run, on 0 to 1."""

    section: str
    description: str
    weight: float
    depth: int
    criteria: list[str]
    n: int
    scored: int
    scored_share: float | None = None
    not_applicable: int
    mean: float | None = None
    low: float | None = None
    high: float | None = None
    minimum: float


class RunFigures(_Model):
    """The run that a summary is of."""

    id: str
    state: str
    dataset: str
    dataset_hash: str
    rubric: RubricRef
    judge: JudgeRef
    round: int
    samples: int
    items: int
    finished: int
    held: int
    created_at: float
    cost_usd: float | None = None
    rescored_from: str | None = None


class Totals(_Model):
    """What a run came to. `cost_usd` is null where a price is unknown; lost calls count at their worst."""

    calls: int
    answered: int
    rejected: int
    lost: int
    unusable: int = Field(description="Answers that were paid, could not be used, and were asked for again.")
    reused: int = Field(description="Answers that were there before, and cost nothing.")
    possible_duplicates: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None = None
    models: list[str] = Field(description="That answered, as they call themselves.")
    own_rubrics: int = Field(description="Items with a rubric of their own: they enter the overall only.")
    passed: int
    failed_required: int


class CalibratedFigures(_Model):
    """One criterion of a run by its calibration. `stands` are items whose grade may stand without a person."""

    criterion: str
    n: int
    mean: float | None = None
    stands: int | None = None
    finding: str
    measure: str | None = None
    agreement: float | None = None
    agreement_low: float | None = None
    agreement_high: float | None = None
    rate: float | None = Field(default=None, description="Share that people would pass; null where `no_rate` says why.")
    rate_low: float | None = None
    rate_high: float | None = None
    rate_by: str | None = None
    no_rate: str | None = None


class RunSummary(_Model):
    """What a run comes to. `open` items are not graded yet, and count as missing.

    `causes` are outcome, cause and count of what has no score.
    """

    run: RunFigures
    open: int
    criteria: list[CriterionFigures]
    sections: list[SectionFigures]
    overall: CriterionFigures
    totals: Totals
    causes: list[tuple[Outcome, str, int]]
    trust: Literal["uncalibrated", "calibrated"]
    calibration: CalibrationRef | None = None
    calibrated: list[CalibratedFigures]


class CriterionComparison(_Model):
    """One criterion, or the overall, over the items that both runs graded.

    Means are over the `both` items that have a score in each. Where the scales are `unlike`, each is on its own one.
    """

    criterion: str
    both: int
    mean_before: float | None = None
    mean_after: float | None = None
    change: float | None = Field(
        default=None, description="Of the means; null where no item has both, or the scales are unlike."
    )
    up: int | None = None
    down: int | None = None
    gained: int = Field(description="Items with a score only in the second run.")
    lost: int = Field(description="Items with a score only in the first run.")
    unlike: str | None = None
    unclipped_before: float | None = None
    unclipped_after: float | None = None


class Side(_Model):
    """What an item has in one of the runs."""

    outcome: Outcome
    score: float | None = None


class Move(_Model):
    """What differs of an item on a criterion."""

    item: str
    criterion: str
    before: Side
    after: Side


class Comparison(_Model):
    """Two runs beside each other, by the ids of their items. `moved` has the items whose overall differs most."""

    before: str
    after: str
    shared: int
    other_texts: int = Field(description="Shared items whose texts are others.")
    only_before: int
    only_after: int
    criteria: tuple[CriterionComparison, ...]
    criteria_only_before: tuple[str, ...]
    criteria_only_after: tuple[str, ...]
    moved: tuple[tuple[Move, ...], ...]


class Cost(_Model):
    """What calls came to. Dollars are those of calls whose price is known; lost ones count at their worst."""

    run: str | None = Field(default=None, description="By run: its id; null for grades of no run, and probes.")
    judge: str | None = Field(default=None, description="By judge: its fingerprint; null for calls of no run.")
    day: date | None = Field(default=None, description="By day, in UTC.")
    name: str | None = Field(default=None, description="Of the run's items, or of the judge.")
    calls: int
    lost: int
    unpriced: int = Field(description="Calls that may have been paid, at a price that is unknown.")
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float


class CostList(_Model):
    """Costs, and their sum over all, those that are not listed too."""

    object: Literal["list"] = "list"
    data: tuple[Cost, ...]
    has_more: bool
    total: Cost


class RenderedItem(_Model):
    """The calls for one sample of an item; none where no model is asked."""

    item: str
    calls: tuple[RenderedCall, ...]


class Rendering(_Model):
    """What would be sent, for each item, `samples` times.

    `mode` is how the answer is asked for. While the judge was never asked, `probed` is false, and the mode and the
    parameters are those that are tried first. `judge` is the name that grades would say.
    """

    object: Literal["list"] = "list"
    data: tuple[RenderedItem, ...]
    rubric: RubricRef
    judge: str
    mode: OutputMode | None = None
    probed: bool
    samples: int


class RubricEntry(_Model):
    """A rubric, as a list of rubrics shows it. `criteria` are their ids.

    `version` is what the rubric says itself, `revision` the content of its name, counted from 1, and `created_at` when
    that was first registered, in seconds since 1970; null for what ships and for what the operator set up.
    """

    name: str
    version: str | None
    revision: int | None = None
    description: str
    hash: str
    criteria: tuple[str, ...]
    created_at: float | None = None


class Findings(_Model):
    """What lint found."""

    object: Literal["list"] = "list"
    data: tuple[Finding, ...]


class JudgeEntry(_Model):
    """A judge, as a list of judges shows it.

    `hash` is of all that decides how it can be asked, whatever its name. `revision` is the content of its name, counted
    from 1, and `created_at` when that was first registered, in seconds since 1970; null for the operator's.
    """

    name: str
    revision: int | None = None
    provider: str
    model: str
    hash: str
    created_at: float | None = None


class JudgeList(_Model):
    """The judges that can be named. Those of `providers` can be too, as `provider/model`."""

    object: Literal["list"] = "list"
    data: tuple[JudgeEntry, ...]
    providers: tuple[str, ...]
    has_more: bool


class DescribedJudge(JudgeEntry):
    """A judge in full: as it was registered, or without what is the service's own business."""

    description: Judge


class LabelSet(_Model):
    """A set of labels, all of what one rubric asks. `labels` counts every item, criterion and person once."""

    object: Literal["label_set"] = "label_set"
    name: str
    asked_hash: str = Field(description="Of what the rubric asks, however it counts the answers.")
    created_at: float
    labels: int
    items: int
    annotators: int


class StoredLabel(_Model):
    """What one person said of one item on one criterion: the newest that they said."""

    item: str
    criterion: str
    annotator: str
    outcome: Outcome
    level: int | str | None = None
    value: float | None = None
    reason: str | None = None
    group: str | None = None
    sheet: str | None = Field(default=None, description="That the item was drawn for.")
    sampled_from: str | None = Field(default=None, description="The run that the items are a random sample of.")


class AddedLabels(_Model):
    """What became of labels. Another label of the same person is a revision; what was there stays."""

    name: str
    new: int
    changed: int
    same: int
    placed: int = Field(description="The same as before, with a group or a sample that they had not.")
    told: tuple[str, ...] = Field(description="What people need to know of it.")


class CalibrationEntry(_Model):
    """A calibration, as a list of them shows it. Runs name it by its id, its name, or NAME@VERSION."""

    object: Literal["calibration"] = "calibration"
    id: str
    name: str
    version: int
    rubric_hash: str
    judge_fingerprint: str
    label_set: str
    labels_hash: str
    seed: int
    run: str | None = None
    created_at: float


class CalibrationReport(CalibrationEntry):
    """A calibration with all that was fitted and measured, as `judge calibrations show --json` prints it."""

    report: dict[str, Any] = Field(
        description="By criterion `corrections`, `measurements` and `error_rates`, `populations` of the run."
    )
