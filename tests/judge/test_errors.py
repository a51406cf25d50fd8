"""Errors of ours travel between processes whole, and take nothing along."""

from __future__ import annotations

import inspect
import json
import pickle
from typing import Any

import pytest

import judge.errors
import judge.providers
from judge import JudgeError
from judge.attempts import Again
from judge.errors import Overloaded, Waiting
from judge.judges import Asking
from judge.providers import CallError, Rejected, Request
from judge.providers.quoting import unquoted
from tests.stub.listeners import answering

pytestmark = pytest.mark.anyio
KEY, PROMPT = "sk-canary-0123456789", "CANARY: what a customer wrote"
CALLS = [kind for _, kind in inspect.getmembers(judge.providers, inspect.isclass) if issubclass(kind, CallError)]
OTHERS = [kind for _, kind in inspect.getmembers(judge.errors, inspect.isclass) if issubclass(kind, JudgeError)]


def made(kind: type[Exception]) -> Exception:
    match kind.__name__:
        case "Rejected":
            return Rejected("http_400", "a line", 400, 1.5, "temperature")
        case "Waiting":
            return Waiting(2.0)
        case "Overloaded":
            return Overloaded("a line", "runs", 3)
        case "Again":
            return Again("http_500", "a line", 2.0)
        case _:
            return kind("cause", "a line") if issubclass(kind, CallError) else kind("a line")


@pytest.mark.parametrize("kind", [*CALLS, *OTHERS, Again])
def test_an_error_is_pickled_whole(kind: type[Exception]) -> None:
    error = made(kind)
    error.__cause__ = ValueError(KEY)
    raw = pickle.dumps(error)
    back = pickle.loads(raw)
    assert (type(back), str(back), vars(back)) == (kind, str(error), vars(error))
    assert KEY.encode() not in raw


def test_all_errors_of_calls_are_looked_at() -> None:
    named = {"CallError", "Rejected", "NotSent", "AddressRefused", "AnswerLost", "Unreadable"}
    assert {kind.__name__ for kind in CALLS} == named
    assert len(OTHERS) >= 7


@pytest.mark.parametrize("provider", ["openai", "openai-responses", "anthropic"])
@pytest.mark.parametrize("answer", ["400 Bad Request", "500 Internal Server Error", "garbage"])
async def test_what_a_server_repeats_is_in_no_error(
    adapter_at: Any, provider: str, answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THE_KEY", KEY)
    said = f"Bad: {PROMPT!r}, sent with {KEY} to the model stub-model-of-a-long-name, cannot be served"
    error = json.dumps({"error": {"message": said, "code": said, "param": said}}).encode()
    head = f"HTTP/1.1 {said} {answer}" if answer == "garbage" else answer
    async with (
        answering(head, error) as (url, _),
        adapter_at(provider, url, api_key_env="THE_KEY", model="stub-model-of-a-long-name") as adapter,
    ):
        schema = {"type": "object", "properties": {"a": {"type": "string"}}}
        body = adapter.compile(Request(Asking("json_schema", ()), "s", schema))(f"Before.\n{PROMPT}\nAfter.", 10)
        with pytest.raises(CallError) as raised:
            await adapter.send(body)
    raw = pickle.dumps(raised.value)
    assert (KEY.encode() in raw, b"CANARY" in raw, b"a customer wrote" in raw) == (False, False, False)
    if answer != "garbage":
        assert (
            str(raised.value) == "Bad: '[...]', sent with *** to the model stub-model-of-a-long-name, cannot be served"
        )


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("nothing of it", "nothing of it"),
        ("0123456789abcde is too short", "0123456789abcde is too short"),
        ("0123456789abcdef is not", "[...] is not"),
        ("<0123456789abcdefghij>", "<[...]>"),
        ("...9abcdefghij and klmnop...", "...9abcdefghij and klmnop..."),
        ("a 0123456789abcdef b 0123456789abcdef", "a [...] b [...]"),
        ("shift 456789abcdefghij and a line that is broken", "shift [...] and [...]"),
    ],
)
def test_a_quotation_is_left_out_however_it_is_cut(said: str, told: str) -> None:
    sent = json.dumps({"m": [{"c": "0123456789abcdefghij"}, {"d": "a line that\n  is broken"}], "key of an object": 1})
    assert unquoted(said, sent.encode()) == told


def test_names_may_be_repeated() -> None:
    assert (
        unquoted("no model a-model-with-a-name", b'{"model": "a-model-with-a-name"}', "a-model-with-a-name")[3:8]
        == "model"
    )
    assert unquoted("no model a-model-with-a-name", b'{"model": "a-model-with-a-name"}') == "no model [...]"
