"""The rubrics and judges that callers may name.

A name that arrives is only ever looked up here: it opens no file, imports no code and sends no key to an address of
the caller's choice. What ships comes first, then what the operator put into two folders, then what was registered
through the API by somebody of the caller's tenant: by NAME, which stands for the content that it was last given, by
NAME@REVISION, or by hash.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from judge.errors import SetupError
from judge.judges import SOURCES, Judge
from judge.providers import BUILT_IN
from judge.servers import Servers
from judge.store.registrations import Kind, Registration
from judge.store.store import Store
from rubrics import Rubric, shipped

SUFFIXES = frozenset({".yaml", ".yml", ".json"})
#: Providers whose models can be named as provider/model.
ASKED = frozenset(BUILT_IN) - frozenset(SOURCES)

NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
HASH = re.compile(r"[0-9a-f]{64}")
_REF = re.compile(rf"({NAME.pattern})(?:@([1-9][0-9]{{0,8}}))?")

T = TypeVar("T", Judge, Rubric)


class Shelf:
    """What can be named by the callers of a tenant; without a store, by those of every one.

    It looks into the store for what it does not have itself: keep it off the event loop.
    """

    def __init__(
        self, rubrics: Iterable[Rubric], judges: Iterable[Judge], servers: Servers, store: Store | None = None
    ) -> None:
        self.rubrics, self.operators = _by_name(rubrics), _by_name(judges)
        self.servers, self._store = servers, store

    @classmethod
    def read(cls, rubrics_dir: Path | None, judges_dir: Path | None, servers: Servers | None = None) -> Shelf:
        """Raises SetupError or RubricError where the operator's files cannot be used."""
        return cls(
            [*map(Rubric.load, shipped()), *map(Rubric.load, _files(rubrics_dir))],
            [Judge.load("simulated"), *map(Judge.load, _files(judges_dir))],
            servers or Servers(),
        )

    def of(self, store: Store) -> Shelf:
        """The shelf of a store's tenant."""
        return Shelf(self.rubrics.values(), self.operators.values(), self.servers, store)

    def rubric(self, ref: str) -> Rubric | None:
        """The rubric of this name, or of this hash: one that something was graded by, too."""
        if ref in self.rubrics:
            return self.rubrics[ref]
        found = next((one for one in self.rubrics.values() if one.hash == ref), None)
        if found is None and (kept := self.registered(Kind.RUBRIC, ref)) is not None:
            found = rubric_in(kept)
        if found is None and self._store is not None and HASH.fullmatch(ref):
            found = self._store.ask(self._store.verdicts.kept_rubric, ref)
        return found

    def judge(self, ref: str) -> Judge | None:
        """The judge of this name or hash: one from the shelf, one that was registered, or provider/model.

        One that was registered is called NAME@REVISION from here on, so that a run keeps the one it began with.
        """
        if ref in self.operators:
            return self.operators[ref]
        provider, _, model = ref.partition("/")
        if provider in ASKED and model:
            return Judge(name=ref, provider=provider, model=model)
        found = next((one for one in self.operators.values() if one.description_hash == ref), None)
        if found is None and (kept := self.registered(Kind.JUDGE, ref)) is not None:
            found = self.servers.bound(judge_in(kept))
        return found

    def has_judge(self, name: str) -> bool:
        """Whether a name is the operator's, or a provider's."""
        return name in self.operators or name in BUILT_IN

    def registered(self, kind: Kind, ref: str) -> Registration | None:
        """What was registered under a name, or with a hash."""
        if self._store is None:
            return None
        registrations = self._store.registrations
        found: Registration | None = None
        if HASH.fullmatch(ref):
            found = self._store.ask(registrations.by_hash, kind, ref)
        elif (named := _REF.fullmatch(ref)) is not None:
            revision = None if named[2] is None else int(named[2])
            found = self._store.ask(registrations.find, kind, named[1], revision)
        return found

    def page(self, kind: Kind, after: str | None, limit: int) -> tuple[list[Registration], bool]:
        """What names stand for that were registered, in their order, after one of them; and whether there are more."""
        if self._store is None:
            return [], False
        ask, registrations = self._store.ask, self._store.registrations
        own = self.rubrics if kind is Kind.RUBRIC else self.operators
        names = ask(registrations.names, kind, own.keys(), after or "", limit + 1)
        found = (ask(registrations.find, kind, name) for name in names[:limit])
        return [one for one in found if one is not None], len(names) > limit

    def offers(self, judge: Judge) -> bool:
        """Whether a judge is one of the operator's, and not one that a caller thought of."""
        return self.operators.get(judge.name) is judge

    def label(self, judge: Judge) -> str:
        """What metrics call a judge: those that callers think of are counted by their provider."""
        if self.offers(judge):
            return judge.name
        return f"{judge.provider if judge.provider in BUILT_IN else 'own'}/*"

    @property
    def judges(self) -> tuple[str, ...]:
        """What a judge may be called, for people."""
        return (*self.operators, *(f"{provider}/MODEL" for provider in sorted(ASKED)))


def rubric_in(kept: Registration) -> Rubric:
    """The rubric that was registered."""
    return Rubric.parse({"name": kept.name, **json.loads(kept.body)})


def judge_in(kept: Registration) -> Judge:
    """The judge that was registered, as it was described, by a name that no other content gets."""
    return Judge.model_validate({"name": f"{kept.name}@{kept.revision}", **json.loads(kept.body)})


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
