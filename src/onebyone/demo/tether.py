"""The demo's end of its lifeline: it waits on it, and so stops at once when the supervisor is gone."""

from __future__ import annotations

import os
import select
import socket
import time

from onebyone.runtime.role import LIFELINE


class SupervisorGoneError(Exception):
    """The supervisor has ended; so must the demo."""


class Tether:
    """Readiness and pauses. Without a lifeline in the environment (run by hand) a pause is only a pause."""

    def __init__(self) -> None:
        self._socket = socket.socket(fileno=int(os.environ[LIFELINE])) if LIFELINE in os.environ else None

    def ready(self) -> None:
        """Tells the supervisor that the set-up is done."""
        if self._socket is not None:
            self._socket.send(b"ready\n")

    def pause(self, seconds: float) -> None:
        """Waits. Raises `SupervisorGoneError` as soon as the supervisor is gone."""
        if self._socket is None:
            time.sleep(seconds)
        elif select.select([self._socket], [], [], seconds)[0]:
            raise SupervisorGoneError
