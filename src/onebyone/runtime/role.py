"""The life of a role's process: say ready, run until told to stop, drain.

The supervisor starts every role and hands it a *lifeline*: one end of a socket pair, its number in
`ONEBYONE_LIFELINE_FD`. The role writes one line, `ready`, when it may get traffic; the end of file says that the
supervisor is gone and the role must drain, so that no orphan lives on. SIGTERM says that the role must drain; SIGHUP
says the same to a process whose successor has taken its place: it need not be not-ready first.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket

LIFELINE = "ONEBYONE_LIFELINE_FD"
LISTENER = "ONEBYONE_LISTENER_FD"

REFUSED = 3
"""Exit code of a role that cannot run as configured and has said why in one line: starting again would not help."""


class Lifeline:
    """Stop signal and readiness of one process; make it inside the running loop."""

    def __init__(self) -> None:
        self.stopping = asyncio.Event()
        self.retiring = False
        """A successor has taken the place: the listening socket is served without this process."""
        self._socket: socket.socket | None = None
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self._retire)
        if LIFELINE in os.environ:
            self._socket = socket.socket(fileno=int(os.environ[LIFELINE]))
            self._socket.setblocking(False)
            loop.add_reader(self._socket, self._hang_up, self._socket)

    def _retire(self) -> None:
        self.retiring = True
        self.stopping.set()

    def _hang_up(self, lifeline: socket.socket) -> None:
        asyncio.get_running_loop().remove_reader(lifeline)
        self.stopping.set()

    async def until(self, event: asyncio.Event, seconds: float) -> None:
        """Returns when `event` is set, when this process is to stop, or after `seconds`."""
        waiting = {asyncio.create_task(event.wait()), asyncio.create_task(self.stopping.wait())}
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()

    def notice(self, seconds: float) -> float:
        """How long to go on taking connections while not ready: `seconds`, and not at all with a successor."""
        return 0.0 if self.retiring else seconds

    def ready(self) -> None:
        """Tells the supervisor that this process may get traffic."""
        if self._socket is not None:
            self._socket.send(b"ready\n")


def listener() -> socket.socket:
    """The listening socket that the supervisor bound and handed down, so that a dead worker never closes the port."""
    return socket.socket(fileno=int(os.environ[LISTENER]))
