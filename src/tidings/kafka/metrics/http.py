"""A small HTTP server for those who operate a broker: `/metrics`, `/healthz`, `/readyz`.

GET and HEAD, one request a connection. Whoever may connect may read everything that it says.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import NamedTuple

REQUEST_BYTES_MAX = 8192
CONNECTIONS_MAX = 64
"""Clients at a time; more are closed unheard, so that Kafka's clients keep the files they need."""

PATIENCE_S = 10.0
"""How long a client may take to ask and to read."""

_REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed"}
_PLAIN = "text/plain; charset=utf-8"


class Page(NamedTuple):
    """What is answered."""

    status: int
    body: bytes
    content_type: str = _PLAIN


Pages = Mapping[str, Callable[[], Awaitable[Page]]]
"""What makes the page of each path."""


@asynccontextmanager
async def http_server(listening: socket.socket, pages: Pages) -> AsyncIterator[None]:
    """Serve pages on a socket until the block ends, and close it."""
    served: dict[asyncio.StreamWriter, None] = {}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(served) >= CONNECTIONS_MAX:
            writer.transport.abort()
            return
        served[writer] = None
        try:
            async with asyncio.timeout(PATIENCE_S):
                await _serve_one(reader, writer, pages)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            # It did not want to know so badly.
            pass
        finally:
            del served[writer]
            writer.close()

    server = await asyncio.start_server(serve, sock=listening, limit=REQUEST_BYTES_MAX)
    try:
        yield
    finally:
        server.close()


async def _serve_one(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pages: Pages
) -> None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        head = b""
    method, path = _asked(head)
    page = await _page(method, path, pages)
    reason = _REASONS.get(page.status, "Service Unavailable")
    writer.write(
        f"HTTP/1.1 {page.status} {reason}\r\nContent-Type: {page.content_type}\r\n"
        f"Content-Length: {len(page.body)}\r\nConnection: close\r\n\r\n".encode()
    )
    if method != "HEAD":
        writer.write(page.body)
    await writer.drain()


def _asked(head: bytes) -> tuple[str, str]:
    """Return method and path of a request; empty ones if it is none."""
    match head.split(b"\r\n", 1)[0].decode("latin-1").split(" "):
        case [method, target, version] if version.startswith("HTTP/1."):
            return method, target.partition("?")[0]
        case _:
            return "", ""


async def _page(method: str, path: str, pages: Pages) -> Page:
    if not method:
        return Page(400, b"this is no request of HTTP/1.1\n")
    if method not in ("GET", "HEAD"):
        return Page(405, b"only GET and HEAD\n")
    make = pages.get(path)
    if make is None:
        return Page(404, f"there are {', '.join(pages)}\n".encode())
    return await make()
