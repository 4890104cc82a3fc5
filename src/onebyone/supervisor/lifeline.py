"""The supervisor's end of a child's lifeline; `onebyone.runtime.role` has the child's end and defines the protocol."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from onebyone.runtime.role import REFUSAL

READY = b"ready"


class ChildLifeline:
    """One socket pair. `child_fd` goes to the child; `listen` closes it here once the child runs."""

    def __init__(self, on_ready: Callable[[], None]) -> None:
        self._ours, self._childs = socket.socketpair()
        self._ours.setblocking(False)
        self._on_ready = on_ready
        self._received = b""
        self.refusals: list[str] = []
        """Why the child cannot run as configured, as it has said so far."""

    @property
    def child_fd(self) -> int:
        """File descriptor of the child's end."""
        return self._childs.fileno()

    def listen(self) -> None:
        """Close the child's end in this process, and call `on_ready` when the child says that it is ready."""
        self._childs.close()
        asyncio.get_running_loop().add_reader(self._ours, self._read)

    def close(self) -> None:
        """Close both ends, after reading what a child has said at its end; one that still runs drains."""
        self._read()
        asyncio.get_running_loop().remove_reader(self._ours)
        self._ours.close()
        self._childs.close()

    def _read(self) -> None:
        try:
            chunk = self._ours.recv(65_536)
        except OSError:
            chunk = b""
        self._received += chunk
        *lines, self._received = self._received.split(b"\n")
        for line in lines:
            if line == READY:
                self._on_ready()
            elif line.startswith(REFUSAL):
                self.refusals.append(line.removeprefix(REFUSAL).decode())
        if not chunk:
            asyncio.get_running_loop().remove_reader(self._ours)
