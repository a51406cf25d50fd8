"""The files that `--out` names: written whole or not at all, and never over something else."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from judge.errors import InputError
from judge.exports import grades_of

if TYPE_CHECKING:
    from judge.store.results import RunInfo
    from judge.store.store import Store


@contextmanager
def new_file(path: Path, text: bool, force: bool = False) -> Iterator[IO[Any]]:
    """A file to write text or bytes to. Raises InputError where it is there, unless by force, or cannot be written."""
    if path.exists() and not force:
        raise InputError(f"{path}: is there already; name another file")
    try:
        with _whole(path, text) as file:
            yield file
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error}); name another file") from None


@contextmanager
def new_files(paths: Sequence[Path]) -> Iterator[list[IO[str]]]:
    """New files to write text to. Where one of them cannot be written, none is left."""
    files: dict[Path, IO[str]] = {}
    try:
        with ExitStack() as opened:
            for path in paths:
                files[path] = opened.enter_context(new_file(path, text=True))
            yield list(files.values())
    except BaseException:
        for path in files:
            path.unlink(missing_ok=True)
        raise


@contextmanager
def _whole(path: Path, text: bool = True) -> Iterator[IO[Any]]:
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("w", encoding="utf-8", newline="") if text else partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


class Output:
    """A JSONL file of grades, which may hold an earlier state of the same run."""

    def __init__(self, path: Path) -> None:
        self._path = path
        if path.is_dir():
            raise InputError(f"{path}: is a folder; name a file in it")
        if not path.parent.is_dir():
            raise InputError(f"{path}: there is no folder {path.parent}; make it, or name another --out file")
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            raise InputError(f"{path}: cannot be written; name another --out file")

    def check(self, run: str, rubric: str, judge: str) -> None:
        """Refuses a file that holds anything but an earlier state of this run. The last two are hashes."""
        if not self._path.exists() or not self._path.stat().st_size:
            return
        with self._path.open("rb") as file:
            first = file.readline()
        try:
            row = json.loads(first)
            held = (row["run"], row["rubric"]["hash"], row["judge"]["fingerprint"])
        except (ValueError, KeyError, TypeError):
            raise InputError(f"{self._path}: is not a file of grades; name another --out file") from None
        if held[0] != run:
            differs = [
                name for name, one, other in (("rubric", held[1], rubric), ("judge", held[2], judge)) if one != other
            ]
            what = " and ".join(differs) or "items or round"
            raise InputError(f"{self._path}: holds run {held[0]}, whose {what} differ; name another --out file")

    def write(self, store: Store, info: RunInfo, calibration: str | None = None) -> int:
        """Writes all graded items in the order of the input. Returns how many."""
        self.check(info.id, info.rubric.hash, info.judge.fingerprint)
        count = 0
        try:
            with _whole(self._path) as file:
                for grade in grades_of(store, info, calibration):
                    file.write(grade.model_dump_json() + "\n")
                    count += 1
        except OSError as error:
            raise InputError(
                f"{self._path}: cannot be written ({error.strerror}); the grades are kept: judge runs export {info.id}"
            ) from None
        return count
