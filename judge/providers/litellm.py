"""What litellm can ask, and the other adapters cannot: an extra, for the long tail.

litellm is imported here and nowhere else, without its calls home. Its retries, redirects and fallbacks are cut off
below it, by an `Exchange`: what is said of a failure is what the server said, and not what litellm made of it.
"""

from __future__ import annotations

import json
import logging
import os
import re
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from judge.errors import SetupError
from judge.judges import Judge
from judge.providers import AnswerLost, CallError, Rejected, anthropic, wire
from judge.providers.exchange import Carrier, Exchange, exchange
from judge.providers.openai import FIELDS, ChatCompletions, OpenAIServer
from judge.providers.transport import CONNECT_TIMEOUT_S, DETAIL_CHARACTERS, Asked, check, key_of, rejected, trusted

OLDEST = (1, 100)
#: Published by an attacker: these send the keys of a machine away as soon as they are imported.
MALICIOUS = frozenset({"1.82.7", "1.82.8"})

#: Read when litellm is imported: no list is fetched, no `.env` file is read, and nothing is sent but through Python.
ENVIRONMENT = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_MODE": "PRODUCTION",
    "LITELLM_RUST": "False",
}
#: Settings of a process under which others would see every call, or it would be another call.
AMBIENT = """
callbacks input_callback success_callback failure_callback _async_input_callback _async_success_callback
_async_failure_callback cache drop_params modify_params model_alias_map model_fallbacks num_retries api_base api_key
headers proxy_auth set_verbose enable_anthropic_prompt_caching route_all_chat_openai_to_responses
"""
#: Loggers that write prompts down, or addresses with a key in them, below a warning.
TALKERS = ("LiteLLM", "LiteLLM Router", "httpx", "openai")
#: Routes that send by what they are given and by nothing else: OpenAI's SDK, or a client of litellm's.
WAYS = {
    "sdk": """
        ai21_chat baseten cerebras codestral dashscope deepinfra featherless_ai friendliai galadriel github helicone
        hyperbolic lambda_ai litellm_proxy llamafile lm_studio meta_llama modelscope moonshot nebius novita nscale
        nvidia_nim openai perplexity sambanova scaleway tencent vercel_ai_gateway volcengine wandb xinference zai
    """,
    "client": """
        anthropic azure_ai bedrock cometapi compactifai databricks deepseek fireworks_ai gemini groq heroku hosted_vllm
        minimax mistral openrouter ovhcloud together_ai xai
    """,
}
ROUTES = {route: way for way, routes in WAYS.items() for route in routes.split()}
#: Why an answer was cut, by the server's word and by ours: litellm calls some of these whole, and others `length`.
CUT = {name: name for name in ("model_context_window_exceeded", "model_length")} | {"max_tokens": "length"}


class LiteLLM(ChatCompletions):
    """One model behind one of litellm's routes, as in `anthropic/claude-haiku-4-5`."""

    def __init__(self, judge: Judge) -> None:
        check(judge, "OPENAI_CUSTOM_HEADERS")
        self.model = judge.model
        self._route = _route(judge)
        self._litellm = _imported()
        self._unlogged = _unlogged()
        self._key = key_of(judge)
        _, _, found, base_url = self._litellm.get_llm_provider(self.model, api_base=judge.base_url)
        # No key of the environment goes to a server that the description names.
        key = self._key or ("none" if judge.base_url else found)
        self._carrier = Carrier(judge.headers, judge.proxy, trusted(judge), CONNECT_TIMEOUT_S)
        if ROUTES[self._route] == "sdk":
            client = self._sdk(judge, key, base_url)
            base_url = str(client.base_url)
        else:
            client = self._client()
        self._sending = {"api_base": base_url, "api_key": key, "client": client, "max_retries": 0, "num_retries": 0}
        self.endpoint = f"litellm:{self._route}:{base_url or ''}"

    async def send(self, body: bytes) -> bytes:
        """The server's reply, or litellm's own as JSON where it says something else.

        The caller bounds the time. Raises Rejected, NotSent or AnswerLost.
        """
        asked = json.loads(body)
        _refuse_addresses(asked)
        reply, error = None, None
        with exchange() as made, self._unlogged():
            try:
                reply = await self._litellm.acompletion(**asked, **self._sending)
            except Exception as raised:  # noqa: BLE001 - litellm's errors hide what failed: the exchange knows
                error = raised
        failure = self._failure(made, error, Asked(body, self.model, (self._key, *made.secrets)))
        if failure is not None:
            # Raised out here: litellm's error holds the key and the prompt, and must not travel along.
            raise failure
        if reply is None:
            return made.raw
        sent = _parsed(made.raw)
        return made.raw if _unchanged(reply, sent) else _restored(reply.model_dump(mode="json"), sent, made.raw)

    async def close(self) -> None:
        """Closes the connections."""
        await self._carrier.aclose()

    def _sdk(self, judge: Judge, key: str | None, base_url: str | None) -> Any:
        """OpenAI's SDK over the carrier, as litellm would make it."""
        import httpx  # noqa: PLC0415 - litellm's
        import openai  # noqa: PLC0415 - litellm's

        if self._route == "openai":
            key = key or os.environ.get("OPENAI_API_KEY")
        if not key:  # the SDK would take OpenAI's, wherever it asks
            raise SetupError(f"the judge {judge.name!r} needs a key: set the variable of {self._route}, or api_key_env")
        http = httpx.AsyncClient(transport=self._carrier, trust_env=False)
        client = openai.AsyncOpenAI(api_key=key, base_url=base_url, max_retries=0, http_client=http)
        if base_url is not None:  # the SDK takes these from the environment, and they are OpenAI's business
            client.organization = client.project = None
        return client

    def _client(self) -> Any:
        """litellm's own client over the carrier; it makes a new one for a retry, and gets this one."""
        import httpx  # noqa: PLC0415 - litellm's
        from litellm.llms.custom_httpx.http_handler import AsyncHTTPHandler  # noqa: PLC0415 - 2 s

        carrier = self._carrier

        class Client(AsyncHTTPHandler):  # type: ignore[misc]
            def create_client(self, *_: Any, **__: Any) -> httpx.AsyncClient:
                return httpx.AsyncClient(transport=carrier, trust_env=False)

        return Client()

    def _failure(self, made: Exchange, error: Exception | None, asked: Asked) -> CallError | None:
        """What stands in the place of an answer, by what went over the wire; None where an answer came."""
        if (failure := made.failure) is not None:
            return type(failure)(failure.cause, asked.fit(str(failure)))
        if made.status is not None:
            if made.status < 300:
                return None
            return rejected(made.status, _parsed(made.raw), made.headers, _explain, asked)
        if not made.begun and error is not None and (refusal := self._refused(error)) is not None:
            return refusal
        return AnswerLost("not_watched", f"litellm let no request of {self._route} be seen; what it sent is unknown")

    def _refused(self, error: Exception) -> Rejected | None:
        """What litellm would not send; None where that is not sure."""
        if isinstance(error, self._litellm.UnsupportedParamsError):
            return _unsupported(str(error))
        status, missing = getattr(error, "status_code", None), _missing(error)
        if missing is not None:
            return Rejected("package_missing", f"litellm needs the package {missing!r} for this: install it", 400)
        if isinstance(status, int) and 400 <= status < 500:
            # Its words may hold the prompt, save where a key is missing.
            detail = str(error) if status == 401 else f"litellm refused the call itself ({type(error).__name__})"
            return Rejected(f"http_{status}", detail[:DETAIL_CHARACTERS], status)
        return None


def _route(judge: Judge) -> str:
    route, _, model = judge.model.partition("/")
    if not model or route not in ROUTES:
        raise SetupError(
            f"the judge {judge.name!r}: litellm's route {route!r} is not among those whose calls can be watched; write "
            f"ROUTE/MODEL with one of {', '.join(sorted(ROUTES))}"
        )
    if judge.base_url is None and ROUTES[route] == "client":
        for name in (f"{route.upper()}_API_BASE", f"{route.upper()}_BASE_URL"):
            if name in os.environ:
                raise SetupError(
                    f"the judge {judge.name!r}: {name} is set; write the address as base_url, so that grades say it"
                )
    return route


@cache
def _imported() -> Any:
    """litellm, if it is one to trust: that is looked up before it can run."""
    try:
        found = version("litellm")
    except PackageNotFoundError:
        raise SetupError("this judge needs litellm; install this project with its extra: litellm") from None
    if found in MALICIOUS:
        raise SetupError(f"litellm {found} was published by an attacker: remove it, and change this machine's keys")
    if tuple(int(part) for part in re.findall(r"\d+", found)[:2]) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise SetupError(f"litellm {found} is too old; install {oldest} or newer, as the extra litellm does")
    os.environ.update(ENVIRONMENT)
    warnings.filterwarnings("ignore", ".*`ReadOnly` qualifier", UserWarning)  # pydantic, of litellm's models
    # Of replies with odd fields, wherever litellm or its SDK writes them down; what is odd is ours to refuse.
    warnings.filterwarnings("ignore", "Pydantic serializer warnings", UserWarning)
    import litellm  # noqa: PLC0415 - 3 s, only for those who ask through it

    for name in AMBIENT.split():
        if getattr(litellm, name, None):
            raise SetupError(f"litellm.{name} is set in this process, and every call would be subject to it; unset it")
    litellm.suppress_debug_info = True
    for name in TALKERS:
        talker = logging.getLogger(name)
        talker.setLevel(logging.WARNING)
        talker.handlers.clear()  # its own would print beside whatever log there is
    return litellm


def _unlogged() -> Callable[[], AbstractContextManager[None]]:
    """A block whose calls litellm neither writes down nor prices, where it knows such: the ledger has done both."""
    try:
        from litellm._internal_context import internal_sub_call  # noqa: PLC0415 - litellm's
    except ImportError:
        return nullcontext
    block: Callable[[], AbstractContextManager[None]] = internal_sub_call
    return block


def _refuse_addresses(asked: dict[str, Any]) -> None:
    """Raises Rejected for an image that litellm would fetch, from this machine and by a way of its own."""
    said = asked["messages"][-1]["content"]
    parts = said if isinstance(said, list) else []
    if any("image_url" in part and not part["image_url"]["url"].lower().startswith("data:") for part in parts):
        raise Rejected("image_by_address", "litellm takes images as files or data: URLs; it would fetch others", 400)


def _explain(error: dict[str, Any]) -> tuple[str | None, str | None]:
    """The codes and words of OpenAI and of Anthropic: most routes have those of the one or the other."""
    said, also = OpenAIServer.explain(error), anthropic.Anthropic.explain(error)
    return said[0] or also[0], said[1] or also[1]


def _unsupported(complaint: str) -> Rejected:
    """litellm names what a route does not take before it sends anything."""
    complaint = complaint.partition(" To drop")[0]
    named = re.search(r"'(\w+)'", complaint)
    field = named[1] if named else None
    return Rejected("unsupported_parameter", complaint, 400, parameter=FIELDS.get(field or "", field))


def _missing(error: BaseException | None) -> str | None:
    """The package for want of which litellm failed."""
    while error is not None:
        if isinstance(error, ModuleNotFoundError):
            return error.name
        error = error.__cause__ or error.__context__
    return None


def _parsed(raw: bytes) -> dict[str, Any]:
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _unchanged(reply: Any, sent: dict[str, Any]) -> bool:
    """Whether litellm reads the answer and its tokens as they were sent.

    Then what was sent holds all of it, and nothing made up. Some servers count tokens in ways of their own.
    """
    try:
        choice, told = reply.choices[0], sent["choices"][0]
        message = told["message"]
        calls = [call["function"]["arguments"] for call in message.get("tool_calls") or ()]
        return bool(
            (choice.finish_reason, choice.message.content) == (told["finish_reason"], message.get("content"))
            and [call.function.arguments for call in choice.message.tool_calls or ()] == calls
            and _counted_alike(reply.usage, sent.get("usage"))
        )
    except (AttributeError, IndexError, KeyError, TypeError):
        return False


def _counted_alike(usage: Any, sent: dict[str, Any] | None) -> bool:
    """Whether litellm's count of tokens is the server's; where that has none litellm makes one up, and none counts."""
    if not sent:
        return True
    cached = getattr(getattr(usage, "prompt_tokens_details", None), "cached_tokens", None) or 0
    told = (sent.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    ours = (usage.prompt_tokens, usage.completion_tokens, cached)
    return ours == (sent.get("prompt_tokens"), sent.get("completion_tokens"), told)


def _restored(reply: dict[str, Any], sent: dict[str, Any], raw: bytes) -> bytes:
    """litellm's reply, with what the server sent and litellm moved elsewhere, left out, decoded or made up."""
    said = anthropic.text(sent["content"], raw) if sent.get("type") == "message" else None
    ended = _ended(sent)
    for choice in reply["choices"]:
        message = choice["message"]
        message["refusal"] = message.get("refusal") or (message.get("provider_specific_fields") or {}).get("refusal")
        choice["finish_reason"] = CUT.get(ended, choice["finish_reason"])
        if said is not None and message.get("tool_calls"):
            message["tool_calls"][0]["function"]["arguments"] = said
        elif said is not None:
            message["content"] = said
    return wire.encode(reply | {name: sent[name] for name in ("id", "model") if name in sent})


def _ended(sent: dict[str, Any]) -> Any:
    """Why the answer ended, as Anthropic, Bedrock, or OpenAI and those like it say it."""
    choices = sent.get("choices") or [{}]
    return sent.get("stop_reason") or sent.get("stopReason") or choices[0].get("finish_reason")
