"""The web server on a real socket: connections without a complete request."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from onebyone.runtime import bounded_protocol, web_server

pytestmark = pytest.mark.anyio

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer every request with 204."""
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


@contextlib.asynccontextmanager
async def served(stopping: asyncio.Event | None = None, drain_seconds: float = 0.0) -> AsyncIterator[int]:
    """Serve `app` on a free port, and yield the port."""
    listener = socket.create_server(("127.0.0.1", 0))
    port: int = listener.getsockname()[1]
    stopping, started = stopping or asyncio.Event(), asyncio.Event()
    serving = asyncio.create_task(web_server.serve(app, listener, stopping, lambda: drain_seconds, started.set))
    await started.wait()
    yield port
    stopping.set()
    await serving


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET / HTTP/1.1\r\nHo", REQUEST + b"GET / HT"],
    ids=["nothing", "half a request", "a request and a half"],
)
async def test_a_connection_without_a_complete_request_is_closed(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_protocol, "HEAD_SECONDS", 0.2)
    async with served() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        answer = await asyncio.wait_for(reader.read(), 10)
        assert answer.startswith(b"HTTP/1.1 204") == (REQUEST in sent)
        writer.close()
        await writer.wait_closed()


async def test_an_idle_connection_outlives_the_head_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_protocol, "HEAD_SECONDS", 0.1)
    async with served() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(2):
            writer.write(REQUEST)
            assert b"204" in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
            await asyncio.sleep(0.3)
        writer.close()
        await writer.wait_closed()


async def test_idle_connections_do_not_delay_others() -> None:
    async with served() as port:
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(400)]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(REQUEST)
        assert b"204" in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        for _, each in (*idle, (reader, writer)):
            each.close()
            await each.wait_closed()


async def test_responses_close_the_connection_from_the_moment_the_stop_event_is_set() -> None:
    stopping = asyncio.Event()
    async with served(stopping, drain_seconds=0.3) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for draining in (False, True):
            if draining:
                stopping.set()
            writer.write(REQUEST)
            response = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
            assert (b"connection: close" in response) == draining
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()
        await writer.wait_closed()


async def test_a_method_in_lower_case_is_understood() -> None:
    async with served() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for body in (b"", b"put / HTTP/1.1\r\n\r\n"):
            writer.write(b"post / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body))
            await asyncio.sleep(0.05)
            writer.write(body)
            assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)).startswith(b"HTTP/1.1 204")
        writer.write(REQUEST.replace(b"GET", b"get"))
        assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)).startswith(b"HTTP/1.1 204")
        writer.close()
        await writer.wait_closed()
