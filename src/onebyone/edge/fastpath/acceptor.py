"""Accepts the connections of an edge process, and polls them for requests.

Read `Acceptor.poll` from top to bottom. One epoll watches all sockets of the fast path, and the event loop watches that
epoll as a single descriptor: one call reports which connections are ready, and they are read one after the other. The
loop's own transports would cost a callback for each connection; for a connection with a single request, making the
transport costs more than the answer. A new connection that has already sent its request is read immediately, and is
never watched if it is closed after the response.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import select
import socket
import time
from itertools import islice
from operator import itemgetter
from typing import Any, cast

import structlog
import uvicorn
from uvicorn.server import ServerState

from onebyone.edge.fastpath.batcher import RequestBatcher
from onebyone.edge.fastpath.connection import IDLE, Address, Connection
from onebyone.edge.fastpath.fallback_protocol import Handovers
from onebyone.edge.fastpath.request_batch import RequestBatch
from onebyone.edge.fastpath.response_cache import ResponseCache
from onebyone.edge.fastpath.socket_io import read_each
from onebyone.edge.journal.group_commit import BATCH_EVENTS
from onebyone.edge.recorder import Recorder
from onebyone.runtime.bounded_protocol import HEAD_SECONDS
from onebyone.runtime.connection_limits import LIMITS, ConnectionLimits

MAX_ACCEPTS = 32
"""Connections accepted in one poll: the sibling processes get their share of a burst. 8 cost a third more CPU."""
_MAX_READS = BATCH_EVENTS - 2 * MAX_ACCEPTS
"""Connections read into one request batch: with those that are accepted twice meanwhile it fits one journal batch."""
READ_AHEAD_SECONDS = 0.005
"""How long one poll keeps reading ahead before the loop serves others: timers, the fallback protocol, the journal."""
IDLE_CHECK_SECONDS = 0.5
"""How often idle connections are looked for; one lives this much too long at most, against a minute that it may."""
ACCEPT_RETRY_SECONDS = 1.0
"""How long new connections wait in the kernel while this process can open no more files: some close meanwhile."""
_OUT_OF_RESOURCES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_DEFER_ACCEPT_SECONDS = 1
"""The shortest that the kernel knows: it keeps a new connection for one to three seconds until its request arrives."""

_fd_of = itemgetter(0)

_log = structlog.get_logger()


class Acceptor:
    """The server of one listening socket, in the place of an asyncio server; belongs to the loop's thread."""

    def __init__(
        self,
        recorder: Recorder,
        known_tags: int,
        listener: socket.socket,
        config: uvicorn.Config,
        state: ServerState,
        app_state: dict[str, Any],
    ) -> None:
        """Start to accept. uvicorn's protocols are made with `config`, `state` and `app_state`.

        `known_tags` is how many tags the request batcher remembers.
        """
        self._loop = asyncio.get_running_loop()
        self._connections: dict[int, Connection] = {}
        """The connections that are `IDLE` or `AWAITING_DISK`, by descriptor."""
        self._duplicates: set[int] = set()
        """The descriptors of connections that were taken back: uvicorn's transport closes its own a little later."""
        self._state = state
        self._keep_alive_seconds = config.timeout_keep_alive
        self.responses = ResponseCache(state)
        self.draining = recorder.draining
        self._batcher = RequestBatcher(recorder, self.responses, known_tags, self.next_idle_deadline, self._connections)
        self._handovers = Handovers(config, state, app_state, self.take_back)
        self._listener = listener
        self._listener_fd = listener.fileno()
        self._limits: ConnectionLimits = app_state.get(LIMITS) or ConnectionLimits()
        self._limits.watch(self._connections.values)
        self._closed = False
        self._exhausted = False
        listener.setblocking(False)
        if listener.family != socket.AF_UNIX:
            # Accepted sockets inherit it.
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, _DEFER_ACCEPT_SECONDS)
        self._epoll = select.epoll()
        self._epoll.register(listener, select.EPOLLIN)
        self._loop.add_reader(self._epoll.fileno(), self.poll)
        self._loop.call_later(IDLE_CHECK_SECONDS, self._close_idle)

    def poll(self) -> None:
        """Read, decide, record and answer the requests that have arrived."""
        batcher = self._batcher
        batch = batcher.new_batch()
        self._read_ready(batch, self._ready(batch), batch)
        until = time.monotonic() + READ_AHEAD_SECONDS
        while batch.events or batch.accepted:
            ahead = batcher.new_batch()
            try:
                batcher.submit(batch)
                if time.monotonic() < until:
                    # While the disk works, the requests that have arrived meanwhile are read and decided.
                    self._read_ready(ahead, self._epoll.poll(0, _MAX_READS), batch)
            finally:
                batcher.complete(batch)
            batch = ahead
            if 0 < len(batch.events) < _MAX_READS:
                self._read_ready(batch, self._ready(batch), batch)

    def _ready(self, batch: RequestBatch) -> list[tuple[int, int]]:
        """Return what epoll reports, as many as `batch` has room for; pause first if more are about to arrive."""
        room = _MAX_READS - len(batch.events)
        ready = self._epoll.poll(0, room)
        if self._batcher.pause_for_more(len(batch.events) + len(ready)):
            return self._epoll.poll(0, room)
        return ready

    def _read_ready(self, batch: RequestBatch, ready: list[tuple[int, int]], unanswered: RequestBatch) -> None:
        """Add the ready connections to `batch`, except those that await their response in `unanswered`."""
        if not ready:
            return
        fds = [*map(_fd_of, ready)]
        if not (awaiting := unanswered.fds).isdisjoint(fds):
            fds = [fd for fd in fds if fd not in awaiting]
        try:
            if self._listener_fd in fds:
                fds.remove(self._listener_fd)
                fds += self._accept(batch)
            if not fds:
                return
            # Sockets without data are removed from `fds`.
            reads = read_each(fds)
            if fds:
                self._batcher.add(batch, fds, reads)
        except Exception:
            # The connections that were added before must still be answered.
            _log.exception("cannot read from the ready connections")

    def _accept(self, batch: RequestBatch) -> list[int]:
        accepted: list[tuple[int, Address]] = []
        if len(self._connections) + len(self._state.connections) >= self._limits.check_at:
            # In the next step of the loop: here others of the batch may be about to be read.
            if self._limits.is_full:
                self._pause_accepting("as many connections as the process may have")
            self._limits.check_soon()
            return []
        try:
            with contextlib.suppress(BlockingIOError):
                # What `socket.accept` calls; the socket object that it makes would only be taken apart again.
                accepted.extend(islice(iter(self._listener._accept, None), MAX_ACCEPTS))  # type: ignore[attr-defined]
            self._exhausted = False
        except OSError as error:
            # Any other error means that this client has disconnected; the next poll accepts those after it.
            if error.errno in _OUT_OF_RESOURCES:
                self._pause_accepting(repr(error))
                self._limits.check_soon()
        idle_deadline = self._loop.time() + HEAD_SECONDS
        for fd, address in accepted:
            os.set_blocking(fd, False)
            self._connections[fd] = connection = Connection(self, fd, address, idle_deadline)
            batch.accepted.append(connection)
        return [*map(_fd_of, accepted)]

    def _pause_accepting(self, error: str) -> None:
        if not self._exhausted:
            _log.warning("cannot accept connections, they wait in the kernel", error=error)
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

    def next_idle_deadline(self) -> float:
        """Return when a connection that falls silent now is closed, on the loop's clock."""
        return self._loop.time() + self._keep_alive_seconds

    def watch(self, connection: Connection) -> None:
        """Read the socket when it is ready. Raise `OSError` when the kernel cannot watch another one."""
        self._epoll.register(connection.fd, select.EPOLLIN)

    def unwatch(self, connection: Connection) -> None:
        """Leave what arrives in the kernel."""
        with contextlib.suppress(FileNotFoundError):
            self._epoll.unregister(connection.fd)

    def detach(self, connection: Connection) -> int:
        """Forget the connection, and return the descriptor, which the caller then owns."""
        fd = connection.fd
        del self._connections[fd]
        if fd in self._duplicates:
            # While the transport has the socket open too, closing this descriptor would leave it in the epoll.
            self._duplicates.remove(fd)
            self.unwatch(connection)
        if self._closed:
            self._state.connections.discard(cast(Any, connection))
        return fd

    def hand_over(self, connection: Connection, data: bytes, unsent: bytes) -> None:
        """Detach the connection and give it to uvicorn's protocol, which writes `unsent` and takes `data` as read."""
        self.unwatch(connection)
        self._handovers.start(connection, self.detach(connection), data, unsent)

    def take_back(self, transport: asyncio.Transport, address: Address, data: bytes) -> bool:
        """Take a connection back from uvicorn's protocol, starting with the request `data`.

        Return False, and leave it there, when this process has no descriptor left.
        """
        try:
            fd = os.dup(transport.get_extra_info("socket").fileno())
        except OSError:
            return False
        connection = Connection(self, fd, address, self.next_idle_deadline())
        self._connections[fd] = connection
        self._duplicates.add(fd)
        transport.abort()
        batch = self._batcher.new_batch()
        batch.accepted.append(connection)
        self._batcher.add(batch, [fd], [data])
        self._batcher.submit(batch)
        self._batcher.complete(batch)
        return True

    def _close_idle(self) -> None:
        if self._connections or not self._closed:
            self._loop.call_later(IDLE_CHECK_SECONDS, self._close_idle)
        now = self._loop.time()
        for connection in list(self._connections.values()):
            if connection.state is IDLE and now >= connection.idle_deadline:
                connection.close()

    def close(self) -> None:
        """Accept no more connections, and leave the open ones to uvicorn's shutdown."""
        self._closed = True
        with contextlib.suppress(FileNotFoundError):
            self._epoll.unregister(self._listener)
        self._state.connections.update(cast(Any, self._connections.values()))

    async def wait_closed(self) -> None:
        """Return immediately; uvicorn expects the method of an asyncio server."""
