"""uvicorn's protocol for the requests that the fast path declines, and how connections get to it and back.

The protocol continues where the fast path has stopped. Once it has answered all that it has read, the next plain
request brings the connection back.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import structlog
import uvicorn
from uvicorn.server import ServerState

from onebyone.edge.fastpath import request_parser
from onebyone.edge.fastpath.connection import Address, Connection
from onebyone.runtime.bounded_protocol import BoundedProtocol

TakeBack = Callable[[asyncio.Transport, Address, bytes], bool]
"""Offers a connection and its next request to the fast path; returns whether the fast path has taken both."""

_log = structlog.get_logger()


class FallbackProtocol(BoundedProtocol):
    """One connection, until it has answered all that it has read and the next request is a plain one."""

    def __init__(
        self,
        config: uvicorn.Config,
        state: ServerState,
        app_state: dict[str, Any],
        take_back: TakeBack,
        address: Address,
        already_read: bytes,
        unsent: bytes,
        close_after_response: bool,
    ) -> None:
        """Write `unsent` first, then continue with `already_read`; then close if `close_after_response` is set.

        `take_back` is offered each plain request that arrives while no other is unanswered.
        """
        super().__init__(config, state, app_state)
        self._take_back = take_back
        self._address = address
        self._already_read = already_read
        self._unsent = unsent
        self._close_after_response = close_after_response

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if isinstance(self._address, tuple):
            # If the client has disconnected meanwhile, the socket no longer knows its address.
            self.client = self._address[:2]
        if self._unsent:
            transport.write(self._unsent)
        if self._already_read:
            # Before the loop reads anything else.
            try:
                self.data_received(self._already_read)
            except Exception:
                # What the loop does when `data_received` raises.
                _log.exception("cannot parse a request")
                transport.abort()
        if self._close_after_response:
            self.shutdown()
        self._already_read = self._unsent = b""

    def data_received(self, data: bytes) -> None:
        is_plain = self._has_finished() and request_parser.parse_request(data) is not None
        if not is_plain or not self._take_back(self.transport, self._address, data):
            super().data_received(data)

    def _has_finished(self) -> bool:
        """Return whether every request that was read is answered, and the connection stays open."""
        return (
            self.cycle is not None
            and self._answered
            and not self._has_unread
            and not self.transport.get_write_buffer_size()
        )


class Handovers:
    """Connections on their way from the fast path to uvicorn's protocol."""

    def __init__(
        self, config: uvicorn.Config, state: ServerState, app_state: dict[str, Any], take_back: TakeBack
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._state = state
        self._make_protocol = partial(FallbackProtocol, config, state, app_state, take_back)
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, connection: Connection, fd: int, data: bytes, unsent: bytes) -> None:
        """Make uvicorn's protocol for the socket `fd`, which writes `unsent` first and takes `data` as read."""
        # Until the protocol exists, a shutdown must still reach the connection.
        self._state.connections.add(cast(Any, connection))
        task = self._loop.create_task(self._hand_over(connection, socket.socket(fileno=fd), data, unsent))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _hand_over(self, connection: Connection, sock: socket.socket, data: bytes, unsent: bytes) -> None:
        try:
            _, protocol = await self._loop.connect_accepted_socket(
                lambda: self._make_protocol(connection.address, data, unsent, connection.close_after_response), sock
            )
        except OSError:
            # The client has disconnected.
            sock.close()
            return
        finally:
            self._state.connections.discard(cast(Any, connection))
        if connection.close_after_response:
            # The shutdown may have come after the protocol was made.
            protocol.shutdown()
