"""OpenAI's responses: POST /v1/responses."""

from __future__ import annotations

import time
from typing import Any

from stub.ask import Ask, text_of, written
from stub.behaviour import Behaviour
from stub.chat import fail as fail
from stub.logprobs import tokens

FIELDS = {
    "json_schema": "text.format",
    "tool": "tools",
    "temperature": "temperature",
    "effort": "reasoning.effort",
    "logprobs": "top_logprobs",
}


def read(given: dict[str, Any]) -> Ask:
    said = given["input"]
    messages = [{"role": "user", "content": said}] if isinstance(said, str) else said
    texts = [("system", given.get("instructions") or "")]
    texts += [(message["role"], text_of(message["content"])) for message in messages]
    form, tools, tool = (given.get("text") or {}).get("format"), given.get("tools"), None
    schema = form["schema"] if form and form.get("type") == "json_schema" else None
    if schema is None and tools:
        tool, schema = tools[0]["name"], tools[0]["parameters"]
    told = "message.output_text.logprobs" in given.get("include", ())
    return Ask.of(given, texts, schema, tool, (form, tools), given.get("top_logprobs", 0) if told else 0)


def complete(number: int, ask: Ask, text: str | None, behaviour: Behaviour, seed: bytes) -> dict[str, Any]:
    mode = behaviour.mode
    logprobs = tokens(text, ask.schema, seed, ask.logprobs) if ask.logprobs and text else []
    part: dict[str, Any] = {"type": "output_text", "text": text or "", "annotations": [], "logprobs": logprobs}
    if mode == "refusal":
        part = {"type": "refusal", "refusal": "I cannot help with that."}
    answer: dict[str, Any] = {"type": "message", "id": f"msg_{number}", "role": "assistant", "content": [part]}
    if ask.tool and text and mode != "prose":
        answer = {"type": "function_call", "call_id": f"call_{number}", "name": ask.tool, "arguments": text}
    reason = {"length": "max_output_tokens", "content_filter": "content_filter"}.get(mode)
    if mode == "length" and behaviour.finish != "length":
        reason = None
    code = "server_error" if behaviour.code is None else behaviour.code or None
    failed = {"code": code, "message": "told to fail"} if mode == "failed" else None
    cached = behaviour.cached if mode == "cached" else 0
    written_to_cache = behaviour.cache_write if mode == "cached" else 0
    usage = {
        "input_tokens": ask.prompt_tokens,
        "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written_to_cache},
        "output_tokens": written(text),
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": ask.prompt_tokens + written(text),
    }
    said = () if mode == "silent" else (answer,)
    return {
        "id": f"resp_{number}",
        "object": "response",
        "created_at": int(time.time()),
        "status": "failed" if failed else "incomplete" if reason else "completed",
        "error": failed,
        "incomplete_details": {"reason": reason} if reason else None,
        "model": behaviour.model or ask.given.get("model"),
        "output": [] if failed or mode == "content_filter" else [{"type": "reasoning", "summary": []}, *said],
        "usage": None if failed else usage,
    }
