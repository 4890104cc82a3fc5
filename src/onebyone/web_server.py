"""uvicorn as edge and API run it: on an inherited socket, with our own signals and drain."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_MAX = 65_536
"""Bytes of request line and headers after which a connection is closed."""
GRACE_SECONDS = 10
"""Requests that still run this long after the listener closed are cut off."""


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with an end to what a stranger may send before a request begins."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._head_bytes = 0
        self._in_head = True

    def data_received(self, data: bytes) -> None:
        self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > HEAD_MAX and not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\n\r\n")
            self.transport.close()

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_head = True
        self._head_bytes = 0
        super().on_message_complete()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._announce()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        # The role's Lifeline owns the signals: uvicorn would close the listener at once, with no time to be not ready.
        yield


async def serve(
    app: Any,
    listener: socket.socket,
    stopping: asyncio.Event,
    drain_seconds: float,
    started: Callable[[], None],
    http: Callable[..., asyncio.Protocol] | None = None,
) -> None:
    """Serves `app` until `stopping` is set and `drain_seconds` have passed; then finishes what runs and returns.

    `started` is called once the loop accepts connections. `http` makes the protocol of a connection; default:
    uvicorn's own, bounded.
    """
    server = _Server(
        uvicorn.Config(
            app,
            # uvicorn calls whatever stands here for each connection.
            http=cast("type[asyncio.Protocol]", http or BoundedProtocol),
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=GRACE_SECONDS,
        ),
        started,
    )
    running = asyncio.create_task(server.serve(sockets=[listener]))
    stop = asyncio.create_task(stopping.wait())
    await asyncio.wait({running, stop}, return_when=asyncio.FIRST_COMPLETED)
    if not running.done():
        await asyncio.sleep(drain_seconds)
        server.should_exit = True
    stop.cancel()
    await running
