"""What a client sends ahead: each request is answered in its turn, and what waits is bounded in bytes and requests."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, cast

import pytest
import uvicorn
from uvicorn.server import ServerState

from onebyone.runtime.bounded_protocol import BoundedProtocol
from onebyone.runtime.bounded_reading import READ_BYTES
from onebyone.runtime.request_head import HEADERS_MAX

MESSAGES = {
    "get": b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n",
    "get with a body": b"GET /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody",
    "post": b"POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n\r\n\r\nbody",
    "chunked": b"POST /%d HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n3\r\nyyy\r\n0\r\n\r\n",
    "line ends first": b"\r\n\r\nGET /%d HTTP/1.1\r\nHost: a\r\n\r\n",
}


class Application:
    """Answers with the path and the length of the body; notes how much is parsed meanwhile."""

    def __init__(self, read_body: bool) -> None:
        self.read_body = read_body
        self.open: set[object] = set()

    async def __call__(
        self, scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[dict[str, Any]], Awaitable[None]]
    ) -> None:
        body, more = b"", self.read_body
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body, more = body + message["body"], message["more_body"]
        await asyncio.sleep(0)
        answer = b"%s %d\n" % (scope["path"].encode(), len(body))
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(answer))]}
        )
        await send({"type": "http.response.body", "body": answer})


class Connection:
    """A protocol on a socket pair, as the event loop reads it."""

    def __init__(self, application: Application) -> None:
        self.config = uvicorn.Config(
            cast(Any, application), lifespan="off", ws="none", proxy_headers=False, log_config=None
        )
        self.config.load()
        self.protocol: Any = None
        self.most_parsed = self.most_bytes = 0

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect, and return the client's end."""
        ours, theirs = socket.socketpair()
        _, self.protocol = await asyncio.get_running_loop().connect_accepted_socket(self._make_protocol, theirs)
        return await asyncio.open_connection(sock=ours)

    def _make_protocol(self) -> BoundedProtocol:
        connection = self

        class Observed(BoundedProtocol):
            def data_received(self, data: bytes) -> None:
                super().data_received(data)
                connection.most_parsed = max(connection.most_parsed, len(self.pipeline))
                connection.most_bytes = max(connection.most_bytes, len(self._unread))

        return Observed(self.config, ServerState(), {})


@pytest.fixture(params=[True, False], ids=["uvloop", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    """Run on the product's event loop, and on that of Python."""
    return "asyncio", {"use_uvloop": request.param}


def cut(data: bytes, chance: random.Random, longest: int) -> Iterator[bytes]:
    """Cut the bytes at drawn places."""
    while data:
        size = chance.randint(1, longest)
        yield data[:size]
        data = data[size:]


@pytest.mark.anyio
@pytest.mark.parametrize("read_body", [True, False], ids=["the body is read", "the body is not read"])
@pytest.mark.parametrize("longest", [7, 60, 5000, 1_000_000])
async def test_every_request_is_answered_in_its_turn(read_body: bool, longest: int) -> None:
    chance = random.Random(longest)
    kinds = [chance.choice([*MESSAGES]) for _ in range(600 if longest > 60 else 60)]
    connection = Connection(Application(read_body))
    reader, writer = await connection.open()
    pieces = cut(b"".join(MESSAGES[kind] % number for number, kind in enumerate(kinds)), chance, longest)

    async def send() -> None:
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0.0005 if longest < 100 else 0)

    sending = asyncio.create_task(send())
    lengths = {"get with a body": 4, "post": 8, "chunked": 4} if read_body else {}
    async with asyncio.timeout(30):
        for number, kind in enumerate(kinds):
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 ")
            assert await reader.readline() == b"/%d %d\n" % (number, lengths.get(kind, 0))
    await sending
    assert connection.most_parsed == 0
    assert connection.most_bytes <= 2 * READ_BYTES
    writer.close()
    await writer.wait_closed()


@pytest.mark.anyio
@pytest.mark.parametrize("kind", MESSAGES)
async def test_what_waits_is_bounded_while_the_application_does_not_answer(kind: str) -> None:
    may_answer = asyncio.Event()

    class Waiting(Application):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            # As an application that looks for a disconnect would.
            asking = asyncio.create_task(receive())
            await may_answer.wait()
            await asking
            await super().__call__(scope, receive, send)

    connection = Connection(Waiting(False))
    _, writer = await connection.open()
    sent = MESSAGES[kind] % 0 * 60_000
    writer.write(sent)
    for _ in range(50):
        await asyncio.sleep(0.002)
    assert not connection.protocol.pipeline
    assert len(connection.protocol._unread) <= 2 * READ_BYTES
    assert writer.transport.get_write_buffer_size() > len(sent) / 4, "the rest is not read"
    may_answer.set()
    writer.transport.abort()
    await asyncio.sleep(0.01)


@pytest.mark.anyio
@pytest.mark.parametrize("whole", [True, False], ids=["whole", "in parts"])
async def test_a_head_with_too_many_headers_is_refused(whole: bool) -> None:
    for headers, status in ((HEADERS_MAX, b"200"), (HEADERS_MAX + 1, b"431")):
        reader, writer = await Connection(Application(True)).open()
        head = b"GET / HTTP/1.1\r\nHost: a\r\n" + b"a: b\r\n" * (headers - 1) + b"\r\n"
        for part in (head,) if whole else (head[:-2], head[-2:]):
            writer.write(part)
            await asyncio.sleep(0.01)
        assert (await asyncio.wait_for(reader.readline(), 10)).startswith(b"HTTP/1.1 " + status)
        writer.close()
        await writer.wait_closed()
