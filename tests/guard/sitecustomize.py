"""Put on the path of a program under test: it reaches no other machine."""

from __future__ import annotations

import socket
from typing import Any

LOOPBACK = ("127.0.0.1", "::1", "localhost")
_connect = socket.socket.connect


def _at_home_only(self: socket.socket, address: Any) -> None:
    if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in LOOPBACK:
        raise AssertionError(f"a program under test tried to reach {address[0]}")
    _connect(self, address)


socket.socket.connect = _at_home_only  # type: ignore[method-assign]
