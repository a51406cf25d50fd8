"""Who is asked: one small adapter for each provider.

A `Provider` turns a request into bytes, sends them, and reads the bytes that come back. It never retries, never
counts, never parses a verdict: calling, ledger and parsing do, alike for all. A `Source` makes verdicts without
asking a model, so that nothing is paid and the ledger has no part in it.

A provider of your own is named in a judge's description as `module:Class` and is made with the description.
"""

from __future__ import annotations

import copyreg
import importlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

from judge.errors import SetupError
from judge.items import Item
from judge.judges import Asking, Judge
from judge.tokens import Token
from judge.verdicts import Verdict
from rubrics import Rubric

BUILT_IN = {
    "anthropic": "judge.providers.anthropic:Anthropic",
    "litellm": "judge.providers.litellm:LiteLLM",
    "openai": "judge.providers.openai:OpenAI",
    "openai-responses": "judge.providers.openai_responses:OpenAIResponses",
    "recorded": "judge.providers.recorded:Recorded",
    "simulated": "judge.providers.simulated:Simulated",
}
#: What composes and reads the bodies of those that ask a model, without a connection and without a key.
DIALECTS = {
    "anthropic": "judge.providers.anthropic:Messages",
    "litellm": "judge.providers.openai:ChatCompletions",
    "openai": "judge.providers.openai:ChatCompletions",
    "openai-responses": "judge.providers.openai_responses:Responses",
}
#: Packages that they ask with, which take a second to import, and need nothing set before.
SDKS = {"anthropic": "anthropic", "openai": "openai", "openai-responses": "openai"}
#: Those whose connections can be held to public addresses.
GUARDED = frozenset({"anthropic", "openai", "openai-responses"})


#: Refusals below 500 that are not about what was asked: a timeout, a conflict, too early, too often.
PASSING = frozenset({408, 409, 425, 429})


#: Characters of a name or an id that a provider tells, and of a cause, which may be a word of its: the rest is cut.
LONGEST_NAME, LONGEST_CAUSE = 256, 64


class Body(Protocol):
    """The bytes of a call: what is left to fill in once all that its calls share is written down."""

    def __call__(self, user: str, max_tokens: int, images: Sequence[Image] = ()) -> bytes:
        """`user` is the user message, `max_tokens` the most that the answer may have."""


@dataclass(frozen=True, slots=True)
class Image:
    """A picture that belongs to an item, in the order in which its text names them.

    `url` is an address that the provider fetches, or a `data:` URL with the bytes in it.
    """

    url: str


@dataclass(frozen=True, slots=True)
class Request:
    """What all calls for one rubric share."""

    asking: Asking
    system: str
    schema: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reply says, as far as the provider's own format goes.

    It ended at the token limit (`length`), or because prompt and answer had filled the model's context (`context`).
    `cached_tokens` of the `prompt_tokens` were read from the provider's cache, `cache_write_tokens` written to it.
    `tokens` make up `text`, where the provider tells their probabilities.
    """

    text: str | None
    finish: Literal["stop", "length", "context", "refused"] = "stop"
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    model: str | None = None
    reply_id: str | None = None
    refusal: str | None = None
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    tokens: tuple[Token, ...] | None = None

    def __post_init__(self) -> None:
        """What is kept is made to fit: an answer must not be given up for the length of its id."""
        for name in ("model", "reply_id"):
            told = getattr(self, name)
            if told is not None and len(told) > LONGEST_NAME:
                object.__setattr__(self, name, told[:LONGEST_NAME])


class CallError(Exception):
    """A call that brought no readable answer. `cause` is a short word for counts, `str()` a line for people."""

    def __init__(self, cause: str, detail: str = "") -> None:
        super().__init__(detail or cause)
        self.cause = cause[:LONGEST_CAUSE]

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as it is: made again from its one argument, it would lack the others."""
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]


class Rejected(CallError):
    """The provider answered with an error status; nothing was done, nothing is owed.

    `retry_after_s` is the wait that the provider named, in seconds. `parameter` is what it complained of, by the
    name that the field has in a judge's description.
    """

    def __init__(
        self,
        cause: str,
        detail: str,
        status: int,
        retry_after_s: float | None = None,
        parameter: str | None = None,
    ) -> None:
        super().__init__(cause, detail)
        self.status, self.retry_after_s, self.parameter = status, retry_after_s, parameter

    @property
    def passes(self) -> bool:
        """Whether it is about the moment, and the same may be asked again."""
        return self.status >= 500 or self.status in PASSING


class NotSent(CallError):
    """No connection: the provider cannot have seen the request."""


class AddressRefused(NotSent):
    """The server is at an address that this judge may not be asked at. No further attempt would be."""


class AnswerLost(CallError):
    """The request was sent and the answer did not arrive: it may have been done, and paid."""


class Unreadable(CallError):
    """An answer arrived, and it is not in the provider's format."""


class Dialect(Protocol):
    """How a model is asked, and what its replies say."""

    def compile(self, request: Request) -> Body:
        """The bytes of a call, with all that does not change computed once."""

    def read(self, raw: bytes) -> Reading:
        """What a raw reply says. Raises Unreadable."""


class Provider(Dialect, Protocol):
    """A model behind an endpoint."""

    #: Names the server in call keys and fingerprints; two providers that share limits share it.
    endpoint: str

    async def send(self, body: bytes) -> bytes:
        """The raw reply. Raises Rejected, NotSent or AnswerLost."""

    async def close(self) -> None:
        """Lets go of connections."""


@runtime_checkable
class Source(Protocol):
    """Verdicts that cost nothing: recorded elsewhere, or simulated."""

    #: A phrase that goes wherever the grades go, such as "simulated".
    kind: str

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all that decides the verdicts."""

    def verdicts(self, item: Item, rubric: Rubric, sample: int) -> tuple[Verdict, ...]:
        """One verdict a criterion, in the rubric's order."""


def connect(judge: Judge) -> Provider | Source:
    """The adapter for a judge. Raises SetupError where it cannot be made."""
    if judge.public_only and judge.provider not in GUARDED:
        raise SetupError(f"the judge {judge.name!r}: public_only is for the providers {', '.join(sorted(GUARDED))}")
    target = BUILT_IN.get(judge.provider, judge.provider)
    if ":" not in target:
        raise SetupError(
            f"no provider {judge.provider!r}; there are {', '.join(BUILT_IN)}, or one of yours as module:Class"
        )
    try:
        made = _loaded(target)
    except (ImportError, AttributeError) as error:
        raise SetupError(f"the provider {judge.provider!r} cannot be imported: {error}") from None
    adapter: Provider | Source = made(judge)
    return adapter


def prepare(judges: Iterable[Judge]) -> None:
    """Imports what judges are asked with, before somebody waits for their answers."""
    for package in {SDKS[judge.provider] for judge in judges if judge.provider in SDKS}:
        with suppress(ImportError):  # whoever asks that judge is told
            importlib.import_module(package)


def dialect(judge: Judge) -> Dialect | None:
    """How the model of a judge is asked, where that can be told without connecting it; None for any other judge."""
    if judge.provider not in DIALECTS:
        return None
    made: Any = _loaded(DIALECTS[judge.provider])()
    made.model = judge.model
    spoken: Dialect = made
    return spoken


def _loaded(target: str) -> Any:
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)
