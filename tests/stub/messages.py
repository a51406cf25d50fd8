"""Anthropic's messages: POST /v1/messages."""

from __future__ import annotations

import json
from typing import Any

from stub.ask import VERBATIM, Ask, text_of, written
from stub.behaviour import Behaviour

FIELDS = {
    "json_schema": "output_config.format",
    "tool": "tools",
    "temperature": "temperature",
    "effort": "output_config.effort",
}
KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}
#: What Anthropic says where OpenAI has a code: a code of its own, or words.
CODES = {"insufficient_quota": "enforced_spend_limit_reached", "slow_down": "ramp_limit_exceeded"}
WORDS = {
    "content_filter": "Output blocked by content filtering policy",
    "context_length_exceeded": "prompt is too long: 200001 tokens > 200000 maximum",
    "credit_balance_exhausted": "Your credit balance is too low to access the API.",
}


def read(given: dict[str, Any]) -> Ask:
    given["max_tokens"]  # no request goes without one
    texts = [("system", text_of(given.get("system")))]
    texts += [(message["role"], text_of(message["content"])) for message in given["messages"]]
    form = (given.get("output_config") or {}).get("format") or given.get("output_format")  # as older clients say it
    tools, tool = given.get("tools"), None
    schema = form["schema"] if form else None
    if schema is None and tools:
        tool, schema = tools[0]["name"], tools[0]["input_schema"]
    return Ask.of(given, texts, schema, tool, (form, tools))


def complete(number: int, ask: Ask, text: str | None, behaviour: Behaviour, seed: bytes) -> dict[str, Any]:
    mode, stop, details = behaviour.mode, "end_turn", None
    content: list[dict[str, Any]] = [{"type": "text", "text": text}] if text is not None else []
    if ask.tool and text and mode != "prose":
        called = {"type": "tool_use", "id": f"toolu_{number}", "name": ask.tool}
        content = [{**called, "input": VERBATIM if _is_object(text) else {}}]
        stop = "tool_use"
    if mode == "length" and behaviour.finish == "length":
        stop = "max_tokens"
    elif mode == "context":
        stop = "model_context_window_exceeded"
    elif mode in {"refusal", "content_filter"}:
        stop, details = "refusal", {"type": "refusal", "category": "general_harms", "explanation": None}
    cached = (behaviour.cached, behaviour.cache_write) if mode == "cached" else (0, 0)
    usage = {
        "input_tokens": ask.prompt_tokens - sum(cached),  # the cached ones are counted apart
        "cache_read_input_tokens": cached[0],
        "cache_creation_input_tokens": cached[1],
        "output_tokens": written(text),
    }
    return {
        "id": f"msg_{number}",
        "type": "message",
        "role": "assistant",
        "model": behaviour.model or ask.given.get("model"),
        "content": content,
        "stop_reason": stop,
        "stop_sequence": None,
        "stop_details": details,
        "usage": usage,
    }


def fail(status: int, message: str, code: str | None, param: str | None) -> dict[str, Any]:
    said = f"{param}: {message}" if param else WORDS.get(code or "", message)
    details = {"error_code": CODES[code]} if code in CODES else None
    error = {"type": KINDS.get(status, "api_error"), "message": said, "details": details}
    return {"type": "error", "error": error, "request_id": "req_stub"}


def _is_object(text: str) -> bool:
    """Whether a text can be the input of a tool, which is an object and no text."""
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False
