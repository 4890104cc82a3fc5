"""uvicorn as the edge and the config API run it: on an inherited socket, with the role's own signals and draining."""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol, cast

import uvicorn
from uvicorn.server import ServerState

from onebyone.runtime.bounded_protocol import BODY_LIMIT, BODY_MAX, DRAINING, BoundedProtocol
from onebyone.runtime.connection_limits import LIMITS, ConnectionLimits
from onebyone.runtime.refusals import REFUSALS, Refusals

KEEP_ALIVE_SECONDS = 75
"""How long a connection may be idle between requests: longer than the minute after which common proxies close their
side, so that they never send a request on a connection that is being closed here."""
QUEUE_SECONDS = 0.2
"""How long a stopping process keeps accepting what the kernel has queued: bounded, because clients keep connecting."""
_ACCEPT_STEPS = 6
"""Steps of the event loop from an empty queue to the protocol of the last connection: asyncio takes four."""
LINGER_SECONDS = 1.0
"""How long an idle connection is kept after the listener has closed: its next request may be on its way."""
GRACE_SECONDS = 10
"""Requests that still run this long after those `LINGER_SECONDS` are cancelled: the supervisor ends the process about
a second later."""
_LINGER_CHECK_SECONDS = 0.02
"""How often the lingering connections are counted; a stop takes this much longer at most."""


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
        app_state: dict[str, Any],
        make_server: SocketServerFactory | None,
    ) -> None:
        super().__init__(config)
        self._on_started = on_started
        self._app_state = app_state
        self._make_server = make_server

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self.lifespan.state.update(self._app_state)
        make_server = self._make_server
        await super().startup(sockets if make_server is None else [])
        if make_server is not None:
            servers = [
                make_server(listener, self.config, self.server_state, self.lifespan.state) for listener in sockets or ()
            ]
            self.servers = cast("list[asyncio.base_events.Server]", servers)
        self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await _accept_queued(sockets or [])
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


async def _accept_queued(listeners: list[socket.socket]) -> None:
    """Let the servers accept the connections that the kernel has queued: closing the listener would reset them."""
    queue = select.poll()
    for listener in listeners:
        queue.register(listener, select.POLLIN)
    deadline, empty_steps = time.monotonic() + QUEUE_SECONDS, 0
    while empty_steps < _ACCEPT_STEPS and time.monotonic() < deadline:
        await asyncio.sleep(0)
        empty_steps = 0 if queue.poll(0) else empty_steps + 1


async def serve(
    app: Any,
    listener: socket.socket,
    stopping: asyncio.Event,
    drain_seconds: Callable[[], float],
    on_started: Callable[[], None],
    make_server: SocketServerFactory | None = None,
    refusals: Refusals | None = None,
    body_limit: int = BODY_MAX,
    limits: ConnectionLimits | None = None,
) -> None:
    """Serve `app` until `stopping` is set and `drain_seconds()` have passed; then finish running requests and return.

    `on_started` is called when connections are accepted. `make_server` makes the server of the listening socket; by
    default the event loop does, and each connection gets a `BoundedProtocol`. `refusals` answers malformed requests.
    A connection is closed after `body_limit` bytes of a request body. `limits` says how many connections there may
    be; by default any number.
    """
    limits = limits or ConnectionLimits()
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
        {DRAINING: stopping, REFUSALS: refusals or Refusals(), BODY_LIMIT: body_limit, LIMITS: limits},
        make_server,
    )
    limits.watch(lambda: cast("set[BoundedProtocol]", server.server_state.connections))
    limits.start()
    running = asyncio.create_task(server.serve(sockets=[listener]))
    stop = asyncio.create_task(stopping.wait())
    await asyncio.wait({running, stop}, return_when=asyncio.FIRST_COMPLETED)
    if not running.done():
        await asyncio.sleep(drain_seconds())
        server.should_exit = True
    stop.cancel()
    await running
