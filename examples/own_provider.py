"""A provider of your own, in twenty lines: `judge grade FILE -r helpfulness -j judge.yaml`, with this in judge.yaml:

    provider: own_provider:Yes
    model: always-yes
    price: {input: 0, output: 0}

This one answers everything with the best level, without a model; put your own call in `send`.
"""

from __future__ import annotations

import json

from judge.judges import Judge
from judge.providers import Body, Reading, Request
from rubrics import CANNOT_TELL, NOT_APPLICABLE

NO_LEVEL = (NOT_APPLICABLE, CANNOT_TELL)


class Yes:
    """Turns a request into bytes, sends them, reads the bytes that come back. Never retries, never parses a verdict."""

    def __init__(self, judge: Judge) -> None:
        self.endpoint = f"own:{judge.model}"

    def compile(self, request: Request) -> Body:
        shared = {"system": request.system, "schema": request.schema}
        return lambda user, max_tokens: json.dumps({**shared, "user": user, "max_tokens": max_tokens}).encode()

    async def send(self, body: bytes) -> bytes:
        criteria = json.loads(body)["schema"]["properties"]
        best = {}
        for name, one in criteria.items():
            score = one["properties"]["score"]
            levels = [answer for answer in score.get("enum") or score["anyOf"][0]["enum"] if answer not in NO_LEVEL]
            best[name] = {"reason": "Always.", "score": levels[-1]}
        return json.dumps(best).encode()

    def read(self, raw: bytes) -> Reading:
        return Reading(text=raw.decode(), model="always-yes")

    async def close(self) -> None:
        pass
