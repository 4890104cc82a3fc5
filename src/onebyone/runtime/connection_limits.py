"""How many connections a process keeps, in all and of one peer; further ones take the place of those that wait longest.

Nothing is counted while there are few. A connection that waits for its client has a deadline; where there are too many,
those whose deadline is nearest are closed before it: the silent ones first, then idle ones between two requests. So a
client that opens a thousand connections and sends nothing closes its own, and a health check is still answered.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection
from itertools import chain
from typing import Protocol, Self

import structlog

from onebyone.runtime import descriptors
from onebyone.runtime.client_address import in_networks, parse_address
from onebyone.settings import Settings

LIMITS = "connection_limits"
"""The key of the `ConnectionLimits` in the application state, where the protocols find it."""
RECHECK_SECONDS = 1.0
"""How soon a count is due again after the number of connections, or the limit of descriptors, has fallen."""
LOG_SECONDS = 10.0
"""At most one line in this time: a flood closes thousands of connections a second."""
_SHARE = 16
"""A count is due when the number of connections has grown by this part, and a full process makes room for this part:
so a new connection costs the look at this many."""
_IPV6_HOST_BYTES = 8
"""A host has a whole /64 of IPv6 addresses: they count as one peer."""

_log = structlog.get_logger()


class LimitedConnection(Protocol):
    """A connection that may be closed in favour of others."""

    @property
    def peer(self) -> str:
        """The address of the other end; empty if it has none."""

    def client_deadline(self) -> float | None:
        """Return when it would be closed because of its client, on the loop's clock; None if the client waits."""

    def give_way(self) -> None:
        """Close the connection, whose deadline has not come yet."""


class ConnectionLimits:
    """The limits of one process; belongs to the thread of its event loop."""

    def __init__(
        self,
        per_process: Callable[[], int] = lambda: sys.maxsize,
        per_peer: int = sys.maxsize,
        is_exempt: Callable[[str], bool] = lambda _: False,
        on_closed: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Keep up to `per_process()` connections, and up to `per_peer` of a peer for which `is_exempt` is false.

        `on_closed` gets how many connections were closed to make room.
        """
        self._read_per_process = per_process
        self._per_process = per_process()
        self._per_peer = min(per_peer, max(1, self._per_process // 2))
        self._is_exempt = is_exempt
        self._on_closed = on_closed
        self._sources: list[Callable[[], Collection[LimitedConnection]]] = []
        self.check_at = self._least = min(self._per_peer + 1, self._per_process)
        """With so many connections `check_soon` has to be called."""
        self.is_full = False
        """Whether the last check has left as many connections as there may be, because none of them had to wait."""
        self._check_scheduled = False
        self._next_line = 0.0

    @classmethod
    def of(cls, settings: Settings, on_closed: Callable[[int], None]) -> Self:
        """Return the limits of this process by its settings and its descriptors, of which it takes all it can get."""
        descriptors.raise_descriptor_limit()
        if (allowed := descriptors.count_for_clients()) < settings.connections:
            _log.warning("fewer connections than configured: raise the limit of open files", connections=allowed)
        networks = settings.proxy_networks
        return cls(
            lambda: min(descriptors.count_for_clients(), settings.connections),
            settings.connections_per_peer,
            lambda peer: in_networks(peer, networks),
            on_closed,
        )

    def watch(self, source: Callable[[], Collection[LimitedConnection]]) -> None:
        """Count the connections that `source` returns; one of several sources may be returned by another as well."""
        self._sources.append(source)

    def check_soon(self) -> None:
        """Make room in the next step of the event loop, where no connection is in the middle of anything."""
        if not self._check_scheduled:
            self._check_scheduled = True
            asyncio.get_running_loop().call_soon(self._check)

    def _check(self) -> None:
        self._check_scheduled = False
        self.make_room()

    def start(self) -> None:
        """Look every `RECHECK_SECONDS` whether another count is due, in the running event loop."""
        self._per_process = self._read_per_process()
        connections = sum(len(source()) for source in self._sources)
        if connections >= min(self.check_at, self._per_process):
            self.make_room()
        self.check_at = min(self.check_at, self._next_check(connections))
        asyncio.get_running_loop().call_later(RECHECK_SECONDS, self.start)

    def make_room(self) -> None:
        """Close what is too much, of each peer and in all, as far as it waits for its client."""
        self._per_process = self._read_per_process()
        # A connection may be in two sources while the process stops.
        connections = list(dict.fromkeys(chain.from_iterable(source() for source in self._sources)))
        peers = [self._peer_of(connection) for connection in connections]
        excess = {peer: number - self._per_peer for peer, number in Counter(peers).items() if peer is not None}
        rest = len(connections) - self._per_process
        if rest >= 0:
            rest += max(1, self._per_process // _SHARE)
        waiting = [
            (deadline, connection, peer)
            for connection, peer in zip(connections, peers, strict=True)
            if (deadline := connection.client_deadline()) is not None
        ]
        waiting.sort(key=lambda each: each[0])
        closing = []
        for _, connection, peer in waiting:
            if peer is not None and excess[peer] > 0:
                excess[peer] -= 1
                closing.append(connection)
        chosen = {id(connection) for connection in closing}
        others = (connection for _, connection, _ in waiting if id(connection) not in chosen)
        closing += [connection for _, connection in zip(range(rest - len(closing)), others, strict=False)]
        for connection in closing:
            connection.give_way()
        if closing:
            self._report(len(closing), len(connections))
        left = len(connections) - len(closing)
        self.is_full = left >= self._per_process
        self.check_at = self._next_check(left)

    def _next_check(self, connections: int) -> int:
        if connections >= self._per_process:
            return connections
        grown = connections + max(_SHARE, connections // _SHARE)
        return max(self._least, min(grown, self._per_process))

    def _peer_of(self, connection: LimitedConnection) -> object:
        """Return what is counted as one peer; None if the connection is not counted."""
        parsed = parse_address(connection.peer)
        if parsed is None or self._is_exempt(connection.peer):
            return None
        return parsed if parsed.version == 4 else parsed.packed[:_IPV6_HOST_BYTES]

    def _report(self, closed: int, connections: int) -> None:
        self._on_closed(closed)
        now = time.monotonic()
        if now >= self._next_line:
            self._next_line = now + LOG_SECONDS
            _log.warning("connections closed to make room", closed=closed, open=connections - closed)
