"""The fast way: a complete, plain tag request that arrives in one read is answered without ASGI, on its socket.

uvicorn's own protocol costs several times what the decision and its record do: parser callbacks, a scope, a task and
two writes a request; and a transport of the loop costs a connection that asks once more than its answer. So a
connection of the edge begins here, as a bare socket: what a read brought goes to its turn (`turns.py`), which
recognises the request that browsers send to a tag (`plain.py`), decides it as the ASGI way does (`decision.py`) and has
it on disk before it is answered by the same bytes. Whatever is not exactly that (another request, half a request, a
client that does not read its answers) is handed over to uvicorn's protocol (`entrance.py`, `parser.py`), which gets all
bytes from there on until it has answered all that it has seen.
"""

from __future__ import annotations

import os
from typing import Any, Protocol

from onebyone.edge.fastpath import response_cache
from onebyone.edge.fastpath.batcher import Turns
from onebyone.edge.fastpath.socket_io import write_each
from onebyone.edge.tags import client
from onebyone.edge.tags.decision import Decision

Address = tuple[Any, ...] | str | bytes | None
"""As a socket says it: host and port and more, or a path."""


class Door(Protocol):
    """What a connection came in by."""

    turns: Turns

    def watch(self, connection: FastWay) -> None:
        """Reads it when it has something; `OSError` when the kernel has no room for that."""

    def unwatch(self, connection: FastWay) -> None:
        """Leaves in the kernel what comes."""

    def forget(self, connection: FastWay) -> int:
        """Whoever asks has the connection's socket from here on."""

    def hand_over(self, connection: FastWay, data: bytes, unsent: bytes = b"") -> None:
        """uvicorn's protocol gets the connection: writes what is `unsent`, and takes `data` as read."""


class FastWay:
    """One connection of the edge, which owns its socket."""

    __slots__ = ("_door", "address", "closes", "network", "number", "peer", "silent_until")

    def __init__(self, door: Door, number: int, address: Address, silent_until: float) -> None:
        """`number`: the descriptor of a socket that does not block, and that nobody watches. `address`: of its peer."""
        self._door = door
        self.number = number
        """-1: it is closed, or uvicorn's."""
        self.address = address
        self.peer = peer = address[0] if isinstance(address, tuple) else ""
        self.network = client.network(peer)
        self.silent_until: float | None = silent_until
        """When it is closed unless something comes, on the loop's clock; None: it waits for the disk, or is on its
        way to uvicorn's protocol, and is closed behind that."""
        self.closes = False
        """The next answer is the last."""

    def answer(self, decision: Decision) -> None:
        """Gives an answer by itself."""
        turns = self._door.turns
        text = turns.edge.wire.text(decision, turns.state.default_headers)
        if turns.edge.draining:
            self.closes = True
        if self.closes:
            text = response_cache.last(text)
        self.silent_until = turns.loop.time() + turns.keep_alive
        self.wrote(text, *write_each([self.number], [text]))

    def wrote(self, text: bytes, taken: int) -> None:
        """Its socket took so many bytes of an answer; -1: the client has gone."""
        if 0 <= taken < len(text):
            # uvicorn's protocol knows how to wait for a client that does not read.
            self._door.hand_over(self, b"", text[taken:])
        elif taken < 0 or self.closes:
            os.close(self._door.forget(self))

    def hold(self) -> None:
        """It waits for the disk: nothing is read before its answer."""
        self.silent_until = None
        self._door.unwatch(self)

    def watch(self) -> None:
        """Waits for the next request, if there may be one."""
        if self.number < 0 or self.silent_until is None:
            return
        try:
            self._door.watch(self)
        except OSError:
            # The kernel has no room to watch it.
            self.close()

    def decline(self, data: bytes) -> None:
        """uvicorn's protocol has the connection, from this request on."""
        if self.number >= 0:
            self._door.hand_over(self, data)

    def shutdown(self) -> None:
        """The server wants the connection closed, behind the answer that it waits for. Called by uvicorn."""
        if self.silent_until is None:
            self.closes = True
        else:
            self.close()

    def close(self) -> None:
        """Nothing more is read or written."""
        if self.number >= 0:
            os.close(self._door.forget(self))
