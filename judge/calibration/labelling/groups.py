"""Which items belong together: by what their labels name, or by a column of the items' metadata."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from judge.calibration.judgements import BY_INPUT, Judgements, of_run
from judge.calibration.labelling.labels import Label
from judge.errors import InputError

if TYPE_CHECKING:
    from judge.store.labels import Stored
    from judge.store.results import RunInfo
    from judge.store.store import Store


def named_by(labels: Iterable[Label]) -> dict[str, str]:
    """The groups that labels name, by item."""
    return {label.item: label.group for label in labels if label.group is not None}


def named_groups(label_set: str, stored: Sequence[Stored]) -> dict[str, str]:
    """The groups that labels name, by item: of all items, or of none.

    Raises InputError where some items have one and some have not: those would be grouped by something else.
    """
    groups = named_by(one.label for one in stored)
    without = {one.label.item for one in stored} - groups.keys()
    if groups and without:
        raise InputError(
            f"{len(groups):,} of the {len(groups) + len(without):,} items of the label set {label_set} have a group, "
            f"and others, such as {min(without)}, have none; import their file again with --group COLUMN"
        )
    return groups


def grouped(
    store: Store, run: RunInfo, label_set: str, named: dict[str, str], column: str | None, system: str | None = None
) -> Judgements:
    """What a run's judge said, by groups of a column. Those that labels name go before it, and must be the same.

    Raises InputError where they are not, or where items have no such column.
    """
    if column is None:
        return of_run(store, run, None, system).regrouped(named)
    ours = named.keys() & store.ask(store.labels.item_ids, run.id)
    if ours and not has_column(store, run, column, min(ours)):
        raise InputError(
            f"the label set {label_set} names its groups itself, and the items of run {run.id} have no {column!r} in "
            "their metadata; leave --group out"
        )
    found = of_run(store, run, column, system)
    _refuse_contradiction(label_set, named, found, column)
    return found.regrouped(named)


def has_column(store: Store, run: RunInfo, column: str, item: str) -> bool:
    """Whether an item of a run has such a column in its metadata; `input` is one that all have."""
    return column == BY_INPUT or column in store.ask(store.results.items, run.id, [item])[item].metadata


def _refuse_contradiction(label_set: str, named: dict[str, str], judgements: Judgements, column: str) -> None:
    for item, own in zip(judgements.items, judgements.groups, strict=True):
        if named.get(item, own) != own:
            raise InputError(
                f"item {item!r} is in group {named[item]!r} in the label set {label_set} and {own!r} by {column!r}; "
                "leave --group out"
            )
