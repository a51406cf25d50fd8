"""Judgements made elsewhere, replayed from a file: looked up by item, criterion and sample, never by content."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from judge.errors import SetupError
from judge.items import Item
from judge.judges import Judge
from judge.parsing import verdict_of
from judge.verdicts import Outcome, Verdict
from rubrics import Criterion, Rubric

NOT_RECORDED = "not recorded"


class Options(BaseModel):
    """`file`: JSON lines, plain or gzipped, of {item, criterion, judge?, score | samples, reason?}.

    `judge` takes only the rows of that judge.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str
    judge: str | None = None


class Recorded:
    """A file of judgements."""

    kind = "recorded"

    def __init__(self, judge: Judge) -> None:
        try:
            self._options = Options.model_validate(judge.options)
        except ValidationError:
            raise SetupError(
                f"the recorded judge {judge.name!r} needs `options: {{file: PATH}}`, and may have `judge: NAME`"
            ) from None
        digest = hashlib.sha256(f"recorded\0{self._options.judge}\0".encode())
        self._cells: dict[tuple[str, str], tuple[list[object], str | None]] = {}
        for number, row in self._rows(digest):
            if self._options.judge is not None and row.get("judge") != self._options.judge:
                continue
            try:
                cell = (str(row["item"]), str(row["criterion"]))
                scores = row["samples"] if "samples" in row else [row["score"]]
            except KeyError as missing:
                raise SetupError(
                    f"{self._options.file}:{number}: no {missing}; a row has item, criterion and score"
                ) from None
            if cell in self._cells:
                raise SetupError(
                    f"{self._options.file}:{number}: the second judgement of {cell[0]!r} on {cell[1]!r}; "
                    "name one judge of the file in options: {judge: NAME}"
                )
            self._cells[cell] = (scores if isinstance(scores, list) else [scores], row.get("reason"))
        if not self._cells:
            raise SetupError(f"{self._options.file}: nothing recorded for the judge {self._options.judge!r}")
        self.fingerprint = digest.hexdigest()

    def verdicts(self, item: Item, rubric: Rubric, sample: int) -> tuple[Verdict, ...]:
        """What the file holds; `judge_error` where it holds nothing."""
        return tuple(self._verdict(item, criterion, sample) for criterion in rubric.leaves)

    def _verdict(self, item: Item, criterion: Criterion, sample: int) -> Verdict:
        scores, reason = self._cells.get((item.id, criterion.id), ([], None))
        score = scores[sample] if sample < len(scores) else None
        if score is None:
            return Verdict(criterion.id, Outcome.JUDGE_ERROR, cause=NOT_RECORDED)
        # Files of labels write whole levels as 4.0; a live judge must not.
        return verdict_of(criterion, int(score) if isinstance(score, float) and score.is_integer() else score, reason)

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
