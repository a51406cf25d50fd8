"""The page about a calibration: its figures, where there are none the reason, and text that is no more than text."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from judge import Judge
from judge.calibration.calibration import Calibration, calibrate
from judge.calibration.findings import Verdict
from judge.calibration.judgements import of_recording, of_run
from judge.calibration.labelling.labels import Label
from judge.calibration.labelling.sampling import Sampling
from judge.calibration.populations.population import Provenance
from judge.calibration.report import Report, gather, page
from judge.calibration.report.forests import agreement_axis, error_axis, near, rounded, row
from judge.calibration.report.names import name
from judge.calibration.report.page import USES
from judge.calibration.shelf import keep
from judge.calibration.splits import Part
from judge.calibration.statistics.figures import Figure
from judge.notation import number, visible
from judge.store.labels import Stored
from judge.store.results import RunInfo
from judge.store.store import Store
from judge.verdicts import Outcome
from rubrics import Rubric
from tests.judge.calibration.conftest import Grading, people
from tests.pages import HOSTILE, Parsed

DRAWS = 100
DOCUMENT = Path(__file__).parents[3] / "docs" / "calibration_report.md"
Reported = Callable[..., Report]


def report_of(store: Store, judgements: Any, labels: list[Label], sampling: Sampling, openings: int = 1) -> Report:
    store.change(store.labels.add, "panel", judgements.rubric.asked_hash, labels, "panel.csv")
    stored: list[Stored] = store.ask(store.labels.of_set, "panel")
    made = calibrate(
        judgements, stored, sampling, label_set="panel", group="doc", record=lambda _: openings, draws=DRAWS
    )
    return gather(store, keep(store, "sim", made), made)


@pytest.fixture
def run(sqlite_store: Store, graded: Grading) -> RunInfo:
    return graded(sqlite_store, 240)


@pytest.fixture
def reported(sqlite_store: Store, run: RunInfo, reply: Rubric) -> Reported:
    """A report of labels of this run; by `change` the labels are changed before."""

    def made(change: Callable[[Label], Label | None] = lambda label: label, **options: Any) -> Report:
        labels = list(filter(None, map(change, people(sqlite_store, run, reply, 0.15))))
        judgements = of_run(sqlite_store, run, "doc")
        return report_of(sqlite_store, judgements, labels, Sampling(Provenance.DECLARED), **options)

    return made


@pytest.fixture
def plain(reported: Reported) -> Report:
    return reported(lambda label: replace(label, reason=f"{label.annotator} on {label.item}"))


def parts(text: str) -> dict[str, str]:
    """The text of each criterion's part of a page, by its heading."""
    found = re.split(r'<section class="criterion"', text)[1:]
    return {Parsed("<section" + one.partition("</section>")[0] + "</section>").spaced.split()[0]: one for one in found}


def said(html: str) -> str:
    return Parsed("<section" + html.partition("</section>")[0] + "</section>").spaced


def written(figure: Figure) -> str:
    """A figure as the page is to have it."""
    assert figure.value is not None
    ends = "" if figure.low is None else f" [{number(figure.low)}, {number(figure.high)}]"
    of = "" if figure.of == "items" else f" {figure.of}"
    left_out = f", {figure.left_out:,} left out" if figure.left_out else ""
    return f"{number(figure.value)}{ends} n {figure.n:,}{of}{left_out}"


def test_the_top_says_whose_judge_on_what_and_how_much_it_rests_on(plain: Report) -> None:
    found = Parsed(page(plain)).spaced
    made = plain.made
    assert "How far sim agrees with people" in found
    assert "The judge is simulated." in found
    assert "against 2,880 labels that 3 people gave 240 items (label set panel )" in found
    for part, one in made.labels.parts.items():
        assert f"{part} {USES[part]} {one.groups:,} {one.items:,}" in found
    assert "Held-out labels opened once, for this calibration" in found
    assert "opened 1 times" not in found
    assert "with probability 90%, at most 10% of the grades that stand without a person are wrong" in found
    assert "90% of the intervals for one grade hold the mean of the people" in found
    assert "Models seen none was reported" in found
    assert "People person-0, person-1, person-2" in found
    assert made.binding.judge.fingerprint in found


def test_every_criterion_has_its_finding_with_all_reasons(plain: Report) -> None:
    rows = {found[0].split()[0]: found for found in Parsed(page(plain)).rows if found and found[0]}
    sections = parts(page(plain))
    for id_, one in plain.made.measurements.items():
        why = " ".join(one.finding.why)
        assert rows[id_][1] == f"{one.finding.verdict} {why}"
        assert f"{id_} {one.finding.verdict}" in said(sections[id_])
        assert why in said(sections[id_])


def test_every_measure_has_its_level_n_and_interval(plain: Report) -> None:
    sections = parts(page(plain))
    for id_, one in plain.made.measurements.items():
        text = said(sections[id_])
        assert one.measures
        for measure in one.measures:
            assert f"{name(measure.name).text} {measure.level} level {written(measure.judge)}" in text
            for beside in filter(None, (measure.person, measure.judge_beside)):
                assert written(beside) in text


def test_a_criterion_with_levels_has_all_that_is_known_of_it(plain: Report) -> None:
    text = said(parts(page(plain))["clear"])
    measured = plain.made.measurements["clear"]
    told, correction = measured.performance, plain.made.corrections["clear"]
    assert told is not None
    assert correction.selection is not None
    assert measured.alt_test is not None
    for heading in (
        "Agreement, between the best constant answer and people among each other", "The whole run", "Who says what",
        "Reliability", "Risk against acceptance", "Judge less people, by length", "Calibrator",
        "Grades that stand without a person", "Intervals for one grade", "Scores by annotator",
        "Alternative annotator test", "The 20 worst disagreements",
    ):  # fmt: skip
        assert heading in text
    for figure in (told.raw_rmse, told.rmse, told.constant_rmse, told.raw_bias, told.bias, measured.length.slope):
        assert written(figure) in text
    for point in (*told.reliability, *told.raw_reliability):
        assert written(point.people) in text
    for person in measured.annotators:
        row = f"{person.annotator} {person.n} {number(person.mean)} {number(person.sd)} {written(person.agreement)}"
        assert row in text
    assert written(measured.alpha) in text
    assert f"Chosen: {correction.selection.chosen.kind}" in text
    for candidate in correction.selection.candidates:
        assert candidate.kind in text
        assert candidate.why is None or candidate.why in text
    assert measured.alt_test.rows
    for tested in measured.alt_test.rows:
        assert f"{tested.annotator} {tested.n}" in text
    assert written(measured.alt_test.over_constant) in text
    assert written(measured.alt_test.beyond_chance) in text
    for figure in (told.acceptance.aurc, plain.made.populations["clear"].raw, plain.made.populations["clear"].labels):
        assert written(figure) in text
    assert plain.made.populations["clear"].why in text


def test_a_heatmap_has_the_share_of_each_level_of_the_judge(plain: Report) -> None:
    (section,) = [one for one in plain.sections if one.id == "clear"]
    heat, table = section.heat, plain.made.measurements["clear"].confusion
    assert heat is not None
    for (whole, shares), given in zip(heat.rows, table, strict=True):
        assert whole == pytest.approx(sum(given))
        assert shares is None or sum(shares) == pytest.approx(1)
        assert shares is None or [whole * share for share in shares] == pytest.approx(list(given))
    assert f"n {section.measurement.items - section.measurement.unscored}" in said(parts(page(plain))["clear"])


def test_the_worst_disagreements_have_the_reasons_of_both_and_the_texts(plain: Report) -> None:
    text = parts(page(plain))["clear"]
    worst = plain.made.measurements["clear"].worst
    assert text.count('<article class="dispute">') == len(worst) == 20
    for one in worst:
        for annotator, _ in one.labels:
            assert f"{annotator} on {one.item}" in text
        assert f"Answer {one.item[1:]}. " in text
    assert text.count("simulated: no model read this output") >= 20
    assert "texts are not kept" not in text


def test_what_is_undefined_is_a_word_with_its_reason_and_never_a_number(plain: Report) -> None:
    sections = parts(page(plain))
    tone, share = said(sections["tone"]), said(sections["share"])
    assert "Reliability undefined labels in no order have no distance" in tone
    assert "by length undefined" in tone
    assert "Intervals for one grade undefined labels in no order have no intervals" in tone
    assert "no threshold: a range of numbers has no levels that could be right or wrong" in share
    assert "Risk against acceptance undefined a range of numbers has no levels" in share
    assert "None" not in "".join(Parsed(page(plain)).words).replace("None:", "").replace("None on", "")
    assert "nan" not in re.findall(r"\w+", Parsed(page(plain)).spaced)


def test_people_who_always_agree_leave_figures_undefined(reported: Reported) -> None:
    found = reported(lambda label: replace(label, level="yes", value=1.0) if label.criterion == "polite" else label)
    text = said(parts(page(found))["polite"])
    measured = found.made.measurements["polite"]
    assert measured.alpha.value is None
    assert f"among the people: undefined n {measured.alpha.n} {measured.alpha.why}" in text
    kappa = measured.measure("kappa")
    assert kappa is not None
    assert kappa.judge.value is None
    assert f"Kappa item level undefined n {kappa.judge.n} {kappa.judge.why}" in text


def test_too_few_labels_give_no_finding_and_the_page_says_so(reported: Reported) -> None:
    found = reported(lambda label: label if int(label.item[1:]) < 40 else None)
    text = Parsed(page(found)).spaced
    assert [verdict for verdict, _ in found.counts] == [Verdict.TOO_FEW]
    assert "too few labels" in text
    assert "a finding takes 30" in text
    assert "Alternative annotator test undefined" in text


def test_what_must_be_known_before_a_figure_is_trusted_stands_above_all(
    reported: Reported, sqlite_store: Store, run: RunInfo, reply: Rubric
) -> None:
    found = reported(openings=3)
    strange = Label("x-1", "clear", "person-0", Outcome.SCORED, 1, 1.0)
    sqlite_store.change(sqlite_store.labels.add, "panel", reply.asked_hash, [strange], "more.csv")
    again = gather(sqlite_store, found.info, found.made)
    text = Parsed(page(again)).spaced
    assert "The held-out labels were opened 3 times." in text
    assert "The label set has changed since." in text
    assert "The label set has changed since." not in Parsed(page(found)).spaced
    sqlite_store.change(sqlite_store.runs.remove, run.id)
    alone = gather(sqlite_store, found.info, found.made)
    assert alone.run is None
    text = Parsed(page(alone)).spaced
    assert f"Run {run.id} (no longer kept)" in text
    assert "The run is no longer kept, so neither are its texts" in text


def test_a_recorded_judge_without_a_run_keeps_no_texts(sqlite_store: Store, tmp_path: Path, reply: Rubric) -> None:
    items = [f"i{n}" for n in range(160)]
    rows = [{"item": item, "criterion": "clear", "score": 1 + n % 5} for n, item in enumerate(items)]
    (tmp_path / "scores.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    judge = Judge(name="file", provider="recorded", options={"file": str(tmp_path / "scores.jsonl")})
    labels = [
        Label(item, "clear", who, Outcome.SCORED, level, float(level), f"{who} on {item}", f"g{n // 2}")
        for n, item in enumerate(items)
        for who, level in (("a", 1 + (n + n // 5) % 5), ("b", 1 + n % 5))
    ]
    judgements = of_recording(judge, reply).regrouped({item: f"g{n // 2}" for n, item in enumerate(items)})
    found = report_of(sqlite_store, judgements, labels, Sampling())
    assert found.run is None
    text = Parsed(page(found)).spaced
    assert "The judge is recorded." in text
    assert "Run none: the judge's scores came from a file" in text
    assert "There is no run: texts and the judge's reasons are not kept." in text
    assert "no length is known" in text
    worst = found.made.measurements["clear"].worst
    assert worst
    assert all(f"a on {one.item}" in text for one in worst)


def test_text_from_outside_is_text(sqlite_store: Store, tmp_path: Path) -> None:
    script, style, turned, template, attribute = HOSTILE
    rubric = Rubric.model_validate(
        {
            "name": "small",
            "criteria": [
                {"id": "kind", "scale": "categorical", "question": script, "levels": [template, attribute, script]},
                {"id": "clear", "scale": "ordinal", "question": turned, "levels": {1: style, 2: template, 3: script}},
            ],
        }
    )
    items = [f"{HOSTILE[n % 5]}{n}" for n in range(120)]
    rows = [
        {"item": item, "criterion": criterion, "score": score, "reason": " ".join(HOSTILE)}
        for n, item in enumerate(items)
        for criterion, score in (("kind", (template, script)[n % 2]), ("clear", 1 + n % 3))
    ]
    (tmp_path / "scores.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    judge = Judge(name=script, provider="recorded", options={"file": str(tmp_path / "scores.jsonl")})
    labels = [
        Label(item, *said_of, " ".join(HOSTILE), item)
        for n, item in enumerate(items)
        for who in (script, attribute, turned)
        for said_of in (
            ("kind", who, Outcome.SCORED, (template, attribute)[n % 2], None),
            ("clear", who, Outcome.SCORED, 1 + (n + len(who)) % 3, 1.0 + (n + len(who)) % 3),
        )
    ]
    judgements = of_recording(judge, rubric)
    text = page(report_of(sqlite_store, judgements, labels, Sampling()))
    found = Parsed(text)
    assert not found.tags & {"script", "img", "iframe", "object", "form"}
    assert not [attribute for attribute, _ in found.attributes if attribute.startswith("on")]
    assert text.count("</style>") == 1
    assert "\u202e" not in text
    for hostile in HOSTILE:
        assert visible(hostile) in found.spaced


def test_nothing_can_be_loaded_or_run(plain: Report) -> None:
    found = Parsed(page(plain))
    (policy,) = [value for key, value in found.attributes if key == "content" and "default-src" in (value or "")]
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:")
    assert "script" not in found.tags
    links = {value for key, value in found.attributes if key in ("href", "src")}
    anchors = {f"#{value}" for key, value in found.attributes if key == "id"}
    assert links <= {"data:,"} | anchors
    assert len(links) == 1 + len(plain.made.measurements)


def test_places_lie_on_their_axis() -> None:
    figure = Figure(value=0.5, low=0.25, high=0.75, n=9)
    place = row("judge", "judge", figure, agreement_axis([figure]))
    assert (place.at, place.low, place.high) == (0.5, 0.25, 0.75)
    below = Figure(value=-0.25, low=-0.5, high=0.25, n=9)
    assert (agreement_axis([below]).low, agreement_axis([below]).at(-0.25)) == (-0.5, pytest.approx(1 / 6))
    assert agreement_axis([Figure(value=-0.9, n=9)]).low == -1
    undefined = row("judge", "judge", Figure.undefined("no labels", 3), error_axis([]))
    assert (undefined.at, undefined.low, undefined.high) == (None, None, None)
    assert [rounded(value) for value in (0.0, 0.11, 1.0, 2.2, 2.6, 51)] == [1, 0.2, 1, 2.5, 5, 100]


def test_the_part_of_a_scale_that_figures_need_stays_on_the_scale() -> None:
    axis = near([Figure(value=0.97, low=0.95, high=0.99, n=9), Figure(value=0.9, n=9)], 0.0, 1.0)
    assert 0.8 <= axis.low <= 0.9
    assert axis.high == 1.0
    assert all(0 <= tick.at <= 1 for tick in axis.ticks)
    assert (near([], 1.0, 5.0).low, near([], 1.0, 5.0).high) == (1.0, 5.0)


def test_reports_are_loaded_only_where_they_are_made() -> None:
    asked = "import sys, judge.report, judge.calibration.report; print('jinja2' in sys.modules)"
    of_run_alone = "import sys, judge.report; print('numpy' in sys.modules)"
    for code in (asked, of_run_alone):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout == "False\n"


def test_its_document_names_all_parts_of_the_page(plain: Report) -> None:
    told = DOCUMENT.read_text("utf-8")
    headings = set(re.findall(r"<h3>([^<]*)</h3>", page(plain)))
    assert len(headings) >= 12
    for heading in headings:
        assert f"| {re.sub(r'^The [0-9]+ ', '', heading).casefold().partition(',')[0]}" in told.casefold(), heading
    for verdict in Verdict:
        assert verdict in told
    for part in Part:
        assert f"`{part}`" in told


def test_a_calibration_that_is_read_back_gives_the_same_page(plain: Report, sqlite_store: Store) -> None:
    again = gather(sqlite_store, plain.info, Calibration.model_validate_json(plain.info.body))
    assert page(replace(again, made_at=plain.made_at)) == page(plain)
