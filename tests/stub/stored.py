"""Answers that the stub was told to keep, and how they are asked for again; responses that are made meanwhile.

    GET /v1/chat/completions?metadata[NAME]=VALUE    GET /v1/chat/completions/{id}    GET /v1/responses/{id}

POST /keeping says how: `lag_s` until a list shows an answer, and whether they are kept at all.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from stub.verdicts import dumps

CHAT, RESPONSES = "/v1/chat/completions", "/v1/responses"
_METADATA = re.compile(r"metadata\[(.+)\]")


@dataclass(slots=True)
class Keeping:
    """How answers are kept: listed after `lag_s`, or not at all; `status` refuses whoever asks."""

    lag_s: float = 0.0
    kept: bool = True
    status: int = 0


@dataclass(slots=True)
class Stored:
    path: str
    given: dict[str, Any]
    reply: bytes
    id: str
    at: float
    done_at: float = 0.0

    @property
    def shown(self) -> bytes:
        """The answer, once it is there."""
        under_way = {"id": self.id, "object": "response", "status": "in_progress", "output": [], "usage": None}
        return self.reply if time.time() >= self.done_at else dumps(under_way).encode()


class Shelf:
    """What was kept."""

    def __init__(self) -> None:
        self.behaviour = Keeping()
        self.stored: list[Stored] = []

    def keep(self, path: str, given: dict[str, Any], reply: dict[str, Any], raw: bytes) -> None:
        """Keeps an answer, where that was asked for."""
        if given.get("store") and self.behaviour.kept:
            self.stored.append(Stored(path, given, raw, str(reply["id"]), time.time()))

    def begin(self, delay_s: float) -> bytes:
        """The last answer is made in the background, in so many seconds: what is told at once."""
        self.stored[-1].done_at = time.time() + delay_s
        return self.stored[-1].shown

    def respond(self, path: str, query: str) -> tuple[int, bytes]:
        """The reply to a look-up."""
        if self.behaviour.status:
            return self.behaviour.status, dumps({"error": {"message": "told to refuse"}}).encode()
        for root in (CHAT, RESPONSES):
            if path.startswith(f"{root}/"):
                found = [one.shown for one in self._shown(root) if one.id == path.removeprefix(f"{root}/")]
                return (200, found[0]) if found else (404, dumps({"error": {"message": "no such answer"}}).encode())
        wanted = {found[1]: values[0] for name, values in parse_qs(query).items() if (found := _METADATA.match(name))}
        rows = [one for one in self._shown(CHAT) if wanted.items() <= (one.given.get("metadata") or {}).items()]
        data = [{"id": one.id, "object": "chat.completion", "metadata": one.given.get("metadata")} for one in rows]
        return 200, dumps({"object": "list", "data": data, "has_more": False}).encode()

    def _shown(self, path: str) -> list[Stored]:
        return [one for one in self.stored if one.path == path and time.time() - one.at >= self.behaviour.lag_s]
