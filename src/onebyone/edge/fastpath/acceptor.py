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

from onebyone.edge.fastpath.batcher import RequestBatcher
from onebyone.edge.fastpath.connection import Address, Connection
from onebyone.edge.fastpath.fallback_protocol import FallbackProtocol
from onebyone.edge.fastpath.request_batch import RequestBatch
from onebyone.edge.fastpath.socket_io import read_each
from onebyone.edge.journal.group_commit import BATCH_EVENTS
from onebyone.edge.recorder import Recorder
from onebyone.runtime.web_server import HEAD_SECONDS

MAX_ACCEPTS = 32
"""Connections that are accepted at once at most: what is left of a burst is for the sibling processes too."""
_MAX_READS = BATCH_EVENTS - 2 * MAX_ACCEPTS
"""Connections that are read in one batch: with new ones no more than one batch."""
READ_AHEAD_SECONDS = 0.005
"""How long a look goes on to read ahead: the loop has others to serve."""
IDLE_CHECK_SECONDS = 0.5
"""A silent connection may live this much longer than it should."""
ACCEPT_RETRY_SECONDS = 1.0
"""How long connections wait in the kernel when this process can open no more files."""
_OUT_OF_RESOURCES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

_FD = itemgetter(0)

_log = structlog.get_logger()


class Acceptor:
    """A server, as uvicorn sees it: `close` ends accepting. All methods belong to the loop's thread."""

    def __init__(
        self,
        recorder: Recorder,
        known_tags: int,
        listener: socket.socket,
        config: uvicorn.Config,
        state: ServerState,
        app_state: dict[str, Any],
    ) -> None:
        """Start to accept. uvicorn's protocols are made with `config`, `state` and `app_state`."""
        self._loop = asyncio.get_running_loop()
        self._connections: dict[int, Connection] = {}
        self.batcher = RequestBatcher(
            recorder, known_tags, self._loop, config.timeout_keep_alive, state, self._connections
        )
        self._state = state
        self._make_fallback = partial(FallbackProtocol, config, state, app_state, self.take_back)
        self._handovers: set[asyncio.Task[None]] = set()
        self._listener = listener
        self._listener_fd = listener.fileno()
        self._closed = False
        self._exhausted = False
        listener.setblocking(False)
        if listener.family != socket.AF_UNIX:
            # Those that are accepted have it from there.
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # The kernel keeps a connection, for a second or three, until its request is there to be read at once.
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 1)
        self._epoll = select.epoll()
        self._epoll.register(listener, select.EPOLLIN)
        self._loop.add_reader(self._epoll.fileno(), self.poll)
        self._loop.call_later(IDLE_CHECK_SECONDS, self._close_idle)

    def poll(self) -> None:
        batcher = self.batcher
        batch = batcher.new_batch()
        self._read_ready(batch, self._poll_ready(batch), batch)
        until = time.monotonic() + READ_AHEAD_SECONDS
        while batch.lines or batch.accepted:
            ahead = batcher.new_batch()
            try:
                batcher.submit(batch)
                if time.monotonic() < until:
                    # While the disk works, those that have come meanwhile are decided already.
                    self._read_ready(ahead, self._epoll.poll(0, _MAX_READS), batch)
            finally:
                batcher.complete(batch)
            batch = ahead
            if 0 < len(batch.lines) < _MAX_READS:
                self._read_ready(batch, self._poll_ready(batch), batch)

    def _poll_ready(self, batch: RequestBatch) -> list[tuple[int, int]]:
        room = _MAX_READS - len(batch.lines)
        ready = self._epoll.poll(0, room)
        if self.batcher.pause_for_more(len(batch.lines) + len(ready)):
            return self._epoll.poll(0, room)
        return ready

    def _read_ready(self, batch: RequestBatch, ready: list[tuple[int, int]], waiting: RequestBatch) -> None:
        """Those who are ready come to the batch, but for who waits for an answer."""
        fds = [*map(_FD, ready)]
        if not (others := waiting.fds).isdisjoint(fds):
            fds = [fd for fd in fds if fd not in others]
        try:
            if self._listener_fd in fds:
                fds.remove(self._listener_fd)
                fds += self._accept(batch)
            if not fds:
                return
            # Those that have nothing are taken out of `fds`.
            read = read_each(fds)
            if fds:
                self.batcher.add(batch, fds, read)
        except Exception:
            # Those who have come to the batch before must not wait for ever.
            _log.exception("a look failed")

    def _accept(self, batch: RequestBatch) -> list[int]:
        accepted: list[tuple[int, Address]] = []
        try:
            with contextlib.suppress(BlockingIOError):
                # What `socket.accept` calls; the object that it makes of the descriptor would only be taken apart.
                accepted.extend(islice(iter(self._listener._accept, None), MAX_ACCEPTS))  # type: ignore[attr-defined]
            self._exhausted = False
        except OSError as error:
            # Or this client has gone already: the next look gets those behind it.
            if error.errno in _OUT_OF_RESOURCES:
                self._pause_accepting(error)
        idle_deadline = self._loop.time() + HEAD_SECONDS
        for fd, address in accepted:
            os.set_blocking(fd, False)
            self._connections[fd] = connection = Connection(self, fd, address, idle_deadline)
            batch.accepted.append(connection)
        return [fd for fd, _ in accepted]

    def _pause_accepting(self, error: OSError) -> None:
        if not self._exhausted:
            _log.warning("cannot accept connections, they wait", error=repr(error))
        self._exhausted = True
        self._epoll.unregister(self._listener)
        self._loop.call_later(ACCEPT_RETRY_SECONDS, self._resume_accepting)

    def _resume_accepting(self) -> None:
        if self._closed:
            return
        try:
            self._epoll.register(self._listener, select.EPOLLIN)
        except OSError:
            self._loop.call_later(ACCEPT_RETRY_SECONDS, self._resume_accepting)

    def watch(self, connection: Connection) -> None:
        """Reads it when it has something; `OSError` when the kernel has no room for that."""
        self._epoll.register(connection.fd, select.EPOLLIN)

    def unwatch(self, connection: Connection) -> None:
        """Leaves in the kernel what comes."""
        with contextlib.suppress(FileNotFoundError):
            self._epoll.unregister(connection.fd)

    def detach(self, connection: Connection) -> int:
        """Whoever asks has the connection's socket from here on."""
        fd = connection.fd
        del self._connections[fd]
        connection.fd = -1
        if self._closed:
            self._state.connections.discard(cast(Any, connection))
        return fd

    def hand_over(self, connection: Connection, data: bytes, unsent: bytes = b"") -> None:
        """uvicorn's protocol gets the connection: writes what is `unsent`, and takes `data` as read."""
        self.unwatch(connection)
        fd = self.detach(connection)
        # A shutdown meanwhile must not detach it: it leaves to the parser to close it.
        connection.idle_deadline = None
        self._state.connections.add(cast(Any, connection))
        leaving = self._loop.create_task(self._start_fallback(connection, socket.socket(fileno=fd), data, unsent))
        self._handovers.add(leaving)
        leaving.add_done_callback(self._handovers.discard)

    async def _start_fallback(self, connection: Connection, own: socket.socket, data: bytes, unsent: bytes) -> None:
        try:
            _, parser = await self._loop.connect_accepted_socket(
                lambda: self._make_fallback(connection.address, data, unsent, connection.close_after_response), own
            )
        except OSError:
            # The client has gone.
            own.close()
            return
        finally:
            self._state.connections.discard(cast(Any, connection))
        if connection.close_after_response:
            # A shutdown may have come behind the parser's making.
            parser.shutdown()

    def take_back(self, transport: asyncio.Transport, address: Address, data: bytes) -> bool:
        """The fast way has the connection again, from this request on. False: there is no descriptor left for that."""
        try:
            fd = os.dup(transport.get_extra_info("socket").fileno())
        except OSError:
            return False
        connection = Connection(self, fd, address, self._loop.time() + self.batcher.keep_alive)
        self._connections[fd] = connection
        transport.abort()
        batch = self.batcher.new_batch()
        batch.accepted.append(connection)
        self.batcher.add(batch, [fd], [data])
        self.batcher.submit(batch)
        self.batcher.complete(batch)
        return True

    def _close_idle(self) -> None:
        if self._connections or not self._closed:
            self._loop.call_later(IDLE_CHECK_SECONDS, self._close_idle)
        now = self._loop.time()
        for connection in list(self._connections.values()):
            if connection.idle_deadline is not None and now >= connection.idle_deadline:
                connection.close()

    def close(self) -> None:
        """No more connections; uvicorn sees to those that are left."""
        self._closed = True
        with contextlib.suppress(FileNotFoundError):
            self._epoll.unregister(self._listener)
        self._state.connections.update(cast(Any, self._connections.values()))

    async def wait_closed(self) -> None:
        """Nothing is waited for."""
