"""Anchors graded again, in a round of their own: no answer of the ledger is used."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import TYPE_CHECKING

from judge.calibration.bound import Bound, stored_judge
from judge.datasets import Given, Scan
from judge.errors import InputError, Paused, SetupError, StoreError, Waiting
from judge.judges import Judge
from judge.runs import Options, Run

if TYPE_CHECKING:
    from judge.calibration.calibration import Calibration
    from judge.store.calibrations import CalibrationInfo
    from judge.store.store import Store

#: What is around the run while it goes on: progress, and what stops it.
Around = Callable[[Run], AbstractContextManager[None]]


def judge_of(store: Store, info: CalibrationInfo, made: Calibration, file: str | None) -> Judge:
    """The judge to ask: as it is stored, or as a file describes it.

    Raises
    ------
    InputError, SetupError
        For a recorded judge, and for a stored one that was asked with headers, which are not kept.
    """
    whose, ref = f"the judge of {info.name} v{info.version}", made.binding.judge
    if made.binding.run is None or ref.kind == "recorded":
        raise InputError(f"{whose} is a recording, which cannot be asked again; check one that a model graded for")
    if file is not None:
        judge = Judge.load(file)
        if judge.provider == "recorded":
            raise InputError(f"{file}: is a recorded judge, which cannot be asked again; name one that can")
        return judge
    found = stored_judge(store, ref.fingerprint)
    if found is None:
        raise SetupError(f"{whose} is not in this database; give its description with --judge FILE")
    names = store.ask(store.results.judge_body, ref.fingerprint).get("headers")
    if names:
        raise SetupError(
            f"{whose} was asked with the headers {', '.join(names)}, whose values are not kept; give its description "
            "with --judge FILE"
        )
    return found


async def regrade(
    store: Store,
    bound: Bound,
    dataset: Given,
    scan: Scan,
    judge: Judge,
    options: Options,
    around: Around,
    other_judge: bool,
) -> tuple[str, str | None]:
    """Grades the anchors, or goes on where an earlier check was stopped. The run's id, and why it stopped where it did.

    Parameters
    ----------
    options
        With `fresh`.
    other_judge
        Whether the judge may be another one, or be asked otherwise, than the calibrated one.

    Raises
    ------
    SetupError
        Where it is, and may not be. Then nothing was asked but how it can be asked.
    """
    run = await Run.open(store, dataset, bound.judgements.rubric, judge, options, scan)
    store.change(store.runs.mark_anchors, run.id, bound.info.id)
    before, now = bound.made.binding.judge.fingerprint, run.judge_fingerprint
    stopped: str | None = None
    try:
        if before != now and not other_judge:
            raise SetupError(
                f"the judge is not asked as it was for {bound.name} ({before[:8]}, now {now[:8]}): its settings, what "
                "the model takes, or this program's prompt changed; check it as a known change with --known-change"
            )
        with around(run):
            await run.execute()
        stopped = run.stopped
    except (Paused, StoreError, Waiting) as trouble:
        stopped = str(trouble)
    except SetupError:
        await run.close()
        if store.ask(store.runs.count_open, run.id) == run.items:
            store.change(store.runs.remove, run.id)
        raise
    with suppress(StoreError):  # what stopped the run stops this too; a dead owner is noticed at the next start
        await run.close()
    return run.id, stopped
