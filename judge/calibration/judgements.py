"""What a judge said of many items, as arrays: from a run, or from a file of judgements made elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from judge.calibration.scale import Scale
from judge.calibration.statistics.bootstrap import Floats
from judge.errors import InputError
from judge.grades import CriterionGrade, Grade, JudgeRef, RubricRef, Usage
from judge.grading import weighed
from judge.items import Item
from judge.judges import Judge
from judge.pages import pages
from judge.providers.recorded import Recorded
from judge.verdicts import Outcome
from rubrics import Criterion, Preference, Rubric

if TYPE_CHECKING:
    from judge.store.results import RunInfo
    from judge.store.store import Store

#: Items of one prompt are one group, where no column is named.
BY_INPUT = "input"

#: In the place of a preference that could not be read.
UNREAD = -1.0
#: A grade, the group of its item, and the length of its output in characters.
Graded = tuple[Grade, str, float]


@dataclass(frozen=True, slots=True)
class Said:
    """What a judge said on one criterion, item by item.

    Attributes
    ----------
    score : (n,)
        On the criterion's own scale: the mean by the distribution where one is known, else the score. Of labels the
        code of the label. NaN where there is none.
    confidence : (n,)
        The share of the answer that was given, by the tokens or among the samples. NaN where it is not known.
    shares : (n, K) or None
        The share of every level; rows of NaN where it is not known. None where it is known of no item.
    outcomes
        What became of each item.
    orders : (n, 2) or None
        Of pairs the preference where a was shown first, and where b was: 1 for a, 0 for b, UNREAD for an answer that
        could not be read; NaN of pairs that were not shown in both orders. None where no pair was.
    """

    scale: Scale
    score: Floats
    confidence: Floats
    shares: Floats | None
    outcomes: tuple[Outcome, ...]
    orders: Floats | None = None


@dataclass(frozen=True, slots=True)
class Judgements:
    """What a judge said of n items, with what figures need to know of the items.

    Attributes
    ----------
    groups
        The document, prompt or conversation of each item.
    systems
        What made each item; None where that is not known.
    length : (n,)
        Characters of the output; NaN where it is not known.
    cost_usd, latency_s : (n,)
        NaN where they are not known.
    models
        What the provider said that it ran.
    """

    rubric: Rubric
    judge: JudgeRef
    run: str | None
    items: tuple[str, ...]
    groups: tuple[str, ...]
    length: Floats
    cost_usd: Floats
    latency_s: Floats
    models: tuple[str, ...]
    said: dict[str, Said]
    systems: tuple[str, ...] | None = None

    @property
    def places(self) -> dict[str, int]:
        """Where each item stands."""
        return {item: place for place, item in enumerate(self.items)}

    def regrouped(self, named: Mapping[str, str]) -> Judgements:
        """The same, with groups by item in the place of its own, where one is named."""
        groups = tuple(named.get(item, own) for item, own in zip(self.items, self.groups, strict=True))
        return replace(self, groups=groups)


@dataclass(slots=True)
class _Column:
    criterion: Criterion
    scale: Scale
    score: list[float] = field(default_factory=list)
    confidence: list[float] = field(default_factory=list)
    shares: list[tuple[float, ...]] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)

    def add(self, one: CriterionGrade) -> None:
        scored = one.outcome is Outcome.SCORED
        self.outcomes.append(one.outcome)
        self.score.append(_score(self.criterion, self.scale, one) if scored else np.nan)
        shares = _shares(self.scale, self.criterion, one) if scored else ()
        self.shares.append(shares)
        self.confidence.append(_confidence(one, shares, self.scale))

    def said(self) -> Said:
        known = any(self.shares)
        blank = (np.nan,) * (0 if self.scale.levels is None else len(self.scale.levels))
        shares = np.array([row or blank for row in self.shares]) if known else None
        return Said(self.scale, np.array(self.score), np.array(self.confidence), shares, tuple(self.outcomes))


def of_run(store: Store, info: RunInfo, group: str | None = None, system: str | None = None) -> Judgements:
    """What a run's judge said of its graded items; those with a rubric of their own are left out.

    Parameters
    ----------
    group
        The column of the items' metadata that names their group; `input`, or None, groups items of one input.
    system
        The column that names what made the item.

    Raises
    ------
    InputError
        Where an item has no such column.
    """
    rubric = store.ask(store.verdicts.stored_rubric, info.rubric.hash)
    systems: list[str] = []
    found = of_grades(_described(store, info, group, system, systems), rubric, info.judge, info.id)
    return replace(found, systems=tuple(systems)) if system is not None else found


def _described(
    store: Store, info: RunInfo, group: str | None, system: str | None, systems: list[str]
) -> Iterator[Graded]:
    """The grades of a run in the order of the input, a page in memory at a time. Adds to the systems."""
    for page in pages(store, info):
        usual = [grade for grade in page if grade.rubric.hash == info.rubric.hash]
        items = store.ask(store.results.items, info.id, [grade.item for grade in usual])
        for grade in usual:
            item = items[grade.item]
            if system is not None:
                systems.append(_named(grade, system, "--system"))
            yield grade, _group(grade, item, group), float(sum(map(len, item.output_texts)))


def of_recording(judge: Judge, rubric: Rubric) -> Judgements:
    """What a file of judgements holds, without a run; each item is a group by itself.

    Raises SetupError where the file cannot be read.
    """
    recorded = Recorded(judge)
    ref = JudgeRef(name=judge.name, fingerprint=recorded.fingerprint, kind=recorded.kind)

    def described() -> Iterator[Graded]:
        for item in recorded.items(rubric):
            said = [recorded.recorded(item, rubric, sample) for sample in range(recorded.samples)]
            fields = weighed(rubric, [verdict for one in said for verdict in one])
            ours = RubricRef(name=rubric.name, hash=rubric.hash)
            yield Grade(item=item, rubric=ours, judge=ref, usage=Usage(), **fields), item, np.nan

    found = of_grades(described(), rubric, ref)
    said = {one.id: replace(found.said[one.id], orders=_orders(recorded, found.items, one)) for one in rubric.leaves}
    return replace(found, said=said)


def _orders(recorded: Recorded, items: Sequence[str], criterion: Criterion) -> Floats | None:
    if not isinstance(criterion, Preference):
        return None
    rows = [recorded.orders(item, criterion) for item in items]
    if not any(rows):
        return None
    return np.array(
        [(np.nan, np.nan) if row is None else [UNREAD if one is None else one for one in row] for row in rows]
    )


def of_grades(graded: Iterable[Graded], rubric: Rubric, judge: JudgeRef, run: str | None = None) -> Judgements:
    """From grades by one rubric and judge."""
    columns = {one.id: _Column(one, Scale.of(one)) for one in rubric.leaves}
    facts: list[tuple[str, str, float, float, float]] = []
    models: dict[str, None] = {}
    for grade, group, length in graded:
        usage = grade.usage
        asked = usage.calls + usage.reused > 0  # else nobody was, and nothing is known of what it costs to ask
        cost = np.nan if usage.cost_usd is None or not asked else usage.cost_usd
        facts.append((grade.item, group, length, cost, usage.latency_s if asked else np.nan))
        if grade.judge.model is not None:
            models.setdefault(grade.judge.model)
        for id_, column in columns.items():
            column.add(grade.criteria[id_])
    numbers = np.array([fact[2:] for fact in facts], dtype=np.float64).reshape(-1, 3)
    return Judgements(
        rubric=rubric,
        judge=judge,
        run=run,
        items=tuple(fact[0] for fact in facts),
        groups=tuple(fact[1] for fact in facts),
        length=numbers[:, 0],
        cost_usd=numbers[:, 1],
        latency_s=numbers[:, 2],
        models=tuple(models),
        said={id_: column.said() for id_, column in columns.items()},
    )


def beside(said: Mapping[str, Said]) -> Floats | None:
    """(n, Q * K) the distributions on all criteria beside each other; None where they are not known on each."""
    shares = [one.shares for one in said.values()]
    if any(one is None for one in shares):
        return None
    return np.concatenate([one for one in shares if one is not None], axis=1)


def _score(criterion: Criterion, scale: Scale, one: CriterionGrade) -> float:
    if not criterion.valued:
        return float(scale.names.index(str(one.level)))
    if one.expected is not None:
        return one.expected
    assert one.score is not None
    return one.score


def _shares(scale: Scale, criterion: Criterion, one: CriterionGrade) -> tuple[float, ...]:
    """The share of each level of the scale, in its order; none where they are not known."""
    if one.distribution is None or scale.levels is None:
        return ()
    if not criterion.valued:
        return tuple(one.distribution.shares[name] for name in scale.names)
    shares = np.zeros(len(scale.levels))
    for level in criterion.listed:
        mark = criterion.read(level)
        assert mark is not None
        assert mark.value is not None
        shares[int(np.searchsorted(scale.levels, mark.value))] += one.distribution.shares[str(level)]
    return tuple(shares.tolist())


def _confidence(one: CriterionGrade, shares: tuple[float, ...], scale: Scale) -> float:
    """The share of the level that was given; of a mean of samples that of the most frequent one."""
    named = [share for name, share in zip(scale.names, shares, strict=False) if str(one.level) in name.split(", ")]
    return named[0] if named else max(shares, default=np.nan)


def _group(grade: Grade, item: Item, column: str | None) -> str:
    if column is None or (column == BY_INPUT and column not in grade.metadata):
        # Items without an input have nothing in common that is known.
        return item.id if item.input is None else item.input_hash
    return _named(grade, column, "--group")


def _named(grade: Grade, column: str, option: str) -> str:
    value = grade.metadata.get(column)
    if value is None:
        raise InputError(
            f"item {grade.item!r} has no {column!r} in its metadata; name another column with {option}, or leave it out"
        )
    return str(value)
