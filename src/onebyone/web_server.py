"""uvicorn as edge and API run it: on an inherited socket, with our own signals and drain."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

GRACE_SECONDS = 10
"""Requests that still run this long after the listener closed are cut off."""
LINGER_SECONDS = 1.0
"""After the listener closed, how long a connection without a request is kept: one that was accepted may have its
request on the way, and a client that keeps one open may use it just now."""
HEAD_SECONDS = 20.0
"""A connection whose first request, or whose begun request, has no complete head by then is closed: uvicorn itself
would keep such a connection for ever."""
_STEP_SECONDS = 0.02


class _Protocol(HttpToolsProtocol):
    """Says `Connection: close` in every answer once the server drains, so that clients go elsewhere by themselves.

    Closes connections that are slow to say what they want.
    """

    _head_timer: asyncio.TimerHandle | None = None
    _in_head = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._in_head and self._head_timer is None:
            self._await_head()

    def on_message_begin(self) -> None:
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self._head_timer is not None:
            self._forget_head()
        super().on_headers_complete()
        if self.app_state["drain"].is_set() and self.cycle is not None:
            self.cycle.keep_alive = False

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self.timeout_keep_alive_handler)

    def _forget_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, started: Callable[[], None], draining: asyncio.Event) -> None:
        super().__init__(config)
        self._announce = started
        self._draining = draining

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self.lifespan.state["drain"] = self._draining
        await super().startup(sockets)
        self._announce()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # uvicorn closes every connection without a request at once, also one whose request is in the socket's buffer.
        for server in self.servers:
            server.close()
        deadline = time.monotonic() + LINGER_SECONDS
        while self.server_state.connections and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(_STEP_SECONDS)
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        # The role's Lifeline owns the signals: uvicorn would close the listener at once, with no time to be not ready.
        yield


async def serve(
    app: Any,
    listener: socket.socket,
    stopping: asyncio.Event,
    drain_seconds: Callable[[], float],
    started: Callable[[], None],
) -> None:
    """Serves `app` until `stopping` is set and `drain_seconds()` have passed; then finishes what runs and returns.

    `started` is called once the loop accepts connections.
    """
    draining = asyncio.Event()
    server = _Server(
        uvicorn.Config(
            app,
            http=_Protocol,
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
        draining,
    )
    running = asyncio.create_task(server.serve(sockets=[listener]))
    stop = asyncio.create_task(stopping.wait())
    await asyncio.wait({running, stop}, return_when=asyncio.FIRST_COMPLETED)
    if not running.done():
        draining.set()
        await asyncio.sleep(drain_seconds())
        server.should_exit = True
    stop.cancel()
    await running
