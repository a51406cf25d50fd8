"""From labels and a run to a calibration, and back to grades."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from judge import InputError, SetupError
from judge.calibration.applying import Applier
from judge.calibration.calibration import Calibration, calibrate, labels_hash
from judge.calibration.correction import Promise, correct
from judge.calibration.findings import Verdict
from judge.calibration.judgements import Judgements, of_recording, of_run
from judge.calibration.labelled import Labelled, divide, join
from judge.calibration.labelling import sheets
from judge.calibration.labelling.labels import Label
from judge.calibration.labelling.sampling import Sampling
from judge.calibration.measuring import measure
from judge.calibration.populations.population import Provenance
from judge.calibration.populations.transport import plug_in_interval
from judge.calibration.scale import Scale
from judge.calibration.shelf import check, find, keep
from judge.calibration.splits import Fitting, Holding, Part, split
from judge.calibration.statistics.bootstrap import Floats
from judge.calibration.statistics.figures import Figure, Undefined
from judge.calibration.summaries import Tally, run_rate
from judge.exports import grades_of
from judge.grades import Corrected, CriterionGrade
from judge.judges import Judge
from judge.report import gather, page
from judge.store.labels import Stored
from judge.store.results import RunInfo
from judge.store.store import Store
from judge.summary import summarise
from judge.trust import applier
from judge.verdicts import Outcome
from rubrics import Rubric
from tests.judge.calibration.conftest import Grading, people

DRAWS = 200


def stored(labels: list[Label], **how: Any) -> list[Stored]:
    return [Stored(label, how.get("sheet"), how.get("sampled_from")) for label in labels]


def made(
    store: Store, info: RunInfo, labels: list[Label], sampling: Sampling | None = None, **options: Any
) -> Calibration:
    judgements = of_run(store, info, "doc")
    options = {"record": lambda _: 1, **options}

    kept = stored(labels)
    return calibrate(
        judgements,
        kept,
        sampling or Sampling.of(judgements, kept, []),
        label_set="s",
        group="doc",
        draws=DRAWS,
        **options,
    )


@pytest.fixture
def ready(sqlite_store: Store, graded: Grading, reply: Rubric) -> tuple[RunInfo, list[Label]]:
    info = graded(sqlite_store, 400)
    return info, people(sqlite_store, info, reply, 0.1)


def test_a_good_judge_can_stand_in_and_says_what_that_rests_on(
    sqlite_store: Store, ready: tuple[RunInfo, list[Label]]
) -> None:
    info, labels = ready
    found = made(sqlite_store, info, labels)
    assert {id_: one.finding.verdict for id_, one in found.measurements.items()} == dict.fromkeys(
        ("polite", "clear", "tone", "share"), Verdict.CAN_STAND_IN
    )
    assert found.labels.labels == 400 * 4 * 3
    assert found.labels.annotators == {"person-0": 1600, "person-1": 1600, "person-2": 1600}
    assert sum(part.items for part in found.labels.parts.values()) == 400
    test = found.labels.parts[Part.TEST]
    for id_, one in found.measurements.items():
        assert (one.items, one.groups, one.openings) == (test.items, test.groups, 1)
        assert (one.unscored > 0) == (id_ == "tone")  # whose samples tie now and then
        assert all(measure.judge.n <= test.items for measure in one.measures)
    clear = found.measurements["clear"]
    kappa = clear.measure("quadratic_kappa")
    assert kappa is not None
    assert kappa.constant == 0.0
    assert kappa.person is not None
    assert kappa.judge.low is not None
    assert kappa.judge.value is not None
    assert kappa.judge.low < kappa.judge.value
    assert sum(map(sum, clear.confusion)) == pytest.approx(1.0)
    assert Calibration.model_validate_json(found.model_dump_json()) == found


def test_people_among_each_other_have_intervals_and_weights_count_in_the_alternative_test(
    sqlite_store: Store, ready: tuple[RunInfo, list[Label]]
) -> None:
    info, labels = ready
    judgements = of_run(sqlite_store, info, "doc")
    rng = np.random.default_rng(0)
    weights = {item: float(rng.choice([0.2, 5.0])) for item in judgements.items}
    told = []
    for given in ({}, weights):
        joined = join(judgements, labels, given).criteria
        sealed = {id_: divide(joined[id_], [Part.TEST] * 400, lambda _: 1).test for id_ in ("clear", "tone")}
        told.append({id_: measure(one.open("x"), None, DRAWS) for id_, one in sealed.items()})
    plain, weighted = told
    for figure in (plain["clear"].icc, plain["clear"].icc_of_mean):
        assert figure is not None
        assert figure.value is not None
        assert figure.low is not None
        assert figure.high is not None
        assert 0 < figure.low < figure.value < figure.high < 1
        assert figure.n == 400
    assert plain["tone"].icc is None
    assert plain["clear"].alt_test is not None
    assert weighted["clear"].alt_test is not None
    assert plain["clear"].alt_test.rho.value != weighted["clear"].alt_test.rho.value
    for stood in (plain["clear"].alt_test, weighted["clear"].alt_test):
        assert stood.rho.value == pytest.approx(np.mean([row.rho_judge for row in stood.rows]))
    pairs = zip(plain["clear"].alt_test.rows, weighted["clear"].alt_test.rows, strict=True)
    assert all(one.p != other.p for one, other in pairs)


def test_another_judge_that_draws_its_answers_is_not_usable(
    sqlite_store: Store, ready: tuple[RunInfo, list[Label]]
) -> None:
    info, labels = ready
    rng = np.random.default_rng(0)
    moved = dict(zip([f"i{n}" for n in range(400)], rng.permutation([f"i{n}" for n in range(400)]), strict=True))
    strangers = [Label(str(moved[one.item]), *one.cell[1:], one.outcome, one.level, one.value) for one in labels]
    found = made(sqlite_store, info, strangers)
    assert {one.finding.verdict for one in found.measurements.values()} == {Verdict.NOT_USABLE}


def test_a_judge_may_lose_less_to_cheaper_people(sqlite_store: Store, ready: tuple[RunInfo, list[Label]]) -> None:
    tests = [made(sqlite_store, *ready, **how).measurements["clear"].alt_test for how in ({}, {"people": "crowd"})]
    assert [None if one is None else one.epsilon for one in tests] == [0.2, 0.1]


def test_few_labels_or_few_people_say_less(sqlite_store: Store, ready: tuple[RunInfo, list[Label]]) -> None:
    info, labels = ready
    few = made(sqlite_store, info, [one for one in labels if int(one.item[1:]) < 40])
    assert {one.finding.verdict for one in few.measurements.values()} == {Verdict.TOO_FEW}
    two = made(sqlite_store, info, [one for one in labels if one.annotator != "person-2"])
    assert {one.finding.verdict for one in two.measurements.values()} == {Verdict.USEFUL}


def test_labels_that_join_nothing_are_refused_with_examples_of_both(
    sqlite_store: Store, ready: tuple[RunInfo, list[Label]]
) -> None:
    info, _ = ready
    alone = [Label("x1", "clear", "a", Outcome.SCORED, 1, 1.0)]
    with pytest.raises(InputError, match=r"no label of s belongs to an item that was judged; .* x1, .* i0, i1, i2"):
        made(sqlite_store, info, alone)
    mixed = made(sqlite_store, info, [*alone, *ready[1][:400]])
    assert mixed.labels.unknown == ("x1",)
    assert mixed.labels.unlabelled > 0


def test_nothing_fitted_is_reported_on_whatever_the_caller_does(
    sqlite_store: Store, ready: tuple[RunInfo, list[Label]]
) -> None:
    info, labels = ready
    judgements = of_run(sqlite_store, info, "doc")
    joined = join(judgements, labels).criteria["clear"]
    of_item = dict(zip(judgements.items, judgements.groups, strict=True))
    parts = split(judgements.groups, 0)
    divided = divide(joined, [parts[of_item[item]] for item in joined.items], lambda _: 1)
    seen = [divided.fit.data, divided.hold.data, divided.test.open("x").data]
    names = [{of_item[item] for item in one.items} for one in seen]
    assert sum(map(len, names)) == len(set().union(*names)) == 100  # no group is in two parts
    for closed in (divided.fit, divided.hold, divided.test, divided.fit.data):
        with pytest.raises(TypeError, match="held-out labels that were opened"):
            measure(closed, None)  # type: ignore[arg-type]


def test_the_calibrator_does_not_see_what_thresholds_and_intervals_are_fitted_on(
    sqlite_store: Store, ready: tuple[RunInfo, list[Label]]
) -> None:
    info, labels = ready
    judgements = of_run(sqlite_store, info, "doc")
    joined = join(judgements, labels).criteria["clear"]
    half = np.arange(len(joined)) % 2 == 0
    one, other = joined.take(half), joined.take(~half)
    plain = correct(Fitting(one), Holding(other), ("clear", "polite", "share"), Promise())
    shifted = other.take(np.ones(len(other), dtype=bool))
    object.__setattr__(shifted, "ratings", 6 - shifted.ratings)
    turned = correct(Fitting(one), Holding(shifted), ("clear", "polite", "share"), Promise())
    assert turned.selection == plain.selection
    assert turned.intervals != plain.intervals
    assert (plain.fitted, plain.held) == (200, 200)
    with pytest.raises(Undefined, match="no label to fit on"):
        correct(Fitting(one.take(np.zeros(len(one), dtype=bool))), Holding(other), ("clear",), Promise())


def test_a_network_reads_whole_panels_and_is_not_tried_where_many_are_not(
    sqlite_store: Store, graded: Grading, ready: tuple[RunInfo, list[Label]]
) -> None:
    info, labels = ready
    one = join(of_run(sqlite_store, info, "doc"), labels).criteria["clear"]
    rng = np.random.default_rng(0)
    given: list[Floats | None] = []

    def trains(rows: Labelled) -> Any:
        given.append(rows.panel)
        raise Undefined("enough seen")

    def parts(missing: float) -> tuple[Fitting[Labelled], Holding[Labelled]]:
        panel = rng.random((len(one), 10))
        panel[rng.random(len(one)) < missing] = np.nan
        told = replace(one, panel=panel, inputs=one.inputs[:, :1]).scored
        return Fitting(told), Holding(told)

    chosen = correct(*parts(0.3), ("clear",), Promise(), network=trains).selection
    assert given == []
    assert chosen is not None
    told = {candidate.kind: str(candidate.why) for candidate in chosen.candidates}
    assert told["network"].startswith("reads the judge's answers to all criteria, and ")
    with pytest.raises(Undefined, match="enough seen"):
        correct(*parts(0.1), ("clear",), Promise(), network=trains)
    assert given[0] is not None
    assert len(given[0]) > 300
    assert np.isfinite(given[0]).all()


def test_the_hash_of_labels_is_of_what_was_said(ready: tuple[RunInfo, list[Label]]) -> None:
    labels = ready[1][:10]
    assert labels_hash(stored(labels)) == labels_hash(stored(labels[::-1]))
    assert labels_hash(stored(labels)) != labels_hash(stored(labels[:9]))
    # Of how they are divided and weighted too: with other groups or another draw they are held out otherwise.
    regrouped = [replace(labels[0], group="other"), *labels[1:]]
    assert labels_hash(stored(labels)) != labels_hash(stored(regrouped))
    assert labels_hash(stored(labels)) != labels_hash(stored(labels, sheet="sheet"))


def test_labels_drawn_by_a_sheet_speak_for_the_run(sqlite_store: Store, ready: tuple[RunInfo, list[Label]]) -> None:
    info, labels = ready
    judgements = of_run(sqlite_store, info, "doc")
    drawn = sheets.draw(sheets.strata(judgements, "clear"), 150, 0)
    taken = {judgements.items[place] for place in drawn.places}
    store = sqlite_store
    rows = zip(judgements.items, drawn.stratum.tolist(), drawn.probability.tolist(), strict=True)
    store.change(store.labels.draw, "sheet", info.id, 0, [store.labels.Drawn(i, s, p, i in taken) for i, s, p in rows])
    kept = [one for one in labels if one.item in taken]
    sampling = Sampling.of(judgements, stored(kept, sheet="sheet"), [store.ask(store.labels.drawn_for, "sheet")])
    assert sampling.provenance is Provenance.SHEET
    assert sum(sampling.weights.values()) == pytest.approx(400)
    found = made(sqlite_store, info, kept, sampling).populations["clear"]
    everyone = np.mean([one.value for one in labels if one.criterion == "clear"])
    assert found.figure.low is not None
    assert found.figure.high is not None
    assert found.figure.low < everyone < found.figure.high
    assert found.method == "PPI++"
    elsewhere = made(sqlite_store, info, kept).populations["polite"]
    assert elsewhere.method == "corrected by TPR and TNR"


def test_grades_by_a_calibration_are_derived_and_the_verdicts_stay(
    sqlite_store: Store, ready: tuple[RunInfo, list[Label]]
) -> None:
    info, labels = ready
    store = sqlite_store
    plain = list(grades_of(store, info))
    kept = keep(store, "c", made(store, info, labels, promise=Promise(alpha=0.6)))
    shown = list(grades_of(store, info, "c"))
    assert list(grades_of(store, info)) == plain
    store.change(store.calibrations.show_by, info.id, kept.id)
    assert list(grades_of(store, info)) == shown
    assert {grade.trust for grade in shown} == {"calibrated"}
    for before, after in zip(plain, shown, strict=True):
        assert before.score == after.score
        for id_, one in after.criteria.items():
            assert one.model_copy(update={"calibrated": None}) == before.criteria[id_]
            assert one.calibrated is not None
            assert one.calibrated.finding == "can stand in"
        clear = after.criteria["clear"].calibrated
        assert clear is not None
        assert clear.score is not None
        assert clear.low is not None
        assert clear.high is not None
        assert 1 <= clear.low <= clear.score <= clear.high <= 5
    assert any(one.criteria["clear"].calibrated.stands for one in shown)  # type: ignore[union-attr]
    summary = summarise(store, info.id)
    assert summary.calibration is not None
    assert (summary.calibration.name, summary.calibration.version) == ("c", 1)
    by_id = {one.criterion: one for one in summary.calibrated}
    mean = np.mean([grade.criteria["clear"].calibrated.score for grade in shown])  # type: ignore[union-attr, arg-type]
    assert by_id["clear"].mean == pytest.approx(mean)
    assert by_id["polite"].rate is not None
    assert json.loads(json.dumps(summary.as_dict()))["trust"] == "calibrated"


def test_of_the_run_that_was_calibrated_on_the_summary_shows_the_figure_that_the_calibration_has(
    sqlite_store: Store, ready: tuple[RunInfo, list[Label]], graded: Grading
) -> None:
    info, labels = ready
    found = made(sqlite_store, info, [one for one in labels if int(one.item[1:]) < 200])
    population = found.populations["polite"]
    keep(sqlite_store, "c", found)
    rates = {one.criterion: one for one in summarise(sqlite_store, info.id, "c").calibrated}
    polite = rates["polite"]
    assert (polite.rate, polite.rate_low, polite.rate_high) == (
        population.figure.value,
        population.figure.low,
        population.figure.high,
    )
    assert polite.rate_by == "corrected by TPR and TNR"
    assert rates["clear"].rate is None
    refused = found.model_copy(
        update={
            "populations": {
                **found.populations,
                "polite": population.model_copy(
                    update={"figure": Figure.undefined("nobody knows", 0), "why": "nobody knows"}
                ),
            }
        }
    )
    keep(sqlite_store, "d", refused)
    polite = next(one for one in summarise(sqlite_store, info.id, "d").calibrated if one.criterion == "polite")
    assert (polite.rate, polite.no_rate) == (None, "nobody knows")


def test_verdicts_of_one_group_count_as_few_in_the_rate_of_another_run(
    sqlite_store: Store, ready: tuple[RunInfo, list[Label]]
) -> None:
    found = made(sqlite_store, *ready)
    rates = found.error_rates["polite"]
    raw = np.repeat([0.0, 1.0] * 10, 10)
    scale = Scale("binary", 0, 1, np.array([0.0, 1.0]), ("no", "yes"))
    alone = run_rate(rates, raw, np.arange(200), scale)
    grouped = run_rate(rates, raw, np.repeat(np.arange(20), 10), scale)
    assert alone["rate"] == grouped["rate"]
    low, high = plug_in_interval(0.5, 20 * 200 / 199 * 19 / 20, rates)  # twenty answers, each ten times
    assert (grouped["rate_low"], grouped["rate_high"]) == pytest.approx((low, high), abs=0.01)
    assert grouped["rate_high"] - grouped["rate_low"] > 2 * (alone["rate_high"] - alone["rate_low"])


def test_the_rate_of_another_run_reads_the_judge_as_its_error_rates_do(
    sqlite_store: Store, ready: tuple[RunInfo, list[Label]], reply: Rubric
) -> None:
    """By the expected score where one is known: yes at a probability of 0.3 is a no."""
    found, trust = made(sqlite_store, *ready), Corrected(finding="x")
    unsure = CriterionGrade(outcome=Outcome.SCORED, score=1.0, level="yes", expected=0.3, calibrated=trust)
    apart = CriterionGrade(outcome=Outcome.NOT_APPLICABLE, calibrated=trust)
    read, excused = Tally(trust), Tally(trust)
    for n in range(200):
        read.add(unsure.model_copy(update={"expected": 0.3 if n % 2 else 0.8}), str(n))
        excused.add(unsure if n % 20 else apart, str(n))
    half = np.tile([1.0, 0.0], 100)
    scale = Scale("binary", 0, 1, np.array([0.0, 1.0]), ("no", "yes"))
    expected = run_rate(found.error_rates["polite"], half, np.arange(200), scale)["rate"]
    assert read.summary("polite", found, reply, "another run").rate == pytest.approx(expected)
    refused = excused.summary("polite", found, reply, "another run")
    assert refused.rate is None
    assert "does not apply to 5.0% of the items" in str(refused.no_rate)


def test_a_calibration_that_is_refused_has_not_looked(sqlite_store: Store, ready: tuple[RunInfo, list[Label]]) -> None:
    looks: list[str] = []

    def record(purpose: str) -> int:
        looks.append(purpose)
        return len(looks)

    with pytest.raises(InputError, match="leave --network out"):
        made(sqlite_store, *ready, record=record, network=True)
    assert looks == []
    assert made(sqlite_store, *ready, record=record).openings == len(looks) == 1


def test_a_calibration_of_another_rubric_or_judge_is_refused_with_what_differs(
    sqlite_store: Store, ready: tuple[RunInfo, list[Label]], graded: Grading
) -> None:
    info, labels = ready
    kept = keep(sqlite_store, "c", made(sqlite_store, info, labels))
    other = graded(sqlite_store, 8, samples=2)
    with pytest.raises(SetupError, match=r"c v1 was made for another one: the judge, or how it is asked \(sim "):
        applier(sqlite_store, other, "c")
    assert applier(sqlite_store, other) is None
    rubric = sqlite_store.ask(sqlite_store.verdicts.stored_rubric, info.rubric.hash)
    changed = replace(info, rubric=info.rubric.model_copy(update={"hash": "0" * 64}))
    found = find(sqlite_store, "c")[1]
    with pytest.raises(SetupError, match=r"the rubric \(reply .*, here .*\) differ"):
        Applier(kept, found, changed, rubric)
    with pytest.raises(InputError, match="there is no calibration 'd'"):
        find(sqlite_store, "d")
    assert find(sqlite_store, "c@1")[0] == find(sqlite_store, "latest")[0] == kept
    asked = info.judge.model_copy(update={"fingerprint": "0" * 64})
    with pytest.raises(SetupError, match=r"--samples 5 then, 2 now\)"):
        check(sqlite_store, "c", rubric, asked, 2)
    criteria = (
        tuple(one.model_copy(update={"question": "Else?"}) for one in rubric.criteria[:1]) + rubric.criteria[1:-1]
    )
    told = f"{rubric.criteria[-1].id} gone; {rubric.criteria[0].id} changed"
    with pytest.raises(SetupError, match=told):
        check(sqlite_store, "c", rubric.model_copy(update={"criteria": criteria}), info.judge, 5)


def test_labels_that_are_all_alike_are_too_few_whoever_judged(
    sqlite_store: Store, ready: tuple[RunInfo, list[Label]]
) -> None:
    info, labels = ready
    alike = [replace(one, level="yes", value=1.0) if one.criterion == "polite" else one for one in labels]
    found = made(sqlite_store, info, alike).measurements
    assert found["polite"].finding.verdict is Verdict.TOO_FEW
    assert "tell nothing of a judge" in found["polite"].finding.why[0]
    assert found["clear"].finding.verdict is Verdict.CAN_STAND_IN


def test_an_overall_is_worth_its_weakest_part(sqlite_store: Store, ready: tuple[RunInfo, list[Label]]) -> None:
    info, labels = ready
    rng = np.random.default_rng(0)
    levels = rng.permutation([(one.level, one.value) for one in labels if one.criterion == "clear"]).tolist()
    noise = [
        replace(one, level=int(level), value=float(value))
        for one, (level, value) in zip((one for one in labels if one.criterion == "clear"), levels, strict=True)
    ]
    kept = keep(
        sqlite_store, "c", made(sqlite_store, info, [one for one in labels if one.criterion != "clear"] + noise)
    )
    assert {grade.finding for grade in grades_of(sqlite_store, info, kept.id)} == {"not usable"}


def test_a_recorded_judge_is_calibrated_without_a_run(tmp_path: Path, reply: Rubric) -> None:
    rows = [{"item": "a", "criterion": "clear", "score": 2, "distribution": {"2": 0.7, "3": 0.3}}]
    rows += [{"item": "b", "criterion": "clear", "score": None}, {"item": "c", "criterion": "else", "score": 1}]
    (tmp_path / "r.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    judge = Judge(name="r", provider="recorded", options={"file": str(tmp_path / "r.jsonl")})
    found: Judgements = of_recording(judge, reply).regrouped({"a": "d"})
    assert (found.items, found.groups, found.run) == (("a", "b"), ("d", "b"), None)
    assert found.said["clear"].score[0] == pytest.approx(2.3)
    assert found.said["clear"].confidence[0] == pytest.approx(0.7)
    assert np.isnan(found.said["clear"].score[1])
    assert found.said["clear"].outcomes[1] is Outcome.JUDGE_ERROR


def test_the_report_of_a_run_says_what_it_is_calibrated_by(
    sqlite_store: Store, ready: tuple[RunInfo, list[Label]]
) -> None:
    info, labels = ready
    assert "Trust: uncalibrated." in page(gather(sqlite_store, info, 1))
    kept = keep(sqlite_store, "<c>", made(sqlite_store, info, labels))
    sqlite_store.change(sqlite_store.calibrations.show_by, info.id, kept.id)
    found = page(gather(sqlite_store, info, 1))
    assert "uncalibrated" not in found
    assert "Trust: calibrated</b> by <bdi>&lt;c&gt;</bdi> v1" in found
    assert found.count("can stand in</td>") == 4


def test_groups_that_the_labels_name_hold_for_the_whole_run(
    sqlite_store: Store, ready: tuple[RunInfo, list[Label]]
) -> None:
    info, labels = ready
    judgements = of_run(sqlite_store, info)
    asked = [one for one in labels if one.criterion == "polite" and int(one.item[1:]) < 200]
    widths = []
    for size in (1, 50):
        grouped = [
            replace(one, group=f"g{int(one.item[1:]) // size}", value=1.0 - int(one.item[1:]) // 50 % 2)
            for one in asked
        ]
        kept = stored(grouped, sampled_from=info.id)
        sampling = Sampling.of(judgements, kept, [])
        found = calibrate(
            judgements, kept, sampling, label_set="s", group="g", record=lambda _: 1, draws=20
        ).populations["polite"]
        assert found.labels.low is not None
        assert found.labels.high is not None
        widths.append(found.labels.high - found.labels.low)
    assert widths[1] > 3 * widths[0]
