"""All that stands in a report, from what is stored of a run."""

from __future__ import annotations

import platform
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from judge import prompts
from judge.judges import Judge
from judge.notation import required
from judge.report.charts import Chart, Track, chart, lines, track
from judge.report.examples import Example, examples
from judge.sections import SectionSummary
from judge.summary import CriterionSummary, Summary, summarise
from judge.verdicts import Outcome
from rubrics import Criterion, Rubric, shipped

if TYPE_CHECKING:
    from judge.store.figures import Failure, Latencies
    from judge.store.results import RunInfo
    from judge.store.store import Store

CAUSES_SHOWN = 12
OPEN = "open"
LATENCY_SHARES = (0.5, 0.9, 0.99)


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table of figures: a criterion, a section, or the overall, at its depth in the rubric.

    `met` is how many scores meet what is required, None where nothing is.
    """

    depth: int
    name: str
    summary: CriterionSummary | SectionSummary
    minimum: float | None
    maximum: float | None
    track: Track | None
    chart: Chart | None = None
    criterion: Criterion | None = None
    section: SectionSummary | None = None
    required: str | None = None
    met: int | None = None


@dataclass(frozen=True, slots=True)
class Cause:
    """Why grades have no score, with the first item where it happened, and on which of its criteria."""

    failure: Failure
    example: Example
    criteria: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """A run as people read of it. Times are in seconds since 1970."""

    summary: Summary
    rubric: Rubric
    rows: tuple[Row, ...]
    outcomes: Chart
    causes: tuple[Cause, ...]
    lowest: tuple[Example, ...]
    latencies: Latencies | None
    model: str
    parameters: dict[str, Any]
    prompt: str | None
    same_prompt: bool
    command: str
    python: str
    made_at: datetime

    @property
    def title(self) -> str:
        """The dataset's name, without the folders it lies in."""
        return PurePath(self.summary.run.dataset).name

    @property
    def overall(self) -> Row:
        """The last row."""
        return self.rows[-1]


def gather(store: Store, info: RunInfo, lowest: int) -> Report:
    """What is known of a run, with so many of its lowest grades in full."""
    summary = summarise(store, info.id)
    info = summary.run
    rubric = store.ask(store.verdicts.stored_rubric, info.rubric.hash)
    judge = store.ask(store.results.judge_body, info.judge.fingerprint)
    failures = store.ask(store.figures.failures, info.id, CAUSES_SHOWN)
    seqs = store.ask(store.results.places, info.id, lowest=lowest)
    shown = examples(store, info, [*seqs, *(failure.seq for failure in failures)])
    asking, count = judge.get("asking", {}), summary.overall.outcomes
    return Report(
        summary=summary,
        rubric=rubric,
        rows=tuple(_rows(summary, rubric)),
        outcomes=lines([(name, count[name]) for name in (*Outcome, OPEN) if count.get(name)]),
        # An item that was opened anew meanwhile has no grade to show.
        causes=tuple(_cause(failure, shown[failure.seq]) for failure in failures if failure.seq in shown),
        lowest=tuple(shown[seq] for seq in seqs if seq in shown),
        latencies=store.ask(store.figures.latencies, info.id, LATENCY_SHARES),
        model=judge["description"]["model"],
        parameters=dict(asking.get("parameters", ())),
        prompt=judge.get("prompt"),
        same_prompt=info.judge.mode is None or judge.get("prompt") == prompts.version(info.judge.mode),
        command=_command(info, rubric, judge["description"]),
        python=platform.python_version(),
        made_at=datetime.now(UTC),
    )


def _rows(summary: Summary, rubric: Rubric) -> Iterator[Row]:
    """The criteria of the rubric itself, every section with its own, and the overall."""
    by_id = {one.criterion: one for one in summary.criteria}
    yield from (_row(by_id[one.id], 0, one) for one in rubric.criteria)
    for section in summary.sections:
        along = track(section.low, section.high, section.mean, section.minimum, 1.0)
        yield Row(section.depth, section.section, section, section.minimum, 1.0, along, section=section)
        yield from (_row(by_id[id_], section.depth + 1, rubric.criterion(id_)) for id_ in section.criteria)
    yield _row(summary.overall, 0, None)


def _row(one: CriterionSummary, depth: int, criterion: Criterion | None) -> Row:
    found = None
    if one.minimum is not None and one.maximum is not None:
        found = track(one.low, one.high, one.mean, one.minimum, one.maximum)
    needed = None if criterion is None else required(criterion)
    return Row(
        depth=depth,
        name=one.criterion,
        summary=one,
        minimum=one.minimum,
        maximum=one.maximum,
        track=found,
        chart=chart(one),
        criterion=criterion,
        required=needed,
        met=None if criterion is None or needed is None else _met(one, criterion),
    )


def _met(one: CriterionSummary, criterion: Criterion) -> int:
    return sum(count for value, count in one.distribution if isinstance(value, float) and criterion.passes(value))


def _cause(failure: Failure, example: Example) -> Cause:
    said = {id_: (one.outcome, one.cause or one.outcome) for id_, one in example.grade.criteria.items()}
    alike = (id_ for id_, why in said.items() if why == (failure.outcome, failure.cause))
    return Cause(failure, example, tuple(alike))


def _command(info: RunInfo, rubric: Rubric, judge: dict[str, Any]) -> str:
    """What makes the same grades anew. Of a file that was named, the content is known alone: a name stands for it."""
    by_name = rubric.name in shipped() and Rubric.load(rubric.name).hash == rubric.hash
    rubric_name = rubric.name if by_name else f"{rubric.name}.yaml"
    if info.rescored_from is not None:
        lines = [["judge", "runs", "rescore", info.rescored_from], ["--rubric", rubric_name]]
    else:
        file = "-" if info.dataset == "standard input" else info.dataset
        lines = [["judge", "grade", file], *([["--rubric", rubric_name]] if rubric.leaves else [])]
        lines += [["--judge", _judge_name(judge)]]
        lines += [["--samples", str(info.samples)]] if info.samples > 1 else []
        lines += [["--fresh"]]
    return " \\\n    ".join(map(shlex.join, lines))


def _judge_name(judge: dict[str, Any]) -> str:
    name, provider, model = judge["name"], judge["provider"], judge["model"]
    bare = Judge(name=name, provider=provider, model=model).model_dump(mode="json", exclude={"headers"})
    by_name = name in (provider, f"{provider}/{model}") and {**bare, **judge} == bare
    return name if by_name else f"{name}.yaml"
