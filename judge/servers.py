"""The servers that judges made through the API are asked at: which get a key, and which need no public address.

Both are the operator's to say. A key belongs to one origin: scheme, host and port.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from judge.errors import SetupError
from judge.judges import Judge
from judge.origins import origin

PRIVATE, KEYS = "JUDGE_PRIVATE_SERVERS", "JUDGE_SERVER_KEYS"


@dataclass(frozen=True, slots=True)
class Servers:
    """What the operator says of servers, by their origins.

    Attributes
    ----------
    private
        Those that may be at any address, and get their key over HTTP too.
    keys
        The variables with the keys of servers.
    """

    private: frozenset[str] = frozenset()
    keys: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls) -> Servers:
        """As the environment has them. Raises SetupError."""
        private = frozenset(_origin(PRIVATE, url) for url in _words(PRIVATE))
        keys: dict[str, str] = {}
        for word in _words(KEYS):
            url, _, variable = word.rpartition("=")
            if not os.environ.get(variable, "").strip():
                raise SetupError(f"{KEYS} names the variable {variable!r}, which is not set; write URL=VARIABLE")
            server = _origin(KEYS, url)
            if server.startswith("http://") and server not in private:
                raise SetupError(
                    f"{KEYS}: a key would go to {server} in the open; write https://, or add it to {PRIVATE}"
                )
            keys[server] = variable
        return cls(private, keys)

    def bound(self, judge: Judge) -> Judge:
        """A judge made through the API, as it may be asked now: with the key of its own server, or with none."""
        if judge.base_url is None:
            return judge
        server = origin(judge.base_url)
        return judge.model_copy(
            update={"api_key_env": self.keys.get(server), "public_only": server not in self.private}
        )

    def lists(self, url: str) -> bool:
        """Whether the operator says anything of the server at an address."""
        return origin(url) in self.private | self.keys.keys()


def _words(variable: str) -> list[str]:
    return os.environ.get(variable, "").split()


def _origin(variable: str, url: str) -> str:
    try:
        return origin(url)
    except ValueError as error:
        raise SetupError(f"{variable}: {url!r} {error}") from None
