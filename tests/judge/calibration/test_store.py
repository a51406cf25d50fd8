"""Labels, sheets and calibrations in the store, on both databases."""

from __future__ import annotations

from dataclasses import replace

from judge.calibration.labelling.labels import Label
from judge.store.labels import Added, Drawn, Stored
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
    looks = [("s", 0, "a"), ("s", 0, "b"), ("s", 1, "a"), ("s", 0, "c"), ("t", 0, "a")]
    assert [store.change(look, *one) for one in looks] == [1, 2, 3, 4, 1]
    table = store.tables.opening
    kept = store.ask(lambda it, _: it.execute(table.select().order_by(table.c.label_set, table.c.number)).all())
    assert [(row.label_set, row.seed, row.purpose) for row in kept] == looks


def test_looks_at_the_same_labels_count_whatever_their_set_is_called(store: Store) -> None:
    every = [Label(str(n), "clear", "ann", Outcome.SCORED, n % 3, float(n % 3)) for n in range(40)]
    otherwise = [Label(str(n), "clear", "ann", Outcome.SCORED, (n + 1) % 3, float((n + 1) % 3)) for n in range(40)]
    sets = {"s": every, "copy": every, "part": every[:20], "half": otherwise[:10] + every[10:30] + otherwise[30:]}
    for name, labels in sets.items():
        assert store.change(store.labels.add, name, "q", labels, "a.csv").new == len(labels)
    look = store.calibrations.open_test
    assert [store.change(look, name, 0, "a") for name in ("s", "s", "copy", "part", "half")] == [1, 2, 3, 4, 1]
    assert store.change(look, "s", 0, "b") == 5
    store.change(store.labels.add, "copy", "q", [replace(one, level=0, value=0.0) for one in every], "b.csv")
    assert store.change(look, "copy", 0, "a") == 6  # revised since, and looked at all the same


def test_a_revision_keeps_what_it_says_nothing_of(store: Store) -> None:
    add, one = store.labels.add, replace(ONE, group=None)
    assert store.change(add, "s", "q", [one], "a.csv") == Added(1, 0, 0)
    assert store.change(add, "s", "q", [ONE], "a.csv") == Added(0, 0, 0, placed=1)
    assert store.change(add, "s", "q", [one], "a.csv", "sheet") == Added(0, 0, 0, placed=1)
    assert store.change(add, "s", "q", [one], "a.csv", None, "run") == Added(0, 0, 0, placed=1)
    assert store.change(add, "s", "q", [one], "b.csv") == Added(0, 0, 1)
    assert store.change(add, "s", "q", [replace(one, level=3, value=3.0)], "b.csv") == Added(0, 1, 0)
    (found,) = store.ask(store.labels.of_set, "s")
    assert found == Stored(replace(ONE, level=3, value=3.0), "sheet", "run")
    assert store.ask(store.labels.sources, "s") == {"a.csv", "b.csv"}
    assert store.ask(store.labels.sources, "t") == set()


def test_a_set_is_removed_unless_a_calibration_rests_on_it(store: Store) -> None:
    for name in ("s", "t"):
        store.change(store.labels.add, name, "q", [ONE, OTHER], "a.csv")
        store.change(store.calibrations.open_test, name, 0, "a")
    binding = dict.fromkeys(("rubric_hash", "judge_fingerprint", "labels_hash"), "x")
    store.change(store.calibrations.add, "c", "{}", label_set="t", seed=0, run=None, **binding)
    assert store.change(store.labels.remove, "s") == []
    assert store.change(store.labels.remove, "t") == ["c v1"]
    assert [one.name for one in store.ask(store.labels.sets)] == ["t"]
    assert store.ask(store.labels.asked_hash, "s") is None
    assert len(store.ask(store.labels.of_set, "t")) == 2
    assert store.change(store.calibrations.open_test, "s", 0, "b") == 2  # the same labels would be looked at again
