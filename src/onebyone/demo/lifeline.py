"""The demo's end of its lifeline: pauses that end immediately when the supervisor is gone."""

from __future__ import annotations

import os
import select
import socket
import time

from onebyone.runtime.role import LIFELINE


class SupervisorGoneError(Exception):
    """The supervisor has ended, so the demo must end too."""


class DemoLifeline:
    """Readiness and pauses. Without a lifeline in the environment (run by hand) a pause only waits."""

    def __init__(self) -> None:
        self._socket = socket.socket(fileno=int(os.environ[LIFELINE])) if LIFELINE in os.environ else None

    def report_ready(self) -> None:
        """Tell the supervisor that the sample is set up."""
        if self._socket is not None:
            self._socket.send(b"ready\n")

    def pause(self, seconds: float) -> None:
        """Wait. Raise `SupervisorGoneError` as soon as the supervisor is gone."""
        if self._socket is None:
            time.sleep(seconds)
        elif select.select([self._socket], [], [], seconds)[0]:
            raise SupervisorGoneError
