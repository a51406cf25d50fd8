"""Files of labels into a label set: held against what is there, and nothing is taken of one that does not fit."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from judge.calibration.labelling import label_files
from judge.calibration.labelling.groups import has_column, named_by
from judge.calibration.labelling.label_files import LabelFile
from judge.errors import InputError
from rubrics import Rubric

if TYPE_CHECKING:
    from judge.store.labels import Added, Stored
    from judge.store.results import RunInfo
    from judge.store.store import Store

_TOLD, _EXAMPLES = 5, 3


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of a file.

    Attributes
    ----------
    grouped
        Whether it has the column of the groups.
    told
        What people need to know of it, in lines.
    added
        What became of its labels.
    """

    label_set: str
    grouped: bool
    told: tuple[str, ...]
    added: Added


def import_file(
    store: Store,
    path: Path,
    rubric: Rubric,
    *,
    name: str | None = None,
    group: str | None = None,
    run: RunInfo | None = None,
    sampled_from: str | None = None,
    metadata: bool = False,
    source: str | None = None,
) -> Imported:
    """Adds the labels of a file to a set. What was there stays: another label of the same person is a revision.

    Parameters
    ----------
    name
        Of the set. Without one it is the file's, and then no other file's labels may be in it.
    group
        The column of the document, prompt or conversation.
    run
        Whose items were labelled.
    sampled_from
        The id of the run that the items are a random sample of.
    metadata
        Whether the column of the groups may be one of the metadata of the run's items instead.
    source
        Where the labels are from, in the place of the file's own path.

    Raises
    ------
    InputError
        For a file that cannot be read, or does not fit the set, the run or the sheets that were drawn. Nothing is
        taken of it.
    """
    found = label_files.read(path, rubric, group)
    label_set = name or path.stem
    if found.sheet is not None and store.ask(store.labels.sheet_run, found.sheet) is None:
        raise InputError(f"{path}: the sheet {found.sheet} was not drawn in {store.name}; import it where it was")
    refuse_other(store, label_set, rubric)
    if name is None:
        _refuse_namesake(store, label_set, path)
    known = _known(store, str(path), found, run)
    if group is not None and not found.groups:
        _refuse_column(store, path, group, run, {label.item for label in found.labels} & known, metadata)
    return _added(store, str(path), found, rubric, label_set, run, known, source or str(path.resolve()), sampled_from)


def add_labels(
    store: Store,
    found: LabelFile,
    rubric: Rubric,
    label_set: str,
    source: str,
    run: RunInfo | None = None,
    sampled_from: str | None = None,
) -> Imported:
    """Adds labels that were checked by the rubric, from elsewhere than a file, as `import_file` does.

    Raises InputError where they do not fit the set or the run.
    """
    refuse_other(store, label_set, rubric)
    known = _known(store, source, found, run)
    return _added(store, source, found, rubric, label_set, run, known, source, sampled_from)


def _known(store: Store, where: str, found: LabelFile, run: RunInfo | None) -> set[str]:
    """The ids of a run's items; none without a run. Raises InputError where no label is of one."""
    if run is None:
        return set()
    known: set[str] = store.ask(store.labels.item_ids, run.id)
    labelled = {label.item for label in found.labels}
    if not labelled & known:
        raise InputError(
            f"{where}: no label belongs to an item of run {run.id}; labels name items such as {_some(labelled)}, the "
            f"run's are such as {_some(known)}; nothing was taken"
        )
    return known


def _added(
    store: Store,
    where: str,
    found: LabelFile,
    rubric: Rubric,
    label_set: str,
    run: RunInfo | None,
    known: set[str],
    source: str,
    sampled_from: str | None,
) -> Imported:
    _refuse_regrouped(store, label_set, where, found)
    added: Added = store.change(
        store.labels.add, label_set, rubric.asked_hash, found.labels, source, found.sheet, sampled_from
    )
    told = _told(label_set, added, found)
    if run is not None:
        told += _joined(run, {label.item for label in found.labels}, known)
    return Imported(label_set, bool(found.groups), tuple(told), added)


def refuse_other(store: Store, label_set: str, rubric: Rubric) -> None:
    """Raises InputError where the labels of a set answer other questions."""
    asked = store.ask(store.labels.asked_hash, label_set)
    if asked is not None and asked != rubric.asked_hash:
        raise InputError(
            f"the label set {label_set} answers other questions than {rubric.name}; add these labels to a set "
            "of another name"
        )


def _refuse_namesake(store: Store, label_set: str, path: Path) -> None:
    sources = store.ask(store.labels.sources, label_set)
    if sources and str(path.resolve()) not in {str(Path(one).resolve()) for one in sources}:
        raise InputError(
            f"{path}: there is a label set {label_set} already, of {_some(sources)}; to add these labels to it, or to "
            f"another one: judge labels import {path} --name NAME"
        )


def _refuse_column(store: Store, path: Path, column: str, run: RunInfo | None, ours: set[str], metadata: bool) -> None:
    if metadata and run is not None:
        if has_column(store, run, column, min(ours)):
            return
        raise InputError(
            f"{path}: no column {column!r}, and the items of run {run.id} have none in their metadata; name the column "
            "of the groups with --group, or leave it out"
        )
    raise InputError(
        f"{path}: no column {column!r}; name the column of the groups with --group, or leave it out: one of the items' "
        "metadata is for judge calibrate"
    )


def _refuse_regrouped(store: Store, label_set: str, where: str, found: LabelFile) -> None:
    if not found.groups:
        return
    stored: list[Stored] = store.ask(store.labels.of_set, label_set)
    before = named_by(one.label for one in stored)
    faults = [
        f"item {item!r} is in group {before[item]!r} in the set, row {row} says {group!r}"
        for item, (row, group) in found.groups.items()
        if before.get(item, group) != group
    ]
    if faults:
        raise InputError(
            f"{where}: {label_files.listed(faults)}; mend them, name another set with --name NAME, or begin this one "
            f"anew with: judge labels delete {label_set}; nothing was taken"
        )


def _told(label_set: str, added: Added, found: LabelFile) -> list[str]:
    counted = f"{added.new:,} new labels, {added.changed:,} revised, {added.same + found.repeated:,} the same"
    if added.placed:
        counted += f", {added.placed:,} the same with a group or a sample that they had not"
    told = [f"{label_set}: {counted}"]
    if found.skipped:
        told.append(f"not read: {', '.join(found.skipped)}")
    by = Counter(label.annotator for label in found.labels)
    if alone := [f"{label.annotator} (item {label.item})" for label in found.labels if by[label.annotator] == 1]:
        told.append(f"one label alone, too few to tell how people agree: {', '.join(alone[:_TOLD])}")
    return told


def _joined(run: RunInfo, labelled: set[str], known: set[str]) -> list[str]:
    """Which labels belong to no item of a run, and how many items have some."""
    told = [f"{len(labelled & known):,} of the {len(known):,} items of run {run.id} are labelled"]
    if strangers := sorted(labelled - known):
        more = f" and {len(strangers) - _TOLD:,} more" if len(strangers) > _TOLD else ""
        named = f"{', '.join(strangers[:_TOLD])}{more}"
        told.insert(0, f"not in run {run.id}: {named}; these labels are in no figure of it")
    return told


def _some(names: set[str]) -> str:
    return ", ".join(sorted(names)[:_EXAMPLES])
