"""uvicorn as edge and API run it: on an inherited socket, with our own signals and drain."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

GRACE_SECONDS = 10
"""Requests that still run this long after the listener closed are cut off."""


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

    `started` is called once the loop accepts connections. `http` makes the protocol of a connection; default: uvicorn's
    own, on the same parser.
    """
    server = _Server(
        uvicorn.Config(
            app,
            # uvicorn calls whatever stands here for each connection.
            http=cast("type[asyncio.Protocol]", http or HttpToolsProtocol),
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
