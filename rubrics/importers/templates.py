"""Places in a text that another tool fills in before it asks."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from rubrics.importers.imported import Losses

_PLACE = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}|\{%-?\s*(.*?)\s*-?%\}", re.DOTALL)


def filled(text: str, values: Mapping[str, object], losses: Losses, place: str) -> str:
    """The text with values put in; a place without one keeps its name in brackets, and is told."""

    def fill(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        value = values.get(name)
        if isinstance(value, str | int | float):
            return value if isinstance(value, str) else json.dumps(value)
        losses.changed(f"{found[0]} becomes [{name}]", place)
        return f"[{name}]"

    return _PLACE.sub(fill, text)
