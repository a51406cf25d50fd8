"""What litellm can ask, and the other adapters cannot: an extra, for the long tail.

litellm is imported here and nowhere else, without its calls home. Its retries, redirects and fallbacks are cut off
below it, by an `Exchange`: what is said of a failure is what the server said, and not what litellm made of it.
"""

from __future__ import annotations

import json
import logging
import os
import re
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from judge.errors import SetupError
from judge.judges import Judge
from judge.providers import AnswerLost, CallError, Rejected, wire
from judge.providers.anthropic import Anthropic
from judge.providers.exchange import Carrier, Exchange, exchange
from judge.providers.openai import ChatCompletions, OpenAIServer
from judge.providers.transport import CONNECT_TIMEOUT_S, DETAIL_CHARACTERS, check, key_of, rejected, trusted

OLDEST = (1, 100)
#: Published by a thief: these send the keys of a machine away as soon as they are imported.
STOLEN = frozenset({"1.82.7", "1.82.8"})

#: Read when litellm is imported: no list is fetched, no `.env` file is read, and nothing is sent but through Python.
ENVIRONMENT = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_MODE": "PRODUCTION",
    "LITELLM_RUST": "False",
}
#: Settings of a process under which others would see every call, or it would be another call.
AMBIENT = (
    "callbacks input_callback success_callback failure_callback _async_input_callback _async_success_callback "
    "_async_failure_callback cache drop_params modify_params model_alias_map model_fallbacks num_retries api_base "
    "api_key headers proxy_auth enable_anthropic_prompt_caching route_all_chat_openai_to_responses"
).split()

#: Routes that send through what they are given and by no other way: OpenAI's SDK, or a client of litellm's.
THROUGH_SDK = frozenset(
    "ai21_chat baseten cerebras codestral dashscope deepinfra featherless_ai friendliai galadriel github helicone "
    "hyperbolic lambda_ai litellm_proxy llamafile lm_studio meta_llama modelscope moonshot nebius novita nscale "
    "nvidia_nim openai perplexity sambanova scaleway tencent vercel_ai_gateway volcengine wandb xinference zai".split()
)
THROUGH_CLIENT = frozenset(
    "anthropic azure_ai bedrock cometapi compactifai databricks deepseek fireworks_ai gemini groq heroku hosted_vllm "
    "minimax mistral openrouter ovhcloud snowflake together_ai xai".split()
)


class LiteLLM(ChatCompletions):
    """One model behind one of litellm's routes, as in `anthropic/claude-haiku-4-5`."""

    def __init__(self, judge: Judge) -> None:
        check(judge, "OPENAI_CUSTOM_HEADERS")
        self.model = judge.model
        self._route = _route(judge)
        self._litellm = _imported(judge)
        self._key = key_of(judge)
        _, _, found, base_url = self._litellm.get_llm_provider(self.model, api_base=judge.base_url)
        # No key of the environment goes to a server that the description names.
        key = self._key or ("none" if judge.base_url else found)
        self._carrier = Carrier(judge.headers, judge.proxy, trusted(judge), CONNECT_TIMEOUT_S)
        through = self._sdk if self._route in THROUGH_SDK else self._client
        self._sending = {
            "client": through(judge, key, base_url),
            "api_base": base_url,
            "api_key": key,
            "max_retries": 0,
            "num_retries": 0,
        }
        self.endpoint = f"litellm:{self._route}:{base_url or ''}"

    async def send(self, body: bytes) -> bytes:
        """litellm's own reply as JSON, or the server's where litellm could not read that.

        The caller bounds the time. Raises Rejected, NotSent or AnswerLost.
        """
        asked = json.loads(body)
        _refuse_addresses(asked)
        reply, error = None, None
        with exchange() as made:
            try:
                reply = await self._litellm.acompletion(**asked, **self._sending)
            except Exception as raised:  # noqa: BLE001 - litellm's errors hide what failed: the exchange knows
                error = raised
        failure = self._failure(made, error)
        if failure is not None:
            # Raised out here: litellm's error holds the key and the prompt, and must not travel along.
            raise failure
        return made.raw if reply is None else wire.encode(reply.model_dump(mode="json"))

    async def close(self) -> None:
        """Closes the connections."""
        await self._carrier.aclose()

    def _failure(self, made: Exchange, error: Exception | None) -> CallError | None:
        """What stands in the place of an answer, by what went over the wire; None where an answer came."""
        if made.failure is not None:
            return made.failure
        if made.status is not None:
            if made.status < 300:
                return None
            return rejected(made.status, _parsed(made.raw), made.headers, _explain, self._key, *made.secrets)
        status = getattr(error, "status_code", None)
        if not made.begun and isinstance(status, int) and 400 <= status < 500:
            return self._refused(error, status)
        return AnswerLost("not_watched", f"litellm did not send this call as others of {self._route}; nothing is known")

    def _refused(self, error: Exception | None, status: int) -> Rejected:
        """What litellm itself refused, before anything was sent."""
        ...
