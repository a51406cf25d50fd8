"""API keys: shown once, and kept as a hash.

A key is `judge_ID_SECRET`: the id is public, the secret 32 random bytes with a checksum, so that a scanner of code
tells a key from other text, and a mistyped one is refused without a look at the database. Fast hashes are right for
secrets that nobody can guess.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import zlib
from dataclasses import dataclass
from enum import StrEnum

PREFIX = "judge"
SECRET_BYTES = 32


class Scope(StrEnum):
    """What a key may be used for."""

    GRADE = "grade"  #: spend money: grades and runs
    READ = "read"  #: see what is there
    LABEL = "label"  #: add labels of people
    METRICS = "metrics"  #: see the figures of the whole service, whoever's
    ADMIN = "admin"  #: all of these for its tenant: grade, read and label


@dataclass(frozen=True, slots=True)
class Key:
    """A key without its secret. Times in seconds since 1970; None for never."""

    id: str
    tenant: str
    name: str
    scopes: frozenset[Scope]
    created_at: float
    expires_at: float | None
    revoked_at: float | None
    hash: str

    def stands_at(self, moment: float) -> bool:
        """Whether it may be used."""
        return self.revoked_at is None and (self.expires_at is None or moment < self.expires_at)

    def is_of(self, text: str) -> bool:
        """Whether this is the key that a text is."""
        return secrets.compare_digest(self.hash, hashed(text))


def made() -> tuple[str, str]:
    """The id and the text of a new key."""
    id_ = secrets.token_hex(6)
    secret = _text(secrets.token_bytes(SECRET_BYTES))
    return id_, f"{PREFIX}_{id_}_{secret}{_checksum(id_, secret)}"


def id_of(text: str) -> str | None:
    """The id of a key; None for a text that is none."""
    prefix, _, rest = text.partition("_")
    id_, _, secret = rest.partition("_")
    return id_ if prefix == PREFIX and secret[-6:] == _checksum(id_, secret[:-6]) else None


def hashed(text: str) -> str:
    """SHA-256 of a key, in hexadecimal: what is kept of it."""
    return hashlib.sha256(text.encode()).hexdigest()


def _checksum(id_: str, secret: str) -> str:
    return _text(zlib.crc32(f"{id_}_{secret}".encode()).to_bytes(4, "big"))


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
