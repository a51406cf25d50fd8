"""The rubrics and judges that callers may name.

A name that arrives is only ever looked up here: it opens no file, imports no code and sends no key to an address of
the caller's choice.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from judge.errors import SetupError
from judge.judges import SOURCES, Judge
from judge.providers import BUILT_IN
from rubrics import Rubric, shipped

SUFFIXES = frozenset({".yaml", ".yml", ".json"})
#: Providers whose models can be named as provider/model.
ASKED = frozenset(BUILT_IN) - frozenset(SOURCES)

T = TypeVar("T", Judge, Rubric)


class Shelf:
    """What ships, and what the operator put into two folders when the service started."""

    def __init__(self, rubrics: Iterable[Rubric], judges: Iterable[Judge]) -> None:
        self.rubrics = _by_name(rubrics)
        self._judges = _by_name(judges)

    @classmethod
    def read(cls, rubrics_dir: Path | None, judges_dir: Path | None) -> Shelf:
        """Raises SetupError or RubricError where the operator's files cannot be used."""
        return cls(
            [*map(Rubric.load, shipped()), *map(Rubric.load, _files(rubrics_dir))],
            [Judge.load("simulated"), *map(Judge.load, _files(judges_dir))],
        )

    def judge(self, name: str) -> Judge | None:
        """The judge of this name: one from the shelf, or provider/model."""
        provider, _, model = name.partition("/")
        if name in self._judges or provider not in ASKED or not model:
            return self._judges.get(name)
        return Judge(name=name, provider=provider, model=model)

    def offers(self, judge: Judge) -> bool:
        """Whether a judge is one of the operator's, and not one that a caller thought of."""
        return self._judges.get(judge.name) is judge

    def label(self, judge: Judge) -> str:
        """What metrics call a judge: those that callers think of are counted by their provider."""
        if self.offers(judge):
            return judge.name
        return f"{judge.provider if judge.provider in BUILT_IN else 'own'}/*"

    @property
    def judges(self) -> tuple[str, ...]:
        """What a judge may be called, for people."""
        return (*self._judges, *(f"{provider}/MODEL" for provider in sorted(ASKED)))


def _by_name(things: Iterable[T]) -> dict[str, T]:
    named: dict[str, T] = {}
    for thing in things:
        if thing.name in named:
            kind = type(thing).__name__.lower()
            raise SetupError(f"two {kind}s are named {thing.name!r}; rename one in its file")
        named[thing.name] = thing
    return named


def _files(folder: Path | None) -> list[Path]:
    if folder is None:
        return []
    try:
        return sorted(file for file in folder.iterdir() if file.suffix in SUFFIXES)
    except OSError as error:
        raise SetupError(f"{folder}: cannot be read ({error.strerror}); name a folder of YAML files") from None
