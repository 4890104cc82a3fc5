"""The life of a role's process: report readiness, run until a signal or the end of the supervisor, drain.

The supervisor starts every role and hands it a *lifeline*: one end of a socket pair, whose file descriptor is in
`ONEBYONE_LIFELINE_FD`. The role writes one line, `ready`, when it may get traffic, or before it ends a line `refused`
for each setting with which it cannot run. End of file means that the supervisor is gone and the role must drain, so
that no orphan lives on. SIGTERM means that the role must drain; SIGHUP means the same for a process whose successor
has taken its place, which need not first answer as not ready.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys

from onebyone.runtime.exit_codes import BAD_SETTINGS, REFUSED
from onebyone.runtime.settings_faults import BadSettings, read_settings
from onebyone.runtime.terminal import printable, write_line
from onebyone.settings import Settings

LIFELINE = "ONEBYONE_LIFELINE_FD"
LISTENER = "ONEBYONE_LISTENER_FD"
REFUSAL = b"refused "
REFUSAL_BYTES = 2000
"""Of one refusal, so that a few fit into the buffer of the lifeline."""


class Lifeline:
    """Stop signal and readiness of one process; create it inside the running loop."""

    def __init__(self) -> None:
        self.stopping = asyncio.Event()
        self.retiring = False
        """A successor serves the listening socket, so this process need not announce its end."""
        self._socket: socket.socket | None = None
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signum, self.stopping.set)
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

    def refuse(self, role: str, *faults: str) -> int:
        """Say why this process cannot run as configured, once: to the supervisor, else on standard error.

        Return the exit code with which it must then end.
        """
        for fault in faults:
            if self._socket is not None:
                self._socket.send(REFUSAL + printable(fault).encode(errors="backslashreplace")[:REFUSAL_BYTES] + b"\n")
            else:
                write_line(sys.stderr, f"onebyone {role}: {printable(fault)}")
        return REFUSED

    async def wait_for(self, event: asyncio.Event, seconds: float) -> None:
        """Return when `event` is set, when this process must stop, or after `seconds`."""
        waiting = {asyncio.create_task(event.wait()), asyncio.create_task(self.stopping.wait())}
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()

    def not_ready_seconds(self, seconds: float) -> float:
        """Return how long to keep accepting connections while not ready: `seconds`, or 0 with a successor."""
        return 0.0 if self.retiring else seconds

    def report_ready(self) -> None:
        """Tell the supervisor that this process may get traffic."""
        if self._socket is not None:
            self._socket.send(b"ready\n")


def read_role_settings(role: str) -> Settings:
    """Return the settings of this process; print a line for each that is wrong, and exit."""
    try:
        return read_settings()
    except BadSettings as bad:
        for fault in bad.faults:
            write_line(sys.stderr, f"onebyone {role}: {printable(fault)}")
        sys.exit(BAD_SETTINGS)


def inherited_listener() -> socket.socket:
    """Return the listening socket that the supervisor bound and handed down, so that a crash never closes the port."""
    return socket.socket(fileno=int(os.environ[LISTENER]))
