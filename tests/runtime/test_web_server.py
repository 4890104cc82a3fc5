"""The web server on a real socket: connections without a complete request."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from onebyone.runtime import bounded_protocol, web_server
from onebyone.runtime.connection_limits import ConnectionLimits

pytestmark = pytest.mark.anyio

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer every request with 204."""
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def reading_app(scope: Any, receive: Any, send: Any) -> None:
    """Answer every request with 204, once its body has come."""
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        more = message["more_body"]
    await app(scope, receive, send)


@contextlib.asynccontextmanager
async def served(
    stopping: asyncio.Event | None = None,
    drain_seconds: float = 0.0,
    application: Any = app,
    body_limit: int = bounded_protocol.BODY_MAX,
    limits: ConnectionLimits | None = None,
) -> AsyncIterator[int]:
    """Serve the application on a free port, and yield the port."""
    listener = socket.create_server(("127.0.0.1", 0))
    port: int = listener.getsockname()[1]
    stopping, started = stopping or asyncio.Event(), asyncio.Event()
    serving = asyncio.create_task(
        web_server.serve(
            application, listener, stopping, lambda: drain_seconds, started.set, body_limit=body_limit, limits=limits
        )
    )
    await started.wait()
    yield port
    stopping.set()
    await serving


POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nx"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"
UNFINISHED = {
    "nothing": b"",
    "line ends": b"\r\n\r\n",
    "half a line": b"GE",
    "half a request": b"GET / HTTP/1.1\r\nHo",
    "a request and a half": REQUEST + b"GET / HT",
    "a body without its end": POST,
    "a body of which nothing has come": POST[:-1],
    "a chunked body without its end": CHUNKED,
    "half a size of a chunk": CHUNKED + b"1",
    "trailers without their end": CHUNKED + b"0\r\nA: b\r\n",
    "a body of a GET": POST.replace(b"POST", b"GET"),
    "a chunked body of a HEAD": CHUNKED.replace(b"POST", b"HEAD"),
    "an expectation without its body": POST[:-3] + b"Expect: 100-continue\r\n\r\n",
    "a request, then a body without its end": REQUEST + POST,
    "a body, then another without its end": POST + b"x" * 99 + POST,
}


@pytest.mark.parametrize("trickled", [False, True], ids=["then silence", "trickled on"])
@pytest.mark.parametrize("read_body", [True, False], ids=["the body is read", "the body is not read"])
async def test_a_connection_without_a_complete_request_is_closed(
    read_body: bool, trickled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HEAD_SECONDS", "BODY_SECONDS"):
        monkeypatch.setattr(bounded_protocol, name, 0.2)

    async def answered(port: int, sent: bytes) -> bool:
        """Return whether the first response was 204, once the connection is closed."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        received = bytearray()

        async def read() -> None:
            with contextlib.suppress(ConnectionError):
                while chunk := await reader.read(65_536):
                    received.extend(chunk)

        reading = asyncio.create_task(read())
        # More of what has been sent last: of a head, a body, or the size of a chunk.
        more = b"\r\n" if sent.endswith(b"\r\n\r\n") and b"Content" not in sent else b"1"
        async with asyncio.timeout(20):
            while not reading.done():
                await asyncio.sleep(0.02)
                if trickled:
                    writer.write(more)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        return received.startswith(b"HTTP/1.1 204")

    async with served(application=reading_app if read_body else app) as port:
        found = await asyncio.gather(*(answered(port, sent) for sent in UNFINISHED.values()))
    complete = {name: sent.startswith((REQUEST, POST + b"x" * 99)) for name, sent in UNFINISHED.items()}
    with_head = {name: b"\r\n\r\n" in sent[4:] for name, sent in UNFINISHED.items()}
    expected = complete if read_body else with_head
    assert dict(zip(UNFINISHED, found, strict=True)) == expected


@pytest.mark.parametrize("last", [b"", b"\r\n", POST + b"x" * 99], ids=["a request", "a line end", "a late body"])
async def test_an_idle_connection_is_closed_whatever_came_last(last: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_server, "KEEP_ALIVE_SECONDS", 0.2)
    async with served() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for part in (REQUEST, last[:-50], last[-50:]):
            writer.write(part)
            await asyncio.sleep(0.05)
        assert (await asyncio.wait_for(reader.read(), 10)).count(b"HTTP/1.1 204") == 1 + (last[:4] == b"POST")
        writer.close()
        await writer.wait_closed()


async def test_a_request_may_wait_for_the_application_longer_than_for_its_client(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("HEAD_SECONDS", "BODY_SECONDS"):
        monkeypatch.setattr(bounded_protocol, name, 0.1)

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0.4)
        await reading_app(scope, receive, send)

    body = b"x" * 500_000
    async with served(application=slow) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(2):
            writer.write(POST[:-1].replace(b"100", b"500000") + body)
        for _ in range(2):
            assert b"204" in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("read_body", [True, False], ids=["the body is read", "the body is not read"])
@pytest.mark.parametrize("chunked", [True, False], ids=["chunked", "with a length"])
async def test_a_connection_is_closed_after_the_longest_body(read_body: bool, chunked: bool) -> None:
    async with served(application=reading_app if read_body else app, body_limit=1000) as port:
        for size, stays in ((1000, True), (1001, False)):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            if chunked:
                writer.write(CHUNKED + b"%x\r\n" % (size - 1) + b"x" * (size - 1) + b"\r\n0\r\n\r\n")
            else:
                writer.write(POST[:-1].replace(b"100", b"%d" % size) + b"x" * size)
            assert b"204" in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
            writer.write(REQUEST)
            assert (b"204" in await asyncio.wait_for(reader.readline(), 10)) == stays
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


@pytest.mark.parametrize("sent", [POST, CHUNKED], ids=["with a length", "chunked"])
async def test_a_client_that_sends_no_more_does_not_delay_the_stop(
    sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_server, "GRACE_SECONDS", 100)
    stopping = asyncio.Event()
    async with asyncio.timeout(20), served(stopping, application=reading_app) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        await asyncio.sleep(0.05)
    writer.close()


@pytest.mark.parametrize("size", [30_000, 30_000_000], ids=["many short responses", "a long response"])
async def test_a_client_that_reads_nothing_does_not_delay_the_stop(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_server, "GRACE_SECONDS", 100)

    async def answer_at_length(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": bytes(size)})

    with socket.socket() as client:
        async with asyncio.timeout(20), served(application=answer_at_length) as port:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", port))
            client.sendall(REQUEST * 500)
            await asyncio.sleep(0.2)


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


async def test_connections_in_the_queue_of_the_kernel_are_served_before_the_listener_closes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clients: list[socket.socket] = []
    shut_down = web_server._Server.shutdown

    async def connect_and_shut_down(server: web_server._Server, sockets: list[socket.socket] | None = None) -> None:
        # Meanwhile the event loop accepts nothing.
        for _ in range(50):
            clients.append(socket.create_connection(("127.0.0.1", port), timeout=10))
            clients[-1].sendall(REQUEST)
        await shut_down(server, sockets)

    monkeypatch.setattr(web_server._Server, "shutdown", connect_and_shut_down)
    async with served() as port:
        pass
    for client in clients:
        assert client.recv(1000).startswith(b"HTTP/1.1 204")
        client.close()
    assert len(clients) == 50


@pytest.mark.parametrize("sent", [b"", b"GET / HT", POST, REQUEST], ids=["nothing", "a head", "a body", "a request"])
async def test_connections_that_wait_for_their_client_give_way_to_new_ones(sent: bytes) -> None:
    closed: list[int] = []
    async with served(
        application=reading_app, limits=ConnectionLimits(lambda: 80, 40, on_closed=closed.append)
    ) as port:
        held = []
        for _ in range(150):
            held.append(await asyncio.open_connection("127.0.0.1", port))
            held[-1][1].write(sent)
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(REQUEST)
            assert b"204" in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
            writer.close()
        assert 150 - 40 - 32 <= sum(closed) < 150
        for reader, _ in held[:20]:
            await asyncio.wait_for(reader.read(), 10)
        for _, writer in held:
            writer.close()
