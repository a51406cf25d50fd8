from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from judge import InputError
from judge.calibration.calibration import Calibration
from judge.calibration.demo import simulation
from judge.calibration.demo.sets import JUDGEMENTS, LABELS, SETS, SOURCE, DemoSet, calibrated
from judge.store.store import Store
from tests.sets import rows

LLM_RUBRIC, PANDALM, SIMULATED = SETS
SHIPPED = [one for one in SETS if one.credit is not None]
ROOT = Path(__file__).parents[3]
Row = dict[str, Any]


def shipped(one: DemoSet, name: str) -> list[Row]:
    with gzip.open(one.folder / f"{name}.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def read(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.fixture
def sqlite(tmp_path: Path) -> Store:
    return Store.open(f"sqlite:///{tmp_path}/demo.db", "local")


def found(store: Store, one: DemoSet, folder: Path) -> Calibration:
    with store:
        return calibrated(store, one, folder)[1]


def test_the_figures_of_llm_rubric_are_those_of_the_set() -> None:
    real = [item["id"] for item in rows("llm_rubric/items") if item["meta"]["split"] == "real"]
    ids = {f"d{number:03d}": theirs for number, theirs in enumerate(real, 1)}
    labels = {
        (ids[row["item"]], row["criterion"], row["annotator"]): row["score"] for row in shipped(LLM_RUBRIC, LABELS)
    }
    people = [row for row in rows("llm_rubric/human") if row["item"] in real]
    assert labels == {(row["item"], row["criterion"], row["annotator"]): row["score"] for row in people}
    assert len(labels) == len(people) == 1701
    judged = {
        (ids[row["item"]], row["criterion"]): ([row["score"]], row["distribution"])
        for row in shipped(LLM_RUBRIC, JUDGEMENTS)
    }
    theirs = [row for row in rows("llm_rubric/judge") if row["item"] in real]
    assert judged == {(row["item"], row["criterion"]): (row["samples"], row["dist"]) for row in theirs}
    assert len(judged) == len(theirs) == 223 * 9


def test_the_figures_of_pandalm_are_those_of_the_set() -> None:
    labels = shipped(PANDALM, LABELS)
    people = rows("pandalm/human")
    assert [(row["item"], row["annotator"], row["score"]) for row in labels] == [
        (row["item"], row["annotator"], row["verdict"]) for row in people
    ]
    theirs = [row for row in rows("pandalm/judge") if row["judge"] == PANDALM.judge]
    judged = [(row["item"], row["score"]) for row in shipped(PANDALM, JUDGEMENTS)]
    assert judged == [(row["item"], row["verdict"]) for row in theirs]
    # Pairs are of one group if, and only if, they answer one instruction.
    group = {row["item"]: row["group"] for row in labels}
    pairs = {(group[item["id"]], item["input"]) for item in rows("pandalm/items")}
    assert len(pairs) == len({one for one, _ in pairs}) == len({text for _, text in pairs}) == 170


@pytest.mark.parametrize("one", SHIPPED, ids=lambda one: one.name)
def test_no_text_ships(one: DemoSet) -> None:
    """Every word of the figures is a short code, a level or nothing; there are no other files of data."""
    allowed = {
        LABELS: {"item", "criterion", "annotator", "score", "group"},
        JUDGEMENTS: {"item", "criterion", "score", "distribution"},
    }
    for name, fields in allowed.items():
        for row in shipped(one, name):
            assert row.keys() <= fields
            words = [word for word in row.values() if isinstance(word, str)]
            assert all(re.fullmatch(r"[a-z]{1,9}\d{0,4}|Q\d", word) for word in words), row
            assert all(isinstance(share, float | int) for share in row.get("distribution", {}).values())
    files = {path.name for path in one.folder.iterdir()}
    assert files == {f"{LABELS}.gz", f"{JUDGEMENTS}.gz", "rubric.yaml", "SOURCE.md", "LICENSE"}


@pytest.mark.parametrize("one", SHIPPED, ids=lambda one: one.name)
def test_whose_the_figures_are_ships_beside_them(one: DemoSet) -> None:
    source, licence = ((one.folder / name).read_text("utf-8") for name in ("SOURCE.md", "LICENSE"))
    assert one.credit is not None
    _, repository, copyright_, short = one.credit.split(" · ")
    assert copyright_ in source
    assert copyright_ in licence
    assert f"https://{repository} at commit " in source
    opening = {"MIT": "MIT License", "Apache-2.0": "Apache License"}[short]
    assert licence.lstrip().startswith(opening)
    for name in (LABELS, JUDGEMENTS):
        (told,) = (line for line in source.splitlines() if line.startswith(f"| `{name}.gz`"))
        assert f"| {len(shipped(one, name))}: " in told


def test_licences_of_what_ships_are_in_the_metadata() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    listed = {path for pattern in project["license-files"] for path in ROOT.glob(pattern)}
    assert listed >= {one.folder / "LICENSE" for one in SHIPPED}


def test_a_wheel_holds_the_figures(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    there = set(zipfile.ZipFile(wheel).namelist())
    wanted = {path for one in SETS for path in one.folder.iterdir()}
    assert {path.relative_to(ROOT).as_posix() for path in wanted} <= there


def test_the_judge_of_llm_rubric_is_not_usable(sqlite: Store, tmp_path: Path) -> None:
    made = found(sqlite, LLM_RUBRIC, tmp_path)
    assert {one.finding.verdict for one in made.measurements.values()} == {"not usable"}
    assert len(made.measurements) == 9
    assert made.binding.judge.kind == "recorded"
    # Its probabilities are read: the score is a mean of levels, and the confidence is known.
    assert all(one.threshold is not None for one in made.corrections.values())
    assert made.corrections["Q0"].threshold is not None
    assert made.corrections["Q0"].threshold.threshold is None


def test_the_judge_of_pandalm_beats_constant_and_chance_and_cannot_stand_in(sqlite: Store, tmp_path: Path) -> None:
    one = found(sqlite, PANDALM, tmp_path).measurements["better"]
    accuracy, kappa = one.measure("accuracy"), one.measure("kappa")
    assert accuracy is not None
    assert kappa is not None
    assert accuracy.judge.low is not None
    assert accuracy.constant is not None
    assert accuracy.judge.low > accuracy.constant
    assert kappa.judge.low is not None
    assert kappa.judge.low > 0
    assert one.alt_test is not None
    assert one.alt_test.over_constant.value is not None
    assert one.alt_test.over_constant.value > 0
    assert one.alt_test.passed is False
    assert one.finding.verdict == "useful with correction"
    assert any(why.startswith("cannot stand in") for why in one.finding.why)
    assert one.unscored > 0


def test_the_simulated_judge_can_stand_in_and_says_that_it_is_simulated(sqlite: Store, tmp_path: Path) -> None:
    made = found(sqlite, SIMULATED, tmp_path)
    one, correction = made.measurements["clear"], made.corrections["clear"]
    assert made.binding.judge.kind == "simulated"
    assert one.finding.verdict == "can stand in"
    assert correction.threshold is not None
    assert correction.threshold.threshold is not None
    assert correction.intervals is not None
    assert one.performance is not None
    assert one.performance.acceptance.accepted.value is not None
    assert 0.3 < one.performance.acceptance.accepted.value < 1
    assert (one.performance.intervals.informative.value or 0.0) > 0.9
    assert made.labels.labels == simulation.ITEMS * simulation.PEOPLE


def test_a_judge_that_is_noisier_than_people_does_not_stand_in(
    sqlite: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulation, "JUDGE_NOISE", 2.5)
    made = found(sqlite, SIMULATED, tmp_path)
    assert made.measurements["clear"].finding.verdict != "can stand in"


def test_the_simulation_is_seeded(tmp_path: Path) -> None:
    drawn = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        labels, judgements = tmp_path / f"{name}-labels", tmp_path / f"{name}-judgements"
        simulation.write(labels, judgements, seed)
        drawn.append((read(labels), read(judgements)))
    assert drawn[0] == drawn[1]
    assert drawn[0] != drawn[2]
    assert {row["annotator"] for row in drawn[0][0]} == {"simulated-1", "simulated-2", "simulated-3"}
    assert {len(row["samples"]) for row in drawn[0][1]} == {simulation.SAMPLES}


def test_labels_under_the_name_of_a_set_are_left_alone(sqlite: Store, tmp_path: Path) -> None:
    with sqlite as store:
        store.change(store.labels.add, PANDALM.name, "another", [], "mine.csv")
        with pytest.raises(InputError, match="has other labels named demo-pandalm; leave --keep out"):
            calibrated(store, PANDALM, tmp_path)
        assert store.ask(store.calibrations.find) == []


def test_what_is_kept_says_where_it_is_from(sqlite: Store, tmp_path: Path) -> None:
    with sqlite as store:
        first, _ = calibrated(store, PANDALM, tmp_path)
        again, made = calibrated(store, PANDALM, tmp_path)
        # Every look at the held-out labels is counted, those of demonstrations too.
        assert (first.version, again.version, made.openings) == (1, 2, 2)
        assert store.ask(store.labels.sets)[0].labels == 2997
        sources = store.ask(lambda it, _: set(it.execute(select(store.tables.label.c.source)).scalars()))
        assert sources == {SOURCE}
