"""Labels, sheets and calibrations in the store, on both databases."""

from __future__ import annotations

from dataclasses import replace

from judge.calibration.labelling.labels import Label
from judge.store.labels import Added, Drawn
from judge.store.store import Store
from judge.verdicts import Outcome

ONE = Label("1", "clear", "ann", Outcome.SCORED, 2, 2.0, "So.", "d1")
OTHER = Label("2", "tone", "bob", Outcome.SCORED, "warm", None)


def test_labels_are_added_and_never_changed(store: Store) -> None:
    add = store.labels.add
    assert store.change(add, "s", "q", [ONE, OTHER], "a.csv") == Added(2, 0, 0)
    assert store.change(add, "s", "q", [ONE, OTHER], "a.csv") == Added(0, 0, 2)
    later = replace(ONE, level=3, value=3.0)
    assert store.change(add, "s", "q", [later], "b.csv", "sheet", "run") == Added(0, 1, 0)
    found = store.ask(store.labels.of_set, "s")
    assert [(one.label, one.sheet, one.sampled_from) for one in found] == [(later, "sheet", "run"), (OTHER, None, None)]
    table = store.tables.label
    every = store.ask(lambda connection, _: connection.execute(table.select().order_by(table.c.revision)).all())
    assert [(row.item_id, row.revision, row.value, row.source) for row in every if row.item_id == "1"] == [
        ("1", 0, 2.0, "a.csv"),
        ("1", 1, 3.0, "b.csv"),
    ]
    assert store.ask(store.labels.asked_hash, "s") == "q"
    assert store.ask(store.labels.asked_hash, "t") is None
    assert [(one.name, one.labels, one.items, one.annotators) for one in store.ask(store.labels.sets)] == [
        ("s", 2, 2, 2)
    ]


def test_a_sheet_keeps_every_item_with_its_probability(store: Store) -> None:
    drawn = [Drawn("1", 0, 0.5, True), Drawn("2", 0, 0.5, False), Drawn("3", 1, 1.0, True)]
    store.change(store.labels.draw, "sheet", "run", 7, drawn)
    assert sorted(store.ask(store.labels.drawn_for, "sheet"), key=lambda one: one.item) == drawn
    assert store.ask(store.labels.sheet_run, "sheet") == "run"
    assert store.ask(store.labels.sheet_run, "none") is None


def test_a_calibration_of_a_name_is_its_next_version(store: Store) -> None:
    binding = {
        "rubric_hash": "r",
        "judge_fingerprint": "j",
        "label_set": "s",
        "labels_hash": "l",
        "seed": 0,
        "run": None,
    }
    first, second = (store.change(store.calibrations.add, "c", body, **binding) for body in ("{}", "[]"))
    assert (first.version, second.version) == (1, 2)
    assert [one.body for one in store.ask(store.calibrations.find, "c")] == ["[]", "{}"]
    assert store.ask(store.calibrations.find, first.id) == [first]
    assert store.ask(store.calibrations.find, "d") == []


def test_every_look_at_held_out_labels_is_counted(store: Store) -> None:
    look = store.calibrations.open_test
    assert [store.change(look, "s", 0, "a"), store.change(look, "s", 0, "b"), store.change(look, "s", 1, "a")] == [
        1,
        2,
        1,
    ]
