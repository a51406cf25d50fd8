"""Labels: what a person said of one item on one criterion."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from judge.verdicts import Outcome
from rubrics import CANNOT_TELL, NOT_APPLICABLE, Binary, Criterion, Numeric, Points

#: How people write that a criterion does not apply, beside the word itself.
_DASHES = frozenset({"n/a", "na", "not applicable"})
_YES_AND_NO = {"1": "yes", "0": "no", "true": "yes", "false": "no", "y": "yes", "n": "no"}


#: Outcome, level and value.
Answer = tuple[Outcome, int | str | None, float | None]


class OffScale(ValueError):
    """An answer that the criterion does not have; the message says which it has."""


@dataclass(frozen=True, slots=True)
class Label:
    """One person, one item, one criterion.

    Attributes
    ----------
    outcome
        `scored`; or `not_applicable` or `abstained`, where the person said so and the criterion allows it.
    level, value
        The level's name and its number on the criterion's own scale, as in a verdict; None unless it is scored.
    group
        The document, prompt or conversation that the item belongs to, where the file names it.
    """

    item: str
    criterion: str
    annotator: str
    outcome: Outcome
    level: int | str | None = None
    value: float | None = None
    reason: str | None = None
    group: str | None = None

    @property
    def cell(self) -> tuple[str, str, str]:
        """What there is one label of."""
        return self.item, self.criterion, self.annotator

    @property
    def said(self) -> tuple[Outcome, int | str | None, float | None, str | None]:
        """What was said; the group is not."""
        return self.outcome, self.level, self.value, self.reason


def answered(criterion: Criterion, given: object) -> Answer | None:
    """What a person's answer means. None for an empty cell, which is no label.

    People and spreadsheets write levels in other ways than a judge may: `4.0` for 4, `Yes`, `TRUE` or 1 for yes.

    Raises
    ------
    OffScale
        For what the criterion does not have.
    """
    if given is None or (isinstance(given, str) and not given.strip()):
        return None
    word = str(given).strip().casefold()
    if word.replace(" ", "_") == NOT_APPLICABLE or word in _DASHES:
        if criterion.not_applicable:
            return Outcome.NOT_APPLICABLE, None, None
        raise OffScale(f"{criterion.id} always applies; leave the cell empty where there is no label")
    if word.replace(" ", "_") == CANNOT_TELL:
        if criterion.cannot_tell:
            return Outcome.ABSTAINED, None, None
        raise OffScale(f"{criterion.id} has no answer cannot_tell; leave the cell empty where there is no label")
    for answer in _readings(criterion, given, word):
        mark = criterion.read(answer)
        if mark is not None:
            return Outcome.SCORED, mark.level, mark.value
    raise OffScale(f"{str(given)[:40]!r} is no answer to {criterion.id}, which has {allowed(criterion)}")


def allowed(criterion: Criterion) -> str:
    """The answers of a criterion, for people."""
    words = [str(level) for level in criterion.listed]
    return ", ".join(words) if words else criterion.told[0][0]


def _readings(criterion: Criterion, given: object, word: str) -> Iterable[int | float | str]:
    """What an answer may stand for, the most literal first."""
    if isinstance(given, str | int | float) and not isinstance(given, bool):
        yield given
    try:
        number = float(word)
    except ValueError:
        number = math.nan
    if isinstance(criterion, Binary | Points):
        yield _YES_AND_NO.get(word, word)
        if number in (0.0, 1.0):
            yield "yes" if number else "no"
    elif math.isfinite(number):
        if number.is_integer():
            yield int(number)
        if isinstance(criterion, Numeric):
            yield number
    yield from (level for level in criterion.listed if str(level).casefold() == word)
