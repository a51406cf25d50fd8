"""What one judge said of one item, once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from judge.distributions import Distribution


class Outcome(StrEnum):
    """What became of one criterion of one item. Only `scored` enters a mean."""

    SCORED = "scored"
    NOT_APPLICABLE = "not_applicable"
    ABSTAINED = "abstained"  #: the judge says that it cannot tell
    REFUSED = "refused"  #: the model, or its provider's filter, declined
    TRUNCATED = "truncated"  #: the answer ended at the token limit
    INVALID = "invalid"  #: off the schema, or a score that the rubric does not have
    JUDGE_ERROR = "judge_error"  #: no answer could be had
    LOST = "lost"  #: sent, and the answer never came; possibly paid


#: Outcomes that an answer of the model settles: such an answer is kept and used again, at no cost.
SETTLED = frozenset({Outcome.SCORED, Outcome.NOT_APPLICABLE, Outcome.ABSTAINED, Outcome.REFUSED})

#: The outcome that names an item whose criteria differ: the first of these that any criterion has.
PRECEDENCE = (
    Outcome.LOST,
    Outcome.JUDGE_ERROR,
    Outcome.TRUNCATED,
    Outcome.INVALID,
    Outcome.REFUSED,
    Outcome.ABSTAINED,
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """One criterion of one item, judged once.

    `level` is the level's name in the rubric and `value` its number on the criterion's own scale; a plain number has
    no name, a label without a value no number, and both are None unless the outcome is `scored`. `cause` says why
    there is no score. `distribution` is known where the provider told the probabilities of its tokens.
    """

    criterion: str
    outcome: Outcome
    level: int | str | None = None
    value: float | None = None
    reason: str | None = None
    cause: str | None = None
    distribution: Distribution | None = None


def prevailing(outcomes: Sequence[Outcome]) -> Outcome:
    """The outcome of several samples without enough scores: the most frequent, ties to the graver."""
    counts = Counter(outcomes)
    counts.pop(Outcome.SCORED, None)
    return max(counts, key=lambda o: (counts[o], -PRECEDENCE.index(o) if o in PRECEDENCE else -len(PRECEDENCE)))
