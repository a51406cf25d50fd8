"""Room in this process for what takes long: so much for all, and no more than a part of it for one tenant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from judge.errors import Overloaded


class Room:
    """Places that are taken and given back.

    Parameters
    ----------
    most, most_of_one
        Places, and how many of them one tenant may have: none keeps the others out.
    told
        What has the places, and what to do: it is said after their number.
    """

    def __init__(self, most: int, most_of_one: int, told: str) -> None:
        self._most, self._most_of_one, self._told = most, most_of_one, told
        self._taken: Counter[str] = Counter()

    def take(self, tenant: str) -> None:
        """Takes a place; give it back. Raises Overloaded where there is none."""
        for taken, most in ((self._taken[tenant], self._most_of_one), (self._taken.total(), self._most)):
            if taken >= most:
                raise Overloaded(f"{most} {self._told}")
        self._taken[tenant] += 1

    def give_back(self, tenant: str) -> None:
        """Gives a place back."""
        self._taken -= Counter([tenant])  # which forgets those that have none

    @contextmanager
    def taken(self, tenant: str) -> Iterator[None]:
        """A place, as long as the block lasts. Raises Overloaded."""
        self.take(tenant)
        try:
            yield
        finally:
            self.give_back(tenant)
