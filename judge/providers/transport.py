"""What adapters that go through an SDK share: the key, one HTTP client, and what a failure means.

The SDK brings authentication, transport and its errors. Its retries are off: calling owns them. No redirect is
followed, and no proxy of the environment is used. A judge that may be asked at public addresses alone is held to them
where the connections are made.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from aiohttp import (
    ClientConnectorError,
    ClientError,
    ClientHttpProxyError,
    ConnectionTimeoutError,
    InvalidURL,
)

from judge.errors import SetupError
from judge.judges import Judge
from judge.origins import host_of, origin
from judge.providers import AddressRefused, AnswerLost, CallError, NotSent, Rejected
from judge.providers.guard import NOT_PUBLIC, Barred, is_barred, public_session
from judge.providers.quoting import unquoted
from judge.providers.retry_after import retry_after

CONNECT_TIMEOUT_S = 10.0
DETAIL_CHARACTERS = 300
#: What a status means, whoever answers with it.
CAUSES = {402: "out_of_money", 413: "request_too_large", 529: "overloaded"}

_AS_JSON = {"headers": {"Content-Type": "application/json"}}


@dataclass(frozen=True, slots=True)
class Asked:
    """What was sent, of which nothing is to be told to others: the body, but for the model's name, and the keys.

    Without a `body` it is not known here what the server was sent before, and may repeat: nothing it says is fit.
    """

    body: bytes | None
    model: str
    secrets: tuple[str | None, ...]

    def fit(self, said: str) -> str:
        """What somebody says of it, in a line of bounded length, without what it repeats."""
        if self.body is None:
            return ""
        said = " ".join(said.split())
        for secret in filter(None, self.secrets):
            said = said.replace(secret, "***")
        # A quotation that is cut would be too short to be known as one.
        return unquoted(said[: 2 * DETAIL_CHARACTERS], self.body, self.model)[:DETAIL_CHARACTERS]


class Transport:
    """One path of one server, through an SDK: bytes out, bytes back, its errors made ours.

    Parameters
    ----------
    sdk
        The SDK's module.
    make
        What makes its client, from what every SDK takes.
    own_url
        The provider's own server, where the judge names no other.
    """

    def __init__(self, judge: Judge, sdk: Any, make: Callable[..., Any], own_url: str, path: str) -> None:
        check(judge, f"{sdk.__name__.upper()}_CUSTOM_HEADERS")
        self.endpoint = (judge.base_url or own_url).rstrip("/") + path
        self.model = judge.model
        self._sdk, self._path = sdk, path
        self._key = key_of(judge)
        http = sdk.DefaultAioHttpClient(
            follow_redirects=False, trust_env=False, proxy=judge.proxy, verify=trusted(judge)
        )
        if judge.public_only:
            _guard(judge, http)
        self._client = make(
            base_url=judge.base_url or own_url,
            api_key=self._key or "none",
            max_retries=0,
            timeout=sdk.Timeout(None, connect=CONNECT_TIMEOUT_S),
            # Replies are small; an encoded one could unpack to any size.
            default_headers={**judge.headers, "Accept-Encoding": "identity"},
            http_client=http,
        )

    async def send(self, body: bytes) -> bytes:
        """The raw reply. The caller bounds the time. Raises Rejected, NotSent or AnswerLost."""
        return await self.asked("post", self._path, body, content=body, options=_AS_JSON)

    async def asked(
        self, method: Literal["get", "post", "delete"], path: str, sent: bytes | None = None, **given: Any
    ) -> bytes:
        """The raw reply to any request, with what the SDK's client takes for it. As `send`.

        `sent` is what of it must not be repeated, as JSON. Without it a failure is told without the server's words.
        """
        failure: CallError
        asked = self.known(sent)
        try:
            raw: bytes = await getattr(self._client, method)(path, cast_to=bytes, **given)
            return raw
        except self._sdk.APIStatusError as error:
            failure = rejected(error.status_code, error.body, error.response.headers, self.explain, asked)
        except self._sdk.APIConnectionError as error:
            failure = self._broken(error.__cause__, asked)
        except ClientError as error:  # a reply that is no HTTP comes through the SDK as it is
            failure = self._broken(error, asked)
        # Raised out here: the SDK's error holds the key and the prompt in its request, and must not travel along.
        raise failure

    def known(self, sent: bytes | None) -> Asked:
        """What of a request with this body must not be told."""
        return Asked(sent, self.model, (self._key,))

    def _broken(self, error: BaseException | None, asked: Asked) -> CallError:
        if any(isinstance(cause, Barred) for cause in _causes(error)):
            return AddressRefused("address_refused", f"{self.endpoint} is not asked: {NOT_PUBLIC}")
        detail = asked.fit(str(error)) or type(error).__name__
        if _never_connected(error):
            return NotSent("no_connection", f"no connection to {self.endpoint}: {detail}")
        return AnswerLost("connection_lost", f"the connection broke before the answer came: {detail}")

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.close()

    @staticmethod
    def explain(error: dict[str, Any]) -> tuple[str | None, str | None]:
        """What the error object of a reply says beside its status: a cause, and the judge's field it complains of."""
        raise NotImplementedError


def rejected(
    status: int,
    body: object,
    headers: Any,
    explain: Callable[[dict[str, Any]], tuple[str | None, str | None]],
    asked: Asked,
) -> Rejected:
    """What a reply with an error status says, as far as it may be told; `explain` as a transport's."""
    error = body if isinstance(body, dict) else {}
    if isinstance(error.get("error"), dict):
        error = error["error"]
    detail = asked.fit(str(error.get("message") or "")) or f"HTTP status {status}"
    cause, parameter = explain(error)
    cause = cause or CAUSES.get(status, f"http_{status}")
    parameter = None if parameter is None else asked.fit(parameter)
    return Rejected(cause, detail, status, retry_after(headers), parameter)


def check(judge: Judge, ambient: str) -> None:
    """Raises SetupError for a description that an adapter cannot follow; `ambient` is a variable with headers."""
    if not judge.model:
        raise SetupError(f"the judge {judge.name!r} names no model; write model: NAME, or {judge.provider}/NAME")
    if judge.options:
        raise SetupError(
            f"the judge {judge.name!r}: {judge.provider} has no options; the fields are {', '.join(Judge.model_fields)}"
        )
    if judge.base_url is not None and ambient in os.environ:
        raise SetupError(
            f"the judge {judge.name!r}: {ambient} is set, and would be sent to {judge.base_url}; unset it, and write "
            "what is meant for that server under headers"
        )


def key_of(judge: Judge) -> str | None:
    """The key that a judge's description names. Raises SetupError where it is not there."""
    if judge.key_variable is None:
        return None
    key = os.environ.get(judge.key_variable, "").strip()
    if not key:
        raise SetupError(
            f"the judge {judge.name!r} needs a key: set {judge.key_variable}, or in the judge's YAML api_key_env "
            "to the variable that holds it (a server without keys needs none beside its base_url)"
        )
    return key


def trusted(judge: Judge) -> ssl.SSLContext | bool:
    """The certificates that a server must have: those of the system, or of the judge's file."""
    if judge.ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=judge.ca_file)
    except OSError as error:
        raise SetupError(
            f"the judge {judge.name!r}: ca_file {judge.ca_file} cannot be used ({error.strerror or error}); name a PEM "
            "file with the certificates to trust"
        ) from None


def _guard(judge: Judge, client: Any) -> None:
    """Lets an SDK's HTTP client connect to public addresses alone. Raises SetupError where that cannot be."""
    if judge.proxy is not None:
        raise SetupError(f"the judge {judge.name!r}: a proxy connects to where it likes; leave it or public_only out")
    if judge.base_url is not None:
        try:
            host = host_of(origin(judge.base_url))
        except ValueError as error:
            raise SetupError(f"the judge {judge.name!r}: base_url {error}") from None
        if is_barred(host):
            raise SetupError(f"the judge {judge.name!r} cannot be asked at its base_url: {NOT_PUBLIC}")
    carrier = client._transport
    if not hasattr(carrier, "client"):
        raise SetupError("the SDK connects in a way that is not known here; install the versions of pyproject.toml")
    carrier.client = partial(public_session, carrier.ssl_context)


def _never_connected(cause: BaseException | None) -> bool:
    """Whether a failure came before a connection was there.

    The SDK's transport calls a reset in mid-answer a failed connect too, so the cause below it decides.
    """
    never = ClientConnectorError | ClientHttpProxyError | ConnectionTimeoutError | InvalidURL
    return any(isinstance(one, never) for one in _causes(cause))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
