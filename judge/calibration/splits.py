"""Which labels may be fitted on, and which may be reported on: never the same, and never two items of one group apart.

A group is a document, a prompt, a conversation: all that is likely to be labelled alike. Its part follows from its name
and the seed alone, so that labels that come later never move a group from one part to another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from judge.errors import InputError

T = TypeVar("T")

#: A part of its own for work on the prompt is not taken from fewer groups.
LEAST_GROUPS_FOR_DEV = 60


class Part(StrEnum):
    """What the labels of a group are for."""

    DEV = "dev"  #: work on the rubric and the prompt; in no figure
    FIT = "fit"  #: calibrators are fitted and chosen on these
    HOLD = "hold"  #: thresholds and intervals are: the calibrator has not seen them
    TEST = "test"  #: figures are reported on these, and nothing is fitted


#: The share of the groups in each part. Calibration is `fit` and `hold`.
SHARES: Mapping[Part, float] = {Part.FIT: 0.25, Part.HOLD: 0.25, Part.TEST: 0.5}
SHARES_WITH_DEV: Mapping[Part, float] = {Part.DEV: 0.4, Part.FIT: 0.15, Part.HOLD: 0.15, Part.TEST: 0.3}


def part_of(group: str, seed: int, shares: Mapping[Part, float] = SHARES) -> Part:
    """The part of a group: its hash with the seed, as a number from 0 to 1, falls into the share of one part."""
    digest = hashlib.sha256(f"{seed}\0{group}".encode()).digest()
    at = int.from_bytes(digest[:8], "big") / 2**64
    for part, share in shares.items():
        if at < share:
            return part
        at -= share
    return Part.TEST  # by rounding


def split(groups: Iterable[str], seed: int, dev: bool = False) -> dict[str, Part]:
    """The part of every group.

    Parameters
    ----------
    dev
        Whether to keep 40% of the groups for work on the prompt: 40/30/30 in the place of half and half.

    Raises
    ------
    InputError
        For a dev part of fewer than 60 groups.
    """
    names = set(groups)
    if dev and len(names) < LEAST_GROUPS_FOR_DEV:
        raise InputError(
            f"a dev part needs at least {LEAST_GROUPS_FOR_DEV} groups, and there are {len(names)}; leave --dev out"
        )
    shares = SHARES_WITH_DEV if dev else SHARES
    return {name: part_of(name, seed, shares) for name in names}


def split_items(groups: Mapping[str, str], seed: int, dev: bool = False) -> dict[str, Part]:
    """The part of every item, that of its group. Raises InputError as `split` does."""
    parts = split(groups.values(), seed, dev)
    return {item: parts[group] for item, group in groups.items()}


@dataclass(frozen=True, slots=True)
class Fitting(Generic[T]):
    """Labels to fit a calibrator on. No figure takes them."""

    data: T


@dataclass(frozen=True, slots=True)
class Holding(Generic[T]):
    """Labels for thresholds and intervals, which no calibrator was fitted on. No figure takes them."""

    data: T


class _Seal:
    """What only `Sealed` has: without it nothing can be called opened."""


_SEAL = _Seal()


@dataclass(frozen=True, slots=True)
class Opened(Generic[T]):
    """Labels that nothing was fitted on: what figures are reported on. Made by `Sealed.open`, and by nothing else.

    `openings` is how often they were looked at.
    """

    data: T
    openings: int
    seal: _Seal

    def __post_init__(self) -> None:
        if self.seal is not _SEAL:  # for callers whose types nobody checks
            raise TypeError("labels are opened by Sealed.open, which writes the look down")


class Sealed(Generic[T]):
    """Labels that nothing was fitted on, until somebody looks.

    Parameters
    ----------
    record
        Writes a look down, for the purpose that it is told, and returns how many there were.
    """

    __slots__ = ("_data", "_record")

    def __init__(self, data: T, record: Callable[[str], int]) -> None:
        self._data, self._record = data, record

    def open(self, purpose: str) -> Opened[T]:
        """The labels, once the look is written down."""
        return Opened(self._data, self._record(purpose), _SEAL)
