"""Judgements made elsewhere, replayed from a file: looked up by item, criterion and sample, never by content."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from judge.distributions import of_probabilities
from judge.errors import SetupError
from judge.items import Item
from judge.judges import Judge
from judge.parsing import verdict_of
from judge.verdicts import Outcome, Verdict
from rubrics import Criterion, Rubric

NOT_RECORDED = "not recorded"


class Options(BaseModel):
    """`file`: JSON lines, plain or gzipped, of {item, criterion, judge?, score | samples, reason?, distribution?}.

    `judge` takes only the rows of that judge. `distribution` holds the probability that the judge gave to each level.
    Of a pair there are {verdict_ab, verdict_ba} in the place of a score: which output is better, `a`, `b` or `tie`,
    where a was shown first, and where b was; null for an answer that could not be read.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str
    judge: str | None = None


@dataclass(frozen=True, slots=True)
class _Cell:
    """What is recorded of one item on one criterion."""

    scores: list[object]
    reason: str | None = None
    distribution: dict[str, float] | None = None
    both_orders: bool = False


class Recorded:
    """A file of judgements. `samples` is the most that any row holds."""

    kind = "recorded"

    def __init__(self, judge: Judge) -> None:
        try:
            self._options = Options.model_validate(judge.options)
        except ValidationError:
            raise SetupError(
                f"the recorded judge {judge.name!r} needs `options: {{file: PATH}}`, and may have `judge: NAME`"
            ) from None
        digest = hashlib.sha256(f"recorded\0{self._options.judge}\0".encode())
        self._cells: dict[tuple[str, str], _Cell] = {}
        for number, row in self._rows(digest):
            if self._options.judge is not None and row.get("judge") != self._options.judge:
                continue
            try:
                cell = (str(row["item"]), str(row["criterion"]))
                both_orders = "verdict_ab" in row
                if both_orders:
                    scores = [row["verdict_ab"], row["verdict_ba"]]
                else:
                    scores = row["samples"] if "samples" in row else [row["score"]]
            except KeyError as missing:
                raise SetupError(
                    f"{self._options.file}:{number}: no {missing}; a row has item, criterion and score"
                ) from None
            if cell in self._cells:
                mend = "name one judge of the file in options: {judge: NAME}"
                raise SetupError(
                    f"{self._options.file}:{number}: the second judgement of {cell[0]!r} on {cell[1]!r}; "
                    f"{'remove one' if self._options.judge is not None else mend}"
                )
            told = row.get("distribution")
            if told is not None and not (isinstance(told, dict) and all(map(_is_number, told.values()))):
                raise SetupError(f"{self._options.file}:{number}: `distribution` is not a probability for each level")
            scores = scores if isinstance(scores, list) else [scores]
            self._cells[cell] = _Cell(scores, row.get("reason"), told, both_orders)
        if not self._cells:
            raise SetupError(f"{self._options.file}: nothing recorded for the judge {self._options.judge!r}")
        self.fingerprint = digest.hexdigest()
        self.samples = max(len(cell.scores) for cell in self._cells.values())

    def verdicts(self, item: Item, rubric: Rubric, sample: int) -> tuple[Verdict, ...]:
        """What the file holds; `judge_error` where it holds nothing."""
        return self.recorded(item.id, rubric, sample)

    def recorded(self, item: str, rubric: Rubric, sample: int) -> tuple[Verdict, ...]:
        """What the file holds of an item, by its id."""
        return tuple(self._verdict(item, criterion, sample) for criterion in rubric.leaves)

    def items(self, rubric: Rubric) -> dict[str, None]:
        """The ids of all items that the file holds something of, in its order."""
        asked = {criterion.id for criterion in rubric.leaves}
        return dict.fromkeys(item for item, criterion in self._cells if criterion in asked)

    def orders(self, item: str, criterion: Criterion) -> tuple[float | None, float | None] | None:
        """The preference of an item, 1 for a and 0 for b, where a was shown first and where b was.

        None where the file does not hold both orders, and in the place of one that could not be read.
        """
        cell = self._cells.get((item, criterion.id))
        if cell is None or not cell.both_orders:
            return None
        ab, ba = (self._verdict(item, criterion, sample).value for sample in range(2))
        return ab, ba

    def _verdict(self, item: str, criterion: Criterion, sample: int) -> Verdict:
        cell = self._cells.get((item, criterion.id), _Cell([]))
        score = cell.scores[sample] if sample < len(cell.scores) else None
        if score is None:
            return Verdict(criterion.id, Outcome.JUDGE_ERROR, cause=NOT_RECORDED)
        # Files of labels write whole levels as 4.0; a live judge must not.
        whole = int(score) if isinstance(score, float) and score.is_integer() else score
        said = verdict_of(criterion, whole, cell.reason)
        if said.outcome is not Outcome.SCORED or cell.distribution is None:
            return said
        return replace(said, distribution=of_probabilities(cell.distribution, criterion))

    def _rows(self, digest: Any) -> Iterator[tuple[int, dict[str, Any]]]:
        path = Path(self._options.file)
        try:
            with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
                for number, line in enumerate(file, 1):
                    digest.update(line)
                    if line.strip():
                        row = json.loads(line)
                        if not isinstance(row, dict):
                            raise SetupError(f"{path}:{number}: not a JSON object; a row has item, criterion and score")
                        yield number, row
        except OSError as error:
            raise SetupError(f"{path}: cannot be read ({error.strerror or error})") from None
        except ValueError as error:
            raise SetupError(f"{path}:{number}: not JSON ({error})") from None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
