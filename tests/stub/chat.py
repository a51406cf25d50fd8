"""OpenAI's chat completions: POST /v1/chat/completions."""

from __future__ import annotations

import time
from typing import Any

from stub.ask import Ask, text_of, written
from stub.behaviour import Behaviour
from stub.logprobs import tokens

FIELDS = {
    "json_schema": "response_format",
    "tool": "tools",
    "temperature": "temperature",
    "effort": "reasoning_effort",
    "logprobs": "logprobs",
    "max_tokens": "max_tokens",
}
#: Why an answer ended; a full context is told apart by servers other than OpenAI's.
FINISHES = {"content_filter": "content_filter", "context": "model_context_window_exceeded"}
KINDS = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 429: "requests"}


def read(given: dict[str, Any]) -> Ask:
    texts = [(message["role"], text_of(message.get("content"))) for message in given["messages"]]
    form, tools, tool = given.get("response_format"), given.get("tools"), None
    schema = form["json_schema"]["schema"] if form and form.get("type") == "json_schema" else None
    if schema is None and tools:
        tool, schema = tools[0]["function"]["name"], tools[0]["function"]["parameters"]
    logprobs = given.get("top_logprobs", 0) if given.get("logprobs") else 0
    return Ask.of(given, texts, schema, tool, (form, tools), logprobs)


def complete(number: int, ask: Ask, text: str | None, behaviour: Behaviour, seed: bytes) -> dict[str, Any]:
    mode = behaviour.mode
    finish = {**FINISHES, "length": behaviour.finish}.get(mode, "stop")
    refusal = "I cannot help with that." if mode == "refusal" else None
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": refusal}
    logprobs = {"content": tokens(text, ask.schema, seed, ask.logprobs)} if ask.logprobs and text else None
    if ask.tool and text and mode != "prose":
        call = {"id": f"call_{number}", "type": "function", "function": {"name": ask.tool, "arguments": text}}
        message |= {"content": None, "tool_calls": [call]}
        finish, logprobs = "tool_calls" if finish == "stop" else finish, None
    usage: dict[str, Any] = {"prompt_tokens": ask.prompt_tokens, "completion_tokens": written(text)}
    usage["total_tokens"] = sum(usage.values())
    if behaviour.mode == "cached":
        details = {"cached_tokens": behaviour.cached, "cache_write_tokens": behaviour.cache_write}
        usage["prompt_tokens_details"] = details
    return {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": behaviour.model or ask.given.get("model"),
        "choices": [{"index": 0, "message": message, "logprobs": logprobs, "finish_reason": finish}],
        "usage": usage,
    }


def fail(status: int, message: str, code: str | None, param: str | None) -> dict[str, Any]:
    error = {"message": message, "type": KINDS.get(status, "server_error"), "param": param, "code": code}
    return {"error": error}
