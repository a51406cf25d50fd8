"""Judges that may be asked at public addresses alone, on the real transports, beside listeners that count."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from pydantic import ValidationError

from judge import Judge, Paused, SetupError
from judge.origins import origin
from judge.providers import AddressRefused, NotSent, Rejected, connect
from judge.providers.guard import Barred, is_public, public_session
from tests.stub.listeners import PEM, answering

pytestmark = pytest.mark.anyio

PUBLIC = "93.184.215.14"
PROVIDERS = ("openai", "openai-responses", "anthropic")

#: Everything here leads to this machine or its network, or is no address of a server at all. `P` is a port.
_FORMS = """
http://127.0.0.1:P http://127.0.0.1:P/v1 https://127.0.0.1:P http://127.0.0.2:P http://127.255.255.254:P
http://localhost:P http://LOCALHOST:P http://localhost.:P http://localhost..:P http://sub.localhost:P
http://localhost.localdomain:P http://ip6-localhost:P http://any.name.example:P http://xn--lclhst-8wa.example:P
http://2130706433:P http://017700000001:P http://0x7f000001:P http://0x7f.0.0.1:P http://0177.0.0.1:P
http://127.1:P http://127.0.1:P http://0:P http://0.0.0.0:P http://00000177.1:P http://0x7f.1:P
http://127.000.000.001:P http://127.0.0.1.:P http://127.0.0.1..:P http://1.1:P http://4294967295:P
http://127.0.0.1%00:P http://127%2e0%2e0%2e1:P http://[::1]:P http://[::]:P http://[0:0:0:0:0:0:0:1]:P
http://[::ffff:127.0.0.1]:P http://[::ffff:7f00:1]:P http://[::127.0.0.1]:P http://[::7f00:1]:P
http://[64:ff9b::7f00:1]:P http://[64:ff9b::127.0.0.1]:P http://[64:ff9b:1::7f00:1]:P http://[2002:7f00:1::]:P
http://[2001:0:7f00:1::]:P http://[fe80::1]:P http://[fe80::1%25lo]:P http://[fe80::1%lo]:P http://[fc00::1]:P
http://[fd00:ec2::254]:P http://[fec0::1]:P http://[ff02::1]:P http://[100::1]:P http://[2001:db8::1]:P
http://[::1%0]:P http://10.0.0.1:P http://172.16.0.1:P http://172.31.255.255:P http://192.168.1.1:P
http://169.254.169.254/latest http://169.254.1.1:P http://100.64.0.1:P http://100.100.100.200:P
http://168.63.129.16:P http://192.0.0.192:P http://192.0.2.1:P http://192.88.99.1:P http://198.18.0.1:P
http://198.51.100.1:P http://203.0.113.1:P http://224.0.0.1:P http://239.255.255.255:P http://240.0.0.1:P
http://255.255.255.255:P http://a@127.0.0.1:P http://93.184.215.14@127.0.0.1:P
http://93.184.215.14:80@127.0.0.1:P http://127.0.0.1:P@a.example http://a.example\\@127.0.0.1:P
http://127.0.0.1:P#@a.example http://127.0.0.1:P?@a.example http://a.example#@127.0.0.1:P
http://127.0.0.1\\.a.example:P http:/127.0.0.1:P http:127.0.0.1:P http:///127.0.0.1:P //127.0.0.1:P 127.0.0.1:P
http://127.0.0.1:P:80 http://127.0.0.1:0P http://127.0.0.1:99999 http://127.0.0.1:-1 http://:P http://
file:///etc/passwd file://127.0.0.1:P/ gopher://127.0.0.1:P/_x ftp://127.0.0.1:P unix:///var/run/docker.sock
dict://127.0.0.1:P/ ldap://127.0.0.1:P data:text/plain,x javascript:0 ws://127.0.0.1:P http+unix://127.0.0.1:P
http://\u2460\u2461\u2466.0.0.1:P http://127\u30020\u30020\u30021:P
http://\uff4c\uff4f\uff43\uff41\uff4c\uff48\uff4f\uff53\uff54:P
http://\u24db\u24de\u24d2\u24d0\u24db\u24d7\u24de\u24e2\u24e3:P http://loc\u00adalhost:P
http://localhos\u0074\u200b:P http://\u0131ocalhost:P http://b\u00fccher.example:P
"""
FORMS = _FORMS.split()


@pytest.fixture
async def counted() -> AsyncIterator[tuple[int, list[str]]]:
    """A port of this machine, by IPv4 and where there is one IPv6, and who connected to it."""
    came: list[str] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(str(writer.get_extra_info("peername")))
        writer.close()

    async with await asyncio.start_server(note, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        try:
            other = await asyncio.start_server(note, "::1", port)
        except OSError:  # no IPv6 here
            yield port, came
            return
        async with other:
            yield port, came


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Has every name resolved to these addresses, those of one answer after those of the other; the last one stays."""
    real = socket.getaddrinfo

    def resolve(*answers: list[str]) -> list[str]:
        asked: list[str] = []

        def getaddrinfo(host: Any, port: Any, *rest: Any, **how: Any) -> Any:
            name = host.decode() if isinstance(host, bytes) else str(host)
            if "127.0.0.1" in name or "::1" in name:
                return real(host, port, *rest, **how)
            asked.append(name)
            found = answers[min(len(asked), len(answers)) - 1]
            return [
                (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (one, int(port), 0, 0))
                if ":" in one
                else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, int(port)))
                for one in found
            ]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        return asked

    return resolve


@pytest.fixture
def internet(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """One public address, which leads to the same port of this machine; all connections that are made."""
    made: list[Any] = []
    connect = socket.socket.connect

    def rerouted(self: socket.socket, address: Any) -> None:
        made.append(address[0])
        connect(self, ("127.0.0.1", *address[1:]) if address[0] == PUBLIC else address)

    monkeypatch.setattr(socket.socket, "connect", rerouted)
    return made


@asynccontextmanager
async def adapter_of(provider: str, base_url: str, **fields: Any) -> AsyncIterator[Any]:
    judge = Judge(name="theirs", provider=provider, model="m", base_url=base_url, public_only=True, **fields)
    adapter = connect(judge)
    try:
        yield adapter
    finally:
        await adapter.close()  # type: ignore[union-attr]


def test_there_are_forms_enough_and_no_two_alike() -> None:
    assert len(set(FORMS)) == len(FORMS) >= 100


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_no_form_of_an_address_leads_into_this_network(
    names: Any, counted: Any, internet: list[Any], provider: str
) -> None:
    port, came = counted
    names(["127.0.0.1", "::1"])
    for form in FORMS:
        with pytest.raises((ValidationError, SetupError, NotSent)):
            async with adapter_of(provider, form.replace("P", str(port))) as adapter:
                await adapter.send(b'{"the": "prompt"}')
    assert (came, internet) == ([], [])
    # The listener is there: a judge of somebody on this machine reaches it.
    ours = connect(Judge(name="ours", provider=provider, model="m", base_url=f"http://127.0.0.1:{port}"))
    with pytest.raises(Exception, match="broke before the answer came"):
        await ours.send(b"{}")  # type: ignore[union-attr]
    await ours.close()  # type: ignore[union-attr]
    assert len(came) == len(internet) == 1


async def test_no_form_gets_past_the_connector_itself(names: Any, counted: Any, internet: list[Any]) -> None:
    """As above, with nothing before it that reads the address."""
    port, came = counted
    names(["127.0.0.1", "::1"])
    barred = 0
    async with public_session(ssl.create_default_context()) as session:
        for form in FORMS:
            with pytest.raises((aiohttp.ClientError, ValueError)) as refused:
                async with session.post(form.replace("P", str(port)), allow_redirects=False):
                    pass
            barred += isinstance(refused.value.__cause__, Barred)
    assert (came, internet) == ([], [])
    assert barred >= 50  # the rest is no URL to aiohttp


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_name_that_leads_elsewhere_the_second_time_is_not_followed(
    names: Any, counted: Any, internet: list[Any], provider: str
) -> None:
    port, came = counted
    asked = names([PUBLIC], ["127.0.0.1"], [PUBLIC, "127.0.0.1"], ["::ffff:127.0.0.1", "10.0.0.1", "127.0.0.1"])
    base_url = f"https://judge.example:{port}"
    for attempt in range(4):
        async with adapter_of(provider, base_url) as adapter:
            with pytest.raises(NotSent) as refused:  # the listener speaks no TLS
                await adapter.send(b"{}")
        barred = isinstance(refused.value, AddressRefused)
        assert barred == (attempt > 0)
        if barred:
            assert "is not asked: it has no public address" in str(refused.value)
    # One look at each name, and what it found is what was connected to; loopback itself never was.
    assert asked == ["judge.example"] * 4
    assert internet == [PUBLIC, PUBLIC]
    assert len(came) == 2


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_public_server_is_asked_and_its_redirect_is_not_followed(
    names: Any, counted: Any, internet: list[Any], provider: str
) -> None:
    port, came = counted
    names([PUBLIC])
    async with answering() as (url, heads):
        base_url = url.replace("127.0.0.1", "judge.example")
        async with adapter_of(provider, base_url) as adapter:
            assert await adapter.send(b"{}") == b"{}"
    assert b"host: judge.example" in heads[0].lower()
    for status in ("301 Moved Permanently", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent"):
        async with answering(status, b"", f"location: http://127.0.0.1:{port}/") as (url, heads):
            async with adapter_of(provider, url.replace("127.0.0.1", "judge.example")) as adapter:
                with pytest.raises(Rejected) as raised:
                    await adapter.send(b"{}")
            assert (raised.value.status, len(heads)) == (int(status[:3]), 1)
    assert came == []
    assert set(internet) == {PUBLIC}


async def test_tls_asks_for_the_name_and_not_for_its_address(names: Any, internet: list[Any]) -> None:
    names([PUBLIC])
    asked: list[str | None] = []
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(PEM)
    context.sni_callback = lambda _, name, __: asked.append(name)
    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context) as server:
        port = server.sockets[0].getsockname()[1]
        async with adapter_of("openai", f"https://judge.example:{port}/v1") as adapter:
            with pytest.raises(NotSent, match=r"(?i)certificate"):
                await adapter.send(b"{}")
    assert (asked, internet) == (["judge.example"], [PUBLIC])


async def test_a_refused_address_pauses_at_once_and_is_no_fault_of_the_server(
    names: Any, counted: Any, desk: Any
) -> None:
    port, came = counted
    names(["127.0.0.1"])
    async with desk(f"http://judge.example:{port}/v1", public_only=True) as one:
        for _ in range(12):
            with pytest.raises(Paused, match="is not asked: it has no public address"):
                await one.ask()
        assert one.states() == [("rejected", "address_refused")] * 12
        assert one.caller.endpoint.broken is None
    assert came == []


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"provider": "openai", "proxy": "http://127.0.0.1:9"}, "a proxy connects to where it likes"),
        ({"provider": "litellm", "model": "openai/m"}, "public_only is for the providers anthropic, openai"),
        ({"provider": "tests.stub:Any"}, "public_only is for the providers"),
        ({"provider": "recorded"}, "public_only is for the providers"),
        ({"provider": "openai", "base_url": "https://127.0.0.1"}, "cannot be asked at its base_url: it has no public"),
        ({"provider": "openai", "base_url": "https://a.example?b"}, "base_url is not written plainly; write http://"),
    ],
)
def test_what_cannot_be_held_to_public_addresses_is_no_start(fields: dict[str, Any], error: str) -> None:
    given = {"name": "theirs", "model": "m", "base_url": "https://judge.example", "public_only": True, **fields}
    with pytest.raises(SetupError, match=error):
        connect(Judge.model_validate(given))


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", PUBLIC, "2606:4700:4700::1111", "2001:4860:4860::8888"])
def test_addresses_of_the_internet_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("text", ["", "localhost", "127.1", "1.1", "0x1.1.1.1", "8.8.8.8.", "[2606:4700:4700::1111]"])
def test_what_is_no_address_is_not_public(text: str) -> None:
    assert not is_public(text)


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("https://api.openai.com/v1", "https://api.openai.com:443"),
        ("HTTPS://API.OpenAI.com", "https://api.openai.com:443"),
        ("https://api.openai.com:443/", "https://api.openai.com:443"),
        ("http://api.openai.com", "http://api.openai.com:80"),
        ("http://127.0.0.1:8000/v1", "http://127.0.0.1:8000"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("http://my_vllm:65535", "http://my_vllm:65535"),
        ("https://xn--bcher-kva.example/a/b-c_~.d", "https://xn--bcher-kva.example:443"),
    ],
)
def test_an_origin_is_scheme_host_and_port(url: str, found: str) -> None:
    assert origin(url) == found


@pytest.mark.parametrize(
    "url",
    ["", "https://", "https://a..b", "https://-a.b", "https://a.b.", "https://a b", "https://a\n", "https://a/%2e",
     "https://a:0", "https://a:65536", "https://a:08", "https://a?b", "https://a#b", "https://a@b", "https://a\\b",
     "https://[::1", "https://[::00]", "https://1.2.3", "https://01.2.3.4", "https://a.0x1", "ftp://a", "a.b"],
)  # fmt: skip
def test_what_parsers_may_read_in_two_ways_has_no_origin(url: str) -> None:
    with pytest.raises(ValueError, match="is not written plainly"):
        origin(url)
