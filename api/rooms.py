"""Room in this process for what takes long: so much for all, and no more than a part of it for one tenant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from api.limits import AT_ONCE, Full


class Room:
    """Places that are taken and given back.

    Parameters
    ----------
    quota
        What the places are for, in a word.
    most, most_of_one
        Places, and how many of them one tenant may have: none keeps the others out.
    told
        What has the places, and what to do: it is said after their number.
    """

    def __init__(self, quota: str, most: int, most_of_one: int, told: str) -> None:
        self._quota, self._most, self._most_of_one, self._told = quota, most, most_of_one, told
        self._taken: Counter[str] = Counter()

    def take(self, tenant: str) -> None:
        """Takes a place; give it back. Raises Full where there is none."""
        of_one = (self._quota, self._taken[tenant], self._most_of_one)
        of_all = (f"all-{self._quota}", self._taken.total(), self._most)
        for quota, taken, most in (of_one, of_all):
            if taken >= most:
                raise Full(f"{most} {self._told}", quota, most, AT_ONCE)
        self._taken[tenant] += 1

    def give_back(self, tenant: str) -> None:
        """Gives a place back."""
        self._taken -= Counter([tenant])  # which forgets those that have none

    @contextmanager
    def taken(self, tenant: str) -> Iterator[None]:
        """A place, as long as the block lasts. Raises Full."""
        self.take(tenant)
        try:
            yield
        finally:
            self.give_back(tenant)
