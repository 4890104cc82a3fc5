"""The supervisor's end of a child's lifeline; `onebyone.runtime.role` has the other end and says what it means."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable


class Line:
    """One socket pair. `descriptor` goes to the child and must be closed here once the child runs."""

    def __init__(self, ready: Callable[[], None]) -> None:
        self._ours, self._childs = socket.socketpair()
        self._ours.setblocking(False)
        self._ready = ready
        self._heard = b""

    @property
    def descriptor(self) -> int:
        """Number of the child's end."""
        return self._childs.fileno()

    def listen(self) -> None:
        """Gives up the child's end and calls `ready` when the child says so."""
        self._childs.close()
        asyncio.get_running_loop().add_reader(self._ours, self._read)

    def close(self) -> None:
        """Ends it: a child that still lives drains."""
        asyncio.get_running_loop().remove_reader(self._ours)
        self._ours.close()
        self._childs.close()

    def _read(self) -> None:
        try:
            text = self._ours.recv(64)
        except OSError:
            text = b""
        self._heard += text
        if b"ready\n" in self._heard:
            self._ready()
            self._heard = b""
        if not text:
            asyncio.get_running_loop().remove_reader(self._ours)
