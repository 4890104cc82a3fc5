"""A command on a separate terminal (a pty), as a person at a keyboard runs it."""

from __future__ import annotations

import fcntl
import os
import pty
import subprocess
import sys
import termios
import threading
from collections.abc import Mapping

from tests.support.waiting import wait_until

CTRL_C = b"\x03"


class Terminal:
    """`python -m onebyone ARGUMENTS` with a pty as its controlling terminal. The caller calls `close`."""

    def __init__(self, *arguments: str, environment: Mapping[str, str]) -> None:
        self._master, slave = pty.openpty()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "onebyone", *arguments],
            env={"TERM": "xterm", **environment},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        self._shown = b""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    @property
    def screen(self) -> str:
        """Everything that was written to the terminal, without the echo of `CTRL_C`."""
        return self._shown.decode().replace("\r\n", "\n").replace("^C", "")

    def press(self, keys: bytes) -> None:
        """Type the keys; `CTRL_C` sends SIGINT to the foreground processes."""
        os.write(self._master, keys)

    def wait_for(self, text: str) -> None:
        """Wait until the terminal shows `text`."""
        wait_until(lambda: text in self.screen, text, seconds=60)

    def wait(self) -> int:
        """Return the exit code, once the command has ended and all that it wrote was read."""
        code = self._process.wait(60)
        self._reader.join(10)
        return code

    def close(self) -> None:
        """End the command in any state; for fixtures."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._reader.join(10)
        os.close(self._master)

    def _read(self) -> None:
        # Reading fails once the last process has closed its side.
        while True:
            try:
                chunk = os.read(self._master, 65536)
            except OSError:
                return
            if not chunk:
                return
            self._shown += chunk
