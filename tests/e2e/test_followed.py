"""A run is followed while the service is killed, stopped and started again."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from judge import Item
from judge.client import Client
from judge.events import Event
from judge.grades import Grade
from tests.e2e.test_serve import free_port

if TYPE_CHECKING:
    import subprocess

    from tests.conftest import Stub
    from tests.e2e.conftest import Terminal


def served(place: Terminal, port: int) -> subprocess.Popen[str]:
    return place.start("serve", "--no-keys", "--port", str(port))


async def followed(port: int, told: list[Event], items: list[Item]) -> None:
    async with Client(f"http://127.0.0.1:{port}") as client:
        run = await client.submit(items, rubric="reply", judge="local")
        async for event in client.events(run.id):
            told.append(event)


def test_the_client_misses_no_grade_and_gets_none_twice_through_kills(
    anywhere: Terminal, stub: Callable[..., Stub]
) -> None:
    server = stub("--seed-regex", r"ITEM-\d+", "--latency-ms", "100")
    for name in ("judges", "rubrics"):
        (anywhere.folder / name).mkdir()
    anywhere.write("rubrics/reply.yaml", (anywhere.folder / "reply.yaml").read_bytes())
    anywhere.judge(server, "judges/local.yaml", concurrency=4)
    offered = {"JUDGE_JUDGES_DIR": "judges", "JUDGE_RUBRICS_DIR": "rubrics"}
    place = replace(anywhere, environment=anywhere.environment | offered)
    port, told = free_port(), list[Event]()
    items = [Item.model_validate(row) for row in place.rows("items.jsonl")]
    process = served(place, port)
    with ThreadPoolExecutor(1) as threads:
        try:
            following = threads.submit(asyncio.run, followed(port, told, items))
            for number, how in ((8, signal.SIGKILL), (20, signal.SIGTERM)):
                place.wait(process, lambda number=number: len(told) >= number)  # type: ignore[misc]
                begun = time.monotonic()
                os.kill(process.pid, how)
                process.communicate(timeout=20)
                assert time.monotonic() - begun < 5  # an open stream holds nobody up
                process = served(place, port)
            following.result(timeout=60)
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=20)
    assert told[-1].last
    often = Counter(event.told.item for event in told if isinstance(event.told, Grade))
    assert (len(often), often.total()) == (40, 40)
