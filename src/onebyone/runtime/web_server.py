"""uvicorn as the edge and the config API run it: on an inherited socket, with the role's own signals and draining."""

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
"""Bytes of request line and headers after which a connection is closed; common proxies pass on half as many at most."""
HEAD_SECONDS = 20.0
"""A connection whose first request, or whose begun request, has no complete head by then is closed: uvicorn itself
would keep it for ever. A slow mobile network needs seconds."""
KEEP_ALIVE_SECONDS = 75
"""How long a connection may be idle between requests: longer than the minute after which common proxies close their
side, so that they never send a request on a connection that is being closed here."""
LINGER_SECONDS = 1.0
"""How long an idle connection is kept after the listener has closed: its next request may be on its way."""
GRACE_SECONDS = 10
"""Requests that still run this long after the listener has closed are cancelled: the supervisor ends the process two
seconds later."""
_LINGER_CHECK_SECONDS = 0.02
"""How often the lingering connections are counted; a stop takes this much longer at most."""

DRAINING = "draining"
"""The key of the draining event in the application state, where the protocols find it."""


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with limits on what a client may send, and how long it may take, before a request is complete.

    A client that does not read its responses is cut off after the keep-alive timeout: closing flushes first, and
    without a reader that would never end.

    While the server drains, every response says `Connection: close`, so that clients reconnect elsewhere.
    """

    _head_timer: asyncio.TimerHandle | None = None
    """Runs while a request head is expected or incomplete."""
    _flush_timer: asyncio.TimerHandle | None = None
    """Runs while the client does not read what was written."""
    _head_bytes = 0
    _in_head = False
    _current_cycle: RequestResponseCycle | None = None
    """The request that the application is answering; uvicorn's `cycle` is the last of those that are pipelined."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._start_head_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_head_timer()
        self._stop_flush_timer()
        if self._current_cycle is not None:
            # Otherwise it writes to a closed transport, and uvicorn logs that with a traceback.
            self._current_cycle.disconnected = True
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._in_head:
            return
        if self._head_timer is None:
            self._start_head_timer()
        # In a read with several requests, only the last one can have an incomplete head.
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
            self._stop_head_timer()
        super().on_headers_complete()
        if (draining := self.app_state.get(DRAINING)) is not None and draining.is_set() and self.cycle is not None:
            self.cycle.keep_alive = False

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._bound_flush()

    def shutdown(self) -> None:
        super().shutdown()
        self._bound_flush()

    def timeout_keep_alive_handler(self) -> None:
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            super().timeout_keep_alive_handler()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._start_flush_timer()

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self.transport.is_closing():
            self._stop_flush_timer()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._current_cycle = cycle
        super()._start_asgi_task(cycle, app)

    def _start_head_timer(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self.timeout_keep_alive_handler)

    def _bound_flush(self) -> None:
        if self.transport.is_closing() and self.transport.get_write_buffer_size():
            self._start_flush_timer()

    def _start_flush_timer(self) -> None:
        if self._flush_timer is None:
            self._flush_timer = self.loop.call_later(self.timeout_keep_alive, self.transport.abort)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _stop_flush_timer(self) -> None:
        if self._flush_timer is not None:
            self._flush_timer.cancel()
            self._flush_timer = None


class SocketServer(Protocol):
    """The part of an asyncio server that uvicorn uses; it accepts from the moment in which it is made."""

    def close(self) -> None:
        """Accept no more connections, and add the open ones to `ServerState.connections`."""

    async def wait_closed(self) -> None:
        """Return once the listener is closed."""


SocketServerFactory = Callable[[socket.socket, uvicorn.Config, ServerState, dict[str, Any]], SocketServer]
"""Makes the server of a listening socket; the other arguments are those of uvicorn's protocols."""


class _Server(uvicorn.Server):
    def __init__(
        self,
        config: uvicorn.Config,
        on_started: Callable[[], None],
        draining: asyncio.Event,
        make_server: SocketServerFactory | None,
    ) -> None:
        super().__init__(config)
        self._on_started = on_started
        self._draining = draining
        self._make_server = make_server

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self.lifespan.state[DRAINING] = self._draining
        make_server = self._make_server
        await super().startup(sockets if make_server is None else [])
        if make_server is not None:
            servers = [
                make_server(listener, self.config, self.server_state, self.lifespan.state) for listener in sockets or ()
            ]
            self.servers = cast("list[asyncio.base_events.Server]", servers)
        self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # uvicorn closes an idle connection immediately, even if its next request is in the socket's buffer.
        for server in self.servers:
            server.close()
        deadline = time.monotonic() + LINGER_SECONDS
        while self.server_state.connections and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(_LINGER_CHECK_SECONDS)
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        # The role's Lifeline handles signals: uvicorn would close the listener before load balancers see "not ready".
        yield


async def serve(
    app: Any,
    listener: socket.socket,
    stopping: asyncio.Event,
    drain_seconds: Callable[[], float],
    on_started: Callable[[], None],
    make_server: SocketServerFactory | None = None,
) -> None:
    """Serve `app` until `stopping` is set and `drain_seconds()` have passed; then finish running requests and return.

    `on_started` is called when connections are accepted. `make_server` makes the server of the listening socket; by
    default the event loop does, and each connection gets a `BoundedProtocol`.
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
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=GRACE_SECONDS,
        ),
        on_started,
        stopping,
        make_server,
    )
    running = asyncio.create_task(server.serve(sockets=[listener]))
    stop = asyncio.create_task(stopping.wait())
    await asyncio.wait({running, stop}, return_when=asyncio.FIRST_COMPLETED)
    if not running.done():
        await asyncio.sleep(drain_seconds())
        server.should_exit = True
    stop.cancel()
    await running
