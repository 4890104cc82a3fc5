"""One connection of the fast path: a bare socket on which plain tag requests are answered without ASGI.

uvicorn's protocol costs several times as much as deciding and recording a request: parser callbacks, a scope, a task
and two writes. For a connection with a single request, a transport of the event loop costs more than the answer. So
every connection of the edge starts as a bare socket: what a read returns goes to a request batch (`batcher.py`), which
recognises the request that browsers send to a tag (`request_parser.py`), decides it as the ASGI application does
(`tags/decision.py`) and answers it with the same bytes once its event is on disk. Anything else (another request, half
a request, a client that does not read its answers) is handed over to uvicorn's protocol (`fallback_protocol.py`), which
receives all bytes from there on until it has answered everything that it has read.

| state | owner of the socket | watched | closed when idle | on shutdown |
|---|---|---|---|---|
| `IDLE` | this connection | yes | yes | closed immediately |
| `AWAITING_DISK` | this connection | no | no | closed after its response |
| `HANDED_OVER` | uvicorn's protocol | by uvicorn | by uvicorn | closed by uvicorn |
| `CLOSED` | nobody | no | - | - |

While the disk is quick, a connection stays `IDLE` from the read to the response: both happen in one call of
`Acceptor.poll`, and nothing else runs in between.
"""

from __future__ import annotations

import asyncio
import os
from enum import Enum
from typing import Any, Protocol

from onebyone.edge.fastpath.response_cache import ResponseCache, with_close
from onebyone.edge.fastpath.socket_io import write_each
from onebyone.edge.tags import client
from onebyone.edge.tags.decision import Decision

Address = tuple[Any, ...] | str | bytes | None
"""A peer as the socket module states it: host, port and more for TCP, a path for a Unix socket."""


class State(Enum):
    """Who owns the socket, and what may happen next."""

    IDLE = "idle"
    AWAITING_DISK = "awaiting disk"
    HANDED_OVER = "handed over"
    CLOSED = "closed"


IDLE, AWAITING_DISK, HANDED_OVER, CLOSED = State

TRANSITIONS: dict[State, frozenset[State]] = {
    # In turn: a response; a slow disk; a request that is not plain, or a response that is not fully written; the end.
    IDLE: frozenset((IDLE, AWAITING_DISK, HANDED_OVER, CLOSED)),
    # The response is written, and the next state follows from that write; or it cannot be rendered.
    AWAITING_DISK: frozenset((IDLE, CLOSED)),
    # The end for this object: uvicorn's protocol may give the socket back, as a new connection.
    HANDED_OVER: frozenset(),
    CLOSED: frozenset(),
}
"""The states that may follow each state."""


class IllegalTransition(Exception):
    """A connection was to enter a state that must not follow its own: a fault in this package."""


class ConnectionOwner(Protocol):
    """What accepted a connection and watches its socket."""

    responses: ResponseCache
    draining: asyncio.Event

    def next_idle_deadline(self) -> float:
        """Return when a connection that falls silent now is closed, on the loop's clock."""

    def watch(self, connection: Connection) -> None:
        """Read the socket when it is ready. Raise `OSError` when the kernel cannot watch another one."""

    def unwatch(self, connection: Connection) -> None:
        """Leave what arrives in the kernel."""

    def detach(self, connection: Connection) -> int:
        """Forget the connection, and return the descriptor, which the caller then owns."""

    def hand_over(self, connection: Connection, data: bytes, unsent: bytes) -> None:
        """Detach the connection and give it to uvicorn's protocol, which writes `unsent` and takes `data` as read."""


class Connection:
    """One connection, which owns its socket while it is `IDLE` or `AWAITING_DISK`."""

    __slots__ = ("_owner", "address", "close_after_response", "fd", "idle_deadline", "network", "peer", "state")

    def __init__(self, owner: ConnectionOwner, fd: int, address: Address, idle_deadline: float) -> None:
        """Take over `fd`, a non-blocking socket that is not watched; `address` is the address of its peer."""
        self._owner = owner
        self.state = IDLE
        self.fd = fd
        """The descriptor of the socket; after `HANDED_OVER` and `CLOSED` it may be another connection's."""
        self.address = address
        self.peer = peer = address[0] if isinstance(address, tuple) else ""
        """The IP address; empty for a Unix socket."""
        self.network = client.network_member(peer)
        self.idle_deadline = idle_deadline
        """When the connection is closed unless a request arrives, on the loop's clock. Ignored unless `IDLE`."""
        self.close_after_response = False

    def respond(self, decision: Decision) -> None:
        """Write one response by itself, outside the common write of a batch."""
        response = self._owner.responses.render(decision)
        if self._owner.draining.is_set():
            self.close_after_response = True
        if self.close_after_response:
            response = with_close(response)
        self._enter(IDLE)
        self.idle_deadline = self._owner.next_idle_deadline()
        self.on_written(response, *write_each([self.fd], [response]))

    def on_written(self, response: bytes, written: int) -> None:
        """Continue after a write that took `written` bytes of `response`; -1: the client has disconnected."""
        if written == len(response):
            if not self.close_after_response:
                return
        elif written >= 0:
            # uvicorn's protocol buffers for a client that does not read.
            self._enter(HANDED_OVER)
            self._owner.hand_over(self, b"", response[written:])
            return
        # Not by `_enter`, for speed: only idle connections are written to, and those may always be closed.
        self.state = CLOSED
        os.close(self._owner.detach(self))

    def hold(self) -> None:
        """Read nothing more until the response that waits for the disk is written."""
        self._enter(AWAITING_DISK)
        self._owner.unwatch(self)

    def watch(self) -> None:
        """Wait for the next request, if the connection is still open and has no response to wait for."""
        if self.state is not IDLE:
            return
        try:
            self._owner.watch(self)
        except OSError:
            self.close()

    def decline(self, data: bytes) -> None:
        """Hand the connection over to uvicorn's protocol, starting with `data`."""
        self._enter(HANDED_OVER)
        self._owner.hand_over(self, data, b"")

    def shutdown(self) -> None:
        """Close the connection, after the response that it waits for. uvicorn calls this when the server stops."""
        if self.state is IDLE:
            self.close()
        else:
            self.close_after_response = True

    def client_deadline(self) -> float | None:
        """Return when the connection is closed unless a request arrives; None while its client waits."""
        return self.idle_deadline if self.state is IDLE else None

    def give_way(self) -> None:
        """Close the connection, which waits for a request, for others to get its place."""
        self.close()

    def close(self) -> None:
        """Close the socket, unless that has happened or it is uvicorn's."""
        if self.state is IDLE or self.state is AWAITING_DISK:
            self.state = CLOSED
            os.close(self._owner.detach(self))

    def _enter(self, state: State) -> None:
        if state not in TRANSITIONS[self.state]:
            raise IllegalTransition(f"{self.state.value} -> {state.value}")
        self.state = state
