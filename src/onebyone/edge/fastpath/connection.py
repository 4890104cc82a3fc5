"""One connection of the fast path: a bare socket on which plain tag requests are answered without ASGI.

uvicorn's protocol costs several times as much as deciding and recording a request: parser callbacks, a scope, a task
and two writes. For a connection with a single request, a transport of the event loop costs more than the answer. So
every connection of the edge starts as a bare socket: what a read returns goes to a request batch (`batcher.py`), which
recognises the request that browsers send to a tag (`request_parser.py`), decides it as the ASGI application does
(`tags/decision.py`) and answers it with the same bytes once its event is on disk. Anything else (another request, half
a request, a client that does not read its answers) is handed over to uvicorn's protocol (`fallback_protocol.py`), which
receives all bytes from there on until it has answered everything that it has read.
"""

from __future__ import annotations

import os
from typing import Any, Protocol

from onebyone.edge.fastpath import response_cache
from onebyone.edge.fastpath.batcher import RequestBatcher
from onebyone.edge.fastpath.socket_io import write_each
from onebyone.edge.tags import client
from onebyone.edge.tags.decision import Decision

Address = tuple[Any, ...] | str | bytes | None
"""As a socket says it: host and port and more, or a path."""


class ConnectionOwner(Protocol):
    """What a connection came in by."""

    batcher: RequestBatcher

    def watch(self, connection: Connection) -> None:
        """Reads it when it has something; `OSError` when the kernel has no room for that."""

    def unwatch(self, connection: Connection) -> None:
        """Leaves in the kernel what comes."""

    def detach(self, connection: Connection) -> int:
        """Whoever asks has the connection's socket from here on."""

    def hand_over(self, connection: Connection, data: bytes, unsent: bytes = b"") -> None:
        """uvicorn's protocol gets the connection: writes what is `unsent`, and takes `data` as read."""


class Connection:
    """One connection of the edge, which owns its socket."""

    __slots__ = ("_owner", "address", "close_after_response", "fd", "idle_deadline", "network", "peer")

    def __init__(self, owner: ConnectionOwner, fd: int, address: Address, idle_deadline: float) -> None:
        """`number`: the descriptor of a socket that does not block, and that nobody watches. `address`: of its peer."""
        self._owner = owner
        self.fd = fd
        """-1: it is closed, or uvicorn's."""
        self.address = address
        self.peer = peer = address[0] if isinstance(address, tuple) else ""
        self.network = client.network_member(peer)
        self.idle_deadline: float | None = idle_deadline
        """When it is closed unless something comes, on the loop's clock; None: it waits for the disk, or is on its
        way to uvicorn's protocol, and is closed behind that."""
        self.close_after_response = False
        """The next answer is the last."""

    def respond(self, decision: Decision) -> None:
        """Gives an answer by itself."""
        batcher = self._owner.batcher
        text = batcher.responses.render(decision)
        if batcher.draining:
            self.close_after_response = True
        if self.close_after_response:
            text = response_cache.with_close(text)
        self.idle_deadline = batcher.loop.time() + batcher.keep_alive
        self.on_written(text, *write_each([self.fd], [text]))

    def on_written(self, text: bytes, taken: int) -> None:
        """Its socket took so many bytes of an answer; -1: the client has gone."""
        if 0 <= taken < len(text):
            # uvicorn's protocol knows how to wait for a client that does not read.
            self._owner.hand_over(self, b"", text[taken:])
        elif taken < 0 or self.close_after_response:
            os.close(self._owner.detach(self))

    def hold(self) -> None:
        """It waits for the disk: nothing is read before its answer."""
        self.idle_deadline = None
        self._owner.unwatch(self)

    def watch(self) -> None:
        """Waits for the next request, if there may be one."""
        if self.fd < 0 or self.idle_deadline is None:
            return
        try:
            self._owner.watch(self)
        except OSError:
            # The kernel has no room to watch it.
            self.close()

    def decline(self, data: bytes) -> None:
        """uvicorn's protocol has the connection, from this request on."""
        if self.fd >= 0:
            self._owner.hand_over(self, data)

    def shutdown(self) -> None:
        """The server wants the connection closed, behind the answer that it waits for. Called by uvicorn."""
        if self.idle_deadline is None:
            self.close_after_response = True
        else:
            self.close()

    def close(self) -> None:
        """Nothing more is read or written."""
        if self.fd >= 0:
            os.close(self._owner.detach(self))
