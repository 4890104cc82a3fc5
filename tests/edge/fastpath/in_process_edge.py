"""An edge in the test's process, with a group commit that syncs when the test says so."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import select
import socket
import time
from collections.abc import Iterator
from typing import Any, Literal, cast

import uvicorn
from uvicorn.server import ServerState

from onebyone.edge.asgi import EdgeApp
from onebyone.edge.configuration.cache import ConfigCache, Tracker
from onebyone.edge.fastpath.acceptor import Acceptor
from onebyone.edge.journal.group_commit import GroupCommit, Waiter
from onebyone.edge.recorder import Recorder
from onebyone.runtime.bounded_protocol import BoundedProtocol
from onebyone.runtime.connection_limits import LIMITS, ConnectionLimits
from onebyone.settings import Settings
from tests.edge.edge_process import tracker
from tests.edge.requests import impression

RECORDED = b"x-onebyone: recorded\r\n"
NARROW_BYTES = 4096
"""A socket buffer that holds a dozen responses; a system's default holds thousands."""
BUSY_KERNEL_SECONDS = 0.02
"""What one end of a loopback connection has sent is readable at the other end after this long, whatever else runs."""


class FakeGroupCommit:
    """A `GroupCommit` without a journal."""

    def __init__(self) -> None:
        self.events: list[bytes] = []
        self.waiters: list[Waiter | None] = []
        self.full = False
        """Refuse every event, as when too many are pending."""
        self.quick = False
        """Sync each batch immediately."""
        self.flushes = 0

    def submit(self, group: list[bytes], waiter: Waiter | None, gathered: bool = False) -> bool:
        if self.full:
            return False
        self.events += group[1:]
        self.waiters.append(waiter)
        if self.quick:
            self.sync()
        return True

    def poll(self) -> None:
        """Do nothing: the test calls `sync`."""

    def flush(self) -> None:
        """Return immediately, as for a slow disk."""
        self.flushes += 1

    def sync(self, ok: bool = True) -> None:
        """Report to all waiters whether their events are on disk."""
        waiters, self.waiters = self.waiters, []
        for waiter in waiters:
            if waiter is not None:
                waiter.on_durable(ok)


class Browser:
    """The client's end of one connection."""

    def __init__(self, address: Any, number: int | None = None, receive_buffer: int | None = None) -> None:
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.connect(address)
        self.socket.setblocking(False)
        if number is not None:
            self.send(impression(number))

    def send(self, data: bytes) -> None:
        """Send all of it."""
        assert self.socket.send(data) == len(data)

    def read(self) -> bytes:
        """Return all that has arrived so far."""
        received = b""
        self._wait()
        with contextlib.suppress(BlockingIOError):
            while chunk := self.socket.recv(65536):
                received += chunk
        return received

    def closed(self) -> bool:
        """Return whether the edge has closed the connection; everything before must have been read."""
        self._wait()
        try:
            return self.socket.recv(1) == b""
        except BlockingIOError:
            return False
        except ConnectionError:
            return True

    def _wait(self) -> None:
        select.select([self.socket], [], [], BUSY_KERNEL_SECONDS)


class InProcessEdge:
    """A listening acceptor whose configuration is tracker 531."""

    def __init__(
        self,
        keep_alive: float = 75,
        receipt: Literal["disk", "memory"] = "disk",
        limits: ConnectionLimits | None = None,
    ) -> None:
        self.commits = FakeGroupCommit()
        cache = ConfigCache(cast(Any, None), 10, None)
        cache.impressions.store(531, Tracker.decode(tracker("imp", 531).encode()))
        self.recorder = Recorder(Settings(receipt=receipt), cache, cast(GroupCommit, self.commits), asyncio.Event())
        app = EdgeApp(self.recorder, cast(Any, None))
        config = uvicorn.Config(
            app, http=BoundedProtocol, lifespan="off", ws="none", proxy_headers=False, log_config=None
        )
        config.timeout_keep_alive = cast(int, keep_alive)
        config.load()
        self.state = ServerState()
        self.state.default_headers = [(b"date", b"today")]
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        app_state = {LIMITS: limits} if limits else {}
        if limits:
            limits.watch(lambda: cast("set[BoundedProtocol]", self.state.connections))
        self.acceptor = Acceptor(self.recorder, 100_000, self.listener, config, self.state, app_state)
        self.browsers: list[Browser] = []

    def connect(self, number: int | None = None) -> Browser:
        """Open a connection; with a number, send an impression."""
        self.browsers.append(Browser(self.listener.getsockname(), number))
        return self.browsers[-1]

    def connect_narrow(self, number: int | None = None) -> Browser:
        """Open a connection whose buffers, at both ends, are full after a few unread responses."""
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, NARROW_BYTES)
        self.browsers.append(Browser(self.listener.getsockname(), number, NARROW_BYTES))
        return self.browsers[-1]

    def close_browsers(self) -> None:
        """Close the client's end of all connections."""
        for browser in self.browsers:
            browser.socket.close()

    async def poll(self) -> None:
        """Let the loop run until what has arrived is decided, and handed over where it must be."""
        for _ in range(3):
            for _ in range(4):
                await asyncio.sleep(0)
            await asyncio.sleep(BUSY_KERNEL_SECONDS / 10)

    def poll_until_handed_over(self) -> None:
        """Poll until a connection is on its way to uvicorn's protocol, which the loop does not make meanwhile."""
        for _ in range(1000):
            self.acceptor.poll()
            if self.state.connections:
                return
            time.sleep(0.001)
        raise AssertionError("no connection is handed over")

    def poll_while_the_loop_waits(self) -> None:
        """Poll once for what was sent before; nothing else of the loop runs."""
        time.sleep(BUSY_KERNEL_SECONDS)
        self.acceptor.poll()

    async def settle(self) -> None:
        """Poll, sync, and let uvicorn's protocol finish."""
        for _ in range(3):
            await self.poll()
            self.commits.sync()
        await asyncio.sleep(0.01)

    def shut_down(self) -> None:
        """Stop the server as uvicorn does."""
        self.acceptor.close()
        for connection in list(self.state.connections):
            connection.shutdown()


@contextlib.contextmanager
def no_more_files() -> Iterator[None]:
    """Keep this process from opening files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
