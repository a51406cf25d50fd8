"""A judge that reads nothing: seeded scores with known faults, for demonstrations and for tests of calibration.

Everything it makes says `simulated`.
"""

from __future__ import annotations

import hashlib
import json
import math
from functools import cached_property
from statistics import NormalDist
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from judge.errors import SetupError
from judge.items import Item
from judge.judges import Judge, plain
from judge.verdicts import Outcome, Verdict
from rubrics import Criterion, Mark, Numeric, Rubric

Share = Annotated[float, Field(ge=-1, le=1)]


class Options(BaseModel):
    """Faults, each in shares of a scale's width.

    `leniency` shifts every score. `noise` is the standard deviation between samples. `position_bias` favours the
    criteria that are asked first over those asked last. `length_bias` favours outputs longer than `usual_length`
    characters, as a share for each doubling. `quality` names a metadata column with the true quality: a number
    from 0 to 1, or a word that `words` turns into one; without it the true quality is drawn from the output's hash.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = 0
    leniency: Share = 0.0
    noise: Annotated[float, Field(ge=0, le=1)] = 0.1
    position_bias: Share = 0.0
    length_bias: Share = 0.0
    usual_length: Annotated[int, Field(gt=0)] = 400
    quality: str | None = None
    words: dict[str, Annotated[float, Field(ge=0, le=1)]] = Field(default_factory=dict)


class Simulated:
    """Scores without a model."""

    kind = "simulated"

    def __init__(self, judge: Judge) -> None:
        try:
            self.options = Options.model_validate(judge.options)
        except ValidationError as error:
            where, wrong = plain(error)
            raise SetupError(
                f"the simulated judge {judge.name!r}: options.{where}: {wrong}; "
                f"the options are {', '.join(Options.model_fields)}"
            ) from None

    @cached_property
    def fingerprint(self) -> str:
        """Of the options: they decide everything."""
        return hashlib.sha256(f"simulated\0{self.options.model_dump_json()}".encode()).hexdigest()

    def verdicts(self, item: Item, rubric: Rubric, sample: int) -> tuple[Verdict, ...]:
        """One simulated verdict a criterion: the true quality, moved by the faults, to the nearest level."""
        last = max(len(rubric.leaves) - 1, 1)
        return tuple(
            self._verdict(item, criterion, 0.5 - place / last, sample) for place, criterion in enumerate(rubric.leaves)
        )

    def _verdict(self, item: Item, criterion: Criterion, earliness: float, sample: int) -> Verdict:
        options = self.options
        quality = self._quality(item, criterion)
        doublings = math.log2(max(sum(map(len, item.output_texts)), 1) / options.usual_length)
        noise = NormalDist().inv_cdf(self._draw("noise", item, criterion, sample)) * options.noise
        share = quality + options.leniency + options.position_bias * earliness + options.length_bias * doublings + noise
        mark = _nearest(criterion, share)
        reason = f"simulated: no model read this output; drawn from a quality of {quality:.2f}"
        return Verdict(criterion.id, Outcome.SCORED, mark.level, mark.value, reason)

    def _quality(self, item: Item, criterion: Criterion) -> float:
        known = item.metadata.get(self.options.quality) if self.options.quality else None
        known = self.options.words.get(known, known) if isinstance(known, str) else known
        if isinstance(known, int | float) and 0 <= known <= 1:
            # Criteria of one output differ a little, as they do in life.
            return min(max(known + 0.2 * (self._draw("criterion", item, criterion, 0) - 0.5), 0.0), 1.0)
        return self._draw("quality", item, criterion, 0)

    def _draw(self, what: str, item: Item, criterion: Criterion, sample: int) -> float:
        """A number strictly between 0 and 1, fixed by its arguments and the seed."""
        seed = json.dumps([self.options.seed, what, item.hash, criterion.id, sample]).encode()
        return (int.from_bytes(hashlib.sha256(seed).digest()[:8], "big") + 0.5) / 2**64


def _nearest(criterion: Criterion, share: float) -> Mark:
    """The answer nearest to a share of the scale; of labels without values, the one at that place."""
    share = min(max(share, 0.0), 1.0)
    answers: list[float | str] = list(criterion.listed)
    if not criterion.valued:
        answers = [answers[min(int(share * len(answers)), len(answers) - 1)]]
        share = 0.0
    target = criterion.lowest + share * (criterion.highest - criterion.lowest) if criterion.valued else 0.0
    if isinstance(criterion, Numeric) and not answers:
        step = criterion.step or (criterion.maximum - criterion.minimum) / 100
        answers = [criterion.minimum + step * round((target - criterion.minimum) / step)]
    marks = [mark for mark in map(criterion.read, answers) if mark is not None]
    return min(marks, key=lambda mark: abs((mark.value or 0.0) - target))
