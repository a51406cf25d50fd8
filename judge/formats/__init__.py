"""Files of rows, one module for each format: a row with its number, or what is wrong with it in one line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Row = dict[str, Any]
Rows = Iterator[tuple[int, Row | str]]
