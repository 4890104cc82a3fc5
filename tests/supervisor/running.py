"""A command of the product as a process, with the lines that it prints."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]


class Running:
    """A command in a session of its own; its output goes to files in `folder`."""

    def __init__(self, folder: Path, *arguments: str, **settings: object) -> None:
        self._out = folder / "stdout"
        self._err = folder / "stderr"
        environment = {f"ONEBYONE_{name.upper()}": str(value) for name, value in settings.items()}
        with self._out.open("w") as out, self._err.open("w") as err:
            self._process = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=ROOT,
                env=os.environ | {"STAND_IN_DIARY": str(folder / "diary")} | environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        self.pid = self._process.pid
        self.folder = folder

    @property
    def stdout(self) -> list[str]:
        """Lines of standard output so far."""
        return self._out.read_text().splitlines()

    @property
    def stderr(self) -> list[str]:
        """Lines of standard error so far."""
        return self._err.read_text().splitlines()

    def wait_for_line(self, text: str) -> str:
        """Wait for a line of either output that contains `text`, and return the first."""

        def found() -> str:
            ended = self._process.poll()
            line = next((line for line in self.stdout + self.stderr if text in line), "")
            if not line and ended is not None:
                raise AssertionError(f"ended with {ended} without {text!r}: {self.stdout} {self.stderr}")
            return line

        return wait_until(found, f"a line with {text!r}")

    def wait(self, seconds: float = 60.0) -> int:
        """Return the exit code, once the process has ended."""
        return self._process.wait(seconds)

    def signal(self, signum: signal.Signals) -> None:
        """Send a signal to the process alone."""
        self._process.send_signal(signum)

    def interrupt_group(self) -> None:
        """Send SIGINT to every process of the group, as Ctrl-C on a terminal does."""
        os.killpg(self.pid, signal.SIGINT)

    def end(self) -> None:
        """End it in any state; for fixtures."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
