"""A judge of pairs that was asked in both orders, from its file to the figures of a calibration."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from judge.calibration.calibration import Calibration, calibrate
from judge.calibration.judgements import of_recording
from judge.calibration.labelling.importing import import_file
from judge.calibration.labelling.sampling import Sampling
from judge.calibration.report.criterion import section
from judge.calibration.report.disagreements import Sources
from judge.calibration.splits import Part, split
from judge.judges import Judge
from judge.store.store import Store
from rubrics import Rubric
from tests.sets import path, rows

RUBRIC = "name: llmbar\ncriteria: [{id: instruction_following, scale: preference, question: Which follows it better?}]"
JUDGE = "ChatGPT/CoT"


def calibrated(store: Store, folder: Path, judgements: Path, judge: str | None) -> Calibration:
    """A calibration of a judge on the gold labels of LLMBar."""
    rubric = Rubric.loads(RUBRIC)
    gold = [row for row in rows("llmbar/human") if row["criterion"] == "instruction_following"]
    (folder / "gold.jsonl").write_text("".join(json.dumps(row) + "\n" for row in gold))
    import_file(store, folder / "gold.jsonl", rubric)
    stored = store.ask(store.labels.of_set, "gold")
    options = {"file": str(judgements)} | ({} if judge is None else {"judge": judge})
    recording = Judge(name="r", provider="recorded", options=options)
    said = of_recording(recording, rubric)
    sampling = Sampling.kept(store, said, stored)
    return calibrate(said, stored, sampling, label_set="gold", group=None, record=lambda _: 1, draws=200)


def test_accuracy_in_both_orders_and_what_the_order_does(sqlite_store: Store, tmp_path: Path) -> None:
    made = calibrated(sqlite_store, tmp_path, path("llmbar/judge.jsonl.gz"), JUDGE)
    found = made.measurements["instruction_following"]
    gold = {row["item"]: row["verdict"] for row in rows("llmbar/human") if row["criterion"] == found.criterion}
    held_out = {item for item, part in split(gold, 0, dev=False).items() if part is Part.TEST}
    pairs = [
        (gold[row["item"]], row["verdict_ab"], row["verdict_ba"])
        for row in rows("llmbar/judge")
        if row["judge"] == JUDGE and row["item"] in held_out
    ]
    read = [(ab, ba) for _, ab, ba in pairs if ab is not None and ba is not None]
    shares = {
        "accuracy_ab": sum(ab == people for people, ab, _ in pairs) / len(pairs),
        "accuracy_ba": sum(ba == people for people, _, ba in pairs) / len(pairs),
        "both_correct": sum(people == ab == ba for people, ab, ba in pairs) / len(pairs),
        "constant": max(Counter(people for people, _, _ in pairs).values()) / len(pairs),
        "consistency": sum(ab == ba for ab, ba in read) / len(read),
        "primacy": sum((ab, ba) == ("a", "b") for ab, ba in read) / len(read),
        "recency": sum((ab, ba) == ("b", "a") for ab, ba in read) / len(read),
    }
    assert {id_: found.orders[id_].value for id_ in shares} == pytest.approx(shares, abs=1e-12)
    assert shares["accuracy_ab"] != shares["accuracy_ba"]
    assert found.orders["accuracy"].value == pytest.approx((shares["accuracy_ab"] + shares["accuracy_ba"]) / 2)
    assert all(figure.low is not None for id_, figure in found.orders.items() if id_ != "position_p")
    assert Calibration.model_validate_json(made.model_dump_json()) == made
    shown = section(made, 0, found, Rubric.loads(RUBRIC), Sources({}, {}, {}))
    assert shown.orders is not None
    assert [row.figure for row in shown.orders.rows][:2] == [found.orders["constant"], found.orders["accuracy"]]


def test_pairs_in_one_order_alone_say_nothing_of_the_order(sqlite_store: Store, tmp_path: Path) -> None:
    once = [
        {"item": row["item"], "criterion": row["criterion"], "score": row["verdict_ab"]}
        for row in rows("llmbar/judge")
        if row["judge"] == JUDGE
    ]
    (tmp_path / "once.jsonl").write_text("".join(json.dumps(row) + "\n" for row in once))
    made = calibrated(sqlite_store, tmp_path, tmp_path / "once.jsonl", None)
    found = made.measurements["instruction_following"]
    assert found.orders == {}
    assert found.measure("exact") is not None
