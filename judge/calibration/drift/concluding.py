"""What anchors that were graded again say of the judge."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from judge.calibration.bound import Bound
from judge.calibration.drift import anchors, watching
from judge.calibration.drift.checking import Check, CriterionCheck, differs, known_change, rows, with_itself
from judge.calibration.drift.repeats import repeats
from judge.calibration.drift.watching import Production
from judge.calibration.judgements import Judgements, of_run
from judge.calibration.populations.population import Provenance

if TYPE_CHECKING:
    from judge.store.results import RunInfo
    from judge.store.store import Store


def conclude(
    store: Store,
    bound: Bound,
    chosen: Sequence[str],
    run: RunInfo,
    *,
    known: bool,
    margin: float,
    production: Production | None = None,
    seed: int = 0,
) -> Check:
    """Compares old and new grades of the anchors, once for a known change; else goes on with the judge's watch.

    The watch is written down. Held-out labels are among the anchors: the look at them is recorded.

    Raises
    ------
    StoreError
        Where another check of the calibration came between.
    """
    new = of_run(store, run)
    openings = store.change(
        store.calibrations.open_test, bound.info.label_set, bound.info.seed, f"check {bound.name} by run {run.id}"
    )
    pairs = dict(anchors.pairs(bound, chosen, new))
    checks, counted = 0, tuple[str, ...]()
    if known:
        found = {id_: known_change(pair, id_, margin, seed) for id_, pair in pairs.items()}
    else:
        before = watching.states(store, bound.info.id)
        among = anchors.streams(bound)
        found, after = watching.silent(bound, among, pairs, run.id, production, before, seed)
        watching.keep(store, bound.info.id, after)
        checks = max((one.checks for one in after.values()), default=0)
        counted = max((one.production for one in after.values()), key=len, default=())
    return Check(
        calibration=bound.info.id,
        name=bound.info.name,
        version=bound.info.version,
        known=known,
        margin=margin if known else None,
        checks=checks,
        run=run.id,
        anchors=len(chosen),
        judge=run.judge,
        calibrated_judge=bound.made.binding.judge,
        models_before=bound.made.binding.models,
        models_now=new.models,
        production=counted,
        cost_usd=run.cost_usd,
        openings=openings,
        criteria=_with_itself(store, bound, found, pairs, run, new),
        notes=tuple(_notes(bound, run, new, known)),
    )


def _with_itself(
    store: Store,
    bound: Bound,
    found: dict[str, CriterionCheck],
    pairs: dict[str, anchors.Pair],
    run: RunInfo,
    new: Judgements,
) -> dict[str, CriterionCheck]:
    if bound.run is None:
        return found
    before = rows(repeats(store, bound.run, bound.judgements), bound.judgements.places, pairs)
    return with_itself(found, pairs, before, rows(repeats(store, run, new), new.places, pairs))


def _notes(bound: Bound, run: RunInfo, new: Judgements, known: bool) -> Iterator[str]:
    before, now = bound.made.binding.judge, run.judge
    if before.fingerprint != now.fingerprint:
        yield (
            f"the judge is another one, or asked otherwise: {now.name} {now.fingerprint[:8]}, calibrated was "
            f"{before.name} {before.fingerprint[:8]}; the calibration is not for it"
        )
    if (models := differs(bound.made.binding.models, new.models)) is not None:
        yield models
    if bound.sampling.provenance is Provenance.ELSEWHERE:
        yield (
            "the labelled items were not drawn by a sheet: if they were picked by the judge's score, a judge whose "
            "answers vary gives them less extreme ones now"
        )
