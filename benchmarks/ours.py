"""This project on the same work: from the first call to the last grade on disk. Reading and probing are not timed."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from benchmarks import measured
from benchmarks.work import Work
from judge.datasets import Dataset
from judge.judges import Judge
from judge.runs import Options, Run
from judge.store import open_store
from judge.store.store import Store
from judge.summary import summarise
from rubrics import Rubric


def scores_of(store: Store, run: Run, criteria: Iterable[str]) -> list[measured.Scores]:
    """Scores in the order of the work."""
    (info,) = store.ask(store.results.runs, run.id)
    graded = dict(store.ask(store.results.grades, info, -1, run.items))
    found: list[measured.Scores] = []
    for seq in range(run.items):
        grade = graded.get(seq)
        values = [grade.criteria[name].score for name in criteria] if grade else []
        found.append([value for value in values if value is not None] or None)
    return found


async def main() -> None:
    given = measured.arguments()
    work = Work(given.work)
    judge = Judge.load(work.judge(given.url, given.concurrency, given.provider))
    dataset = Dataset(str(work.items), limit=given.n)
    rubric = Rubric.load(work.rubric)
    with (
        tempfile.TemporaryDirectory() as folder,
        open_store(given.database_url or f"sqlite:///{Path(folder) / 'judge.db'}") as store,
    ):
        run = await Run.open(store, dataset, rubric, judge, Options())
        with measured.Stopwatch() as watch:
            await run.execute()
        await run.close()
        totals = asdict(summarise(store, run.id).totals)
        errors = Counter(run.progress.unscored)
        measured.write(
            given.out, watch, scores_of(store, run, rubric.ids), errors, totals=totals, troubles=run.troubles
        )


if __name__ == "__main__":
    asyncio.run(main())
