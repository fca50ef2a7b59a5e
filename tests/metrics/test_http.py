"""The HTTP server for operators, and those who misuse it."""

import asyncio
import socket

import pytest

from tidings.kafka.metrics.http import CONNECTIONS_MAX, Page, http_server

pytestmark = pytest.mark.real


async def hello() -> Page:
    return Page(200, b"hello\n")


def ask(request: bytes) -> bytes:
    """Return all that the server says to some bytes."""

    async def main() -> bytes:
        listening = socket.create_server(("127.0.0.1", 0))
        address = listening.getsockname()
        async with http_server(listening, {"/hello": hello}):
            reader, writer = await asyncio.open_connection(*address)
            writer.write(request)
            writer.write_eof()
            answer = await reader.read()
            writer.close()
            return answer

    return asyncio.run(main())


def test_page_is_served_with_its_type_and_length() -> None:
    head, body = ask(b"GET /hello?x=1 HTTP/1.1\r\nHost: x\r\n\r\n").split(b"\r\n\r\n")
    assert body == b"hello\n"
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Content-Length: 6" in head
    assert b"Content-Type: text/plain" in head


def test_head_is_answered_without_a_body() -> None:
    answer = ask(b"HEAD /hello HTTP/1.1\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /nowhere HTTP/1.1\r\n\r\n", 404),
        (b"POST /hello HTTP/1.1\r\n\r\n", 405),
        (b"\x00\x00\x00\x10 something else\r\n\r\n", 400),
        (b"GET /hello SPDY\r\n\r\n", 400),
        (b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n", 400),
    ],
    ids=["nowhere", "post", "bytes", "other protocol", "too long"],
)
def test_request_that_is_wrong_is_told_so(request_bytes: bytes, status: int) -> None:
    assert ask(request_bytes).startswith(b"HTTP/1.1 %d " % status)


def test_request_that_ends_early_gets_nothing() -> None:
    assert ask(b"GET /hello HT") == b""


def test_clients_beyond_the_bound_are_closed_until_one_has_ended() -> None:
    async def ask_on(address: tuple[str, int]) -> bytes:
        reader, writer = await asyncio.open_connection(*address)
        try:
            writer.write(b"GET /hello HTTP/1.1\r\n\r\n")
            return await reader.read()
        except ConnectionResetError:
            return b""
        finally:
            writer.close()

    async def main() -> None:
        listening = socket.create_server(("127.0.0.1", 0))
        address = listening.getsockname()
        async with http_server(listening, {"/hello": hello}):
            silent = [await asyncio.open_connection(*address) for _ in range(CONNECTIONS_MAX)]
            assert await ask_on(address) == b""
            reader, writer = silent[0]
            writer.write_eof()
            assert await reader.read() == b""
            assert (await ask_on(address)).endswith(b"hello\n")
            for _, writer in silent:
                writer.close()

    asyncio.run(main())
