"""Origins: scheme, host and port of a judge's address. A key belongs to one."""

from __future__ import annotations

import re
from ipaddress import ip_address

_PORTS = {"http": 80, "https": 443}
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?"
#: No more than all parsers read alike: whose key is sent where must not depend on who reads an address.
_URL = re.compile(
    rf"(?P<scheme>https?)://(?P<host>\[[0-9a-f:.]+\]|{_LABEL}(?:\.{_LABEL})*)(?::(?P<port>[1-9]\d{{0,4}}))?"
    r"(?:/[a-z0-9._~/-]*)?",
    re.IGNORECASE | re.ASCII,
)
#: What some parsers take for an IPv4 address, as the last label of a name: `2130706433`, `127.1`, `0x7f.1`.
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*")

PLAIN = "is not written plainly; write http:// or https://, a name or an address, a port where it needs one, and a path"


def origin(url: str) -> str:
    """The origin of an address, such as `https://api.openai.com:443`.

    Raises
    ------
    ValueError
        For an address that is not written as plainly as can be.
    """
    found = _URL.fullmatch(url)
    host = "" if found is None else found["host"].lower()
    if found is None or not _plain(host):
        raise ValueError(PLAIN)
    scheme = found["scheme"].lower()
    port = int(found["port"] or _PORTS[scheme])
    if port > 65535:
        raise ValueError(PLAIN)
    return f"{scheme}://{host}:{port}"


def host_of(origin: str) -> str:
    """The name or address in an origin, without the brackets of IPv6."""
    return origin.partition("://")[2].rpartition(":")[0].strip("[]")


def _plain(host: str) -> bool:
    """Whether a host is a name, or an address in the one form that it has."""
    if not host.startswith("[") and not _NUMBER.fullmatch(host.rpartition(".")[2]):
        return True
    try:
        return str(ip_address(host.strip("[]"))) == host.strip("[]")
    except ValueError:
        return False
