"""Which addresses a judge may be at whose description nobody on this machine wrote.

The check is made of the very address of each connection, when its socket is made: whatever a name meant a moment ago,
or means to somebody else, nothing is sent to an address that does not pass.
"""

from __future__ import annotations

import errno
import socket
import ssl
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiohttp import ClientSession

#: All of IPv6 that is given out to be reached from anywhere.
_UNICAST = IPv6Network("2000::/3")
#: In there, what stands for other addresses (Teredo and the protocols beside it, 6to4), and what is for books.
_WITHIN = [IPv6Network(one) for one in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")]
#: Of IPv4, what Python takes for public and is not: protocols, relays of 6to4, and a cloud's service to its machines.
_BESIDE = [IPv4Network(one) for one in ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32")]

NOT_PUBLIC = (
    "it has no public address, and a judge made through the API is asked at another one only where the operator lists "
    "its server in JUDGE_PRIVATE_SERVERS"
)


class Barred(OSError):
    """A connection that is not made. It does not say to which address: that would tell how this network is laid out."""

    def __init__(self) -> None:
        super().__init__(errno.EACCES, NOT_PUBLIC)


def is_barred(host: str) -> bool:
    """Whether this is an address that is not public. What a name leads to is not known before it is connected to."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return not is_public(host)


def is_public(address: str) -> bool:
    """Whether this is an address that is reached over the Internet; false for what is no address at all."""
    try:
        found = ip_address(address)
    except ValueError:
        return False
    if isinstance(found, IPv4Address):
        special = found.is_multicast or found.is_reserved or any(found in network for network in _BESIDE)
        return found.is_global and not special
    return found in _UNICAST and found.is_global and not any(found in network for network in _WITHIN)


def public_session(trusted: ssl.SSLContext) -> ClientSession:
    """An HTTP session that connects to public addresses alone. Anywhere else it fails, below its errors, with Barred.

    A name is resolved once for a connection, and stays the name that TLS asks for.
    """
    from aiohttp import ClientSession, DummyCookieJar, TCPConnector  # noqa: PLC0415 - loaded by the SDKs

    connector = TCPConnector(limit=0, ssl=trusted, socket_factory=_public_socket)
    return ClientSession(connector=connector, cookie_jar=DummyCookieJar())


def _public_socket(address: tuple[Any, ...]) -> socket.socket:
    """A socket for an address as `getaddrinfo` gives it."""
    family, type_, protocol, _, (host, *_) = address
    if not is_public(host):
        raise Barred
    return socket.socket(family, type_, protocol)
