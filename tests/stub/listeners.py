"""Servers and proxies on loopback that do one thing, whatever they are asked."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

#: A key and its certificate, made for these tests.
PEM = Path(__file__).parents[1] / "judge" / "loopback.pem"


@asynccontextmanager
async def answering(
    status: str = "200 OK", body: bytes = b"{}", *head: str, tls: bool = False
) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that gives every request the same reply: its address, and the heads that came."""
    heads: list[bytes] = []
    lines = [f"HTTP/1.1 {status}", "content-type: application/json", f"content-length: {len(body)}", *head, "", ""]
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH) if tls else None
    if context is not None:
        context.load_cert_chain(PEM)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write("\r\n".join(lines).encode() + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"http{'s' * tls}://127.0.0.1:{server.sockets[0].getsockname()[1]}", heads


@asynccontextmanager
async def proxying(refusing: bool = False) -> AsyncIterator[tuple[str, list[str]]]:
    """An HTTP proxy: its address, and the first line of every request that came to it."""
    asked: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        asked.append(head.partition(b"\r\n")[0].decode())
        method, target, _ = asked[-1].split(" ")
        address = target.removeprefix("http://").partition("/")[0]
        host, _, port = address.partition(":")
        if refusing:
            writer.write(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")
            writer.close()
            return
        upstream, onward = await asyncio.open_connection(host, int(port))
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            onward.write(head.replace(f"http://{address}".encode(), b"", 1))
        await asyncio.gather(piped(reader, onward), piped(upstream, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked


async def piped(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while part := await reader.read(65536):
            writer.write(part)
            await writer.drain()
    writer.close()
