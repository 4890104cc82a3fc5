"""Connections on which nothing happens: one look at all of them now and then, instead of a timer for each."""

from __future__ import annotations

import asyncio
from typing import Protocol

STEP_SECONDS = 0.5
"""A silent connection may live this much longer than it should."""


class Connection(Protocol):
    """What can be idle."""

    def close_if_idle(self, now: float) -> None:
        """Closes itself when its time, on the loop's clock, is over."""


class Idle:
    """The connections of one loop; looks only while there are any."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._connections: set[Connection] = set()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, connection: Connection) -> None:
        """Looks at it from now on."""
        self._connections.add(connection)
        if self._timer is None:
            self._timer = self.loop.call_later(STEP_SECONDS, self._look)

    def discard(self, connection: Connection) -> None:
        """It is gone."""
        self._connections.discard(connection)

    def _look(self) -> None:
        now = self.loop.time()
        for connection in list(self._connections):
            connection.close_if_idle(now)
        self._timer = self.loop.call_later(STEP_SECONDS, self._look) if self._connections else None
