"""The door of an edge process: accepts its connections, and looks which of them have something to read.

Read `_look` from top to bottom. All sockets of the fast way are watched by one epoll of their own, which the loop
watches as a single descriptor: one call says which connections have something, and they are read one after the other.
A loop's own transports would be asked for each by itself, and one that is made for a connection that asks once costs
more than its answer. A connection that has sent its request when it is accepted is read at once, and when it is closed
behind the answer it was never watched.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import select
import socket
import time
from functools import partial
from itertools import islice
from operator import itemgetter
from typing import Any, cast

import structlog
import uvicorn
from uvicorn.server import ServerState

from onebyone.edge.asgi import Edge
from onebyone.edge.fastpath.batcher import Turns
from onebyone.edge.fastpath.connection import Address, FastWay
from onebyone.edge.fastpath.fallback_protocol import Parser
from onebyone.edge.fastpath.request_batch import Turn
from onebyone.edge.fastpath.socket_io import read_each
from onebyone.edge.journal.group_commit import BATCH_EVENTS
from onebyone.runtime.web_server import HEAD_SECONDS

ACCEPTS = 32
"""Connections that are accepted at once at most: what is left of a burst is for the sibling processes too."""
_EVENTS = BATCH_EVENTS - 2 * ACCEPTS
"""Connections that are read in one turn: with new ones no more than one batch."""
AHEAD_SECONDS = 0.005
"""How long a look goes on to read ahead: the loop has others to serve."""
IDLE_STEP_SECONDS = 0.5
"""A silent connection may live this much longer than it should."""
EXHAUSTED_SECONDS = 1.0
"""How long connections wait in the kernel when this process can open no more files."""
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

_NUMBER = itemgetter(0)

_log = structlog.get_logger()


class Entrance:
    """A server, as uvicorn sees it: `close` ends accepting. All methods belong to the loop's thread."""

    def __init__(
        self, edge: Edge, listener: socket.socket, config: uvicorn.Config, state: ServerState, app_state: dict[str, Any]
    ) -> None:
        """Accepts from here on; `config`, `state` and `app_state` are what uvicorn's protocols are made with."""
        self._loop = asyncio.get_running_loop()
        self._connections: dict[int, FastWay] = {}
        self.turns = Turns(edge, self._loop, config.timeout_keep_alive, state, self._connections)
        self._state = state
        self._parser = partial(Parser, config, state, app_state, self.take_back)
        self._leaving: set[asyncio.Task[None]] = set()
        self._listener = listener
        self._listening = listener.fileno()
        self._closed = False
        self._exhausted = False
        listener.setblocking(False)
        if listener.family != socket.AF_UNIX:
            # Those that are accepted have it from there.
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # The kernel keeps a connection, for a second or three, until its request is there to be read at once.
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 1)
        self._poll = select.epoll()
        self._poll.register(listener, select.EPOLLIN)
        self._loop.add_reader(self._poll.fileno(), self._look)
        self._loop.call_later(IDLE_STEP_SECONDS, self._close_idle)

    def _look(self) -> None:
        turns = self.turns
        turn = turns.open()
        self._take(turn, self._ready(turn), turn)
        until = time.monotonic() + AHEAD_SECONDS
        while turn.lines or turn.arrived:
            ahead = turns.open()
            try:
                turns.begin(turn)
                if time.monotonic() < until:
                    # While the disk works, those that have come meanwhile are decided already.
                    self._take(ahead, self._poll.poll(0, _EVENTS), turn)
            finally:
                turns.end(turn)
            turn = ahead
            if 0 < len(turn.lines) < _EVENTS:
                self._take(turn, self._ready(turn), turn)

    def _ready(self, turn: Turn) -> list[tuple[int, int]]:
        room = _EVENTS - len(turn.lines)
        ready = self._poll.poll(0, room)
        if self.turns.rest(len(turn.lines) + len(ready)):
            return self._poll.poll(0, room)
        return ready

    def _take(self, turn: Turn, ready: list[tuple[int, int]], waiting: Turn) -> None:
        """Those who are ready come to the turn, but for who waits for an answer."""
        numbers = [*map(_NUMBER, ready)]
        if not (others := waiting.numbers).isdisjoint(numbers):
            numbers = [number for number in numbers if number not in others]
        try:
            if self._listening in numbers:
                numbers.remove(self._listening)
                numbers += self._accept(turn)
            if not numbers:
                return
            # Those that have nothing are taken out of `numbers`.
            read = read_each(numbers)
            if numbers:
                self.turns.take(turn, numbers, read)
        except Exception:
            # Those who have come to the turn before must not wait for ever.
            _log.exception("a look failed")

    def _accept(self, turn: Turn) -> list[int]:
        accepted: list[tuple[int, Address]] = []
        try:
            with contextlib.suppress(BlockingIOError):
                # What `socket.accept` calls; the object that it makes of the descriptor would only be taken apart.
                accepted.extend(islice(iter(self._listener._accept, None), ACCEPTS))  # type: ignore[attr-defined]
            self._exhausted = False
        except OSError as error:
            # Or this client has gone already: the next look gets those behind it.
            if error.errno in _EXHAUSTED:
                self._wait_for_room(error)
        silent_until = self._loop.time() + HEAD_SECONDS
        for number, address in accepted:
            os.set_blocking(number, False)
            self._connections[number] = connection = FastWay(self, number, address, silent_until)
            turn.arrived.append(connection)
        return [number for number, _ in accepted]

    def _wait_for_room(self, error: OSError) -> None:
        if not self._exhausted:
            _log.warning("cannot accept connections, they wait", error=repr(error))
        self._exhausted = True
        self._poll.unregister(self._listener)
        self._loop.call_later(EXHAUSTED_SECONDS, self._accept_again)

    def _accept_again(self) -> None:
        if self._closed:
            return
        try:
            self._poll.register(self._listener, select.EPOLLIN)
        except OSError:
            self._loop.call_later(EXHAUSTED_SECONDS, self._accept_again)

    def watch(self, connection: FastWay) -> None:
        """Reads it when it has something; `OSError` when the kernel has no room for that."""
        self._poll.register(connection.number, select.EPOLLIN)

    def unwatch(self, connection: FastWay) -> None:
        """Leaves in the kernel what comes."""
        with contextlib.suppress(FileNotFoundError):
            self._poll.unregister(connection.number)

    def forget(self, connection: FastWay) -> int:
        """Whoever asks has the connection's socket from here on."""
        number = connection.number
        del self._connections[number]
        connection.number = -1
        if self._closed:
            self._state.connections.discard(cast(Any, connection))
        return number

    def hand_over(self, connection: FastWay, data: bytes, unsent: bytes = b"") -> None:
        """uvicorn's protocol gets the connection: writes what is `unsent`, and takes `data` as read."""
        self.unwatch(connection)
        number = self.forget(connection)
        # A shutdown meanwhile must not forget it: it leaves to the parser to close it.
        connection.silent_until = None
        self._state.connections.add(cast(Any, connection))
        leaving = self._loop.create_task(self._lead(connection, socket.socket(fileno=number), data, unsent))
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)

    async def _lead(self, connection: FastWay, own: socket.socket, data: bytes, unsent: bytes) -> None:
        try:
            _, parser = await self._loop.connect_accepted_socket(
                lambda: self._parser(connection.address, data, unsent, connection.closes), own
            )
        except OSError:
            # The client has gone.
            own.close()
            return
        finally:
            self._state.connections.discard(cast(Any, connection))
        if connection.closes:
            # A shutdown may have come behind the parser's making.
            parser.shutdown()

    def take_back(self, transport: asyncio.Transport, address: Address, data: bytes) -> bool:
        """The fast way has the connection again, from this request on. False: there is no descriptor left for that."""
        try:
            number = os.dup(transport.get_extra_info("socket").fileno())
        except OSError:
            return False
        connection = FastWay(self, number, address, self._loop.time() + self.turns.keep_alive)
        self._connections[number] = connection
        transport.abort()
        turn = self.turns.open()
        turn.arrived.append(connection)
        self.turns.take(turn, [number], [data])
        self.turns.begin(turn)
        self.turns.end(turn)
        return True

    def _close_idle(self) -> None:
        if self._connections or not self._closed:
            self._loop.call_later(IDLE_STEP_SECONDS, self._close_idle)
        now = self._loop.time()
        for connection in list(self._connections.values()):
            if connection.silent_until is not None and now >= connection.silent_until:
                connection.close()

    def close(self) -> None:
        """No more connections; uvicorn sees to those that are left."""
        self._closed = True
        with contextlib.suppress(FileNotFoundError):
            self._poll.unregister(self._listener)
        self._state.connections.update(cast(Any, self._connections.values()))

    async def wait_closed(self) -> None:
        """Nothing is waited for."""
