"""When the next request of a server and key is due, for all processes at one database."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, Select, func, select

from judge.paces import Turn
from judge.store.conflicts import ignoring, replacing
from judge.store.tables import pace

_CLOCK = select(func.extract("epoch", func.clock_timestamp()))


def turns(connection: Connection, wishes: Sequence[Turn]) -> list[float]:
    """The batch operation that gives turns: after how many seconds each of them comes, be it taken or not.

    This is the generic cell rate algorithm, in its form of virtual scheduling. One clock counts: the database's.
    """
    # In one order, whoever asks: two that wait for each other's rows would wait for ever.
    names = sorted({wish.of for wish in wishes})
    held = select(pace.c.of, pace.c.due).where(pace.c.of.in_(names)).order_by(pace.c.of).with_for_update()
    if len(due := _by_name(connection, held)) < len(names):
        connection.execute(ignoring(connection, pace), [{"of": name, "due": 0.0} for name in names])
        due = _by_name(connection, held)
    now = float(connection.execute(_CLOCK).scalar_one())
    waits, taken = [], {}
    for wish in wishes:
        after = max(due[wish.of], now) + wish.takes_s
        waits.append(max(after - wish.ahead_s - now, 0.0))
        if waits[-1] <= wish.latest_s:
            due[wish.of] = taken[wish.of] = max(after, now)
    if taken:
        connection.execute(replacing(connection, pace), [{"of": name, "due": taken[name]} for name in sorted(taken)])
    return waits


def _by_name(connection: Connection, held: Select[tuple[str, float]]) -> dict[str, float]:
    return {row.of: row.due for row in connection.execute(held)}
