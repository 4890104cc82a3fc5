"""A command of the product as a process, with what it prints."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]


class Running:
    """A started command in a session of its own; its output goes to files beside `folder`."""

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
        """Lines printed until now."""
        return self._out.read_text().splitlines()

    @property
    def stderr(self) -> list[str]:
        """Lines of standard error until now."""
        return self._err.read_text().splitlines()

    def wait_for_line(self, text: str) -> str:
        """The first line, of either output, that contains `text`."""

        def found() -> str:
            ended = self._process.poll()
            line = next((line for line in self.stdout + self.stderr if text in line), "")
            if not line and ended is not None:
                raise AssertionError(f"ended with {ended} without {text!r}: {self.stdout} {self.stderr}")
            return line

        return wait_until(found, f"a line with {text!r}")

    def wait(self, seconds: float = 60.0) -> int:
        """The exit code."""
        return self._process.wait(seconds)

    def signal(self, number: signal.Signals) -> None:
        """A signal to the process alone."""
        self._process.send_signal(number)

    def interrupt_group(self) -> None:
        """What Ctrl-C in a terminal does: SIGINT to every process of the group."""
        os.killpg(self.pid, signal.SIGINT)

    def end(self) -> None:
        """Ends it in any state; for fixtures."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
