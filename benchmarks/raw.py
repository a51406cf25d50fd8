"""The plain loops to compare with: one request an output, a semaphore, nothing kept.

openai         the SDK as it comes
openai-robust  the SDK with 8 retries, and up to 4 more asks where the verdict cannot be read
openai-bare    the SDK's raw responses over aiohttp: no models, no retries
aiohttp        the floor: one POST an output
anthropic      Anthropic's SDK as it comes
litellm        litellm as it comes, on its way to a server like OpenAI's
openai-bodies  OpenAI's SDK as it comes, with the bodies that are in the work's folder
"""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from collections.abc import Awaitable, Callable
from itertools import islice
from typing import Any

import aiohttp
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI, DefaultAioHttpClient, OpenAIError

from benchmarks import measured
from benchmarks.work import CRITERIA, Item, Work

SYSTEM = (
    "You are a careful judge. Grade the output on every criterion of the rubric, on a 1-5 scale. "
    "Give a short reason before each score."
)
MORE_ASKS = 4
Verdict = dict[str, Any]
Ask = Callable[[Item], Awaitable[Verdict]]


def request(item: Item) -> dict[str, Any]:
    """The whole body of a call."""
    rubric = "\n\n".join(
        f"{name}: {question}\n" + "\n".join(f"  {level}: {text}" for level, text in enumerate(levels, 1))
        for name, (question, levels) in CRITERIA.items()
    )
    user = (
        f"<rubric>\n{rubric}\n</rubric>\n\n<input>\n{item['input']}\n</input>\n\n<output>\n{item['output']}\n</output>"
    )
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": user}]
    form = {"type": "json_schema", "json_schema": {"name": "verdict", "strict": True, "schema": _schema()}}
    return {"model": "stub-judge", "temperature": 0, "messages": messages, "response_format": form}


def _schema() -> dict[str, Any]:
    score = {"type": "integer", "minimum": 1, "maximum": 5}
    answer = _object({"reason": {"type": "string"}, "score": score})
    return _object(dict.fromkeys(CRITERIA, answer))


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "required": list(properties), "properties": properties}


def by_openai(client: AsyncOpenAI) -> Ask:
    async def ask(item: Item) -> Verdict:
        reply = await client.chat.completions.create(**request(item))
        return dict(json.loads(reply.choices[0].message.content))

    return ask


def by_bodies(client: AsyncOpenAI) -> Ask:
    async def ask(body: dict[str, Any]) -> Verdict:
        reply = await client.chat.completions.create(**body)
        return dict(json.loads(reply.choices[0].message.content))

    return ask


def again(ask: Ask) -> Ask:
    """Asks again where the verdict could not be read, or all retries were used up."""

    async def robust(item: Item) -> Verdict:
        for _ in range(MORE_ASKS):
            try:
                return await ask(item)
            except (OpenAIError, ValueError):
                continue
        return await ask(item)

    return robust


def by_raw_response(client: AsyncOpenAI) -> Ask:
    async def ask(item: Item) -> Verdict:
        reply = await client.chat.completions.with_raw_response.create(**request(item))
        return dict(json.loads(json.loads(reply.content)["choices"][0]["message"]["content"]))

    return ask


def by_aiohttp(session: aiohttp.ClientSession, url: str) -> Ask:
    async def ask(item: Item) -> Verdict:
        async with session.post(f"{url}/v1/chat/completions", json=request(item)) as reply:
            reply.raise_for_status()
            return dict(json.loads((await reply.json())["choices"][0]["message"]["content"]))

    return ask


def by_anthropic(client: AsyncAnthropic) -> Ask:
    async def ask(item: Item) -> Verdict:
        system, user = request(item)["messages"]
        reply = await client.messages.create(
            model="stub-judge",
            max_tokens=4096,
            system=system["content"],
            messages=[user],
            output_config={"format": {"type": "json_schema", "schema": _schema()}},
        )
        return dict(json.loads(reply.content[0].text))

    return ask


def by_litellm(acompletion: Callable[..., Any], url: str) -> Ask:
    async def ask(item: Item) -> Verdict:
        given = {**request(item), "model": "openai/stub-judge", "api_base": f"{url}/v1", "api_key": "none"}
        reply = await acompletion(**given)
        return dict(json.loads(reply.choices[0].message.content))

    return ask


async def grade(ask: Ask, items: list[Item], concurrency: int) -> tuple[list[measured.Scores], Counter[str]]:
    """All scores, and how often each error came."""
    errors: Counter[str] = Counter()
    free = asyncio.Semaphore(concurrency)

    async def one(item: Item) -> measured.Scores:
        async with free:
            try:
                verdict = await ask(item)
                return [answer["score"] for answer in verdict.values()]
            except (OpenAIError, aiohttp.ClientError, ValueError, KeyError) as error:
                errors[type(error).__name__] += 1
                return None

    return list(await asyncio.gather(*(one(item) for item in items))), errors


async def main() -> None:
    given = measured.arguments(
        "openai", "openai-robust", "openai-bare", "aiohttp", "anthropic", "litellm", "openai-bodies"
    )
    work = Work(given.work)
    with (work.bodies if given.name == "openai-bodies" else work.items).open(encoding="utf-8") as file:
        items = [json.loads(line) for line in islice(file, given.n)]
    sdk: dict[str, Any] = {"base_url": f"{given.url}/v1", "api_key": "none"}
    match given.name:
        case "aiohttp":
            session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=given.concurrency))
            ask, close = by_aiohttp(session, given.url), session.close
        case "anthropic":
            client = AsyncAnthropic(base_url=given.url, api_key="none")
            ask, close = by_anthropic(client), client.close
        case "litellm":
            os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it fetches a list when it is imported
            import litellm

            ask, close = by_litellm(litellm.acompletion, given.url), litellm.close_litellm_async_clients
        case "openai-bare":
            client = AsyncOpenAI(**sdk, max_retries=0, http_client=DefaultAioHttpClient())
            ask, close = by_raw_response(client), client.close
        case "openai-bodies":
            client = AsyncOpenAI(**sdk)
            ask, close = by_bodies(client), client.close
        case "openai-robust":
            client = AsyncOpenAI(**sdk, max_retries=8)
            ask, close = again(by_openai(client)), client.close
        case _:
            client = AsyncOpenAI(**sdk)
            ask, close = by_openai(client), client.close
    with measured.Stopwatch() as watch:
        scores, errors = await grade(ask, items, given.concurrency)
    await close()
    measured.write(given.out, watch, scores, errors)


if __name__ == "__main__":
    asyncio.run(main())
