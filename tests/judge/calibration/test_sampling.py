"""How labelled items came to be labelled, and what the whole run comes to because of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from judge.calibration.judgements import Judgements, Said
from judge.calibration.labelled import join
from judge.calibration.labelling import sheets
from judge.calibration.labelling.labels import Label
from judge.calibration.labelling.sampling import Sampling
from judge.calibration.populations.population import Method, Population, Provenance
from judge.calibration.scale import Scale
from judge.calibration.statistics.bootstrap import Floats
from judge.grades import JudgeRef
from judge.store.labels import Drawn, Stored
from judge.store.store import Store
from judge.verdicts import Outcome

BINARY = Scale("binary", 0, 1, np.array([0.0, 1.0]), ("no", "yes"))


def judged(score: Floats, run: str = "run", excused: Sequence[int] = ()) -> Judgements:
    """A judge's verdicts on i0, i1, ..., each item a group of its own."""
    nothing, items = np.full(len(score), np.nan), tuple(f"i{n}" for n in range(len(score)))
    outcomes = tuple(Outcome.NOT_APPLICABLE if n in excused else Outcome.SCORED for n in range(len(score)))
    ref: Any = JudgeRef(name="j", fingerprint="f", kind="simulated")
    rubric: Any = None
    said = {"polite": Said(BINARY, score, nothing, None, outcomes)}
    return Judgements(rubric, ref, run, items, items, nothing, nothing, nothing, (), said)


def label(item: str, value: float | None, outcome: Outcome = Outcome.SCORED) -> Label:
    return Label(item, "polite", "ann", outcome, None if value is None else str(value), value)


def estimated(
    of: Judgements, stored: list[Stored], sampling: Sampling, groups: dict[str, str] | None = None
) -> Population:
    of = of.regrouped(groups or {})
    joined = join(of, [one.label for one in stored], sampling.weights, sampling.strata)
    return sampling.estimate(of, joined.criteria["polite"])


def record(probability: Floats, drawn: Sequence[int], stratum: Sequence[int] | None = None) -> list[Drawn]:
    strata = [0] * len(probability) if stratum is None else stratum
    return [Drawn(f"i{n}", int(strata[n]), float(pi), n in drawn) for n, pi in enumerate(probability)]


def test_labelled_items_of_a_group_that_the_labels_name_are_one_cluster() -> None:
    """Ten documents, five of them all yes and five all no: ten answers, by which a half is 0.5 +- about 0.3."""
    of = judged(np.tile([0.0, 1.0], 500))
    stored = [Stored(label(f"i{n}", float(n // 20 % 2)), None, "run") for n in range(200)]
    groups = {f"i{n}": f"document {n // 20}" for n in range(200)}
    found = estimated(of, stored, Sampling.of(of, stored, []), groups).labels
    assert found.low == pytest.approx(0.2, abs=0.04)
    assert found.high == pytest.approx(0.8, abs=0.04)


def test_a_sheet_of_another_run_of_the_same_items_keeps_its_probabilities(sqlite_store: Store) -> None:
    rng, stratum = np.random.default_rng(1), np.repeat([0, 1], [900, 100])
    draw = sheets.draw(stratum, 100, 0)
    of = judged(rng.integers(0, 2, 1000).astype(np.float64), run="other")
    rows = record(draw.probability, draw.places.tolist(), stratum.tolist())
    sqlite_store.change(sqlite_store.labels.draw, "sheet", "first", 0, rows)
    stored = [Stored(label(f"i{n}", float(stratum[n])), "sheet", None) for n in draw.places]
    found = Sampling.kept(sqlite_store, of, stored)
    assert found.provenance is Provenance.SHEET
    assert found.weights["i" + str(draw.places[0])] == pytest.approx(18)
    assert sum(found.weights.values()) == pytest.approx(1000)


def test_a_sheet_that_knew_only_some_items_of_the_run_makes_no_sample_of_it(sqlite_store: Store) -> None:
    of = judged(np.tile([0.0, 1.0], 50), run="other")
    sqlite_store.change(sqlite_store.labels.draw, "sheet", "first", 0, record(np.full(60, 0.5), range(30)))
    stored = [Stored(label(f"i{n}", 1.0), "sheet", None) for n in range(30)]
    assert Sampling.kept(sqlite_store, of, stored).provenance is Provenance.ELSEWHERE


def test_labels_of_a_sheet_and_others_are_no_declared_sample() -> None:
    of = judged(np.tile([0.0, 1.0], 50))
    stored = [Stored(label(f"i{n}", 1.0), "sheet" if n < 5 else None, None if n < 5 else "run") for n in range(30)]
    assert Sampling.of(of, stored, []).provenance is Provenance.ELSEWHERE
    assert Sampling.of(of, stored[5:], []).provenance is Provenance.DECLARED


def test_more_labels_of_an_item_that_was_drawn_change_nothing_of_its_weight() -> None:
    of = judged(np.tile([0.0, 1.0], 50))
    sheet = record(np.tile([0.2, 0.6], 50), range(30))
    drawn = [Stored(label(f"i{n}", 1.0), "sheet", None) for n in range(30)]
    alone = Sampling.of(of, drawn, [sheet])
    another = Label("i3", "polite", "bob", Outcome.SCORED, "1.0", 1.0)
    more = Sampling.of(of, [*drawn, Stored(another, None, None)], [sheet])
    assert alone.provenance is more.provenance is Provenance.SHEET
    assert more.weights == alone.weights
    assert len(alone.weights) == 30
    beside = Sampling.of(of, [*drawn, Stored(label("i99", 1.0), None, None)], [sheet])
    assert (beside.provenance, beside.weights) == (Provenance.ELSEWHERE, {})


def test_a_run_of_which_every_item_is_labelled_is_a_sample() -> None:
    rng = np.random.default_rng(2)
    y = (rng.random(300) < 0.7).astype(np.float64)
    of = judged(np.where(rng.random(300) < 0.9, y, 1 - y))
    stored = [Stored(label(f"i{n}", float(value)), None, None) for n, value in enumerate(y)]
    found = estimated(of, stored, Sampling.of(of, stored, []))
    assert found.labels.value == pytest.approx(y.mean())
    assert found.figure.value == pytest.approx(y.mean(), abs=1e-9)
    assert found.difference is not None
    assert not found.difference.flagged
    less = stored[1:]
    assert estimated(of, less, Sampling.of(of, less, [])).method is Method.ERROR_RATES


def excused_run(share: float) -> tuple[Judgements, list[int], Floats]:
    """Of 4,000 items people say of every fourth that it does not apply, and the judge fails these all the same."""
    rng, n = np.random.default_rng(3), 4000
    out = rng.random(n) < share
    y = (rng.random(n) < 0.8).astype(np.float64)
    f = np.where(out, 0.0, np.where(rng.random(n) < 0.9, y, 1 - y))
    return judged(f), np.flatnonzero(out).tolist(), y


def test_items_to_which_people_say_it_does_not_apply_are_out_of_the_figure() -> None:
    of, out, y = excused_run(0.25)
    answers = set(out)
    stratum = sheets.strata(of)
    draw = sheets.draw(stratum, 600, 0)
    stored = [
        Stored(label(f"i{n}", None, Outcome.NOT_APPLICABLE) if n in answers else label(f"i{n}", float(y[n])), "s", None)
        for n in draw.places.tolist()
    ]
    rows = record(draw.probability, draw.places.tolist(), stratum.tolist())
    found = estimated(of, stored, Sampling.of(of, stored, [rows]))
    truth = float(np.delete(y, out).mean())
    assert found.method is Method.LABELS
    assert found.figure.low is not None
    assert found.figure.high is not None
    assert found.figure.low < truth < found.figure.high
    assert found.figure.value == pytest.approx(truth, abs=0.04)
    assert found.corrected.value is None
    assert "criterion does not apply" in found.why


def test_without_a_sample_nothing_is_said_where_it_often_does_not_apply() -> None:
    of, out, y = excused_run(0.25)
    answers = set(out)
    stored = [
        Stored(
            label(f"i{n}", None, Outcome.NOT_APPLICABLE) if n in answers else label(f"i{n}", float(y[n])), None, None
        )
        for n in range(400)
    ]
    found = estimated(of, stored, Sampling.of(of, stored, []))
    assert found.method is Method.NONE
    assert "criterion does not apply" in found.why
    by_judge = judged(of.said["polite"].score, excused=out)
    scored = [one for one in stored if one.label.value is not None]
    assert "criterion does not apply" in estimated(by_judge, scored, Sampling.of(by_judge, scored, [])).why


def test_a_few_items_to_which_it_does_not_apply_are_warned_of() -> None:
    of, out, y = excused_run(0.01)
    answers = set(out)
    stored = [
        Stored(
            label(f"i{n}", None, Outcome.NOT_APPLICABLE) if n in answers else label(f"i{n}", float(y[n])), None, "run"
        )
        for n in range(600)
    ]
    found = estimated(of, stored, Sampling.of(of, stored, []))
    assert found.method is Method.PPI
    assert any("criterion does not apply" in warning for warning in found.warnings)
