"""A judge: a model and how it is asked."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from judge.errors import SetupError
from rubrics import RubricError
from rubrics.lines import Lines
from rubrics.source import decode, read

OutputMode = Literal["json_schema", "tool", "json_prompt"]
OUTPUT_MODES: tuple[OutputMode, ...] = ("json_schema", "tool", "json_prompt")

#: Providers that make verdicts without asking a model, and need no model's name.
SOURCES = ("recorded", "simulated")

#: Where a provider's own key is, for its own server.
KEYS = {"anthropic": "ANTHROPIC_API_KEY", "openai": "OPENAI_API_KEY", "openai-responses": "OPENAI_API_KEY"}

#: The price of a token written to a cache, as a share of the price of one that is not, where it is unknown.
CACHE_WRITE_SHARE = 1.25

#: Providers that keep answers where they are told to.
STORES = ("openai", "openai-responses")

#: At most a dollar a token, so that sums of them stay numbers.
Dollars = Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]


class Rates(BaseModel):
    """Dollars for a million tokens.

    `cached` is for prompt tokens read from the provider's cache, `cache_write` for those written to it. Where they are
    not given, a cached token costs as much as any other, and a written one a quarter more.
    """

    model_config = ConfigDict(defer_build=True, frozen=True, strict=True, extra="forbid")

    input: Dollars
    output: Dollars
    cached: Dollars | None = None
    cache_write: Dollars | None = None

    @property
    def written(self) -> float:
        """For prompt tokens written to the cache."""
        return self.input * CACHE_WRITE_SHARE if self.cache_write is None else self.cache_write


class LongPrompt(Rates):
    """What a call costs whose prompt has more tokens than `above`."""

    above: Annotated[int, Field(gt=0)]


class Price(Rates):
    """What a judge costs; `long` are its rates for long prompts, where they are others."""

    long: LongPrompt | None = None

    def rates(self, prompt_tokens: int) -> Rates:
        """Those of a call with such a prompt."""
        return self if self.long is None or prompt_tokens <= self.long.above else self.long

    def cost(
        self, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0, cache_write_tokens: int = 0
    ) -> float:
        """Dollars for one call. The cached tokens, and those written to the cache, are among the prompt's."""
        rates = self.rates(prompt_tokens)
        cached = min(cached_tokens, prompt_tokens)
        written = min(cache_write_tokens, prompt_tokens - cached)
        cached_price = rates.input if rates.cached is None else rates.cached
        prompt = (prompt_tokens - cached - written) * rates.input + cached * cached_price + written * rates.written
        return (prompt + completion_tokens * rates.output) / 1_000_000

    def worst(self, prompt_tokens: int, completion_tokens: int, longest: int | None = None) -> float:
        """Dollars at most: nothing is read from a cache, all is written to one where that is dearer.

        Of one call; of several with so many tokens together where the `longest` prompt of them is told.
        """
        long = self.rates(prompt_tokens if longest is None else longest)
        prompt_price = max(self.input, self.written, long.input, long.written)
        return (prompt_tokens * prompt_price + completion_tokens * max(self.output, long.output)) / 1_000_000


#: Fields that do not change how a judge can be asked.
NOT_PROBED = {"name", "price", "concurrency", "rpm", "tpm", "timeout_s", "api_key_env", "headers", "proxy", "ca_file"}
NOT_PROBED |= {"criteria_per_call", "images", "public_only", "store"}


class Judge(BaseModel):
    """A judge as its owner describes it. `Judge.load` reads a name or a YAML file."""

    model_config = ConfigDict(defer_build=True, frozen=True, strict=True, extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=128)]
    provider: Annotated[str, Field(min_length=1)]
    model: str = ""
    base_url: str | None = None
    api_key_env: str | None = Field(default=None, description="Variable with the key; the provider's own if null.")
    proxy: str | None = Field(default=None, description="HTTP proxy that the calls go through.")
    ca_file: str | None = Field(default=None, description="PEM file of certificates to trust, and no others.")
    headers: dict[str, str] = Field(default_factory=dict)
    public_only: bool = Field(default=False, description="Ask only at a public address.")
    mode: OutputMode | None = Field(default=None, description="Form of the answer; probed for if null.")
    max_tokens: Annotated[int, Field(ge=16, le=1_000_000)] = 4096
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    reasoning_effort: str | None = None
    criteria_per_call: Annotated[int, Field(ge=1, le=100)] = Field(default=25, description="Asked for in one call.")
    logprobs: bool = Field(default=False, description="Ask for the probabilities of tokens, for distributions.")
    images: bool = Field(default=False, description="Whether the model takes images.")
    timeout_s: Annotated[float, Field(gt=0, le=86_400)] = 180.0
    concurrency: Annotated[int, Field(ge=1, le=4096)] = 16
    rpm: Annotated[float, Field(gt=0, le=1e9)] | None = Field(default=None, description="Requests a minute.")
    tpm: Annotated[float, Field(gt=0, le=1e12)] | None = Field(default=None, description="Tokens a minute.")
    price: Price | None = Field(default=None, description="Overrides the price list.")
    store: bool = Field(default=False, description="Have answers kept there, so that a lost one can be looked up.")
    options: dict[str, Any] = Field(default_factory=dict, description="What the provider alone understands.")

    @field_validator("base_url", "proxy")
    @classmethod
    def _an_address(cls, url: str | None) -> str | None:
        if url is None:
            return None
        scheme, _, rest = url.partition("://")
        if scheme.lower() not in {"http", "https"} or not rest:
            raise ValueError("is no http:// or https:// address")
        if "@" in rest.partition("/")[0]:
            raise ValueError("holds a name or password, which would be written down; a key belongs in api_key_env")
        return url

    @field_validator("store")
    @classmethod
    def _where_answers_are_kept(cls, store: bool, info: ValidationInfo) -> bool:
        if store and info.data.get("provider") not in STORES:
            raise ValueError(f"is for the providers that keep answers: {', '.join(STORES)}")
        return store

    @property
    def key_variable(self) -> str | None:
        """The variable with the key. A provider's own goes to no other server unless the description says so."""
        return self.api_key_env or (KEYS.get(self.provider) if self.base_url is None else None)

    @property
    def takes_images(self) -> bool:
        """Whether items with images can be judged. A source makes its verdicts without looking at them."""
        return self.images or self.provider in SOURCES

    @classmethod
    def load(cls, ref: str | Path) -> Judge:
        """A judge from a YAML file, or from a name: `provider/model`, or `simulated`.

        Raises
        ------
        SetupError
            When there is no such file, or the description is wrong.
        """
        path = Path(ref)
        if path.suffix in {".yaml", ".yml", ".json"}:
            return cls._from_file(path)
        provider, _, model = str(ref).partition("/")
        if not model and provider not in SOURCES:
            raise SetupError(
                f"no judge {str(ref)!r}; name one as provider/model (openai/gpt-6-luna) or give a YAML file"
            )
        return cls(name=str(ref), provider=provider, model=model)

    @classmethod
    def _from_file(cls, path: Path) -> Judge:
        lines = Lines(str(path))
        try:
            data = read(decode(path.read_bytes(), lines), lines)
        except OSError as error:
            raise SetupError(f"{path}: cannot be read ({error.strerror})") from None
        except RubricError as error:
            raise SetupError(str(error)) from None
        if not isinstance(data, dict):
            raise SetupError(f"{path}: not a judge; write name, provider and model")
        data.setdefault("name", path.stem)
        options = data.get("options")
        if data.get("provider") in SOURCES and isinstance(options, dict) and isinstance(options.get("file"), str):
            options["file"] = str(path.parent / options["file"])
        if isinstance(data.get("ca_file"), str):
            data["ca_file"] = str(path.parent / data["ca_file"])
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            where, wrong = plain(error)
            raise SetupError(f"{path}: `{where}`: {wrong}; the fields are {', '.join(cls.model_fields)}") from None

    @property
    def description_hash(self) -> str:
        """SHA-256 of all that decides how this judge can be asked: the key of its stored probe."""
        asked = self.model_dump(mode="json", exclude=NOT_PROBED)
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def plain(error: ValidationError) -> tuple[str, str]:
    """Where pydantic's first complaint about a description is, and the complaint in plain words."""
    first = error.errors(include_url=False, include_input=False)[0]
    unknown = first["type"] == "extra_forbidden"
    wrong = "no such field" if unknown else first["msg"].removeprefix("Value error, ")
    return ".".join(map(str, first["loc"])), wrong


@dataclass(frozen=True, slots=True)
class Asking:
    """How a judge is asked, once a probe has fixed it.

    `parameters` are the sampling parameters that are really sent, by their names in the description; `token_limit` is
    the name of the limit where servers differ; `logprobs` says whether log probabilities come. `reported_model` is what
    the provider said it ran; it is kept beside the fingerprint, not in it.
    """

    mode: OutputMode
    parameters: tuple[tuple[str, float | int | str], ...]
    token_limit: str = "max_completion_tokens"
    reported_model: str | None = None
    logprobs: bool = False

    @classmethod
    def kept(cls, fields: dict[str, Any]) -> Asking:
        """One that was kept as JSON."""
        return cls(**{**fields, "parameters": tuple((name, value) for name, value in fields["parameters"])})

    def fingerprint(self, judge: Judge, endpoint: str, prompt_hash: str, samples: int) -> str:
        """SHA-256 that two judges share only if they are the same model asked in the same way."""
        parts = {
            "provider": judge.provider,
            "options": judge.options,
            "endpoint": endpoint,
            "model": judge.model,
            "mode": self.mode,
            "parameters": dict(self.parameters),
            self.token_limit: judge.max_tokens,
            "prompt": prompt_hash,
            "samples": samples,
            "criteria_per_call": judge.criteria_per_call,
            "images": judge.images,
            "logprobs": self.logprobs,
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
