"""uvicorn as edge and API run it: on an inherited socket, with our own signals and drain."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

HEAD_MAX = 65_536
"""Bytes of request line and headers after which a connection is closed."""
GRACE_SECONDS = 10
"""Requests that still run this long after the listener closed are cut off."""
LINGER_SECONDS = 1.0
"""After the listener closed, how long a connection without a request is kept: one that was accepted may have its
request on the way, and a client that keeps one open may use it just now."""
HEAD_SECONDS = 20.0
"""A connection whose first request, or whose begun request, has no complete head by then is closed: uvicorn itself
would keep such a connection for ever."""
_STEP_SECONDS = 0.02


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with an end to what a stranger may send, and how long, before a request begins.

    A client that does not read its answers for as long as it may be silent is cut off: what is closed is flushed first,
    and what nobody reads would be flushed for ever.

    Once the server drains every answer says `Connection: close`, so that clients go elsewhere by themselves.
    """

    _head_timer: asyncio.TimerHandle | None = None
    _full_timer: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _in_head = False
    _answered: RequestResponseCycle | None = None
    """The request that the application has now; uvicorn's `cycle` is the last one of those that wait behind it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_head()
        self._forget_full()
        if self._answered is not None:
            # Else it writes to a transport that is gone, and uvicorn logs that with a traceback.
            self._answered.disconnected = True
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._in_head:
            return
        if self._head_timer is None:
            self._await_head()
        # Of a read with several requests only the last is still in its head.
        self._head_bytes += len(data.rpartition(b"\r\n\r\n")[2])
        if self._head_bytes > HEAD_MAX and not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\n\r\n")
            self.transport.close()

    def on_message_begin(self) -> None:
        self._in_head = True
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self._head_timer is not None:
            self._forget_head()
        super().on_headers_complete()
        if (draining := self.app_state.get("draining")) is not None and draining.is_set() and self.cycle is not None:
            self.cycle.keep_alive = False

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._await_flush()

    def shutdown(self) -> None:
        super().shutdown()
        self._await_flush()

    def timeout_keep_alive_handler(self) -> None:
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            super().timeout_keep_alive_handler()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._await_reader()

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self.transport.is_closing():
            self._forget_full()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answered = cycle
        super()._start_asgi_task(cycle, app)

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self.timeout_keep_alive_handler)

    def _await_flush(self) -> None:
        if self.transport.is_closing() and self.transport.get_write_buffer_size():
            self._await_reader()

    def _await_reader(self) -> None:
        if self._full_timer is None:
            self._full_timer = self.loop.call_later(self.timeout_keep_alive, self.transport.abort)

    def _forget_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _forget_full(self) -> None:
        if self._full_timer is not None:
            self._full_timer.cancel()
            self._full_timer = None


class Accepting(Protocol):
    """What accepts connections of a listener, from when it was made."""

    def close(self) -> None:
        """No more; those that are left become uvicorn's `connections`."""

    async def wait_closed(self) -> None:
        """As of asyncio's servers."""


Accept = Callable[[socket.socket, uvicorn.Config, ServerState, dict[str, Any]], Accepting]
"""Makes what accepts; config, server state and application state are what uvicorn's protocols are made with."""


class _Server(uvicorn.Server):
    def __init__(
        self, config: uvicorn.Config, started: Callable[[], None], draining: asyncio.Event, accept: Accept | None
    ) -> None:
        super().__init__(config)
        self._announce = started
        self._draining = draining
        self._accept = accept

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self.lifespan.state["draining"] = self._draining
        accept = self._accept
        await super().startup(sockets if accept is None else [])
        if accept is not None:
            made = (accept(one, self.config, self.server_state, self.lifespan.state) for one in sockets or ())
            self.servers = cast("list[asyncio.base_events.Server]", list(made))
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
    accept: Accept | None = None,
) -> None:
    """Serves `app` until `stopping` is set and `drain_seconds()` have passed; then finishes what runs and returns.

    `started` is called once the loop accepts connections. `accept` does so; default: the loop, and uvicorn's own
    protocol, bounded, has them.
    """
    server = _Server(
        uvicorn.Config(
            app,
            http=BoundedProtocol,
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
        stopping,
        accept,
    )
    running = asyncio.create_task(server.serve(sockets=[listener]))
    stop = asyncio.create_task(stopping.wait())
    await asyncio.wait({running, stop}, return_when=asyncio.FIRST_COMPLETED)
    if not running.done():
        await asyncio.sleep(drain_seconds())
        server.should_exit = True
    stop.cancel()
    await running
